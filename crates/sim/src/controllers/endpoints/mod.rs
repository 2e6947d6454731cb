//! EndpointSlices and Endpoints: the pods behind a Service.

mod member;
mod ports;
mod proxy;
mod slices;

use std::sync::Arc;

use foldhash::HashMap;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

pub use proxy::{Endpoint, Proxy};

use super::cursor::{Cursor, News};
use super::key::Key;
use super::pods;
use super::queue::Queue;
use super::selected::Selected;
use crate::actor::Actor;
use crate::controllers::turns::Watcher;
use crate::object::Object;
use crate::resource::{ENDPOINTS, PODS, Resources, SERVICES};
use crate::section::{Facts as _, Section};
use crate::selector::LabelSelector;
use crate::server::{ApiServer, By};
use crate::store::{Store, What};
use member::{Member, Subset, Subsets};
use ports::{List, Ports};

/// The controller of EndpointSlices, and of the Endpoints there were before them.
#[derive(Debug, Clone)]
pub struct ServiceEndpoints {
    /// Whether Endpoints are written too.
    pub with_endpoints: bool,
    cursor: Cursor,
    queue: Queue<Key>,
    selected: Selected,
    ports: HashMap<Key, Ports>,
}

impl Default for ServiceEndpoints {
    fn default() -> Self {
        Self {
            with_endpoints: true,
            cursor: Cursor::default(),
            queue: Queue::default(),
            selected: Selected::default(),
            ports: HashMap::default(),
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
            if service.field("spec", "selector").as_object().is_none_or(Map::is_empty) {
                continue;
            }
            let known = self.ports.get(&key).filter(|ports| ports.are_of(&service));
            let ports = known.cloned().unwrap_or_else(|| Ports::read(&service));
            let publish = service.field("spec", "publishNotReadyAddresses") == true;
            let pods = self.selected.pods(server.store(), &key).filter(|pod| is_reachable(pod));
            let all: Vec<Placed> =
                pods.map(|pod| (ports.at(&service, pod), Member::new(pod, publish))).collect();
            slices::write(server, now, &service, &all);
            if self.with_endpoints {
                let stay = all.into_iter().filter(|(_, member)| publish || !member.terminating);
                write_endpoints(server, now, &service, stay);
            }
            self.ports.insert(key, ports);
        }
        self.queue.next_at()
    }
}

impl Watcher for ServiceEndpoints {
    fn watched(&self) -> Resources {
        const { Resources::of(&[&SERVICES, &PODS]) }
    }

    fn cursor(&mut self) -> &mut Cursor {
        &mut self.cursor
    }
}

impl ServiceEndpoints {
    fn watch(&mut self, store: &Store) {
        if self.cursor.is_lost(store) {
            self.selected = Selected::default();
            self.ports.clear();
        }
        let Self { cursor, queue, selected, ports, .. } = self;
        cursor.look(store, &[&SERVICES, &PODS], |news| {
            if *news.object.resource() == PODS {
                let matters = !selected.is_empty() && matters(news);
                selected.note(news, |service| {
                    if matters {
                        queue.add(service.clone());
                    }
                });
                return;
            }
            let key = Key::of(news.object);
            if news.what == What::Deleted {
                selected.remove(&key);
                ports.remove(&key);
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

/// A pod behind a Service, and the ports it has there.
type Placed = (Arc<List>, Member);

/// Whether a change of a pod can be seen in its endpoints.
fn matters(news: News<'_>) -> bool {
    let face = |pod: &Object| (pod.is_ready(), pods::is_finished(pod), pod.is_terminating());
    match news.before.filter(|_| news.what == What::Modified) {
        Some(before) => {
            face(before) != face(news.object)
                || before.pod_ip() != news.object.pod_ip()
                || !before.shares_labels(news.object) && before.labels() != news.object.labels()
        }
        None => true,
    }
}

/// Whether a pod has a place among the endpoints.
fn is_reachable(pod: &Object) -> bool {
    !pods::is_finished(pod) && pod.pod_ip().is_some_and(|ip| !ip.is_empty())
}

/// The older kind: all addresses of a port in one list.
fn write_endpoints(
    server: &mut ApiServer,
    now: Timestamp,
    service: &Object,
    members: impl Iterator<Item = Placed>,
) {
    let mut subsets: Vec<Subset> = Vec::new();
    for (ports, member) in members {
        let at = subsets.iter().position(|known| known.ports == ports).unwrap_or_else(|| {
            subsets.push(Subset { ports, ready: Vec::new(), waiting: Vec::new() });
            subsets.len() - 1
        });
        let list = if member.serving { &mut subsets[at].ready } else { &mut subsets[at].waiting };
        list.push(member);
    }
    let subsets = Subsets(subsets);
    let (namespace, name) = (service.namespace(), service.name());
    let Some(known) = server.store().get(&ENDPOINTS, namespace, name) else {
        let mut labels = service.labels().clone();
        labels["endpoints.kubernetes.io/managed-by"] = json!("endpoint-controller");
        let mut body = json!({"metadata": {"name": name, "labels": labels}});
        if !subsets.0.is_empty() {
            body["subsets"] = subsets.to_value();
        }
        // The next change of a pod tries again.
        let _ = server.create(now, &ENDPOINTS, namespace, body, &By::nobody());
        return;
    };
    let next = if subsets.0.is_empty() {
        (!known["subsets"].is_null()).then(|| known.with("subsets", Value::Null))
    } else {
        let is_same = match known.facts::<Subsets>("subsets") {
            Some(before) => *before == subsets,
            None => known["subsets"] == subsets.to_value(),
        };
        (!is_same).then(|| known.with_section("subsets", Section::of(subsets)))
    };
    if let Some(next) = next {
        server.store_mut().put(now, next);
    }
}
