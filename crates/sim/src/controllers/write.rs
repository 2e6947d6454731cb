//! The short ways to write: sections of objects nobody else owns.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::events::{Recorder, Tone};
use super::key::Key;
use crate::object::Object;
use crate::resource::{PODS, Resource};
use crate::section::Facts;
use crate::server::{ApiServer, By, DeleteOptions, Propagation};
use crate::status::Status;

/// The API refused a write; it is tried again later.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Refused;

impl From<Status> for Refused {
    fn from(_: Status) -> Self {
        Self
    }
}

/// Writes the status if it is another one. Fields that are Null are left out.
pub(crate) fn status(server: &mut ApiServer, now: Timestamp, object: &Object, mut status: Value) -> bool {
    without_nulls(&mut status);
    if !server.profile().terminating_replicas
        && let Some(map) = status.as_object_mut()
    {
        map.remove("terminatingReplicas");
    }
    if object["status"] == status {
        return false;
    }
    let (namespace, name) = (object.namespace(), object.name());
    server.update_status(now, object.resource(), namespace, name, status, &By::nobody()).is_ok()
}

/// Writes the status if it is another one.
pub(crate) fn status_facts<T: Facts + PartialEq>(
    server: &mut ApiServer,
    now: Timestamp,
    object: &Object,
    status: T,
) {
    // What is gone meanwhile has no status.
    let _ = server.update_status_facts(now, object, status);
}

/// Takes fields away that say nothing.
pub(crate) fn without_nulls(map: &mut Value) {
    if let Some(map) = map.as_object_mut() {
        map.retain(|_, value| !value.is_null());
    }
}

/// A count that is left out when it is zero.
pub(crate) fn unless_zero(n: i64) -> Value {
    if n == 0 { Value::Null } else { json!(n) }
}

/// A list that is left out when it is empty.
pub(crate) fn unless_empty(list: Vec<Value>) -> Value {
    if list.is_empty() { Value::Null } else { Value::Array(list) }
}

/// Writes one section past admission, as a subresource of its own does.
pub(crate) fn section(
    server: &mut ApiServer,
    now: Timestamp,
    object: &Object,
    name: &str,
    value: Value,
) -> Arc<Object> {
    server.store_mut().put(now, object.with(name, value))
}

/// Writes fields of the spec and, if given, all annotations of the newest version of an object; Null takes a field away.
/// What a controller works out needs no validation. Nothing is written if nothing is different.
pub(crate) fn spec(
    server: &mut ApiServer,
    now: Timestamp,
    object: &Object,
    fields: impl IntoIterator<Item = (&'static str, Value)>,
    annotations: Option<Map<String, Value>>,
) -> Result<Arc<Object>, Status> {
    let old = Arc::clone(server.get(object.resource(), object.namespace(), object.name())?);
    let mut next = old.with_fields("spec", fields);
    let mut marks = Vec::new();
    if let Some(annotations) = annotations {
        marks.push(("annotations", Value::Object(annotations)));
    }
    if next.section("spec") != old.section("spec") {
        marks.push(("generation", json!(old.generation() + 1)));
    }
    next = next.with_fields("metadata", marks);
    let is_same = ["spec", "metadata"].into_iter().all(|name| next.section(name) == old.section(name));
    Ok(if is_same { old } else { server.store_mut().put(now, next) })
}

/// The entry of a controlling owner.
pub(crate) fn controller_reference(owner: &Object) -> Value {
    json!({
        "apiVersion": owner.kind().api_version(),
        "kind": owner.kind().kind,
        "name": owner.name(),
        "uid": owner.uid(),
        "controller": true,
        "blockOwnerDeletion": true,
    })
}

/// Makes an owner the controller of an object that has none.
pub(crate) fn adopt(server: &mut ApiServer, now: Timestamp, owner: &Object, object: &Object) -> Arc<Object> {
    let mut metadata = object["metadata"].clone();
    let reference = controller_reference(owner);
    match metadata["ownerReferences"].as_array_mut() {
        Some(list) => {
            list.retain(|o| o["uid"] != reference["uid"]);
            list.push(reference);
        }
        None => metadata["ownerReferences"] = json!([reference]),
    }
    section(server, now, object, "metadata", metadata)
}

/// Takes an owner away from an object.
pub(crate) fn release(server: &mut ApiServer, now: Timestamp, uids: &[&str], object: &Object) -> Arc<Object> {
    let mut metadata = object["metadata"].clone();
    let map = metadata.as_object_mut();
    if let Some(map) = map {
        let left: Vec<Value> = object
            .owners()
            .filter(|o| !uids.contains(&o["uid"].as_str().unwrap_or_default()))
            .cloned()
            .collect();
        if left.is_empty() {
            map.remove("ownerReferences");
        } else {
            map.insert("ownerReferences".to_owned(), Value::Array(left));
        }
    }
    section(server, now, object, "metadata", metadata)
}

/// A pod as a template of its owner says; the rest of its metadata is the caller's.
pub(crate) fn pod_from_template(owner: &Object, template: &Value) -> Value {
    let mut metadata = Map::new();
    for field in ["labels", "annotations", "finalizers"] {
        if !template["metadata"][field].is_null() {
            metadata.insert(field.to_owned(), template["metadata"][field].clone());
        }
    }
    metadata.insert("generateName".to_owned(), json!(format!("{}-", owner.name())));
    metadata.insert("ownerReferences".to_owned(), json!([controller_reference(owner)]));
    let mut pod = Map::new();
    pod.insert("metadata".to_owned(), Value::Object(metadata));
    pod.insert("spec".to_owned(), template["spec"].clone());
    Value::Object(pod)
}

/// Makes a pod.
pub(crate) fn create_pod(
    server: &mut ApiServer,
    now: Timestamp,
    owner: &Object,
    pod: Value,
) -> Result<Arc<Object>, Status> {
    server.create(now, &PODS, owner.namespace(), pod, &By::nobody())
}

/// Makes a pod for its owner, and tells whether it could.
pub(crate) fn create_pod_and_tell(
    server: &mut ApiServer,
    now: Timestamp,
    events: &mut Recorder,
    owner: &Object,
    pod: Value,
) -> Result<(), Refused> {
    match create_pod(server, now, owner, pod) {
        Ok(pod) => {
            let message = format!("Created pod: {}", pod.name());
            events.record(server, now, owner, Tone::Normal, "SuccessfulCreate", &message);
            Ok(())
        }
        Err(why) => {
            let message = format!("Error creating: {why}");
            events.record(server, now, owner, Tone::Warning, "FailedCreate", &message);
            Err(why.into())
        }
    }
}

/// Deletes a pod for its owner, and tells.
pub(crate) fn delete_pod_and_tell(
    server: &mut ApiServer,
    now: Timestamp,
    events: &mut Recorder,
    owner: &Object,
    pod: &Object,
) -> Result<(), Refused> {
    delete(server, now, &PODS, &Key::of(pod))?;
    let message = format!("Deleted pod: {}", pod.name());
    events.record(server, now, owner, Tone::Normal, "SuccessfulDelete", &message);
    Ok(())
}

/// Deletes an object and, after it, what it owns.
pub(crate) fn delete(
    server: &mut ApiServer,
    now: Timestamp,
    resource: &Resource,
    key: &Key,
) -> Result<Arc<Object>, Status> {
    let options = DeleteOptions { propagation: Some(Propagation::Background), ..DeleteOptions::default() };
    server.delete(now, resource, &key.namespace, &key.name, &options, &By::nobody())
}
