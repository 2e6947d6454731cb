//! Pods and templates of pods.

use std::collections::BTreeSet;
use std::fmt::{self, Display};

use serde_json::Value;

use super::Check;
use super::metadata::is_label;
use crate::quantity::Quantity;

/// Where in an object something is; put together when something is wrong there.
type Path<'a> = fmt::Arguments<'a>;

const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";

pub(super) fn pod(check: &mut Check<'_>, object: &Value) {
    spec(check, &object["spec"], format_args!("spec"));
}

pub(super) fn restart_policy(check: &mut Check<'_>, spec: &Value, path: impl Display, allowed: &[&str]) {
    let policy = &spec["restartPolicy"];
    if !policy.as_str().is_some_and(|p| allowed.contains(&p)) {
        check.unsupported(format!("{path}.restartPolicy"), policy, allowed);
    }
}

/// The spec of a pod.
pub(super) fn spec(check: &mut Check<'_>, spec: &Value, path: Path<'_>) {
    let volumes: BTreeSet<&str> = list(&spec["volumes"]).filter_map(|v| v["name"].as_str()).collect();
    let mut seen = BTreeSet::new();
    for (index, volume) in list(&spec["volumes"]).enumerate() {
        let path = format_args!("{path}.volumes[{index}]");
        name(check, &volume["name"], format_args!("{path}.name"), &mut seen);
        let sources = volume.as_object().map_or(0, |v| v.len() - usize::from(v.contains_key("name")));
        if sources > 1 {
            check.forbidden(
                format!("{path}.{}", second_source(volume)),
                "may not specify more than 1 volume type",
            );
        }
    }
    let mut names = BTreeSet::new();
    let containers = list(&spec["containers"]).count();
    if containers == 0 {
        check.required(format_args!("{path}.containers"), "");
    }
    for kind in ["containers", "initContainers"] {
        for (index, one) in list(&spec[kind]).enumerate() {
            let path = format_args!("{path}.{kind}[{index}]");
            container(check, one, path, &volumes, &mut names);
            // One that runs on beside the others is a container like them.
            if kind == "initContainers" && one["restartPolicy"] != "Always" {
                for field in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] {
                    if one[field].is_object() {
                        let why = "must not be set for init containers";
                        check.invalid(format_args!("{path}.{field}"), &one[field], why);
                    }
                }
            }
        }
    }
    restart_policy(check, spec, path, &["Always", "OnFailure", "Never"]);
    if check.profile.field_validation {
        let field = "terminationGracePeriodSeconds";
        check.not_negative(format_args!("{path}.{field}"), &spec[field]);
    }
    let dns = &spec["dnsPolicy"];
    check.one_of(
        format_args!("{path}.dnsPolicy"),
        dns,
        &["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"],
    );
    super::metadata::labels(check, format_args!("{path}.nodeSelector"), &spec["nodeSelector"]);
    let deadline = &spec["activeDeadlineSeconds"];
    if deadline.as_i64().is_some_and(|n| !(1..=i64::from(i32::MAX)).contains(&n)) {
        let why = "must be between 1 and 2147483647, inclusive";
        check.invalid(format_args!("{path}.activeDeadlineSeconds"), deadline, why);
    }
}

fn second_source(volume: &Value) -> &str {
    let keys = volume.as_object().into_iter().flat_map(|v| v.keys());
    keys.filter(|k| *k != "name").nth(1).map_or("", String::as_str)
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn name<'v>(check: &mut Check<'_>, value: &'v Value, path: Path<'_>, seen: &mut BTreeSet<&'v str>) {
    let text = value.as_str().unwrap_or_default();
    if text.is_empty() {
        check.required(path, "");
    } else if !is_label(text) {
        check.invalid(path, value, LABEL);
    } else if text.len() > 63 {
        check.invalid(path, value, "must be no more than 63 characters");
    } else if !seen.insert(text) {
        check.duplicate(path, value);
    }
}

fn container<'v>(
    check: &mut Check<'_>,
    container: &'v Value,
    path: Path<'_>,
    volumes: &BTreeSet<&str>,
    names: &mut BTreeSet<&'v str>,
) {
    name(check, &container["name"], format_args!("{path}.name"), names);
    let image = container["image"].as_str().unwrap_or_default();
    if image.is_empty() {
        check.required(format_args!("{path}.image"), "");
    } else if image.trim() != image {
        let why = "must not have leading or trailing whitespace";
        check.invalid(format_args!("{path}.image"), &container["image"], why);
    }
    let policy = &container["imagePullPolicy"];
    check.one_of(format_args!("{path}.imagePullPolicy"), policy, &["Always", "IfNotPresent", "Never"]);
    let mut port_names = BTreeSet::new();
    for (index, port) in list(&container["ports"]).enumerate() {
        let path = format_args!("{path}.ports[{index}]");
        if let Some(name) = port["name"].as_str().filter(|name| !name.is_empty())
            && !port_names.insert(name)
        {
            check.duplicate(format_args!("{path}.name"), &port["name"]);
        }
        self::port(check, &port["containerPort"], format_args!("{path}.containerPort"));
        check.one_of(format_args!("{path}.protocol"), &port["protocol"], &["SCTP", "TCP", "UDP"]);
    }
    for (index, variable) in list(&container["env"]).enumerate() {
        let name = variable["name"].as_str().unwrap_or_default();
        if name.is_empty() {
            check.required(format_args!("{path}.env[{index}].name"), "");
        } else if let Some(why) = wrong_variable(check, name) {
            check.invalid(format_args!("{path}.env[{index}].name"), &variable["name"], why);
        }
        let has_value = variable["value"].as_str().is_some_and(|v| !v.is_empty());
        if has_value && variable["valueFrom"].is_object() {
            let why = "may not be specified when `value` is not empty";
            check.invalid(format_args!("{path}.env[{index}].valueFrom"), &Value::from(""), why);
        }
    }
    for (index, mount) in list(&container["volumeMounts"]).enumerate() {
        let path = format_args!("{path}.volumeMounts[{index}]");
        let volume = mount["name"].as_str().unwrap_or_default();
        if !volumes.contains(volume) {
            check.not_found(format_args!("{path}.name"), &mount["name"]);
        }
        if mount["mountPath"].as_str().is_none_or(str::is_empty) {
            check.required(format_args!("{path}.mountPath"), "");
        }
    }
    for kind in ["livenessProbe", "readinessProbe", "startupProbe"] {
        probe(check, &container[kind], format_args!("{path}.{kind}"), kind);
    }
    resources(check, &container["resources"], format_args!("{path}.resources"));
}

fn wrong_variable(check: &Check<'_>, name: &str) -> Option<&'static str> {
    if check.profile.field_validation {
        let fits = name.bytes().all(|b| (b' '..=b'~').contains(&b) && b != b'=');
        let why = "a valid environment variable name must consist only of printable ASCII characters other than '='";
        return (!fits).then_some(why);
    }
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    let fits = name.bytes().all(inner) && !name.starts_with(|c: char| c.is_ascii_digit());
    let why = "a valid environment variable name must consist of alphabetic characters, digits, '_', '-', or '.', and must not start with a digit (e.g. 'my.env-name',  or 'MY_ENV.NAME',  or 'MyEnvName1', regex used for validation is '[-._a-zA-Z][-._a-zA-Z0-9]*')";
    (!fits).then_some(why)
}

fn port(check: &mut Check<'_>, value: &Value, path: Path<'_>) {
    match value.as_i64() {
        Some(1..=65535) => {}
        Some(0) => check.required(path, ""),
        None if value.is_null() => check.required(path, ""),
        _ => check.invalid(path, value, "must be between 1 and 65535, inclusive"),
    }
}

fn probe(check: &mut Check<'_>, probe: &Value, path: Path<'_>, kind: &str) {
    let Some(map) = probe.as_object() else { return };
    let handlers = ["exec", "httpGet", "tcpSocket", "grpc"].iter().filter(|h| map.contains_key(**h)).count();
    match handlers {
        0 => check.required(path, "must specify a handler type"),
        1 => {}
        _ => check.forbidden(path, "may not specify more than 1 handler type"),
    }
    for handler in ["httpGet", "tcpSocket"] {
        let port = &probe[handler]["port"];
        if port.as_i64().is_some_and(|n| !(1..=65535).contains(&n)) {
            let why = "must be between 1 and 65535, inclusive";
            check.invalid(format_args!("{path}.{handler}.port"), port, why);
        }
    }
    for field in
        ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"]
    {
        check.not_negative(format_args!("{path}.{field}"), &probe[field]);
    }
    if kind != "readinessProbe" && probe["successThreshold"].as_i64().is_some_and(|n| n != 1) {
        check.invalid(format_args!("{path}.successThreshold"), &probe["successThreshold"], "must be 1");
    }
}

fn resources(check: &mut Check<'_>, resources: &Value, path: Path<'_>) {
    for kind in ["limits", "requests"] {
        for (resource, amount) in resources[kind].as_object().into_iter().flatten() {
            let Some(quantity) = amount.as_str().and_then(Quantity::parse) else { continue };
            if quantity < Quantity::ZERO {
                let why = "must be greater than or equal to 0";
                check.invalid(format_args!("{path}.{kind}[{resource}]"), amount, why);
            }
        }
    }
    for (resource, asked) in resources["requests"].as_object().into_iter().flatten() {
        let read = |value: &Value| value.as_str().and_then(Quantity::parse);
        if let (Some(request), Some(limit)) = (read(asked), read(&resources["limits"][resource]))
            && request > limit
        {
            let mut why = format!("must be less than or equal to {resource} limit");
            if check.profile.field_validation {
                why = format!("{why} of {limit}");
            }
            check.invalid(format_args!("{path}.requests"), asked, &why);
        }
    }
}

/// What may change in a pod that is there.
pub(super) fn changes(check: &mut Check<'_>, old: &Value, new: &Value) {
    let (old, new) = (&old["spec"], &new["spec"]);
    for kind in ["containers", "initContainers"] {
        if list(&old[kind]).count() != list(&new[kind]).count() {
            check.forbidden(format!("spec.{kind}"), "pod updates may not add or remove containers");
            return;
        }
    }
    if !deadline(check, &old["activeDeadlineSeconds"], &new["activeDeadlineSeconds"]) {
        return;
    }
    if !list(&old["tolerations"]).all(|one| list(&new["tolerations"]).any(|other| tolerates_as(one, other))) {
        let why = "existing toleration can not be modified except its tolerationSeconds";
        check.forbidden("spec.tolerations", why);
    }
    let is_modern = check.profile.field_validation;
    let fixed = |spec: &Value| {
        let mut spec = spec.clone();
        for kind in ["containers", "initContainers"] {
            for container in spec.get_mut(kind).and_then(Value::as_array_mut).into_iter().flatten() {
                container["image"] = Value::Null;
            }
        }
        if let Some(map) = spec.as_object_mut() {
            for field in ["activeDeadlineSeconds", "tolerations"] {
                map.remove(field);
            }
            if is_modern {
                map.remove("terminationGracePeriodSeconds");
            }
        }
        spec
    };
    if fixed(old) != fixed(new) {
        check.forbidden(
            "spec",
            if is_modern {
                "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
            } else {
                "pod updates may not change fields other than `spec.containers[*].image`, `spec.initContainers[*].image`, `spec.activeDeadlineSeconds` or `spec.tolerations` (only additions to existing tolerations)"
            },
        );
    }
}

/// A deadline may be set and come nearer; whether there is more to check.
fn deadline(check: &mut Check<'_>, old: &Value, new: &Value) -> bool {
    let path = "spec.activeDeadlineSeconds";
    match (old.as_i64(), new.as_i64()) {
        (_, Some(new_one)) if new_one < 0 => {
            check.invalid(path, new, "must be between 0 and 2147483647, inclusive");
            return false;
        }
        (Some(before), Some(after)) if before < after => {
            check.invalid(path, new, "must be less than or equal to previous value");
            return false;
        }
        (Some(_), None) => check.invalid(path, new, "must not update from a positive integer to nil value"),
        _ => {}
    }
    true
}

/// Whether two tolerations are the same but for how long they last.
fn tolerates_as(one: &Value, other: &Value) -> bool {
    ["key", "operator", "value", "effect"].iter().all(|field| one[field] == other[field])
}
