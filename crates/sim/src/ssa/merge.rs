//! A configuration laid over a live object.

use std::collections::BTreeMap;

use serde_json::Value;

use super::set::{Pe, path_text};
use super::walk::{sort_of, step_of};
use crate::schema::{Items, Node, Sort};

/// What the live object is when the configuration is laid over it.
pub(super) fn merge(node: Node<'_>, live: &Value, config: &Value, ordered: bool) -> Result<Value, String> {
    match (sort_of(node, config), live, config) {
        (
            Sort::Struct { atomic: false } | Sort::Map { atomic: false },
            Value::Object(live),
            Value::Object(config),
        ) => {
            let mut out = live.clone();
            for (key, value) in config {
                let field = node.field(key).unwrap_or(Node::Any);
                let merged = match live.get(key) {
                    Some(old) => merge(field, old, value, ordered)?,
                    None => value.clone(),
                };
                out.insert(key.clone(), merged);
            }
            Ok(Value::Object(out))
        }
        (Sort::List, Value::Array(live), Value::Array(config)) if node.items() != Items::Atomic => {
            merge_lists(node, live, config, ordered)
        }
        _ => Ok(config.clone()),
    }
}

/// Items in the order of the configuration; what it does not have stays where it stood between them.
fn merge_lists(node: Node<'_>, live: &[Value], config: &[Value], ordered: bool) -> Result<Value, String> {
    let steps =
        |items: &[Value]| items.iter().map(|item| step_of(node, item)).collect::<Result<Vec<Pe>, _>>();
    let (left, right) = (steps(live)?, steps(config)?);
    let index = |steps: &[Pe]| -> BTreeMap<Pe, usize> {
        steps.iter().enumerate().rev().map(|(at, step)| (step.clone(), at)).collect()
    };
    let (in_left, in_right) = (index(&left), index(&right));
    if in_right.len() != right.len() {
        return Err(format!("duplicate entries in {}", path_text(&right)));
    }
    let both = |step: &Pe| -> Result<Value, String> {
        match (in_left.get(step), in_right.get(step)) {
            (Some(&l), Some(&r)) => merge(node.item(), &live[l], &config[r], ordered),
            (Some(&l), None) => Ok(live[l].clone()),
            (None, Some(&r)) => Ok(config[r].clone()),
            (None, None) => Ok(Value::Null),
        }
    };
    if !ordered {
        let new = right.iter().filter(|step| !in_left.contains_key(*step));
        return left.iter().chain(new).map(both).collect::<Result<Vec<_>, _>>().map(Value::Array);
    }
    let mut shared = right.iter().filter(|step| in_left.contains_key(*step));
    let mut next_shared = shared.next();
    let mut out = Vec::new();
    let mut merged: std::collections::BTreeSet<&Pe> = std::collections::BTreeSet::new();
    let (mut l, mut r) = (0, 0);
    while l < left.len() || r < right.len() {
        if let (Some(a), Some(b)) = (left.get(l), right.get(r)) {
            if a == b {
                merged.insert(a);
                out.push(both(a)?);
                (l, r) = (l + 1, r + 1);
                next_shared = shared.next();
                continue;
            }
            if in_right.contains_key(a) && next_shared.is_some_and(|next| next != a) {
                l += 1;
                continue;
            }
        }
        if let Some(a) = left.get(l) {
            if !in_right.contains_key(a) {
                out.push(both(a)?);
                l += 1;
                continue;
            }
            if merged.contains(a) {
                l += 1;
            }
        }
        if let Some(b) = right.get(r) {
            merged.insert(b);
            out.push(both(b)?);
            r += 1;
            if next_shared == Some(b) {
                next_shared = shared.next();
            }
        }
    }
    Ok(Value::Array(out))
}
