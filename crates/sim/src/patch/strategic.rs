//! Kubernetes' strategic merge patch: a merge patch that knows the keys of lists and has directives.

use serde_json::{Map, Value};

use crate::schema::Node;

const DIRECTIVE: &str = "$patch";
const RETAIN: &str = "$retainKeys";
const ORDER: &str = "$setElementOrder/";
const DELETE: &str = "$deleteFromPrimitiveList/";

/// Lays a strategic merge patch over a value.
///
/// `clean`: what a patch brings and the value does not have is rid of directives and nulls, as in later versions.
pub(crate) fn strategic_patch(
    node: Node<'_>,
    target: &Value,
    patch: &Value,
    clean: bool,
) -> Result<Value, String> {
    let (Value::Object(target), Value::Object(patch)) = (target, patch) else { return Ok(patch.clone()) };
    merge_maps(node, target, patch, clean)
}

fn merge_maps(
    node: Node<'_>,
    target: &Map<String, Value>,
    patch: &Map<String, Value>,
    clean: bool,
) -> Result<Value, String> {
    match patch.get(DIRECTIVE).and_then(Value::as_str) {
        Some("replace") => {
            let mut out = patch.clone();
            out.remove(DIRECTIVE);
            return Ok(Value::Object(out));
        }
        Some("delete") => return Ok(Value::Object(Map::new())),
        Some("merge") | None => {}
        Some(other) => return Err(format!("unknown patch type found: {other}")),
    }
    let mut out = target.clone();
    if let Some(keep) = patch.get(RETAIN).and_then(Value::as_array) {
        out.retain(|key, _| keep.iter().any(|k| k == key));
    }
    for (key, value) in patch {
        if let Some(list) = key.strip_prefix(DELETE) {
            match out.get_mut(list) {
                Some(Value::Array(items)) => {
                    items.retain(|item| !value.as_array().is_some_and(|gone| gone.contains(item)));
                }
                None if !clean => drop(out.insert(list.to_owned(), value.clone())),
                _ => {}
            }
        } else if let Some(list) = key.strip_prefix(ORDER) {
            if !patch.contains_key(list)
                && let Some(Value::Array(items)) = out.get(list)
            {
                let field = node.field(list).unwrap_or(Node::Any);
                let sorted = order(field, items, items, value);
                out.insert(list.to_owned(), Value::Array(sorted));
            }
        } else if key == DIRECTIVE || key == RETAIN {
        } else if value.is_null() {
            out.remove(key);
        } else {
            let field = node.field(key).unwrap_or(Node::Any);
            let sequence = patch.get(&format!("{ORDER}{key}"));
            if !clean
                && out.get(key).is_none_or(|old| {
                    old.is_object() != value.is_object() || old.is_array() != value.is_array()
                })
            {
                out.insert(key.clone(), value.clone());
                continue;
            }
            let merged = merge_field(field, out.get(key), value, sequence, clean)?;
            match merged {
                Some(merged) => drop(out.insert(key.clone(), merged)),
                None => drop(out.remove(key)),
            }
        }
    }
    Ok(Value::Object(out))
}

fn merge_field(
    node: Node<'_>,
    old: Option<&Value>,
    patch: &Value,
    sequence: Option<&Value>,
    clean: bool,
) -> Result<Option<Value>, String> {
    match patch {
        Value::Object(patch) if patch.get(DIRECTIVE).is_some_and(|d| d == "delete") => Ok(None),
        Value::Object(patch) => {
            let nothing = Map::new();
            let old = old.and_then(Value::as_object).unwrap_or(&nothing);
            merge_maps(node, old, patch, clean).map(Some)
        }
        Value::Array(patch) => {
            let old = old.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            let merged = merge_lists(node, old, patch, clean)?;
            Ok(Some(Value::Array(match sequence {
                Some(sequence) => order(node, &merged, old, sequence),
                None => order(node, &merged, old, &Value::Array(patch.clone())),
            })))
        }
        other => Ok(Some(other.clone())),
    }
}

fn is_set(node: Node<'_>) -> bool {
    matches!(node, Node::Builtin(code) if code.is_set())
}

fn merge_lists(node: Node<'_>, old: &[Value], patch: &[Value], clean: bool) -> Result<Vec<Value>, String> {
    let Some(key) = node.patch_key() else {
        if !is_set(node) {
            return if clean { cleaned(node, patch) } else { Ok(patch.to_vec()) };
        }
        let mut out = old.to_vec();
        for item in patch {
            if !out.contains(item) {
                out.push(item.clone());
            }
        }
        return Ok(out);
    };
    let directive = |item: &Value| item.get(DIRECTIVE).and_then(Value::as_str).map(str::to_owned);
    if patch.iter().any(|item| directive(item).as_deref() == Some("replace")) {
        let rest: Vec<Value> = patch.iter().filter(|item| directive(item).is_none()).cloned().collect();
        return if clean { cleaned(node, &rest) } else { Ok(rest) };
    }
    let mut out = old.to_vec();
    for item in patch {
        let Some(id) = item.get(key) else {
            return Err(format!("map: {item} does not contain declared merge key: {key}"));
        };
        let at = out.iter().position(|o| o.get(key) == Some(id));
        let (Some(patch), nothing) = (item.as_object(), Map::new()) else { continue };
        match (directive(item).as_deref(), at) {
            (Some("delete"), _) => out.retain(|o| o.get(key) != Some(id)),
            (_, Some(at)) => {
                let before = out[at].as_object().unwrap_or(&nothing);
                let merged = merge_maps(node.item(), before, patch, clean)?;
                out[at] = merged;
            }
            (_, None) if !clean => out.push(item.clone()),
            (_, None) => out.push(merge_maps(node.item(), &nothing, patch, clean)?),
        }
    }
    Ok(out)
}

/// New items, without what only means something in a patch.
fn cleaned(node: Node<'_>, items: &[Value]) -> Result<Vec<Value>, String> {
    let nothing = Map::new();
    let one = |item: &Value| match item {
        Value::Object(map) => merge_maps(node.item(), &nothing, map, true),
        other => Ok(other.clone()),
    };
    items.iter().map(one).collect()
}

/// The items in the order asked for; those it does not name stay before the ones they stood before.
fn order(node: Node<'_>, items: &[Value], before: &[Value], sequence: &Value) -> Vec<Value> {
    let id = |item: &Value| match node.patch_key() {
        Some(key) => item.get(key).cloned().unwrap_or(Value::Null),
        None => item.clone(),
    };
    if node.patch_key().is_none() && !is_set(node) {
        return items.to_vec();
    }
    let wanted: Vec<Value> = sequence.as_array().into_iter().flatten().map(id).collect();
    let stood = |item: &Value| before.iter().position(|b| id(b) == id(item));
    let place = |item: &Value| wanted.iter().position(|w| *w == id(item));
    let (mut named, others): (Vec<&Value>, Vec<&Value>) = items.iter().partition(|i| place(i).is_some());
    named.sort_by_key(|item| place(item));
    let (mut named, mut others) = (named.into_iter().peekable(), others.into_iter().peekable());
    let mut out = Vec::with_capacity(items.len());
    loop {
        let takes_other = match (others.peek(), named.peek()) {
            (None, None) => break,
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (Some(other), Some(named)) => {
                matches!((stood(other), stood(named)), (Some(a), Some(b)) if a < b)
            }
        };
        out.extend(if takes_other { others.next() } else { named.next() }.cloned());
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::schema::builtin::{Code, type_named};

    #[track_caller]
    fn check(kind: &str, before: &Value, patch: &Value, after: &Value) {
        let node = Node::Builtin(Code::of_type(type_named(kind).unwrap()));
        assert_eq!(strategic_patch(node, before, patch, true).unwrap(), *after);
    }

    #[test]
    fn lists_are_merged_by_their_key() {
        let before = json!({"containers": [{"name": "a", "image": "x"}, {"name": "b", "image": "y"}]});
        check(
            "core.v1.PodSpec",
            &before,
            &json!({"containers": [{"name": "b", "image": "z"}, {"name": "c"}]}),
            &json!({"containers": [{"name": "a", "image": "x"}, {"name": "b", "image": "z"}, {"name": "c"}]}),
        );
        check(
            "core.v1.PodSpec",
            &before,
            &json!({"containers": [{"name": "a", "$patch": "delete"}]}),
            &json!({"containers": [{"name": "b", "image": "y"}]}),
        );
        check(
            "core.v1.PodSpec",
            &before,
            &json!({"containers": [{"$patch": "replace"}, {"name": "q"}]}),
            &json!({"containers": [{"name": "q"}]}),
        );
        check(
            "core.v1.PodSpec",
            &before,
            &json!({"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}),
            &json!({"containers": [{"name": "b", "image": "y"}, {"name": "a", "image": "x"}]}),
        );
    }

    #[test]
    fn directives() {
        check(
            "apps.v1.DeploymentSpec",
            &json!({"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}),
            &json!({"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}),
            &json!({"strategy": {"type": "Recreate"}}),
        );
        check(
            "meta.v1.ObjectMeta",
            &json!({"finalizers": ["a", "b"], "labels": {"x": "y"}}),
            &json!({"$deleteFromPrimitiveList/finalizers": ["a"], "labels": {"x": null, "z": "1"}}),
            &json!({"finalizers": ["b"], "labels": {"z": "1"}}),
        );
        check(
            "meta.v1.ObjectMeta",
            &json!({"finalizers": ["a"]}),
            &json!({"finalizers": ["c"], "$setElementOrder/finalizers": ["c", "a"]}),
            &json!({"finalizers": ["c", "a"]}),
        );
        check(
            "core.v1.PodSpec",
            &json!({"tolerations": [{"key": "a"}]}),
            &json!({"tolerations": []}),
            &json!({"tolerations": []}),
        );
    }
}
