//! What an object must be to be stored, in the words of a real API server. Not everything a real one checks: what
//! people meet when they write manifests and tools.

mod custom;
mod metadata;
mod pod;
mod workload;

use std::fmt::Display;

use serde_json::Value;

use crate::kind::Kind;
use crate::profile::ApiProfile;
use crate::status::{Cause, Status};

/// Whether objects of most kinds may have this name, pods for one.
pub(crate) fn is_name(name: &str) -> bool {
    metadata::is_common_name(name)
}

/// Collects causes.
pub(crate) struct Check<'a> {
    pub(crate) profile: &'a ApiProfile,
    causes: Vec<Cause>,
}

impl Check<'_> {
    fn blame(&mut self, reason: &str, field: impl Display, message: String) {
        self.causes.push(Cause::new(reason, field.to_string(), message));
    }

    fn required(&mut self, field: impl Display, detail: &str) {
        let detail = if detail.is_empty() { String::new() } else { format!(": {detail}") };
        self.blame("FieldValueRequired", field, format!("Required value{detail}"));
    }

    fn invalid(&mut self, field: impl Display, value: &Value, detail: &str) {
        let value = words(value, self.profile);
        self.blame("FieldValueInvalid", field, format!("Invalid value: {value}: {detail}"));
    }

    fn too_long(&mut self, field: impl Display, most: usize) {
        let message = format!("Too long: may not be more than {most} bytes");
        self.blame("FieldValueTooLong", field, message);
    }

    fn forbidden(&mut self, field: impl Display, detail: &str) {
        self.blame("FieldValueForbidden", field, format!("Forbidden: {detail}"));
    }

    fn duplicate(&mut self, field: impl Display, value: &Value) {
        let value = words(value, self.profile);
        self.blame("FieldValueDuplicate", field, format!("Duplicate value: {value}"));
    }

    fn not_found(&mut self, field: impl Display, value: &Value) {
        let value = words(value, self.profile);
        self.blame("FieldValueNotFound", field, format!("Not found: {value}"));
    }

    fn unsupported(&mut self, field: impl Display, value: &Value, supported: &[&str]) {
        let list: Vec<_> = supported.iter().map(|s| format!("{s:?}")).collect();
        let value = words(value, self.profile);
        let message = format!("Unsupported value: {value}: supported values: {}", list.join(", "));
        self.blame("FieldValueNotSupported", field, message);
    }

    /// One of a few words.
    fn one_of(&mut self, field: impl Display, value: &Value, supported: &[&str]) {
        match value.as_str() {
            Some(word) if supported.contains(&word) => {}
            None if value.is_null() => self.required(field, ""),
            _ => self.unsupported(field, value, supported),
        }
    }

    fn not_negative(&mut self, field: impl Display, value: &Value) {
        if value.as_i64().is_some_and(|n| n < 0) {
            self.invalid(field, value, "must be greater than or equal to 0");
        }
    }

    fn unchanged(&mut self, field: &str, old: &Value, new: &Value) {
        if old != new {
            self.invalid(field, new, "field is immutable");
        }
    }
}

/// A value as messages show it.
fn words(value: &Value, profile: &ApiProfile) -> String {
    match value {
        Value::String(text) => format!("{text:?}"),
        Value::Null => "\"null\"".to_owned(),
        Value::Array(items) if !profile.json_in_messages && items.iter().all(Value::is_string) => {
            let items: Vec<_> = items.iter().map(|item| words(item, profile)).collect();
            format!("[]string{{{}}}", items.join(", "))
        }
        Value::Object(map) if !profile.json_in_messages => {
            let pairs: Vec<_> = map.iter().map(|(k, v)| format!("{k:?}:{}", words(v, profile))).collect();
            format!("map[string]string{{{}}}", pairs.join(", "))
        }
        other => other.to_string(),
    }
}

/// Whether a new object can be stored.
pub(crate) fn create(kind: &Kind, profile: &ApiProfile, object: &Value) -> Result<(), Status> {
    let mut check = Check { profile, causes: Vec::new() };
    metadata::check(&mut check, kind, &object["metadata"]);
    if kind.custom {
        custom::check(&mut check, kind, object);
    } else {
        content(&mut check, &kind.resource.plural, None, object);
    }
    finish(check, kind, object)
}

/// Whether an object's status can become another.
pub(crate) fn update_status(
    kind: &Kind,
    profile: &ApiProfile,
    old: &Value,
    new: &Value,
) -> Result<(), Status> {
    let mut check = Check { profile, causes: Vec::new() };
    metadata::check(&mut check, kind, &new["metadata"]);
    metadata::changes(&mut check, &old["metadata"], &new["metadata"]);
    workload::status(&mut check, &kind.resource.plural, &new["status"]);
    finish(check, kind, new)
}

/// Whether an object can become another.
pub(crate) fn update(kind: &Kind, profile: &ApiProfile, old: &Value, new: &Value) -> Result<(), Status> {
    let mut check = Check { profile, causes: Vec::new() };
    metadata::check(&mut check, kind, &new["metadata"]);
    metadata::changes(&mut check, &old["metadata"], &new["metadata"]);
    if kind.custom {
        custom::check(&mut check, kind, new);
    } else {
        let plural = &*kind.resource.plural;
        let changes_first = matches!(plural, "configmaps" | "secrets" | "services");
        if changes_first {
            changes(&mut check, plural, old, new);
        }
        content(&mut check, plural, Some(old), new);
        if !changes_first {
            changes(&mut check, plural, old, new);
        }
    }
    finish(check, kind, new)
}

fn finish(check: Check<'_>, kind: &Kind, object: &Value) -> Result<(), Status> {
    if check.causes.is_empty() {
        return Ok(());
    }
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    Err(Status::invalid(&check.profile.internal_group(kind), &kind.kind, name, check.causes))
}

fn content(check: &mut Check<'_>, plural: &str, old: Option<&Value>, object: &Value) {
    match plural {
        "pods" => pod::pod(check, object),
        "deployments" | "replicasets" | "statefulsets" | "daemonsets" => {
            workload::workload(check, plural, object);
        }
        "jobs" => workload::job(check, &object["spec"], "spec"),
        "cronjobs" => workload::cron_job(check, &object["spec"]),
        "services" => {
            workload::service(check, &object["spec"]);
            // Ports that were mixed before stay accepted.
            if !old.is_some_and(|old| workload::mixes_protocols(&old["spec"])) {
                workload::one_protocol(check, &object["spec"]);
            }
        }
        "horizontalpodautoscalers" => workload::autoscaler(check, &object["spec"]),
        "poddisruptionbudgets" => workload::budget(check, &object["spec"]),
        "ingresses" => workload::ingress(check, &object["spec"]),
        "leases" => workload::lease(check, &object["spec"]),
        "roles" | "clusterroles" => workload::role(check, &object["rules"]),
        "podtemplates" => {
            workload::template(check, &object["template"], "template");
        }
        "configmaps" => metadata::data_keys(check, object),
        "secrets" => {
            metadata::data_keys(check, object);
            metadata::secret(check, object);
        }
        "rolebindings" | "clusterrolebindings" => {
            for field in ["kind", "name"] {
                if object["roleRef"][field].as_str().is_none_or(str::is_empty) {
                    if field == "kind" {
                        check.unsupported("roleRef.kind", &Value::from(""), &["Role", "ClusterRole"]);
                    } else {
                        check.required("roleRef.name", "");
                    }
                }
            }
        }
        _ => {}
    }
}

fn changes(check: &mut Check<'_>, plural: &str, old: &Value, new: &Value) {
    match plural {
        "pods" => pod::changes(check, old, new),
        "deployments" | "replicasets" | "daemonsets" => {
            check.unchanged("spec.selector", &old["spec"]["selector"], &new["spec"]["selector"]);
        }
        "statefulsets" => workload::stateful_set_changes(check, &old["spec"], &new["spec"]),
        "jobs" => workload::job_changes(check, &old["spec"], &new["spec"]),
        "services" => workload::service_changes(check, &old["spec"], &new["spec"]),
        "configmaps" | "secrets" => metadata::immutable(check, plural, old, new),
        "rolebindings" | "clusterrolebindings" if old["roleRef"] != new["roleRef"] => {
            check.invalid("roleRef", &new["roleRef"], "cannot change roleRef");
        }
        "storageclasses" => {
            for field in ["parameters", "provisioner"] {
                if old[field] != new[field] {
                    check.forbidden(field, &format!("updates to {field} are forbidden."));
                }
            }
        }
        "persistentvolumeclaims" => {
            let fixed = |spec: &Value| {
                let mut spec = spec.clone();
                if let Some(map) = spec.as_object_mut() {
                    for field in ["resources", "volumeName", "storageClassName", "volumeAttributesClassName"]
                    {
                        map.remove(field);
                    }
                }
                spec
            };
            if fixed(&old["spec"]) != fixed(&new["spec"]) {
                let why = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";
                check.forbidden("spec", why);
            }
        }
        _ => {}
    }
}
