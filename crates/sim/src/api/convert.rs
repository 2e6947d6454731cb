//! Versions of a kind as views of the stored one.

use serde_json::{Value, json};

use super::path::Place;
use crate::status::{Cause, Status};

/// Core events and the fields of `events.k8s.io/v1` that are the same.
const EVENT_FIELDS: &[(&str, &str)] = &[
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("reportingComponent", "reportingController"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
];

/// What a request is told that needs the webhook of a custom kind, when nobody answers there.
///
/// # Errors
///
/// 500, if the path is not of the stored version.
pub(super) fn fail(place: &Place) -> Result<(), Status> {
    if !place.kind.custom || !place.is_view() {
        return Ok(());
    }
    let (from, kind) = (place.stored.api_version(), &place.kind.kind);
    let message = format!(
        "conversion webhook for {from}, Kind={kind} failed: Post \"https://conversion.release-sim.svc:443/convert?timeout=30s\": dial tcp 10.96.0.7:443: connect: connection refused"
    );
    Err(Status::new(500, "InternalError", format!("Internal error occurred: {message}"))
        .cause(Cause::new("", "", message)))
}

/// From the version of the path to the stored one.
pub(super) fn to_stored(place: &Place, body: &mut Value) {
    if !place.is_view() {
        return;
    }
    if place.is_events() {
        rename(body, EVENT_FIELDS.iter().map(|(stored, view)| (*view, *stored)));
    } else if is_old_autoscaler(place) {
        autoscaler_to_v2(body);
    }
    body["apiVersion"] = json!(place.stored.api_version());
    body["kind"] = json!(place.stored.kind);
}

/// From the stored version to that of the path.
pub(super) fn from_stored(place: &Place, object: &mut Value) {
    if !place.is_view() {
        return;
    }
    if place.is_events() {
        rename(object, EVENT_FIELDS.iter().copied());
    } else if is_old_autoscaler(place) {
        autoscaler_to_v1(object);
    }
    object["apiVersion"] = json!(place.api_version());
    object["kind"] = json!(place.kind.kind);
}

fn is_old_autoscaler(place: &Place) -> bool {
    place.kind.resource.plural == "horizontalpodautoscalers" && place.version == "v1"
}

fn rename<'f>(object: &mut Value, fields: impl Iterator<Item = (&'f str, &'f str)>) {
    let Some(map) = object.as_object_mut() else { return };
    for (from, to) in fields {
        if let Some(value) = map.remove(from) {
            map.insert(to.to_owned(), value);
        }
    }
}

fn autoscaler_to_v2(object: &mut Value) {
    let Some(spec) = object["spec"].as_object_mut() else { return };
    if let Some(target) = spec.remove("targetCPUUtilizationPercentage") {
        let metric = json!({"type": "Resource", "resource": {"name": "cpu",
            "target": {"type": "Utilization", "averageUtilization": target}}});
        spec.insert("metrics".to_owned(), json!([metric]));
    }
    if let Some(status) = object["status"].as_object_mut()
        && let Some(current) = status.remove("currentCPUUtilizationPercentage")
    {
        let metric = json!({"type": "Resource", "resource": {"name": "cpu",
            "current": {"averageUtilization": current}}});
        status.insert("currentMetrics".to_owned(), json!([metric]));
    }
}

fn autoscaler_to_v1(object: &mut Value) {
    let is_cpu = |m: &Value| m["type"] == "Resource" && m["resource"]["name"] == "cpu";
    let find = |list: Option<Value>| list?.as_array()?.iter().find(|m| is_cpu(m)).cloned();
    if let Some(spec) = object["spec"].as_object_mut()
        && let Some(metric) = find(spec.remove("metrics"))
    {
        let target = metric["resource"]["target"]["averageUtilization"].clone();
        spec.insert("targetCPUUtilizationPercentage".to_owned(), target);
    }
    if let Some(status) = object["status"].as_object_mut() {
        status.remove("conditions");
        if let Some(metric) = find(status.remove("currentMetrics")) {
            let current = metric["resource"]["current"]["averageUtilization"].clone();
            status.insert("currentCPUUtilizationPercentage".to_owned(), current);
        }
        status.entry("currentReplicas").or_insert(json!(0));
    }
}
