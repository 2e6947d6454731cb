//! What the API server fills in when somebody leaves it out. Functions of one object; what depends on other objects
//! (addresses of services, service accounts, limits of a namespace) is the business of admission.

mod network;
mod pod;
mod workload;

use serde_json::{Value, json};

use crate::kind::Kind;
use crate::profile::ApiProfile;
use crate::schema::check;

pub(crate) use workload::TEMPLATE_GENERATION;

/// Fills in the defaults of a stored object and the fields that are always there.
pub(crate) fn fill(kind: &Kind, profile: &ApiProfile, object: &mut Value) {
    if kind.custom {
        return custom(kind, object);
    }
    let plural = &*kind.resource.plural;
    match plural {
        "pods" => pod::pod(object),
        "deployments" => workload::deployment(object),
        "replicasets" | "replicationcontrollers" => workload::replica_set(object),
        "statefulsets" => workload::stateful_set(object, profile),
        "daemonsets" => workload::daemon_set(object, profile),
        "jobs" => workload::job(object, profile),
        "cronjobs" => workload::cron_job(object),
        "podtemplates" => pod::template(&mut object["template"]),
        "horizontalpodautoscalers" => workload::autoscaler(object),
        "services" => network::service(object, profile),
        "endpoints" => network::endpoints(object),
        "endpointslices" => network::endpoint_slice(object),
        "networkpolicies" => network::policy(object),
        _ => other(plural, profile, object),
    }
    if !matches!(plural, "controllerrevisions" | "customresourcedefinitions") {
        check::drop_nulls(object);
        check::drop_empty(&kind.shape, object);
    }
    check::complete(&kind.shape, object);
}

/// Sets a field nobody set.
fn set(object: &mut Value, field: &str, value: impl Into<Value>) {
    if object[field].is_null() {
        object[field] = value.into();
    }
}

/// The items of a list.
fn each(list: &mut Value) -> impl Iterator<Item = &mut Value> {
    list.as_array_mut().into_iter().flatten()
}

fn other(plural: &str, profile: &ApiProfile, object: &mut Value) {
    match plural {
        "secrets" => secret(object),
        "namespaces" => {
            let name = object["metadata"]["name"].clone();
            if profile.namespace_name_label && name.is_string() {
                set(&mut object["metadata"], "labels", json!({}));
                set(&mut object["metadata"]["labels"], "kubernetes.io/metadata.name", name);
            }
            set(&mut object["status"], "phase", "Active");
        }
        "persistentvolumeclaims" => claim(object),
        "persistentvolumes" => {
            set(&mut object["status"], "phase", "Pending");
            set(&mut object["spec"], "persistentVolumeReclaimPolicy", "Retain");
            set(&mut object["spec"], "volumeMode", "Filesystem");
        }
        "storageclasses" => {
            set(object, "reclaimPolicy", "Delete");
            set(object, "volumeBindingMode", "Immediate");
        }
        "priorityclasses" => set(object, "preemptionPolicy", "PreemptLowerPriority"),
        "rolebindings" | "clusterrolebindings" => {
            set(&mut object["roleRef"], "apiGroup", "rbac.authorization.k8s.io");
            for subject in each(&mut object["subjects"]) {
                if subject["kind"] != "ServiceAccount" {
                    set(subject, "apiGroup", "rbac.authorization.k8s.io");
                }
            }
        }
        "mutatingwebhookconfigurations" | "validatingwebhookconfigurations" => webhooks(plural, object),
        "limitranges" => limit_range(object),
        "customresourcedefinitions" => definition(object),
        _ => {}
    }
}

fn secret(object: &mut Value) {
    use base64::Engine as _;
    set(object, "type", "Opaque");
    let Some(texts) = object.as_object_mut().and_then(|o| o.remove("stringData")) else { return };
    for (key, text) in texts.as_object().into_iter().flatten() {
        let text = text.as_str().unwrap_or_default();
        set(object, "data", json!({}));
        object["data"][key] = json!(base64::engine::general_purpose::STANDARD.encode(text));
    }
}

fn claim(object: &mut Value) {
    set(&mut object["status"], "phase", "Pending");
    set(&mut object["spec"], "volumeMode", "Filesystem");
}

fn webhooks(plural: &str, object: &mut Value) {
    for hook in each(&mut object["webhooks"]) {
        set(hook, "failurePolicy", "Fail");
        set(hook, "matchPolicy", "Equivalent");
        set(hook, "timeoutSeconds", 10);
        set(hook, "namespaceSelector", json!({}));
        set(hook, "objectSelector", json!({}));
        if plural.starts_with('m') {
            set(hook, "reinvocationPolicy", "Never");
        }
        for rule in each(&mut hook["rules"]) {
            set(rule, "scope", "*");
        }
        if hook["clientConfig"]["service"].is_object() {
            set(&mut hook["clientConfig"]["service"], "port", 443);
        }
    }
}

fn limit_range(object: &mut Value) {
    for limit in each(&mut object["spec"]["limits"]) {
        if limit["type"] != "Container" {
            continue;
        }
        for (from, to) in [("max", "default"), ("default", "defaultRequest"), ("min", "defaultRequest")] {
            let values = limit[from].as_object().cloned().unwrap_or_default();
            for (resource, amount) in values {
                set(limit, to, json!({}));
                set(&mut limit[to], &resource, amount);
            }
        }
    }
}

fn definition(object: &mut Value) {
    let spec = &mut object["spec"];
    let kind = spec["names"]["kind"].as_str().unwrap_or_default().to_owned();
    if !kind.is_empty() {
        set(&mut spec["names"], "singular", kind.to_lowercase());
        set(&mut spec["names"], "listKind", format!("{kind}List"));
    }
    set(spec, "conversion", json!({"strategy": "None"}));
}

/// Defaults of a custom schema.
fn custom(kind: &Kind, object: &mut Value) {
    if let crate::schema::Shape::Custom(schema) = &kind.shape {
        from_schema(schema, object);
    }
}

fn from_schema(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (key, field) in schema["properties"].as_object().into_iter().flatten() {
                if let Some(default) = field.get("default").filter(|_| !map.contains_key(key)) {
                    map.insert(key.clone(), default.clone());
                }
                if let Some(inner) = map.get_mut(key) {
                    from_schema(field, inner);
                }
            }
            if schema["additionalProperties"].is_object() {
                for inner in map.values_mut() {
                    from_schema(&schema["additionalProperties"], inner);
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                from_schema(&schema["items"], item);
            }
        }
        _ => {}
    }
}
