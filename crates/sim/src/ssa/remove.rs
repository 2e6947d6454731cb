//! An object without a set of fields.

use serde_json::{Map, Value};

use super::set::{Pe, Set};
use super::walk::{sort_of, step_of};
use crate::schema::{Items, Node, Sort};

/// The value without the fields of the set. What becomes empty by that goes too; before, its name stayed (`keep`).
pub(super) fn remove(node: Node<'_>, value: &Value, set: &Set, keep: bool) -> Value {
    without(node, value, set, keep).unwrap_or_else(|| Value::Object(Map::new()))
}

fn without(node: Node<'_>, value: &Value, set: &Set, keep: bool) -> Option<Value> {
    match (sort_of(node, value), value) {
        (Sort::Struct { atomic: false } | Sort::Map { atomic: false }, Value::Object(map)) => {
            let mut out = Map::new();
            for (key, inner) in map {
                let kept = match set.get(&Pe::field(key)) {
                    Some(entry) if entry.here => None,
                    Some(entry) => {
                        let kept = without(node.field(key).unwrap_or(Node::Any), inner, &entry.below, keep);
                        kept.or_else(|| keep.then_some(Value::Null))
                    }
                    None => Some(inner.clone()),
                };
                if let Some(kept) = kept {
                    out.insert(key.clone(), kept);
                }
            }
            (!out.is_empty() || map.is_empty()).then_some(Value::Object(out))
        }
        (Sort::List, Value::Array(items)) if node.items() != Items::Atomic => {
            let mut out = Vec::new();
            for item in items {
                let entry = step_of(node, item).ok().and_then(|step| set.get(&step));
                let kept = match entry {
                    Some(entry) if entry.here => None,
                    Some(entry) => without(node.item(), item, &entry.below, keep),
                    None => Some(item.clone()),
                };
                out.extend(kept);
            }
            (!out.is_empty() || items.is_empty()).then_some(Value::Array(out))
        }
        _ => Some(value.clone()),
    }
}
