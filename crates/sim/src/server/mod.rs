//! The rules around the store: what a write must pass, and what it brings along.
//!
//! Every write takes `now` and says who writes ([`By`]). The methods here are what HTTP requests end in, and what
//! controllers in the same process call. Refusals are [`Status`] values in the words of a real API server.

mod admission;
mod alike;
mod create;
mod definition;
mod delete;
mod evict;
mod garbage;
mod ids;
mod limits;
mod managed;
mod mould;
mod options;
mod patch;
mod post;
mod quota;
mod restore;
mod services;
mod update;
mod webhooks;

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

pub(crate) use mould::Mould;
pub use options::{By, DeleteOptions, Patch, Preconditions, Propagation, Seed};
pub(crate) use post::{About, EventFacts, Said, Style, event_name};
pub(crate) use update::{Part, other_uid};

use crate::faults::{Faults, Note};
use crate::kind::{Kind, Kinds};
use crate::object::Object;
use crate::profile::ApiProfile;
use crate::resource::{NAMESPACES, Resource, SERVICE_ACCOUNTS, SERVICES};
use crate::status::Status;
use crate::store::Store;
use alike::Recent;
use ids::Ids;
use services::Addresses;

/// A Kubernetes API server as a value.
///
/// ```
/// use release_sim::{ApiServer, By, Seed, resource};
/// use serde_json::json;
///
/// let now = "2026-01-01T00:00:00Z".parse().unwrap();
/// let mut server = ApiServer::new(now, &Seed::default());
/// let map = json!({"metadata": {"name": "settings"}, "data": {"colour": "blue"}});
/// let made = server.create(now, &resource::CONFIG_MAPS, "default", map, &By::manager("test")).unwrap();
/// assert_eq!(made["data"]["colour"], "blue");
/// let again = server.store().get(&resource::CONFIG_MAPS, "default", "settings").unwrap();
/// assert_eq!(again.revision(), made.revision());
/// ```
#[derive(Debug, Clone)]
pub struct ApiServer {
    store: Store,
    kinds: Kinds,
    ids: Ids,
    profile: ApiProfile,
    addresses: Addresses,
    recent: Recent,
    /// What goes wrong with webhooks and with the clock.
    faults: Faults,
    notes: Vec<Note>,
}

impl ApiServer {
    /// A cluster as it is right after its start: the four namespaces with their default service accounts.
    pub fn new(now: Timestamp, seed: &Seed) -> Self {
        let mut server = Self {
            store: Store::new(seed.retention),
            kinds: Kinds::of(&seed.profile),
            ids: Ids::new(seed.seed),
            profile: seed.profile,
            addresses: Addresses::default(),
            recent: Recent::default(),
            faults: Faults::none(),
            notes: Vec::new(),
        };
        for name in ["default", "kube-node-lease", "kube-public", "kube-system"] {
            let by = By::manager("kube-apiserver");
            let namespace = json!({"metadata": {"name": name}});
            let made = server.create(now, &NAMESPACES, "", namespace, &by);
            debug_assert!(made.is_ok(), "{made:?}");
            let account = json!({"metadata": {"name": "default"}});
            let made = server.create(now, &SERVICE_ACCOUNTS, name, account, &By::nobody());
            debug_assert!(made.is_ok(), "{made:?}");
        }
        let ports = json!([{"name": "https", "port": 443, "targetPort": 6443, "protocol": "TCP"}]);
        let service = json!({"metadata": {"name": "kubernetes", "labels": {"component": "apiserver",
            "provider": "kubernetes"}}, "spec": {"clusterIP": "10.96.0.1", "ports": ports}});
        let made = server.create(now, &SERVICES, "default", service, &By::manager("kube-apiserver"));
        debug_assert!(made.is_ok(), "{made:?}");
        server
    }

    /// The version of Kubernetes that is played.
    pub fn profile(&self) -> &ApiProfile {
        &self.profile
    }

    /// What is stored, for reading.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The store itself, for faults: compaction, skipped revisions.
    pub fn store_mut(&mut self) -> &mut Store {
        &mut self.store
    }

    /// The kinds that are served now; CustomResourceDefinitions add to them.
    pub fn kinds(&self) -> &Kinds {
        &self.kinds
    }

    /// One object.
    ///
    /// # Errors
    ///
    /// 404.
    pub fn get(&self, resource: &Resource, namespace: &str, name: &str) -> Result<&Arc<Object>, Status> {
        self.store.get(resource, namespace, name).ok_or_else(|| Status::not_found(resource, name))
    }

    fn kind(&self, resource: &Resource) -> Result<Arc<Kind>, Status> {
        self.kinds.get(resource).cloned().ok_or_else(Status::no_such_path)
    }

    /// Stores what passed everything, unless the write is only tried.
    fn commit(&mut self, now: Timestamp, object: Object, by: &By) -> Arc<Object> {
        if by.dry_run { Arc::new(object) } else { self.store.put(now, object) }
    }
}

/// The map behind a field, made if it is not there.
fn map_mut<'a>(value: &'a mut Value, field: &str) -> &'a mut serde_json::Map<String, Value> {
    if !value[field].is_object() {
        value[field] = json!({});
    }
    match &mut value[field] {
        Value::Object(map) => map,
        _ => unreachable!("it was just made a map"),
    }
}
