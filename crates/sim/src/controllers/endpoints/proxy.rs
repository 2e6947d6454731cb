//! What traffic sees of EndpointSlices: the same, a while later.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use foldhash::HashMap;
use jiff::Timestamp;
use serde_json::Value;

use crate::actor::Actor;
use crate::controllers::cursor::Cursor;
use crate::controllers::key::Key;
use crate::controllers::read::{items, text};
use crate::controllers::turns::Watcher;
use crate::object::Object;
use crate::resource::{ENDPOINT_SLICES, Resources};
use crate::server::ApiServer;
use crate::store::What;

/// One pod behind a Service, as proxies see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Its address.
    pub address: String,
    /// The pod's name; empty if it is none.
    pub pod: String,
    /// Where it runs.
    pub node: String,
    /// The ports by name.
    pub ports: BTreeMap<String, u16>,
    /// It gets traffic.
    pub ready: bool,
    /// It would answer.
    pub serving: bool,
    /// It is about to end.
    pub terminating: bool,
}

#[derive(Debug, Clone)]
struct Pending {
    at: Timestamp,
    slice: Key,
    /// None: the slice is gone.
    now_is: Option<(Key, Arc<Object>)>,
}

/// The proxies of all nodes.
#[derive(Debug, Clone, Default)]
pub struct Proxy {
    /// How long it takes until proxies follow a change.
    pub delay: Duration,
    cursor: Cursor,
    pending: VecDeque<Pending>,
    /// Never iterated, so that its order does not matter.
    slices: HashMap<Key, (Key, Arc<Object>)>,
    services: BTreeMap<Key, BTreeSet<Key>>,
}

impl Actor for Proxy {
    fn act(&mut self, server: &mut ApiServer, now: Timestamp) -> Option<Timestamp> {
        if self.cursor.is_lost(server.store()) {
            self.slices.clear();
            self.services.clear();
            self.pending.clear();
        }
        let Self { cursor, pending, delay, slices, .. } = self;
        cursor.look(server.store(), &[&ENDPOINT_SLICES], |news| {
            // Mostly a slice stays with its Service, and proxies follow at once.
            if delay.is_zero()
                && pending.is_empty()
                && news.what == What::Modified
                && news.before.is_some_and(|before| {
                    before.shares_labels(news.object) || before.labels() == news.object.labels()
                })
                && let Some((_, known)) = slices.get_mut(&Key::of(news.object))
            {
                *known = Arc::clone(news.object);
                return;
            }
            let service = news.object.label("kubernetes.io/service-name").unwrap_or_default();
            let is_gone = news.what == What::Deleted || service.is_empty();
            let service = Key::new(news.object.namespace(), service);
            let now_is = (!is_gone).then(|| (service, Arc::clone(news.object)));
            pending.push_back(Pending { at: now + *delay, slice: Key::of(news.object), now_is });
        });
        while self.pending.front().is_some_and(|p| p.at <= now) {
            if let Some(due) = self.pending.pop_front() {
                self.apply(due);
            }
        }
        self.pending.front().map(|p| p.at)
    }
}

impl Watcher for Proxy {
    fn watched(&self) -> Resources {
        const { Resources::of(&[&ENDPOINT_SLICES]) }
    }

    fn cursor(&mut self) -> &mut Cursor {
        &mut self.cursor
    }
}

impl Proxy {
    fn apply(&mut self, change: Pending) {
        if let Some((service, _)) = self.slices.remove(&change.slice)
            && let Some(slices) = self.services.get_mut(&service)
        {
            slices.remove(&change.slice);
            if slices.is_empty() {
                self.services.remove(&service);
            }
        }
        if let Some((service, object)) = change.now_is {
            self.services.entry(service.clone()).or_default().insert(change.slice.clone());
            self.slices.insert(change.slice, (service, object));
        }
    }

    /// All endpoints of a Service that proxies know.
    pub fn endpoints(&self, namespace: &str, service: &str) -> impl Iterator<Item = Endpoint> {
        let slices = self.services.get(&Key::new(namespace, service)).into_iter().flatten();
        slices.filter_map(|slice| self.slices.get(slice)).flat_map(|(_, slice)| read(slice))
    }

    /// Those that get traffic: the ready ones; if there are none, those that are about to end but still answer.
    pub fn traffic(&self, namespace: &str, service: &str) -> Vec<Endpoint> {
        let mut all: Vec<_> = self.endpoints(namespace, service).collect();
        if all.iter().any(|e| e.ready) {
            all.retain(|e| e.ready);
        } else {
            all.retain(|e| e.serving && e.terminating);
        }
        all
    }
}

fn read(slice: &Object) -> Vec<Endpoint> {
    let ports: BTreeMap<String, u16> = items(&slice["ports"])
        .filter_map(|port| {
            let number = port["port"].as_u64().and_then(|n| u16::try_from(n).ok())?;
            Some((text(&port["name"]).to_owned(), number))
        })
        .collect();
    let endpoint = |e: &Value| {
        let condition = |name: &str, otherwise| e["conditions"][name].as_bool().unwrap_or(otherwise);
        let ready = condition("ready", true);
        Endpoint {
            address: text(&e["addresses"][0]).to_owned(),
            pod: text(&e["targetRef"]["name"]).to_owned(),
            node: text(&e["nodeName"]).to_owned(),
            ports: ports.clone(),
            ready,
            serving: condition("serving", ready),
            terminating: condition("terminating", false),
        }
    };
    items(&slice["endpoints"]).map(endpoint).collect()
}
