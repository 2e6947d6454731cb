//! Owners of fields that were one value once: an old server takes a map or list that somebody owns without owning
//! anything in it for one that was atomic when it was written, and gives its owner everything that is in it now.

use serde_json::Value;

use super::set::{Entry, Pe, Set};
use super::walk::{fill, sort_of, step_of};
use crate::schema::{Items, Node, Sort};

/// The set with what is in maps and lists that are owned as a whole.
pub(super) fn reconcile(node: Node<'_>, live: &Value, set: &Set) -> Set {
    let mut out = set.clone();
    for step in set.steps() {
        let Some(entry) = set.get(step) else { continue };
        let Some((inner_node, inner)) = descend(node, live, step) else { continue };
        let below = if entry.here && entry.below.is_empty() {
            everything(inner_node, inner)
        } else {
            reconcile(inner_node, inner, &entry.below)
        };
        out.put(step.clone(), Entry { here: entry.here, below });
    }
    out
}

/// What is behind a step, and its shape.
fn descend<'n, 'v>(node: Node<'n>, live: &'v Value, step: &Pe) -> Option<(Node<'n>, &'v Value)> {
    match (step, live) {
        (Pe::Field(name), Value::Object(map)) => Some((node.field(name)?, map.get(&**name)?)),
        (_, Value::Array(items)) if node.items() != Items::Atomic => {
            let item = items.iter().find(|item| step_of(node, item).is_ok_and(|found| found == *step))?;
            Some((node.item(), item))
        }
        _ => None,
    }
}

/// Everything in a value that is not atomic.
fn everything(node: Node<'_>, value: &Value) -> Set {
    let is_granular = match sort_of(node, value) {
        Sort::Struct { atomic } | Sort::Map { atomic } => !atomic,
        Sort::List => node.items() != Items::Atomic,
        Sort::Scalar | Sort::Any => false,
    };
    let mut entry = Entry::default();
    let is_read = is_granular && fill(node, value, &mut entry, &mut Vec::new(), true).is_ok();
    if is_read { entry.below } else { Set::default() }
}
