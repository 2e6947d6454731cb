//! RFC 6902.

use serde_json::Value;

/// Applies a JSON patch; an error says which operation does not fit.
///
/// `strict`: what is replaced must be there, as the standard wants and old versions did not.
pub(crate) fn json_patch(target: &mut Value, patch: &Value, strict: bool) -> Result<(), String> {
    let operations = patch.as_array().ok_or("a JSON patch is a list")?;
    for (index, operation) in operations.iter().enumerate() {
        apply(target, operation, strict).map_err(|why| format!("operation {index}: {why}"))?;
    }
    Ok(())
}

fn apply(target: &mut Value, operation: &Value, strict: bool) -> Result<(), String> {
    let path = operation["path"].as_str().ok_or("no path")?;
    let from = || operation["from"].as_str().ok_or("no from");
    match operation["op"].as_str().unwrap_or_default() {
        "add" => add(target, path, operation.get("value").cloned().ok_or("no value")?),
        "remove" => remove(target, path).map(drop),
        "replace" => {
            let value = operation.get("value").cloned().ok_or("no value")?;
            match parent(target, path) {
                Ok((Value::Object(map), key)) if !strict => drop(map.insert(key, value)),
                _ => *find(target, path)? = value,
            }
            Ok(())
        }
        "move" => {
            let value = remove(target, from()?)?;
            add(target, path, value)
        }
        "copy" => {
            let from = from()?;
            let found = target.pointer(from).cloned();
            let value = match found {
                Some(value) => value,
                // What was not there was copied as nothing.
                None if !strict && parent(target, from).is_ok() => Value::Null,
                None => return Err(format!("missing path {from}")),
            };
            add(target, path, value)
        }
        "test" => {
            let wanted = operation.get("value").unwrap_or(&Value::Null);
            let found = target.pointer(path).unwrap_or(&Value::Null);
            if found == wanted { Ok(()) } else { Err(format!("testing value {path} failed")) }
        }
        other => Err(format!("unexpected kind: {other}")),
    }
}

fn find<'v>(target: &'v mut Value, path: &str) -> Result<&'v mut Value, String> {
    target.pointer_mut(path).ok_or_else(|| format!("missing path {path}"))
}

/// The place a path ends in, and the last step.
fn parent<'v>(target: &'v mut Value, path: &str) -> Result<(&'v mut Value, String), String> {
    let (head, last) = path.rsplit_once('/').ok_or_else(|| format!("bad path {path}"))?;
    let last = last.replace("~1", "/").replace("~0", "~");
    Ok((find(target, head)?, last))
}

fn add(target: &mut Value, path: &str, value: Value) -> Result<(), String> {
    if path.is_empty() {
        *target = value;
        return Ok(());
    }
    match parent(target, path)? {
        (Value::Object(map), key) => drop(map.insert(key, value)),
        (Value::Array(items), key) if key == "-" => items.push(value),
        (Value::Array(items), key) => {
            let at: usize = key.parse().map_err(|_| format!("bad index {key}"))?;
            if at > items.len() {
                return Err(format!("index {at} is out of bounds"));
            }
            items.insert(at, value);
        }
        _ => return Err(format!("missing container: {path}")),
    }
    Ok(())
}

fn remove(target: &mut Value, path: &str) -> Result<Value, String> {
    match parent(target, path)? {
        (Value::Object(map), key) => map.remove(&key).ok_or_else(|| format!("missing path {path}")),
        (Value::Array(items), key) => {
            let at: usize = key.parse().map_err(|_| format!("bad index {key}"))?;
            if at >= items.len() {
                return Err(format!("index {at} is out of bounds"));
            }
            Ok(items.remove(at))
        }
        _ => Err(format!("missing container: {path}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn operations() {
        let mut value = json!({"a": {"b/c": 1}, "l": [1, 2]});
        let patch = json!([
            {"op": "test", "path": "/a/b~1c", "value": 1},
            {"op": "replace", "path": "/a/b~1c", "value": 2},
            {"op": "add", "path": "/l/0", "value": 0},
            {"op": "add", "path": "/l/-", "value": 3},
            {"op": "remove", "path": "/l/1"},
            {"op": "copy", "from": "/a", "path": "/d"},
            {"op": "move", "from": "/a/b~1c", "path": "/e"},
        ]);
        json_patch(&mut value, &patch, true).unwrap();
        assert_eq!(value, json!({"a": {}, "l": [0, 2, 3], "d": {"b/c": 2}, "e": 2}));
        for bad in [
            json!([{"op": "remove", "path": "/x"}]),
            json!([{"op": "replace", "path": "/x", "value": 1}]),
            json!([{"op": "add", "path": "/x/y", "value": 1}]),
            json!([{"op": "test", "path": "/e", "value": 1}]),
            json!([{"op": "add", "path": "/l/9", "value": 1}]),
            json!({}),
        ] {
            assert!(json_patch(&mut value, &bad, true).is_err(), "{bad}");
        }
    }
}
