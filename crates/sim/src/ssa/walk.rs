//! What a value says: the set of its fields. And how items of a list are told apart.

use serde_json::Value;

use super::set::{Entry, Pe, Scalar, Set, path_text};
use crate::schema::{Items, Node, Sort};

/// The set of everything a value says.
pub(super) fn to_set(node: Node<'_>, value: &Value, with_empty: bool) -> Result<Set, String> {
    let mut root = Entry::default();
    fill(node, value, &mut root, &mut Vec::new(), with_empty)?;
    Ok(root.below)
}

pub(super) fn fill(
    node: Node<'_>,
    value: &Value,
    out: &mut Entry,
    path: &mut Vec<Pe>,
    with_empty: bool,
) -> Result<(), String> {
    match (sort_of(node, value), value) {
        (Sort::Struct { atomic: false } | Sort::Map { atomic: false }, Value::Object(map)) => {
            for (key, inner) in map {
                let step = Pe::field(key);
                path.push(step.clone());
                let Some(field) = node.field(key) else {
                    return Err(format!("{}: field not declared in schema", path_text(path)));
                };
                let mut entry = Entry::default();
                fill(field, inner, &mut entry, path, with_empty)?;
                let is_empty = inner.is_null() || inner.as_object().is_some_and(serde_json::Map::is_empty);
                entry.here |= (is_empty && with_empty) || !node.names(key);
                out.below.put(step, entry);
                path.pop();
            }
        }
        (Sort::Struct { atomic: false } | Sort::Map { atomic: false }, Value::Null) => {}
        (Sort::List, Value::Array(items)) if node.items() != Items::Atomic => {
            for (index, item) in items.iter().enumerate() {
                let step = step_of(node, item)
                    .map_err(|why| format!("{}: element {index}: {why}", path_text(path)))?;
                if out.below.get(&step).is_some() {
                    let step = path_text(&[step]);
                    return Err(format!("{}: duplicate entries for key {step}", path_text(path)));
                }
                path.push(step.clone());
                let mut entry = Entry { here: true, below: Set::default() };
                fill(node.item(), item, &mut entry, path, with_empty)?;
                out.below.put(step, entry);
                path.pop();
            }
        }
        (Sort::List, Value::Null) if node.items() != Items::Atomic => {}
        (
            Sort::Struct { .. } | Sort::Map { .. },
            Value::Array(_) | Value::String(_) | Value::Number(_) | Value::Bool(_),
        ) => {
            return Err(format!("{}: expected map, got &{{{value}}}", path_text(path)));
        }
        (Sort::List, Value::Object(_) | Value::String(_) | Value::Number(_) | Value::Bool(_)) => {
            return Err(format!("{}: expected list, got &{{{value}}}", path_text(path)));
        }
        (Sort::Scalar, Value::Object(_) | Value::Array(_)) => {
            return Err(format!("{}: expected scalar, got &{{{value}}}", path_text(path)));
        }
        _ => out.here = true,
    }
    Ok(())
}

/// The sort of value a shape allows; where it allows anything, what the value is.
pub(super) fn sort_of(node: Node<'_>, value: &Value) -> Sort {
    match (node.sort(), value) {
        (Sort::Any, Value::Object(_)) => Sort::Map { atomic: false },
        (Sort::Any, Value::Array(_)) => Sort::List,
        (Sort::Any, _) => Sort::Scalar,
        (sort, _) => sort,
    }
}

/// The step to an item of a list whose items are told apart.
pub(super) fn step_of(node: Node<'_>, item: &Value) -> Result<Pe, String> {
    match node.items() {
        Items::Atomic => Err("the list is one value".to_owned()),
        Items::Set => Ok(Pe::Value(Scalar(item.clone()))),
        Items::Map(keys) => {
            let mut found = Vec::new();
            let mut missing = Vec::new();
            for key in keys.iter() {
                let value = match item.get(key) {
                    Some(value) if !value.is_null() => Some(value.clone()),
                    _ => node.item().default_of(key),
                };
                match value {
                    Some(value) => found.push((key.to_owned(), Scalar(value))),
                    None => missing.push(key),
                }
            }
            if let [first, ..] = missing[..] {
                return Err(format!(
                    "associative list with keys has an element that omits key field {first:?} (and doesn't have default value)"
                ));
            }
            found.sort();
            Ok(Pe::Key(found))
        }
    }
}
