//! EndpointSlices: at most a hundred endpoints each, all with the same ports.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Placed;
use super::member::Members;
use super::ports::List;
use crate::controllers::key::Key;
use crate::controllers::read::text;
use crate::controllers::write as writing;
use crate::object::Object;
use crate::resource::ENDPOINT_SLICES;
use crate::section::{Facts as _, Section};
use crate::server::{ApiServer, By};
use crate::time;

const MANAGER: &str = "endpointslice.kubernetes.io/managed-by";
const CONTROLLER: &str = "endpointslice-controller.k8s.io";
const CHANGED: &str = "endpoints.kubernetes.io/last-change-trigger-time";

/// So many endpoints fit into a slice.
const SIZE: usize = 100;

/// The pods with the same ports, and these.
type Group = (Option<Arc<List>>, Members);

/// Makes the slices of a Service what its pods say.
pub(super) fn write(server: &mut ApiServer, now: Timestamp, service: &Object, all: &[Placed]) {
    let groups = groups(all);
    let is_its_slice =
        |o: &&Arc<Object>| *o.resource() == ENDPOINT_SLICES && o.label(MANAGER) == Some(CONTROLLER);
    let known: Vec<Arc<Object>> =
        server.store().owned_by(service.uid()).filter(is_its_slice).cloned().collect();
    let surplus: Vec<Key> = known.iter().skip(groups.len()).map(|slice| Key::of(slice)).collect();
    let mut known = known.into_iter();
    for (ports, members) in groups {
        match known.next() {
            Some(slice) => change(server, now, &slice, ports.as_deref(), members),
            None => create(server, now, service, ports.as_deref(), &members),
        }
    }
    for key in surplus {
        let _ = writing::delete(server, now, &ENDPOINT_SLICES, &key);
    }
}

fn groups(all: &[Placed]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for (ports, member) in all {
        let has_room = |known: &Option<Arc<List>>, members: &Members| {
            known.as_ref() == Some(ports) && members.0.len() < SIZE
        };
        let at = groups.iter().position(|(known, members)| has_room(known, members)).unwrap_or_else(|| {
            // Mostly all have the same ports.
            let members = Vec::with_capacity(all.len().min(SIZE));
            groups.push((Some(Arc::clone(ports)), Members(members)));
            groups.len() - 1
        });
        groups[at].1.0.push(member.clone());
    }
    if groups.is_empty() {
        groups.push((None, Members::default()));
    }
    groups
}

fn change(server: &mut ApiServer, now: Timestamp, slice: &Object, ports: Option<&List>, members: Members) {
    let is_same = match slice.facts::<Members>("endpoints") {
        Some(before) => *before == members,
        None if members.0.is_empty() => slice["endpoints"].is_null(),
        None => slice["endpoints"] == members.to_value(),
    };
    let known = slice.section("ports");
    let shares_ports = ports.is_some_and(|ports| known.is_some_and(|known| known.is(&ports.named)));
    let has_ports = shares_ports || has_ports(&slice["ports"], ports.map(|ports| &ports.plain));
    if has_ports && is_same {
        return;
    }
    let mut annotations = slice.field("metadata", "annotations").clone();
    annotations[CHANGED] = json!(time::seconds(now));
    let generation = json!(slice.generation() + 1);
    let mut next = slice.with_fields("metadata", [("generation", generation), ("annotations", annotations)]);
    match ports {
        // What says the same becomes the same, which is quicker to see the next time.
        Some(ports) if !has_ports || !shares_ports && known == Some(&ports.named) => {
            next = next.and_section("ports", ports.named.clone());
        }
        None if !has_ports => next = next.with("ports", Value::Null),
        Some(_) | None => {}
    }
    next = if members.0.is_empty() {
        next.with("endpoints", Value::Null)
    } else {
        next.and_section("endpoints", Section::of(members))
    };
    server.store_mut().put(now, next);
}

/// Whether a slice has these ports already.
fn has_ports(known: &Value, wanted: Option<&Value>) -> bool {
    let (known, wanted) = match (known.as_array(), wanted.and_then(Value::as_array)) {
        (None, None) => return true,
        (Some(known), Some(wanted)) => (known, wanted),
        _ => return false,
    };
    let fields = ["port", "protocol", "appProtocol"];
    let name = |port: &Value| text(&port["name"]).to_owned();
    known.len() == wanted.len()
        && known.iter().zip(wanted).all(|(a, b)| fields.iter().all(|f| a[*f] == b[*f]) && name(a) == name(b))
}

fn create(server: &mut ApiServer, now: Timestamp, service: &Object, ports: Option<&List>, members: &Members) {
    let endpoints = if members.0.is_empty() { Value::Null } else { members.to_value() };
    let mut labels = service.labels().clone();
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
        "ports": ports.map(|ports| &*ports.named),
    });
    // The next change of a pod tries again.
    let _ = server.create(now, &ENDPOINT_SLICES, service.namespace(), body, &By::nobody());
}
