//! Namespaces: what is in one that is to go, goes first; what everybody expects in a new one, is made.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::json;

use super::conditions::{self, Claim};
use super::cursor::Cursor;
use super::key::Key;
use super::write;
use crate::actor::Actor;
use crate::controllers::turns::Watcher;
use crate::object::Object;
use crate::resource::{CONFIG_MAPS, NAMESPACES, Resource, Resources, SERVICE_ACCOUNTS};
use crate::server::{ApiServer, By, DeleteOptions, Propagation};
use crate::store::{Store, What};

/// Takes namespaces apart.
#[derive(Debug, Clone, Default)]
pub struct Namespaces {
    cursor: Cursor,
    /// Those that are going.
    going: BTreeSet<Arc<str>>,
}

impl Actor for Namespaces {
    fn act(&mut self, server: &mut ApiServer, now: Timestamp) -> Option<Timestamp> {
        for name in self.watch(server.store()) {
            if let Some(namespace) = server.store().get(&NAMESPACES, "", &name).cloned() {
                empty(server, now, &namespace);
            }
        }
        None
    }
}

impl Watcher for Namespaces {
    fn watched(&self) -> Resources {
        if self.going.is_empty() { const { Resources::of(&[&NAMESPACES]) } } else { Resources::ALL }
    }

    fn cursor(&mut self) -> &mut Cursor {
        &mut self.cursor
    }
}

impl Namespaces {
    /// The namespaces that are going and in which something happened.
    fn watch(&mut self, store: &Store) -> BTreeSet<Arc<str>> {
        let Self { cursor, going } = self;
        let mut touched = BTreeSet::new();
        if going.is_empty() && cursor.has_seen(store, &NAMESPACES) {
            // What happens in a namespace matters when it is going, and that is a change of its own.
            cursor.skip(store);
            return touched;
        }
        cursor.look_at_all(store, |news| {
            if *news.object.resource() == NAMESPACES {
                let name = Arc::clone(&news.object.name);
                if news.what == What::Deleted {
                    going.remove(&name);
                } else if news.object.is_terminating() && !news.is_only_status() {
                    going.insert(Arc::clone(&name));
                    touched.insert(name);
                }
            } else if news.what == What::Deleted && going.contains(&news.object.namespace) {
                touched.insert(Arc::clone(&news.object.namespace));
            }
        });
        touched
    }
}

/// Deletes what is left, and lets the namespace go when nothing is.
fn empty(server: &mut ApiServer, now: Timestamp, namespace: &Arc<Object>) {
    let name = namespace.name();
    let resources: Vec<Resource> =
        server.store().resources().filter(|r| **r != NAMESPACES).cloned().collect();
    let mut left: BTreeMap<String, usize> = BTreeMap::new();
    let mut held: BTreeMap<String, usize> = BTreeMap::new();
    for resource in resources {
        let keys: Vec<Key> = server
            .store()
            .list(&resource, Some(name))
            .filter(|o| !o.is_terminating())
            .map(|o| Key::of(o))
            .collect();
        for key in keys {
            let propagation = Some(Propagation::Background);
            let options = DeleteOptions { propagation, ..DeleteOptions::default() };
            let _ = server.delete(now, &resource, &key.namespace, &key.name, &options, &By::nobody());
        }
        for object in server.store().list(&resource, Some(name)) {
            *left.entry(resource.to_string()).or_default() += 1;
            for finalizer in super::read::items(object.field("metadata", "finalizers")) {
                *held.entry(super::read::text(finalizer).to_owned()).or_default() += 1;
            }
        }
    }
    if left.is_empty() {
        let _ = server.finalize_namespace(now, name);
        return;
    }
    report(server, now, namespace, &left, &held);
}

/// Says in the status what is still there.
fn report(
    server: &mut ApiServer,
    now: Timestamp,
    namespace: &Object,
    left: &BTreeMap<String, usize>,
    held: &BTreeMap<String, usize>,
) {
    let list = |map: &BTreeMap<String, usize>, what: &str| {
        let parts: Vec<_> =
            map.iter().map(|(name, n)| format!("{name} {what} {n} resource instances")).collect();
        parts.join(", ")
    };
    let mut all = conditions::of(&namespace["status"]);
    let mut claim = |kind, status, reason: &str, message: String| {
        conditions::set(&mut all, now, &Claim::new(kind, status, reason, message));
    };
    let fine = "All resources successfully discovered";
    claim("NamespaceDeletionDiscoveryFailure", "False", "ResourcesDiscovered", fine.to_owned());
    let fine = "All legacy kube types successfully parsed";
    claim("NamespaceDeletionGroupVersionParsingFailure", "False", "ParsedGroupVersions", fine.to_owned());
    let fine = "All content successfully deleted, may be waiting on finalization";
    claim("NamespaceDeletionContentFailure", "False", "ContentDeleted", fine.to_owned());
    let message = format!("Some resources are remaining: {}", list(left, "has"));
    claim("NamespaceContentRemaining", "True", "SomeResourcesRemain", message);
    if held.is_empty() {
        let fine = "All content-preserving finalizers finished";
        claim("NamespaceFinalizersRemaining", "False", "ContentHasNoFinalizers", fine.to_owned());
    } else {
        let message = format!("Some content in the namespace has finalizers remaining: {}", list(held, "in"));
        claim("NamespaceFinalizersRemaining", "True", "SomeFinalizersRemain", message);
    }
    let mut status = namespace["status"].clone();
    status["phase"] = json!("Terminating");
    status["conditions"] = json!(all);
    let current = server.store().get(&NAMESPACES, "", namespace.name()).cloned();
    if let Some(current) = current {
        write::status(server, now, &current, status);
    }
}

/// Makes the service account `default` and the certificates of the cluster in each namespace.
#[derive(Debug, Clone, Default)]
pub struct ServiceAccounts {
    cursor: Cursor,
}

impl Actor for ServiceAccounts {
    fn act(&mut self, server: &mut ApiServer, now: Timestamp) -> Option<Timestamp> {
        let mut names = BTreeSet::new();
        self.cursor.look(server.store(), &[&NAMESPACES, &SERVICE_ACCOUNTS, &CONFIG_MAPS], |news| {
            if *news.object.resource() == NAMESPACES {
                if news.what != What::Deleted && !news.object.is_terminating() {
                    names.insert(Arc::clone(&news.object.name));
                }
            } else if news.what == What::Deleted {
                names.insert(Arc::clone(&news.object.namespace));
            }
        });
        for name in names {
            equip(server, now, &name);
        }
        None
    }
}

impl Watcher for ServiceAccounts {
    fn watched(&self) -> Resources {
        const { Resources::of(&[&NAMESPACES, &SERVICE_ACCOUNTS, &CONFIG_MAPS]) }
    }

    fn cursor(&mut self) -> &mut Cursor {
        &mut self.cursor
    }
}

fn equip(server: &mut ApiServer, now: Timestamp, namespace: &str) {
    let is_there = server.store().get(&NAMESPACES, "", namespace).is_some_and(|n| !n.is_terminating());
    if !is_there {
        return;
    }
    let account = json!({"metadata": {"name": "default"}});
    let about = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such \
                 as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across \
                 distributions of Kubernetes clusters.";
    let bundle = json!({
        "metadata": {"name": "kube-root-ca.crt", "annotations": {"kubernetes.io/description": about}},
        "data": {"ca.crt": "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"},
    });
    for (resource, name, body) in
        [(&SERVICE_ACCOUNTS, "default", account), (&CONFIG_MAPS, "kube-root-ca.crt", bundle)]
    {
        if server.store().get(resource, namespace, name).is_none() {
            let _ = server.create(now, resource, namespace, body, &By::nobody());
        }
    }
}
