//! Objects of CustomResourceDefinitions, checked against their schema: types, required fields, enums and limits.

use serde_json::Value;

use super::Check;
use crate::kind::Kind;
use crate::schema::Shape;

pub(super) fn check(check: &mut Check<'_>, kind: &Kind, object: &Value) {
    let Shape::Custom(schema) = &kind.shape else { return };
    walk(check, schema, object, "");
}

fn walk(check: &mut Check<'_>, schema: &Value, value: &Value, path: &str) {
    if !is_of_type(schema, value) {
        let wanted = schema["type"].as_str().unwrap_or_default();
        let found = type_of(value);
        check.invalid_type(path, wanted, found);
        return;
    }
    if let Some(allowed) = schema["enum"].as_array()
        && !allowed.contains(value)
    {
        let words: Vec<String> =
            allowed.iter().map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned)).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        check.unsupported(path, value, &words);
    }
    limits(check, schema, value, path);
    match value {
        Value::Object(map) => {
            for field in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                if !map.contains_key(field) {
                    check.required(join(path, field), "");
                }
            }
            for (key, inner) in map {
                if path.is_empty() && matches!(key.as_str(), "metadata" | "apiVersion" | "kind") {
                    continue;
                }
                let of = schema["properties"].get(key).or_else(|| schema.get("additionalProperties"));
                if let Some(of) = of.filter(|of| of.is_object()) {
                    walk(check, of, inner, &join(path, key));
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                walk(check, &schema["items"], item, &format!("{path}[{index}]"));
            }
        }
        _ => {}
    }
}

fn join(path: &str, field: &str) -> String {
    if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(n) if n.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn is_of_type(schema: &Value, value: &Value) -> bool {
    if value.is_null() {
        return schema["nullable"] == true || schema.get("type").is_none();
    }
    if schema["x-kubernetes-int-or-string"] == true {
        return value.is_string() || value.is_i64() || value.is_u64();
    }
    match (schema["type"].as_str(), type_of(value)) {
        (None, _) | (Some("number"), "integer") => true,
        (Some(wanted), found) => wanted == found,
    }
}

fn limits(check: &mut Check<'_>, schema: &Value, value: &Value, path: &str) {
    if let Some(n) = value.as_f64() {
        if let Some(min) = schema["minimum"].as_f64().filter(|min| n < *min) {
            check.invalid(path, value, &format!("{path} in body should be greater than or equal to {min}"));
        }
        if let Some(max) = schema["maximum"].as_f64().filter(|max| n > *max) {
            check.invalid(path, value, &format!("{path} in body should be less than or equal to {max}"));
        }
    }
    if let Some(text) = value.as_str() {
        let length = text.chars().count() as u64;
        if let Some(min) = schema["minLength"].as_u64().filter(|min| length < *min) {
            check.invalid(path, value, &format!("{path} in body should be at least {min} chars long"));
        }
        if let Some(max) = schema["maxLength"].as_u64().filter(|max| length > *max) {
            let message = format!("Too long: may not be more than {max} bytes");
            check.causes.push(crate::status::Cause::new("FieldValueTooLong", path, message));
        }
    }
    if let Some(items) = value.as_array() {
        let length = items.len() as u64;
        if let Some(min) = schema["minItems"].as_u64().filter(|min| length < *min) {
            check.invalid(
                path,
                &Value::from(length),
                &format!("{path} in body should have at least {min} items"),
            );
        }
    }
}

impl Check<'_> {
    fn invalid_type(&mut self, path: &str, wanted: &str, found: &str) {
        let message = format!("Invalid value: {found:?}: {path} in body must be of type {wanted}: {found:?}");
        self.causes.push(crate::status::Cause::new("FieldValueTypeInvalid", path, message));
    }
}
