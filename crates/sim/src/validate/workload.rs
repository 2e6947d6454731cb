//! What makes pods, what scales them, and what leads to them.

use std::collections::BTreeSet;

use serde_json::Value;

use super::metadata::{SUBDOMAIN, is_subdomain, labels};
use super::{Check, pod};
use crate::selector::LabelSelector;

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// Deployments and their like.
pub(super) fn workload(check: &mut Check<'_>, plural: &str, object: &Value) {
    let spec = &object["spec"];
    check.not_negative("spec.replicas", &spec["replicas"]);
    for field in ["minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"] {
        check.not_negative(format_args!("spec.{field}"), &spec[field]);
    }
    selector(check, plural, spec);
    if plural == "statefulsets" && !check.profile.field_validation {
        // The pods of a StatefulSet were not looked at before they were made.
        labels(check, "spec.template.labels", &spec["template"]["metadata"]["labels"]);
    } else {
        template(check, &spec["template"], "spec.template");
    }
    pod::restart_policy(check, &spec["template"]["spec"], "spec.template.spec", &["Always"]);
    if !spec["template"]["spec"]["activeDeadlineSeconds"].is_null() {
        let why = format!("activeDeadlineSeconds in {} is not Supported", controller(plural));
        check.forbidden("spec.template.spec.activeDeadlineSeconds", &why);
    }
    match plural {
        "deployments" => strategy(check, spec),
        "statefulsets" => {
            check.one_of(
                "spec.podManagementPolicy",
                &spec["podManagementPolicy"],
                &["OrderedReady", "Parallel"],
            );
        }
        _ => {}
    }
}

/// What messages call the kind: some were copied from others.
fn controller(plural: &str) -> &'static str {
    match plural {
        "statefulsets" => "StatefulSet",
        "daemonsets" => "DaemonSet",
        _ => "ReplicaSet",
    }
}

fn selector(check: &mut Check<'_>, plural: &str, spec: &Value) {
    let selector = &spec["selector"];
    if selector.is_null() {
        check.required("spec.selector", "");
    }
    let found = LabelSelector::of(selector);
    if found.is_empty() && !selector.is_null() {
        let kind = if plural == "replicasets" { "deployment" } else { plural.trim_end_matches('s') };
        check.invalid("spec.selector", selector, &format!("empty selector is invalid for {kind}"));
    } else if selector.is_null() || !found.matches(&spec["template"]["metadata"]["labels"]) {
        let labels = &spec["template"]["metadata"]["labels"];
        check.invalid("spec.template.metadata.labels", labels, "`selector` does not match template `labels`");
    }
}

fn strategy(check: &mut Check<'_>, spec: &Value) {
    let strategy = &spec["strategy"];
    if !matches!(strategy["type"].as_str(), Some("Recreate" | "RollingUpdate")) {
        check.unsupported("spec.strategy", strategy, &["Recreate", "RollingUpdate"]);
    }
    let rolling = &strategy["rollingUpdate"];
    if strategy["type"] == "Recreate" && rolling.is_object() {
        check.forbidden(
            "spec.strategy.rollingUpdate",
            "may not be specified when strategy `type` is 'Recreate'",
        );
    }
    for field in ["maxUnavailable", "maxSurge"] {
        let is_percent = |text: &str| {
            text.strip_suffix('%').is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
        };
        if rolling[field].as_str().is_some_and(|text| !is_percent(text)) {
            let why = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')";
            check.invalid(format!("spec.strategy.rollingUpdate.{field}"), &rolling[field], why);
        }
    }
    let is_zero = |value: &Value| value == 0 || value == "0%";
    if is_zero(&rolling["maxUnavailable"]) && is_zero(&rolling["maxSurge"]) {
        let why = "may not be 0 when `maxSurge` is 0";
        check.invalid("spec.strategy.rollingUpdate.maxUnavailable", &rolling["maxUnavailable"], why);
    }
    let deadline = spec["progressDeadlineSeconds"].as_i64().unwrap_or(i64::MAX);
    if deadline <= spec["minReadySeconds"].as_i64().unwrap_or(0) {
        let why = "must be greater than minReadySeconds";
        check.invalid("spec.progressDeadlineSeconds", &spec["progressDeadlineSeconds"], why);
    }
}

pub(super) fn template(check: &mut Check<'_>, template: &Value, path: &str) {
    labels(check, format_args!("{path}.labels"), &template["metadata"]["labels"]);
    pod::spec(check, &template["spec"], format_args!("{path}.spec"));
}

pub(super) fn job(check: &mut Check<'_>, spec: &Value, path: &str) {
    for field in
        ["parallelism", "completions", "backoffLimit", "activeDeadlineSeconds", "ttlSecondsAfterFinished"]
    {
        check.not_negative(format_args!("{path}.{field}"), &spec[field]);
    }
    if path == "spec" {
        let selector = &spec["selector"];
        let labels = &spec["template"]["metadata"]["labels"];
        if selector.is_null() {
            check.required("spec.selector", "");
        }
        if selector.is_null() || !LabelSelector::of(selector).matches(labels) {
            let why = "`selector` does not match template `labels`";
            check.invalid("spec.template.metadata.labels", labels, why);
        }
    }
    template(check, &spec["template"], &format!("{path}.template"));
    let policy = &spec["template"]["spec"]["restartPolicy"];
    if policy == "Always" {
        let path = format!("{path}.template.spec.restartPolicy");
        check.required(path, "valid values: \"OnFailure\", \"Never\"");
    } else {
        let allowed = &["OnFailure", "Never"];
        pod::restart_policy(check, &spec["template"]["spec"], format_args!("{path}.template.spec"), allowed);
    }
}

pub(super) fn cron_job(check: &mut Check<'_>, spec: &Value) {
    let schedule = spec["schedule"].as_str().unwrap_or_default();
    if schedule.is_empty() {
        check.required("spec.schedule", "");
    } else if !schedule.starts_with('@') && schedule.split_whitespace().count() != 5 {
        let count = schedule.split_whitespace().count();
        let why = format!("expected exactly 5 fields, found {count}: [{schedule}]");
        check.invalid("spec.schedule", &spec["schedule"], &why);
    }
    check.one_of("spec.concurrencyPolicy", &spec["concurrencyPolicy"], &["Allow", "Forbid", "Replace"]);
    job(check, &spec["jobTemplate"]["spec"], "spec.jobTemplate.spec");
}

pub(super) fn job_changes(check: &mut Check<'_>, old: &Value, new: &Value) {
    if old["completionMode"] != "Indexed" {
        check.unchanged("spec.completions", &old["completions"], &new["completions"]);
    }
    check.unchanged("spec.selector", &old["selector"], &new["selector"]);
    check.unchanged("spec.template", &old["template"], &new["template"]);
}

pub(super) fn stateful_set_changes(check: &mut Check<'_>, old: &Value, new: &Value) {
    let fixed = |spec: &Value| {
        let mut spec = spec.clone();
        if let Some(map) = spec.as_object_mut() {
            for field in [
                "replicas",
                "ordinals",
                "template",
                "updateStrategy",
                "revisionHistoryLimit",
                "persistentVolumeClaimRetentionPolicy",
                "minReadySeconds",
            ] {
                map.remove(field);
            }
        }
        spec
    };
    if fixed(old) != fixed(new) {
        let fields = if check.profile.job_modes {
            "'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds'"
        } else {
            "'replicas', 'template', and 'updateStrategy'"
        };
        let why = format!("updates to statefulset spec for fields other than {fields} are forbidden");
        check.forbidden("spec", &why);
    }
}

pub(super) fn service(check: &mut Check<'_>, spec: &Value) {
    let kind = spec["type"].as_str().unwrap_or_default();
    check.one_of("spec.type", &spec["type"], &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"]);
    if kind == "ExternalName" && spec["externalName"].as_str().is_none_or(str::is_empty) {
        check.required("spec.externalName", "");
    }
    labels(check, "spec.selector", &spec["selector"]);
    check.one_of("spec.sessionAffinity", &spec["sessionAffinity"], &["ClientIP", "None"]);
    let is_outside = matches!(kind, "NodePort" | "LoadBalancer");
    if !is_outside && spec["externalTrafficPolicy"].as_str().is_some_and(|p| !p.is_empty()) {
        let why = if check.profile.field_validation {
            "may only be set for externally-accessible services"
        } else {
            "ExternalTrafficPolicy can only be set on NodePort and LoadBalancer service"
        };
        check.invalid("spec.externalTrafficPolicy", &spec["externalTrafficPolicy"], why);
    }
    let count = list(&spec["ports"]).count();
    if count == 0 && kind != "ExternalName" && spec["clusterIP"] != "None" {
        check.required("spec.ports", "");
    }
    let mut names = BTreeSet::new();
    let mut numbers = BTreeSet::new();
    for (index, port) in list(&spec["ports"]).enumerate() {
        let path = format!("spec.ports[{index}]");
        let name = port["name"].as_str().unwrap_or_default();
        if name.is_empty() && count > 1 {
            check.required(format!("{path}.name"), "");
        } else if !name.is_empty() && !names.insert(name) {
            check.duplicate(format!("{path}.name"), &port["name"]);
        }
        if !port["port"].as_i64().is_some_and(|n| (1..=65535).contains(&n)) {
            let number = if port["port"].is_null() { &Value::from(0) } else { &port["port"] };
            check.invalid(format!("{path}.port"), number, "must be between 1 and 65535, inclusive");
        } else if !numbers.insert((port["port"].to_string(), port["protocol"].to_string())) {
            check.duplicate(
                path.clone(),
                &serde_json::json!({"port": port["port"], "protocol": port["protocol"]}),
            );
        }
        check.one_of(format_args!("{path}.protocol"), &port["protocol"], &["SCTP", "TCP", "UDP"]);
        if port["targetPort"].as_i64().is_some_and(|n| !(1..=65535).contains(&n)) {
            let why = "must be between 1 and 65535, inclusive";
            check.invalid(format!("{path}.targetPort"), &port["targetPort"], why);
        }
    }
}

/// Whether a service's ports are of more than one protocol.
pub(super) fn mixes_protocols(spec: &Value) -> bool {
    let protocols: BTreeSet<&str> = list(&spec["ports"]).filter_map(|p| p["protocol"].as_str()).collect();
    protocols.len() > 1
}

/// Before they were allowed to, balancers did not mix protocols.
pub(super) fn one_protocol(check: &mut Check<'_>, spec: &Value) {
    if !check.profile.field_validation && spec["type"] == "LoadBalancer" && mixes_protocols(spec) {
        check.invalid(
            "spec.ports",
            &spec["ports"],
            "may not contain more than 1 protocol when type is 'LoadBalancer'",
        );
    }
}

pub(super) fn service_changes(check: &mut Check<'_>, old: &Value, new: &Value) {
    let is_external = |spec: &Value| spec["type"] == "ExternalName";
    if !is_external(old) && !is_external(new) && old["clusterIP"] != new["clusterIP"] {
        let all = Value::Array(vec![new["clusterIP"].clone()]);
        check.invalid("spec.clusterIPs[0]", &all, "may not change once set");
    }
}

pub(super) fn autoscaler(check: &mut Check<'_>, spec: &Value) {
    let max = spec["maxReplicas"].as_i64().unwrap_or(0);
    if max < 1 {
        check.invalid("spec.maxReplicas", &Value::from(max), "must be greater than 0");
    } else if spec["minReplicas"].as_i64().is_some_and(|min| min > max) {
        let why = "must be greater than or equal to `minReplicas`";
        check.invalid("spec.maxReplicas", &spec["maxReplicas"], why);
    }
    if spec["minReplicas"].as_i64().is_some_and(|min| min < 1) {
        let why = "must be greater than or equal to 1";
        check.invalid("spec.minReplicas", &spec["minReplicas"], why);
    }
    for field in ["kind", "name"] {
        if spec["scaleTargetRef"][field].as_str().is_none_or(str::is_empty) {
            check.required(format!("spec.scaleTargetRef.{field}"), "");
        }
    }
}

pub(super) fn budget(check: &mut Check<'_>, spec: &Value) {
    if !spec["minAvailable"].is_null() && !spec["maxUnavailable"].is_null() {
        let why = "minAvailable and maxUnavailable cannot be both set";
        check.invalid("spec", &Value::from(""), why);
    }
}

pub(super) fn ingress(check: &mut Check<'_>, spec: &Value) {
    let has_rules = list(&spec["rules"]).next().is_some();
    if !has_rules && spec["defaultBackend"].is_null() {
        check.invalid("spec", &spec["rules"], "either `defaultBackend` or `rules` must be specified");
    }
    if spec["defaultBackend"].is_object() {
        backend(check, &spec["defaultBackend"], "spec.defaultBackend");
    }
    for (index, rule) in list(&spec["rules"]).enumerate() {
        host(check, &rule["host"], &format!("spec.rules[{index}].host"));
        for (at, path) in list(&rule["http"]["paths"]).enumerate() {
            ingress_path(check, path, &format!("spec.rules[{index}].http.paths[{at}]"));
        }
    }
}

fn host(check: &mut Check<'_>, host: &Value, path: &str) {
    const WILDCARD: &str = "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character (e.g. '*.example.com', regex used for validation is '\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
    let text = host.as_str().unwrap_or_default();
    if text.is_empty() {
        return;
    }
    match text.strip_prefix("*.") {
        Some(rest) if is_subdomain(rest) => {}
        Some(_) => check.invalid(path, host, WILDCARD),
        None if text.contains('*') => check.invalid(path, host, WILDCARD),
        None if is_subdomain(text) => {}
        None => check.invalid(path, host, SUBDOMAIN),
    }
}

fn ingress_path(check: &mut Check<'_>, path: &Value, field: &str) {
    let text = path["path"].as_str().unwrap_or_default();
    let kind = path["pathType"].as_str();
    match kind {
        None => check.required(format!("{field}.pathType"), "pathType must be specified"),
        Some("Exact" | "Prefix") if !text.starts_with('/') => {
            check.invalid(format!("{field}.path"), &Value::from(text), "must be an absolute path");
        }
        Some("ImplementationSpecific") if !text.is_empty() && !text.starts_with('/') => {
            check.invalid(format!("{field}.path"), &Value::from(text), "must be an absolute path");
        }
        Some("Exact" | "Prefix" | "ImplementationSpecific") => {}
        Some(_) => {
            let known = &["Exact", "ImplementationSpecific", "Prefix"];
            check.unsupported(format!("{field}.pathType"), &path["pathType"], known);
        }
    }
    backend(check, &path["backend"], &format!("{field}.backend"));
}

fn backend(check: &mut Check<'_>, backend: &Value, field: &str) {
    if backend["resource"].is_object() {
        return;
    }
    let service = &backend["service"];
    if service.is_null() {
        check.required(field, "port name or number is required");
        return;
    }
    if service["name"].as_str().is_none_or(str::is_empty) {
        check.required(format!("{field}.service.name"), "");
    }
    let has_number = service["port"]["number"].as_i64().is_some_and(|n| n != 0);
    if !has_number && service["port"]["name"].as_str().is_none_or(str::is_empty) {
        check.required(field, "port name or number is required");
    }
}

pub(super) fn lease(check: &mut Check<'_>, spec: &Value) {
    if spec["leaseDurationSeconds"].as_i64().is_some_and(|n| n <= 0) {
        check.invalid("spec.leaseDurationSeconds", &spec["leaseDurationSeconds"], "must be greater than 0");
    }
    if spec["leaseTransitions"].as_i64().is_some_and(|n| n < 0) {
        let is_old = !check.profile.field_validation;
        let why =
            if is_old { "must to greater or equal than 0" } else { "must be greater than or equal to 0" };
        check.invalid("spec.leaseTransitions", &spec["leaseTransitions"], why);
    }
}

pub(super) fn role(check: &mut Check<'_>, rules: &Value) {
    let none = |value: &Value| value.as_array().is_none_or(Vec::is_empty);
    for (index, rule) in list(rules).enumerate() {
        let path = format!("rules[{index}]");
        if none(&rule["verbs"]) {
            check.required(format!("{path}.verbs"), "verbs must contain at least one value");
        }
        if !none(&rule["nonResourceURLs"]) {
            continue;
        }
        if none(&rule["apiGroups"]) {
            check.required(format!("{path}.apiGroups"), "resource rules must supply at least one api group");
        }
        if none(&rule["resources"]) {
            check.required(format!("{path}.resources"), "resource rules must supply at least one resource");
        }
    }
}

/// Counts that cannot be larger than others.
pub(super) fn status(check: &mut Check<'_>, plural: &str, status: &Value) {
    let count = |field: &str| status[field].as_i64().unwrap_or(0);
    let fields: &[&str] = match plural {
        "deployments" => {
            &["replicas", "updatedReplicas", "readyReplicas", "availableReplicas", "unavailableReplicas"]
        }
        "replicasets" => &["replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas"],
        "statefulsets" => &["replicas", "readyReplicas", "currentReplicas", "updatedReplicas"],
        _ => return,
    };
    for field in fields {
        check.not_negative(format_args!("status.{field}"), &status[field]);
    }
    check.not_negative("status.observedGeneration", &status["observedGeneration"]);
    let replicas = count("replicas");
    for field in fields.iter().filter(|f| !matches!(**f, "replicas" | "unavailableReplicas")) {
        if count(field) > replicas {
            let why = "cannot be greater than status.replicas";
            check.invalid(format!("status.{field}"), &status[field], why);
        }
    }
    if fields.contains(&"availableReplicas") && count("availableReplicas") > count("readyReplicas") {
        let why = "cannot be greater than readyReplicas";
        check.invalid("status.availableReplicas", &Value::from(count("availableReplicas")), why);
    }
}
