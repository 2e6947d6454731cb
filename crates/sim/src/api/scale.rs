//! The `scale` subresource: the replicas of anything that has some.

use serde_json::{Value, json};

use super::objects::Call;
use super::{Answer, body};
use crate::kind::ScalePaths;
use crate::object::Object;
use crate::resource::Resource;
use crate::server::{ApiServer, Part};
use crate::status::{Cause, Status};

pub(super) fn serve(server: &mut ApiServer, call: &Call<'_>) -> Result<Answer, Status> {
    let place = &call.place;
    let Some(paths) = place.kind.scale.clone() else { return Err(Status::no_such_path()) };
    let by = call.by()?;
    let found = server.get(&place.resource, &place.namespace, call.name()).cloned();
    let old = found.map_err(|status| match (place.kind.custom, call.request.method.as_str()) {
        (false, "GET") if place.kind.resource.plural != "statefulsets" => {
            let plural = format!("{}/scale", place.kind.resource.plural);
            Status::not_found(&Resource::new(&*place.kind.resource.group, &*plural), call.name())
        }
        _ => status,
    })?;
    let mut scale = scale_of(&old, &paths);
    match call.request.method.as_str() {
        "GET" => return Ok(Answer::value(200, &scale)),
        "PUT" => scale = body::read(call.request)?,
        "PATCH" => match body::content_type(call.request.headers) {
            "application/json-patch+json" => {
                let patch = body::parse(call.request.body, false)?;
                crate::patch::json_patch(&mut scale, &patch, true).map_err(Status::bad_request)?;
            }
            _ => crate::patch::merge_patch(&mut scale, &body::parse(call.request.body, true)?),
        },
        _ => return Err(Status::method_not_allowed()),
    }
    let replicas = scale["spec"]["replicas"].as_i64().unwrap_or(0);
    if replicas < 0 {
        let message = format!("Invalid value: {replicas}: must be greater than or equal to 0");
        let cause = Cause::new("FieldValueInvalid", "spec.replicas", message);
        return Err(Status::invalid("autoscaling", "Scale", call.name(), vec![cause]));
    }
    let mut body = old.to_value();
    if let Some(place) = pointer_mut(&mut body, &paths.spec) {
        *place = json!(replicas);
    }
    let metadata = &mut body["metadata"];
    for field in ["resourceVersion", "uid"] {
        metadata[field] = scale["metadata"][field].clone();
    }
    let written = server.write(call.now, &old, body, Part::Scale, None, &by)?;
    Ok(Answer::value(200, &scale_of(&written, &paths)))
}

fn scale_of(object: &Object, paths: &ScalePaths) -> Value {
    let whole = object.to_value();
    let number = |path: &str| pointer(&whole, path).and_then(Value::as_i64).unwrap_or(0);
    let metadata = &whole["metadata"];
    let mut status = json!({"replicas": number(&paths.status)});
    let selector = if paths.selector.is_empty() && !object.kind().custom {
        selector_text(&object["spec"]["selector"])
    } else {
        pointer(&whole, &paths.selector).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    if !selector.is_empty() {
        status["selector"] = json!(selector);
    }
    let mut spec = json!({});
    if number(&paths.spec) != 0 {
        spec["replicas"] = json!(number(&paths.spec));
    }
    json!({
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": metadata["uid"],
            "resourceVersion": metadata["resourceVersion"],
            "creationTimestamp": metadata["creationTimestamp"],
        },
        "spec": spec,
        "status": status,
    })
}

/// A selector as text.
fn selector_text(selector: &Value) -> String {
    let mut parts: Vec<String> = Vec::new();
    let labels = selector.get("matchLabels").or(Some(selector)).and_then(Value::as_object);
    for (key, value) in labels.into_iter().flatten() {
        if let Some(value) = value.as_str() {
            parts.push(format!("{key}={value}"));
        }
    }
    for rule in selector["matchExpressions"].as_array().into_iter().flatten() {
        let key = rule["key"].as_str().unwrap_or_default();
        let values = rule["values"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let values = values.collect::<Vec<_>>().join(",");
        parts.push(match rule["operator"].as_str().unwrap_or_default() {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "DoesNotExist" => format!("!{key}"),
            _ => key.to_owned(),
        });
    }
    parts.sort();
    parts.join(",")
}

fn pointer<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    path.split('.').filter(|p| !p.is_empty()).try_fold(value, |value, part| value.get(part))
}

fn pointer_mut<'v>(value: &'v mut Value, path: &str) -> Option<&'v mut Value> {
    let mut place = value;
    for part in path.split('.').filter(|p| !p.is_empty()) {
        if place.get(part).is_none() {
            place.as_object_mut()?.insert(part.to_owned(), json!({}));
        }
        place = place.get_mut(part)?;
    }
    Some(place)
}
