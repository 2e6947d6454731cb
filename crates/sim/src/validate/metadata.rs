//! Names, labels, and the keys of data.

use std::fmt::Display;

use serde_json::Value;

use super::Check;
use crate::kind::Kind;

pub(super) const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const LABEL_1035: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const QUALIFIED: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const CONFIG_KEY: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";

/// The longest name of most kinds.
const MAX_NAME: usize = 253;

/// The largest sum of keys and values of all annotations; a client-side apply of a large object does not fit.
const MAX_ANNOTATIONS: usize = 256 * 1024;

/// The largest sum of keys and values of a ConfigMap or Secret.
const MAX_DATA: usize = 1024 * 1024;

pub(super) fn check(check: &mut Check<'_>, kind: &Kind, metadata: &Value) {
    let name = metadata["name"].as_str().unwrap_or_default();
    if name.is_empty() {
        check.required("metadata.name", "name or generateName is required");
    } else if let Some(why) = wrong_name(kind, name) {
        check.invalid("metadata.name", &metadata["name"], &why);
    }
    labels(check, "metadata.labels", &metadata["labels"]);
    for key in metadata["annotations"].as_object().into_iter().flat_map(|m| m.keys()) {
        if !is_qualified(&key.to_lowercase()) {
            check.invalid("metadata.annotations", &Value::from(key.as_str()), QUALIFIED);
        }
    }
    let size: usize = metadata["annotations"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| key.len() + value.as_str().map_or(0, str::len))
        .sum();
    if size > MAX_ANNOTATIONS {
        check.too_long("metadata.annotations", MAX_ANNOTATIONS);
    }
    for (index, finalizer) in metadata["finalizers"].as_array().into_iter().flatten().enumerate() {
        let text = finalizer.as_str().unwrap_or_default();
        let is_standard = matches!(text, "kubernetes" | "orphan" | "foregroundDeletion");
        if !is_qualified(text) {
            check.invalid("metadata.finalizers", finalizer, QUALIFIED);
        } else if !text.contains('/')
            && !is_standard
            && !kind.custom
            && kind.resource.group != "coordination.k8s.io"
        {
            let why = "name is neither a standard finalizer name nor is it fully qualified";
            check.invalid(format!("metadata.finalizers[{index}]"), finalizer, why);
        }
    }
    for owner in metadata["ownerReferences"].as_array().into_iter().flatten() {
        for (field, word) in [("apiVersion", "version"), ("kind", "kind"), ("name", "name"), ("uid", "uid")] {
            if owner[field].as_str().is_none_or(str::is_empty) {
                let path = format!("metadata.ownerReferences.{field}");
                check.invalid(path, &Value::from(""), &format!("{word} must not be empty"));
            }
        }
    }
}

/// What may not change.
pub(super) fn changes(check: &mut Check<'_>, old: &Value, new: &Value) {
    let list = |metadata: &Value| metadata["finalizers"].as_array().cloned().unwrap_or_default();
    let old_ones = list(old);
    let added: Vec<String> =
        list(new).iter().filter(|f| !old_ones.contains(f)).map(|f| format!("{f}")).collect();
    if old["deletionTimestamp"].is_string() && !added.is_empty() {
        let why = format!(
            "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
            added.join(", ")
        );
        check.forbidden("metadata.finalizers", &why);
    }
}

/// Labels, wherever they are.
pub(super) fn labels(check: &mut Check<'_>, path: impl Display, labels: &Value) {
    for (key, value) in labels.as_object().into_iter().flatten() {
        if !is_qualified(key) {
            check.invalid(&path, &Value::from(key.as_str()), QUALIFIED);
        }
        let text = value.as_str().unwrap_or_default();
        if text.len() > 63 {
            check.invalid(&path, value, "must be no more than 63 characters");
        }
        if !text.is_empty() && !is_word(text) {
            check.invalid(&path, value, LABEL_VALUE);
        }
    }
}

/// Whether objects of kinds without a rule of their own may have this name.
pub(super) fn is_common_name(name: &str) -> bool {
    name.len() <= MAX_NAME && is_subdomain(name)
}

fn wrong_name(kind: &Kind, name: &str) -> Option<String> {
    let (max, fits, why): (usize, fn(&str) -> bool, &str) = match &*kind.resource.plural {
        "services" => (63, is_label_1035, LABEL_1035),
        "namespaces" => (63, is_label, LABEL),
        "roles" | "rolebindings" | "clusterroles" | "clusterrolebindings" => {
            let bad = name.contains(['/', '%']) || name == "." || name == "..";
            return bad.then(|| "may not contain '/'".to_owned());
        }
        "events" if !kind.custom => (MAX_NAME, is_subdomain, SUBDOMAIN),
        _ => (MAX_NAME, is_subdomain, SUBDOMAIN),
    };
    if name.len() > max {
        return Some(format!("must be no more than {max} characters"));
    }
    (!fits(name)).then(|| why.to_owned())
}

pub(super) fn is_label(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !text.is_empty() && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

fn is_label_1035(text: &str) -> bool {
    is_label(text) && text.starts_with(|c: char| c.is_ascii_lowercase())
}

pub(super) fn is_subdomain(text: &str) -> bool {
    text.split('.').all(is_label)
}

/// Letters, digits and `-_.`, with a letter or digit at both ends.
fn is_word(text: &str) -> bool {
    let ends = |c: char| c.is_ascii_alphanumeric();
    text.starts_with(ends)
        && text.ends_with(ends)
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

fn is_qualified(text: &str) -> bool {
    let (prefix, name) = text.split_once('/').map_or((None, text), |(p, n)| (Some(p), n));
    prefix.is_none_or(is_subdomain) && name.len() <= 63 && is_word(name)
}

/// The keys and the size of a ConfigMap or Secret.
pub(super) fn data_keys(check: &mut Check<'_>, object: &Value) {
    let mut size = 0;
    for field in ["data", "binaryData"] {
        for (key, value) in object[field].as_object().into_iter().flatten() {
            size += value.as_str().map_or(0, str::len);
            let fits = key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
            if !fits || key.is_empty() {
                check.invalid(format!("{field}[{key}]"), &Value::from(key.as_str()), CONFIG_KEY);
            }
        }
    }
    if size > MAX_DATA {
        check.too_long("", MAX_DATA);
    }
}

/// What secrets of some types must have.
pub(super) fn secret(check: &mut Check<'_>, object: &Value) {
    let keys: &[&str] = match object["type"].as_str() {
        Some("kubernetes.io/tls") => &["tls.crt", "tls.key"],
        Some("kubernetes.io/dockerconfigjson") => &[".dockerconfigjson"],
        Some("kubernetes.io/dockercfg") => &[".dockercfg"],
        Some("kubernetes.io/ssh-auth") => &["ssh-privatekey"],
        _ => return,
    };
    for key in keys {
        if object["data"].get(*key).is_none() {
            check.required(format!("data[{key}]"), "");
        }
    }
}

/// ConfigMaps and Secrets that may not change.
pub(super) fn immutable(check: &mut Check<'_>, plural: &str, old: &Value, new: &Value) {
    if plural == "secrets" {
        check.unchanged("type", &old["type"], &new["type"]);
    }
    if old["immutable"] != true {
        return;
    }
    let why = "field is immutable when `immutable` is set";
    for field in ["immutable", "data", "binaryData"] {
        if old[field] != new[field] {
            check.forbidden(field, why);
        }
    }
}
