//! Structural schemas of CustomResourceDefinitions as shapes.

use std::sync::LazyLock;

use serde_json::Value;

use super::builtin::{Code, type_named};
use super::{Items, Keys, Node, Sort};

static OBJECT_META: LazyLock<usize> = LazyLock::new(|| type_named("meta.v1.ObjectMeta").unwrap_or(0));

fn preserves(schema: &Value) -> bool {
    schema["x-kubernetes-preserve-unknown-fields"] == true
}

pub(crate) fn sort(schema: &Value) -> Sort {
    if schema["x-kubernetes-int-or-string"] == true {
        return Sort::Scalar;
    }
    let atomic = schema["x-kubernetes-map-type"] == "atomic";
    match schema["type"].as_str() {
        Some("object") if schema.get("properties").is_some() => Sort::Struct { atomic },
        Some("object") if schema["additionalProperties"].is_object() => Sort::Map { atomic },
        Some("object") if atomic => Sort::Map { atomic },
        Some("object") if preserves(schema) => Sort::Any,
        Some("object") => Sort::Map { atomic },
        Some("array") => Sort::List,
        Some(_) => Sort::Scalar,
        None => Sort::Any,
    }
}

pub(crate) fn field<'a>(schema: &'a Value, name: &str) -> Option<Node<'a>> {
    if let Some(field) = schema["properties"].get(name) {
        return Some(Node::Custom(field));
    }
    if let Some(of) = schema.get("additionalProperties") {
        return match of {
            Value::Bool(false) => None,
            Value::Object(_) => Some(Node::Custom(of)),
            _ => Some(Node::Any),
        };
    }
    let is_embedded = schema["x-kubernetes-embedded-resource"] == true;
    if is_embedded && matches!(name, "apiVersion" | "kind" | "metadata") {
        return Some(Node::Any);
    }
    (preserves(schema) || (schema.get("type").is_none() && schema.get("properties").is_none()))
        .then_some(Node::Any)
}

/// A field of a whole custom object.
pub(crate) fn root_field<'a>(schema: &'a Value, name: &str) -> Option<Node<'a>> {
    match name {
        "metadata" => Some(Node::Builtin(Code::of_type(*OBJECT_META))),
        "apiVersion" | "kind" => Some(Node::Any),
        _ => field(schema, name),
    }
}

pub(crate) fn items(schema: &Value) -> Items<'_> {
    match schema["x-kubernetes-list-type"].as_str() {
        Some("set") => Items::Set,
        Some("map") => Items::Map(Keys::Custom(&schema["x-kubernetes-list-map-keys"])),
        _ => Items::Atomic,
    }
}
