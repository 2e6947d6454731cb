#!/usr/bin/env python3
"""Writes builtin.txt, the table of built-in types, from the sources of the crate k8s-openapi.

    python3 generate.py PATH/k8s-openapi-0.29.0/src/v1_36 > builtin.txt

Only facts are read: names of types and fields, their types, and how a list or map is merged. That crate keeps one
merge key a list, which is the one of strategic merge patches; where server-side apply uses more keys, or treats a
type as one value, LISTS and ATOMIC say so. Both were compared with the OpenAPI document of a running API server.

One line a kind:   K group version kind plural N|C type
One line a type:   T type [atomic]
One line a field:  name code [how] after its type; `!` before the code means that the field is required

Codes: s string, b boolean, i integer, n number, y bytes, q quantity, t time, u time with microseconds, x integer or
string, j anything, @T another type, [code list, {code map. How: set, map=key,key (keys of server-side apply),
patch=key (the key of strategic merge patches where it differs), keep (retainKeys), atomic.
"""
import pathlib, re, sys

GROUPS = {
    "": ["v1"], "apps": ["v1"], "batch": ["v1"], "autoscaling": ["v1", "v2"], "policy": ["v1"], "networking.k8s.io": ["v1"],
    "rbac.authorization.k8s.io": ["v1"], "coordination.k8s.io": ["v1"], "discovery.k8s.io": ["v1"], "events.k8s.io": ["v1"],
    "storage.k8s.io": ["v1"], "scheduling.k8s.io": ["v1"], "admissionregistration.k8s.io": ["v1"], "apiextensions.k8s.io": ["v1"],
    "apiregistration.k8s.io": ["v1"], "authentication.k8s.io": ["v1"], "authorization.k8s.io": ["v1"], "node.k8s.io": ["v1"],
}
LEFT_OUT = {"ComponentStatus"}
LISTS = {
    "core.v1.ServiceSpec.ports": ["port", "protocol"],
    "core.v1.Container.ports": ["containerPort", "protocol"],
    "core.v1.EphemeralContainer.ports": ["containerPort", "protocol"],
    "core.v1.PodSpec.topologySpreadConstraints": ["topologyKey", "whenUnsatisfiable"],
    "core.v1.ServiceStatus.conditions": ["type"],
}
ATOMIC = """meta.v1.LabelSelector meta.v1.OwnerReference core.v1.ConfigMapKeySelector core.v1.LocalObjectReference core.v1.NodeSelector
core.v1.NodeSelectorTerm core.v1.ObjectFieldSelector core.v1.ObjectReference core.v1.ResourceFieldSelector core.v1.ScopeSelector
core.v1.ScopedResourceSelectorRequirement core.v1.SecretKeySelector core.v1.SecretReference core.v1.TopologySelectorTerm
core.v1.TypedLocalObjectReference core.v1.FileKeySelector rbac.v1.RoleRef rbac.v1.Subject autoscaling.v1.CrossVersionObjectReference
discovery.v1.EndpointPort admissionregistration.v1.MatchResources admissionregistration.v1.NamedRuleWithOperations
admissionregistration.v1.ParamKind admissionregistration.v1.ParamRef""".split()
KEEP = {"core.v1.PodSpec.volumes", "apps.v1.DeploymentSpec.strategy"}
RAW = {
    "meta.v1.Time": "t", "meta.v1.MicroTime": "u", "util.intstr.IntOrString": "x", "api.resource.Quantity": "q",
    "runtime.RawExtension": "j", "meta.v1.FieldsV1": "j", "apiextensions.v1.JSON": "j", "apiextensions.v1.JSONSchemaPropsOrArray": "j",
    "apiextensions.v1.JSONSchemaPropsOrBool": "j", "apiextensions.v1.JSONSchemaPropsOrStringArray": "j",
    "apiextensions.v1.JSONSchemaProps": "j", "meta.v1.Patch": "j", "apiextensions.v1.CustomResourceSubresourceStatus": "j",
}
SCALARS = {"std::string::String": "s", "bool": "b", "i32": "i", "i64": "i", "f64": "n", "crate::ByteString": "y", "crate::serde_json::Value": "j"}

def type_name(path):
    parts = path.split("::")
    parts = parts[1:] if parts[0] == "crate" else parts
    if parts[:1] == ["api"]:
        return ".".join(parts[1:])
    parts = [p for p in parts if p not in ("apimachinery", "pkg", "apis", "apiextensions_apiserver", "kube_aggregator")]
    return ".".join(parts)

def code(rust):
    rust = rust.strip()
    if m := re.fullmatch(r"Option<(.*)>", rust): return code(m[1])
    if m := re.fullmatch(r"(?:std::boxed::)?Box<(.*)>", rust): return code(m[1])
    if m := re.fullmatch(r"std::vec::Vec<(.*)>", rust): return "[" + code(m[1])
    if m := re.fullmatch(r"std::collections::BTreeMap<std::string::String, (.*)>", rust): return "{" + code(m[1])
    if rust in SCALARS: return SCALARS[rust]
    name = type_name(rust)
    return RAW.get(name, "@" + name)

types, kinds = {}, []
for path in sorted(pathlib.Path(sys.argv[1]).rglob("*.rs")):
    text = path.read_text()
    m = re.search(r"^pub struct (\w+) \{\n(.*?)^\}", text, re.S | re.M)
    if not m: continue
    module = path.relative_to(sys.argv[1]).with_suffix("").parts[:-1]
    name = type_name("::".join(("crate",) + module + (m[1],)))
    fields = re.findall(r"^    pub (\w+): (.*),$", m[2], re.M)
    keys = dict((r, j) for j, r in re.findall(r'serialize_field\(&mut state, "([^"]+)", &?(?:self\.)?(\w+)\)', text))
    keys.update((r, j) for j, r in re.findall(r'if let Some\(value\) = &self\.(\w+) \{\s*crate::serde::ser::SerializeStruct::serialize_field\(&mut state, "([^"]+)"', text) for j, r in [(r, j)])
    how = {}
    for strategy, field in re.findall(r"merge_strategies::(\w+::\w+)\(\s*&mut self\.(\w+)", text): how[field] = [strategy]
    for field, conds in re.findall(r"list::map\(\s*&mut self\.(\w+),.*?&\[(.*?)\],\n", text, re.S):
        how[field] = ["list::map"] + re.findall(r"lhs\.(\w+) ==", conds)
    types[name] = []
    for field, rust in fields:
        key = keys.get(field)
        if key is None: sys.stderr.write(f"no key: {name}.{field}\n"); continue
        types[name].append((key, code(rust), not rust.startswith("Option<"), how.get(field)))
    r = dict(re.findall(r'const (GROUP|KIND|VERSION|URL_PATH_SEGMENT): &\'static str = "([^"]*)"', text))
    if r and "ListMeta" not in m[2]:
        scope = re.search(r"type Scope = crate::(\w+)", text)[1]
        if r["VERSION"] in GROUPS.get(r["GROUP"], []) and scope != "SubResourceScope" and r["KIND"] not in LEFT_OUT and r["URL_PATH_SEGMENT"]:
            kinds.append((r["GROUP"], r["VERSION"], r["KIND"], r["URL_PATH_SEGMENT"], "N" if scope == "NamespaceResourceScope" else "C", name))

camel = lambda s: re.sub(r"_(\w)", lambda m: m[1].upper(), s.rstrip("_"))
wanted, queue = [], [k[5] for k in kinds] + ["autoscaling.v1.Scale", "policy.v1.Eviction", "meta.v1.Status", "meta.v1.DeleteOptions", "authentication.v1.TokenRequest", "core.v1.Binding"]
while queue:
    name = queue.pop()
    if name in wanted: continue
    if name not in types: sys.stderr.write(f"no type: {name}\n"); continue
    wanted.append(name)
    queue += [m for _, c, _, _ in types[name] for m in re.findall(r"@(.*)", c)]
for k in sorted(kinds): print("K", k[0] or '""', *k[1:])
for name in sorted(wanted):
    print("T", name, *(["atomic"] if name in ATOMIC else []))
    for key, c, required, how in types[name]:
        path, extra = f"{name}.{key}", ""
        if how and how[0] == "list::set": extra = " set"
        elif how and how[0] == "map::atomic": extra = " atomic"
        elif how and how[0] == "list::map" or path in LISTS:
            patch = [camel(k) for k in how[1:]] if how and how[0] == "list::map" else []
            ssa = LISTS.get(path) or patch
            extra = "" if not ssa else " map=" + ",".join(ssa) + (f" patch={patch[0]}" if patch and patch != ssa else "")
        if path in KEEP: extra += " keep"
        print(key, ("!" if required else "") + c + extra)
