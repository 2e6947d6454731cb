//! EndpointSlices: at most a hundred endpoints each, all with the same ports.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{is_reachable, ports_at, target};
use crate::controllers::key::Key;
use crate::controllers::pods;
use crate::controllers::write as writing;
use crate::object::Object;
use crate::resource::ENDPOINT_SLICES;
use crate::server::{ApiServer, By};
use crate::time;

const MANAGER: &str = "endpointslice.kubernetes.io/managed-by";
const CONTROLLER: &str = "endpointslice-controller.k8s.io";
const CHANGED: &str = "endpoints.kubernetes.io/last-change-trigger-time";

/// So many endpoints fit into a slice.
const SIZE: usize = 100;

/// Makes the slices of a Service what its pods say.
pub(super) fn write(server: &mut ApiServer, now: Timestamp, service: &Object, all: &[Arc<Object>]) {
    let publish = service["spec"]["publishNotReadyAddresses"] == true;
    let mut groups: Vec<(Value, Vec<Value>)> = Vec::new();
    for pod in all.iter().filter(|pod| is_reachable(pod)) {
        let mut ports = ports_at(service, pod);
        for port in &mut ports {
            if port["name"].is_null() {
                port["name"] = json!("");
            }
        }
        let ports = Value::Array(ports);
        let endpoint = endpoint(pod, publish);
        match groups.iter_mut().find(|(known, list)| *known == ports && list.len() < SIZE) {
            Some((_, list)) => list.push(endpoint),
            None => groups.push((ports, vec![endpoint])),
        }
    }
    if groups.is_empty() {
        groups.push((Value::Null, Vec::new()));
    }
    let known: Vec<Arc<Object>> = server
        .store()
        .owned_by(service.uid())
        .filter(|o| *o.resource() == ENDPOINT_SLICES && o.label(MANAGER) == Some(CONTROLLER))
        .cloned()
        .collect();
    let surplus: Vec<Key> = known.iter().skip(groups.len()).map(|slice| Key::of(slice)).collect();
    let mut known = known.into_iter();
    for (ports, endpoints) in groups {
        let endpoints = if endpoints.is_empty() { Value::Null } else { Value::Array(endpoints) };
        match known.next() {
            Some(slice) => change(server, now, &slice, ports, endpoints),
            None => create(server, now, service, &ports, &endpoints),
        }
    }
    for key in surplus {
        let _ = writing::delete(server, now, &ENDPOINT_SLICES, &key);
    }
}

fn endpoint(pod: &Object, publish: bool) -> Value {
    let serving = pods::is_ready(pod);
    let terminating = pod.is_terminating();
    let mut endpoint = json!({
        "addresses": [pod["status"]["podIP"]],
        "conditions": {
            "ready": publish || (serving && !terminating),
            "serving": publish || serving,
            "terminating": terminating,
        },
        "nodeName": pod["spec"]["nodeName"],
        "targetRef": target(pod),
    });
    if !pod["spec"]["subdomain"].is_null() && !pod["spec"]["hostname"].is_null() {
        endpoint["hostname"] = pod["spec"]["hostname"].clone();
    }
    endpoint
}

fn change(server: &mut ApiServer, now: Timestamp, slice: &Object, ports: Value, endpoints: Value) {
    if slice["ports"] == ports && slice["endpoints"] == endpoints {
        return;
    }
    let mut metadata = slice["metadata"].clone();
    metadata["generation"] = json!(slice.generation() + 1);
    metadata["annotations"][CHANGED] = json!(time::seconds(now));
    let next = slice.with("metadata", metadata).with("ports", ports).with("endpoints", endpoints);
    server.store_mut().put(now, next);
}

fn create(server: &mut ApiServer, now: Timestamp, service: &Object, ports: &Value, endpoints: &Value) {
    let mut labels = service["metadata"]["labels"].clone();
    labels[MANAGER] = json!(CONTROLLER);
    labels["kubernetes.io/service-name"] = json!(service.name());
    if service["spec"]["clusterIP"] == "None" {
        labels["service.kubernetes.io/headless"] = json!("");
    }
    let body = json!({
        "metadata": {
            "generateName": format!("{}-", service.name()),
            "labels": labels,
            "annotations": {CHANGED: time::seconds(now)},
            "ownerReferences": [writing::controller_reference(service)],
        },
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": ports,
    });
    // The next change of a pod tries again.
    let _ = server.create(now, &ENDPOINT_SLICES, service.namespace(), body, &By::nobody());
}
