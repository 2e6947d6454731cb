//! A Kubernetes object as a value, its name, its hash and its place in the order of application.
//!
//! Nothing is decoded: fields the cluster knows and this crate does not are kept as they are.

use std::collections::BTreeMap;

use release_core::ObjectRef;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// One Kubernetes object: a JSON object with an `apiVersion`, a `kind` and a `metadata.name`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub struct Object(Value);

/// Why a value is not a Kubernetes object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a kubernetes object needs a text in `{field}`")]
pub struct ObjectError {
    /// What is missing, empty or not a text.
    pub field: &'static str,
}

impl Object {
    /// Takes a value that has the fields which name it.
    ///
    /// # Errors
    /// When `apiVersion`, `kind` or `metadata.name` is not a text.
    pub fn new(value: Value) -> Result<Self, ObjectError> {
        for (field, pointer) in
            [("apiVersion", "/apiVersion"), ("kind", "/kind"), ("metadata.name", "/metadata/name")]
        {
            if value.pointer(pointer).and_then(Value::as_str).is_none_or(str::is_empty) {
                return Err(ObjectError { field });
            }
        }
        Ok(Self(value))
    }

    fn text(&self, pointer: &str) -> &str {
        self.0.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    /// Its kind, `Deployment`.
    pub fn kind(&self) -> &str {
        self.text("/kind")
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.text("/metadata/name")
    }

    /// Its namespace, if it says one.
    pub fn namespace(&self) -> Option<&str> {
        self.0.pointer("/metadata/namespace").and_then(Value::as_str)
    }

    /// Its full name.
    pub fn object_ref(&self) -> ObjectRef {
        ObjectRef {
            api_version: self.text("/apiVersion").to_owned(),
            kind: self.kind().to_owned(),
            namespace: self.namespace().map(str::to_owned),
            name: self.name().to_owned(),
        }
    }

    /// Its labels.
    pub fn labels(&self) -> BTreeMap<String, String> {
        let labels = self.0.pointer("/metadata/labels").and_then(Value::as_object);
        labels
            .into_iter()
            .flatten()
            .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
            .collect()
    }

    /// Whether a controller turns it into pods that are waited for.
    pub fn is_workload(&self) -> bool {
        matches!(
            (self.text("/apiVersion"), self.kind()),
            ("apps/v1", "Deployment" | "StatefulSet" | "DaemonSet") | ("batch/v1", "Job")
        )
    }

    /// The whole object.
    pub fn value(&self) -> &Value {
        &self.0
    }

    /// The whole object.
    pub fn into_value(self) -> Value {
        self.0
    }

    /// sha256 of the object in canonical JSON (keys sorted by their bytes, no white space), 64 hexadecimal digits.
    ///
    /// Equal objects have equal hashes whatever the order of their keys.
    pub fn content_hash(&self) -> String {
        let mut text = String::new();
        canonical(&self.0, &mut text);
        hex(&Sha256::digest(text.as_bytes()))
    }
}

impl TryFrom<Value> for Object {
    type Error = ObjectError;

    fn try_from(value: Value) -> Result<Self, ObjectError> {
        Self::new(value)
    }
}

impl From<Object> for Value {
    fn from(object: Object) -> Self {
        object.0
    }
}

/// Keys are sorted here and not left to the map: whether `serde_json` sorts depends on who else is in the build.
fn canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<_> = map.iter().collect();
            keys.sort_by_key(|(key, _)| *key);
            out.push('{');
            for (i, (key, value)) in keys.into_iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push(':');
                canonical(value, out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                canonical(item, out);
            }
            out.push(']');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            out.push_str(&value.to_string());
        }
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Where a kind stands in the order of application: what others refer to comes first. Deletion goes the other
/// way round. Kinds this crate does not know stand between the Services and the workloads.
///
/// ```
/// use release_core::ObjectRef;
/// let config = ObjectRef::new("v1", "ConfigMap", "radio", "player-config-0123456789");
/// let workload = ObjectRef::new("apps/v1", "Deployment", "radio", "player");
/// assert!(release_manifest::apply_order(&config) < release_manifest::apply_order(&workload));
/// ```
pub fn apply_order(object: &ObjectRef) -> u8 {
    match object.kind.as_str() {
        "Namespace" => 0,
        "CustomResourceDefinition" => 1,
        "ServiceAccount" => 2,
        "Role" | "ClusterRole" => 3,
        "RoleBinding" | "ClusterRoleBinding" => 4,
        "Secret" => 5,
        "ConfigMap" => 6,
        "PersistentVolumeClaim" => 7,
        "Service" => 8,
        "Deployment" | "StatefulSet" | "DaemonSet" | "Job" | "CronJob" => 10,
        "PodDisruptionBudget" => 11,
        "HorizontalPodAutoscaler" => 12,
        "Ingress" | "HTTPRoute" => 13,
        _ => 9,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_has_a_name_is_an_object() {
        for (value, field) in [
            (json!({}), "apiVersion"),
            (json!({"apiVersion": "v1", "kind": 3}), "kind"),
            (json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": ""}}), "metadata.name"),
            (json!([1]), "apiVersion"),
        ] {
            assert_eq!(Object::new(value).unwrap_err().field, field);
        }
    }

    #[test]
    fn the_hash_sees_values_and_not_the_order_of_keys() {
        let parse = |text: &str| serde_json::from_str::<Object>(text).unwrap().content_hash();
        let one = parse(
            r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"x":"1","é":"2"}}"#,
        );
        let two = parse(
            r#"{"data":{"é":"2","x":"1"},"metadata":{"name":"a"},"kind":"ConfigMap","apiVersion":"v1"}"#,
        );
        let other = parse(
            r#"{"data":{"é":"2","x":"2"},"metadata":{"name":"a"},"kind":"ConfigMap","apiVersion":"v1"}"#,
        );
        assert_eq!(one, two);
        assert_ne!(one, other);
        assert_eq!(one, "e44a240e95fec0f6922fe70ef3646e45c36d78ff7850e3aeed0f49e4938d0797");
    }
}
