//! Where requests to a Service go: its endpoints, as they stand in its `EndpointSlice` objects.

use std::sync::Arc;

use serde_json::Value;

use crate::object::Object;
use crate::resource::{ENDPOINT_SLICES, PODS, SERVICES};
use crate::server::ApiServer;

/// The label that says whose slice it is.
pub(crate) const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// One place a request can go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Backend {
    pub(crate) ip: Arc<str>,
    pub(crate) port: u16,
    /// What the pod runs: its version label, or the hash of its template.
    pub(crate) version: Arc<str>,
}

/// The places of a Service: the ready ones, or the terminating ones that still serve if there are no others.
/// `port` is the number or the name of one of the Service's ports; None: the first.
pub(crate) fn backends(
    server: &ApiServer,
    namespace: &str,
    service: &str,
    port: Option<&str>,
) -> Vec<Backend> {
    let Some(found) = server.store().get(&SERVICES, namespace, service) else { return Vec::new() };
    let Some(name) = port_name(found, port) else { return Vec::new() };
    // Slices are few per namespace; their names start with that of the Service, but need not.
    let is_its = |slice: &&Arc<Object>| slice.label(SERVICE_NAME) == Some(service);
    let slices: Vec<_> = server.store().list(&ENDPOINT_SLICES, Some(namespace)).filter(is_its).collect();
    let pick = |condition: fn(&Value) -> bool| -> Vec<Backend> {
        slices.iter().flat_map(|slice| of_slice(server, slice, &name, condition)).collect()
    };
    let ready = pick(|conditions| conditions["ready"] != false);
    if ready.is_empty() {
        pick(|conditions| conditions["serving"] == true && conditions["terminating"] == true)
    } else {
        ready
    }
}

fn port_name(service: &Object, wanted: Option<&str>) -> Option<String> {
    let mut ports = service["spec"]["ports"].as_array()?.iter();
    let number = wanted.and_then(|wanted| wanted.parse::<u64>().ok());
    let port = match wanted {
        None => ports.next(),
        Some(name) => ports.find(|p| p["name"] == name || number.is_some_and(|n| p["port"] == n)),
    };
    Some(port?["name"].as_str().unwrap_or_default().to_owned())
}

fn of_slice(server: &ApiServer, slice: &Object, name: &str, condition: fn(&Value) -> bool) -> Vec<Backend> {
    let ports = slice["ports"].as_array().into_iter().flatten();
    let mut ports = ports.filter(|port| port["name"].as_str().unwrap_or_default() == name);
    let port = ports.find_map(|port| port["port"].as_u64()).and_then(|port| u16::try_from(port).ok());
    let Some(port) = port else { return Vec::new() };
    let endpoints = slice["endpoints"].as_array().into_iter().flatten();
    let endpoints = endpoints.filter(|endpoint| condition(&endpoint["conditions"]));
    let backend = |endpoint: &Value| {
        let ip = endpoint["addresses"][0].as_str()?;
        let pod = endpoint["targetRef"]["name"].as_str();
        let pod = pod.and_then(|pod| server.store().get(&PODS, slice.namespace(), pod));
        let version = pod.map_or("", |pod| version_of(pod));
        Some(Backend { ip: ip.into(), port, version: version.into() })
    };
    endpoints.filter_map(backend).collect()
}

/// What a pod runs, in a word.
fn version_of(pod: &Object) -> &str {
    let labels = ["app.kubernetes.io/version", "pod-template-hash", "controller-revision-hash"];
    let label = labels.iter().find_map(|label| pod.label(label));
    label.or_else(|| pod["spec"]["containers"][0]["image"].as_str()).unwrap_or_default()
}
