//! What is different between two objects of one shape.

use std::collections::BTreeMap;

use serde_json::Value;

use super::set::{Pe, Set, path_text};
use super::walk::{sort_of, step_of};
use crate::schema::{Items, Node, Sort};

/// The fields that differ.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    pub(super) added: Set,
    pub(super) modified: Set,
    pub(super) removed: Set,
}

/// Compares two whole objects.
pub(super) fn compare(node: Node<'_>, old: &Value, new: &Value) -> Result<Comparison, String> {
    let mut out = Comparison::default();
    walk(node, Some(old), Some(new), &mut Vec::new(), &mut out)?;
    Ok(out)
}

fn walk(
    node: Node<'_>,
    old: Option<&Value>,
    new: Option<&Value>,
    path: &mut Vec<Pe>,
    out: &mut Comparison,
) -> Result<(), String> {
    // Equal values have nothing to tell, and are most of any object.
    if old == new { Ok(()) } else { differ(node, old, new, path, out) }
}

/// As [`walk`], for two that are not the same.
fn differ(
    node: Node<'_>,
    old: Option<&Value>,
    new: Option<&Value>,
    path: &mut Vec<Pe>,
    out: &mut Comparison,
) -> Result<(), String> {
    let Some(either) = new.or(old) else { return Ok(()) };
    if let (Some(old), Some(new)) = (old, new)
        && node.sort() == Sort::Any
        && sort_of(node, old) != sort_of(node, new)
    {
        out.modified.insert(path);
        return Ok(());
    }
    let is_leaf = match sort_of(node, either) {
        Sort::Struct { atomic: false } | Sort::Map { atomic: false } => {
            let (old, new) = (old.and_then(Value::as_object), new.and_then(Value::as_object));
            let is_empty =
                old.is_none_or(serde_json::Map::is_empty) && new.is_none_or(serde_json::Map::is_empty);
            if !is_empty {
                let keys = old.into_iter().chain(new).flat_map(|m| m.keys());
                let keys: std::collections::BTreeSet<&String> = keys.collect();
                for key in keys {
                    let (a, b) = (old.and_then(|m| m.get(key)), new.and_then(|m| m.get(key)));
                    if a == b {
                        continue;
                    }
                    let field = node.field(key).unwrap_or(Node::Any);
                    path.push(Pe::field(key));
                    differ(field, a, b, path, out)?;
                    path.pop();
                }
            }
            is_empty
        }
        Sort::List if node.items() != Items::Atomic => {
            let (old, new) = (old.and_then(Value::as_array), new.and_then(Value::as_array));
            let is_empty = old.is_none_or(Vec::is_empty) && new.is_none_or(Vec::is_empty);
            let (old, new) = (by_step(node, old, path)?, by_step(node, new, path)?);
            let steps = old.keys().chain(new.keys().filter(|step| !old.contains_key(step)));
            for step in steps {
                path.push(step.clone());
                walk(node.item(), old.get(step).copied(), new.get(step).copied(), path, out)?;
                path.pop();
            }
            is_empty
        }
        _ => true,
    };
    match (old, new) {
        (None, _) => out.added.insert(path),
        (_, None) => out.removed.insert(path),
        _ if is_leaf => out.modified.insert(path),
        _ => {}
    }
    Ok(())
}

/// The items of a list by their step; of equal ones the first.
fn by_step<'v>(
    node: Node<'_>,
    items: Option<&'v Vec<Value>>,
    path: &[Pe],
) -> Result<BTreeMap<Pe, &'v Value>, String> {
    let mut out = BTreeMap::new();
    for (index, item) in items.into_iter().flatten().enumerate() {
        let step =
            step_of(node, item).map_err(|why| format!("{}: element {index}: {why}", path_text(path)))?;
        out.entry(step).or_insert(item);
    }
    Ok(out)
}
