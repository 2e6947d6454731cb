//! EndpointSlices and Endpoints: the pods behind a Service.

mod proxy;
mod slices;

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

pub use proxy::{Endpoint, Proxy};

use super::cursor::{Cursor, News};
use super::key::Key;
use super::pods;
use super::queue::Queue;
use super::read::items;
use super::selected::Selected;
use super::write;
use crate::actor::Actor;
use crate::object::Object;
use crate::resource::{ENDPOINTS, PODS, SERVICES};
use crate::selector::LabelSelector;
use crate::server::{ApiServer, By};
use crate::store::{Store, What};

/// The controller of EndpointSlices, and of the Endpoints there were before them.
#[derive(Debug, Clone)]
pub struct ServiceEndpoints {
    /// Whether Endpoints are written too.
    pub with_endpoints: bool,
    cursor: Cursor,
    queue: Queue<Key>,
    selected: Selected,
}

impl Default for ServiceEndpoints {
    fn default() -> Self {
        Self {
            with_endpoints: true,
            cursor: Cursor::default(),
            queue: Queue::default(),
            selected: Selected::default(),
        }
    }
}

impl Actor for ServiceEndpoints {
    fn act(&mut self, server: &mut ApiServer, now: Timestamp) -> Option<Timestamp> {
        self.watch(server.store());
        while let Some(key) = self.queue.pop(now) {
            let Some(service) = server.store().get(&SERVICES, &key.namespace, &key.name).cloned() else {
                continue;
            };
            if service["spec"]["selector"].as_object().is_none_or(serde_json::Map::is_empty) {
                continue;
            }
            let pods: Vec<Arc<Object>> = self.selected.pods(server.store(), &key).cloned().collect();
            slices::write(server, now, &service, &pods);
            if self.with_endpoints {
                write_endpoints(server, now, &service, &pods);
            }
        }
        self.queue.next_at()
    }
}

impl ServiceEndpoints {
    fn watch(&mut self, store: &Store) {
        if self.cursor.is_lost(store) {
            self.selected = Selected::default();
        }
        let Self { cursor, queue, selected, .. } = self;
        cursor.look(store, &[SERVICES, PODS], |news| {
            let key = Key::of(news.object);
            if *news.object.resource() == PODS {
                let matters = matters(news);
                selected.note(news, |service| {
                    if matters {
                        queue.add(service.clone());
                    }
                });
            } else if news.what == What::Deleted {
                selected.remove(&key);
            } else if !news.is_only_status() {
                let labels = &news.object["spec"]["selector"];
                if labels.is_object() {
                    selected.insert(store, key.clone(), LabelSelector::of_map(labels), labels);
                } else {
                    selected.remove(&key);
                }
                queue.add(key);
            }
        });
    }
}

/// Whether a change of a pod can be seen in its endpoints.
fn matters(news: News<'_>) -> bool {
    let face = |pod: &Object| {
        let ip = pod["status"]["podIP"].as_str().map(str::to_owned);
        (ip, pods::is_ready(pod), pods::is_finished(pod), pod.is_terminating())
    };
    match news.before.filter(|_| news.what == What::Modified) {
        Some(before) => {
            face(before) != face(news.object)
                || before["metadata"]["labels"] != news.object["metadata"]["labels"]
        }
        None => true,
    }
}

/// Whether a pod has a place among the endpoints.
fn is_reachable(pod: &Object) -> bool {
    !pods::is_finished(pod) && pod["status"]["podIP"].as_str().is_some_and(|ip| !ip.is_empty())
}

/// The ports of a Service at one pod, by name.
fn ports_at(service: &Object, pod: &Object) -> Vec<Value> {
    let mut ports = Vec::new();
    for port in items(&service["spec"]["ports"]) {
        let target = match &port["targetPort"] {
            Value::String(name) => port_named(pod, name),
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
    items(&pod["spec"]["containers"])
        .flat_map(|container| items(&container["ports"]))
        .find(|port| port["name"] == name)?["containerPort"]
        .as_i64()
}

fn target(pod: &Object) -> Value {
    json!({"kind": "Pod", "namespace": pod.namespace(), "name": pod.name(), "uid": pod.uid()})
}

/// The older kind: all addresses of a port in one list.
fn write_endpoints(server: &mut ApiServer, now: Timestamp, service: &Object, pods: &[Arc<Object>]) {
    let publish = service["spec"]["publishNotReadyAddresses"] == true;
    let mut subsets: Vec<(Vec<Value>, Vec<Value>, Vec<Value>)> = Vec::new();
    for pod in pods.iter().filter(|pod| is_reachable(pod) && (publish || !pod.is_terminating())) {
        let address = json!({
            "ip": pod["status"]["podIP"], "nodeName": pod["spec"]["nodeName"], "targetRef": target(pod),
        });
        let ports = ports_at(service, pod);
        let at = subsets.iter().position(|(known, ..)| *known == ports).unwrap_or_else(|| {
            subsets.push((ports, Vec::new(), Vec::new()));
            subsets.len() - 1
        });
        if publish || pods::is_ready(pod) {
            subsets[at].1.push(address);
        } else {
            subsets[at].2.push(address);
        }
    }
    let list: Vec<Value> =
        subsets.into_iter().map(|(ports, ready, waiting)| subset(ports, ready, waiting)).collect();
    let subsets = if list.is_empty() { Value::Null } else { Value::Array(list) };
    let (namespace, name) = (service.namespace(), service.name());
    let Some(known) = server.store().get(&ENDPOINTS, namespace, name).cloned() else {
        let mut labels = service["metadata"]["labels"].clone();
        labels["endpoints.kubernetes.io/managed-by"] = json!("endpoint-controller");
        let mut body = json!({"metadata": {"name": name, "labels": labels}});
        if !subsets.is_null() {
            body["subsets"] = subsets;
        }
        // The next change of a pod tries again.
        let _ = server.create(now, &ENDPOINTS, namespace, body, &By::nobody());
        return;
    };
    if known["subsets"] != subsets {
        write::section(server, now, &known, "subsets", subsets);
    }
}

fn subset(ports: Vec<Value>, ready: Vec<Value>, waiting: Vec<Value>) -> Value {
    let mut subset = json!({});
    for (field, list) in [("addresses", ready), ("notReadyAddresses", waiting), ("ports", ports)] {
        if !list.is_empty() {
            subset[field] = Value::Array(list);
        }
    }
    subset
}
