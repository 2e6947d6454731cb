//! The ports of a Service at its pods, read again only when the Service's spec is another one.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::controllers::read::items;
use crate::object::Object;
use crate::section::Section;

/// The ports of a Service.
#[derive(Debug, Clone)]
pub(super) struct Ports {
    /// The spec they were read from.
    spec: Option<Section>,
    /// The ports at every pod; None: the pods' own names of ports decide.
    everywhere: Option<Arc<List>>,
}

/// The ports at a pod, as both kinds of endpoints show them.
#[derive(Debug)]
pub(super) struct List {
    /// As Endpoints do.
    pub(super) plain: Value,
    /// As slices do: a port without a name has an empty one.
    pub(super) named: Section,
}

impl List {
    fn new(ports: Vec<Value>) -> Arc<Self> {
        let mut named = ports.clone();
        for port in named.iter_mut().filter(|port| port["name"].is_null()) {
            port["name"] = json!("");
        }
        Arc::new(Self { plain: Value::Array(ports), named: Section::new(Value::Array(named)) })
    }
}

impl PartialEq for List {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other) || self.plain == other.plain
    }
}

impl Eq for List {}

impl Ports {
    pub(super) fn read(service: &Object) -> Self {
        let by_name = items(service.field("spec", "ports")).any(|port| port["targetPort"].is_string());
        let everywhere = (!by_name).then(|| List::new(ports_at(service, None)));
        Self { spec: service.section("spec").cloned(), everywhere }
    }

    /// Whether they are those of this version of the Service.
    pub(super) fn are_of(&self, service: &Object) -> bool {
        match (&self.spec, service.section("spec")) {
            (Some(read), Some(spec)) => read.is(spec),
            _ => false,
        }
    }

    pub(super) fn at(&self, service: &Object, pod: &Object) -> Arc<List> {
        match &self.everywhere {
            Some(ports) => Arc::clone(ports),
            None => List::new(ports_at(service, Some(pod))),
        }
    }
}

/// The ports of a Service at one pod, by name.
fn ports_at(service: &Object, pod: Option<&Object>) -> Vec<Value> {
    let mut ports = Vec::new();
    for port in items(service.field("spec", "ports")) {
        let target = match &port["targetPort"] {
            Value::String(name) => pod.and_then(|pod| port_named(pod, name)),
            Value::Null => port["port"].as_i64(),
            number => number.as_i64(),
        };
        let Some(target) = target else { continue };
        let protocol = port["protocol"].as_str().unwrap_or("TCP");
        let mut entry = json!({"port": target, "protocol": protocol});
        if let Some(name) = port["name"].as_str() {
            entry["name"] = json!(name);
        }
        if !port["appProtocol"].is_null() {
            entry["appProtocol"] = port["appProtocol"].clone();
        }
        ports.push(entry);
    }
    ports
}

fn port_named(pod: &Object, name: &str) -> Option<i64> {
    items(pod.field("spec", "containers"))
        .flat_map(|container| items(&container["ports"]))
        .find(|port| port["name"] == name)?["containerPort"]
        .as_i64()
}
