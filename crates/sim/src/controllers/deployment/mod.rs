//! Deployments: a ReplicaSet for each template, replaced step by step.
//!
//! The numbers come from [`maths`]; what a status says from [`status`]; one look at one Deployment is a [`Sync`].

mod condition;
mod hash;
mod maths;
mod newest;
mod plan;
mod set;
mod status;
mod sync;

use std::collections::BTreeSet;
use std::sync::Arc;

use foldhash::HashMap;
use jiff::Timestamp;
use serde_json::Value;

pub(crate) use hash::{of_template, same_template};

use super::cursor::Cursor;
use super::events::Recorder;
use super::key::Key;
use super::queue::{Outcome, Queue};
use super::write;
use crate::actor::Actor;
use crate::controllers::turns::Watcher;
use crate::object::Object;
use crate::resource::{DEPLOYMENTS, PODS, REPLICA_SETS, Resource, Resources};
use crate::section::Section;
use crate::selector::LabelSelector;
use crate::server::ApiServer;
use crate::store::{Store, What};
use set::{HASH, Set};
use sync::Sync;

/// The controller of Deployments.
#[derive(Debug, Clone)]
pub struct Deployments {
    cursor: Cursor,
    queue: Queue<Key>,
    events: Recorder,
    /// ReplicaSets without a controller.
    orphans: BTreeSet<Key>,
    /// Which ReplicaSet has a Deployment's template.
    known: HashMap<Key, Match>,
    /// Whether statuses of ReplicaSets count pods that are going.
    counts_going: bool,
}

/// A ReplicaSet that has the template of a Deployment; both specs as they were when they were compared.
#[derive(Debug, Clone)]
struct Match {
    deployment: Section,
    set: Section,
}

impl Match {
    /// Where the ReplicaSet is among these, if the Deployment's template is the one it was.
    fn find(&self, deployment: &Object, sets: &[Set]) -> Option<usize> {
        // A spec of another size still has the same template.
        let is_same = |a: &Section, of: &Object| {
            of.section("spec").is_some_and(|b| a.is(b) || a.shares_field(b, "template"))
        };
        if !is_same(&self.deployment, deployment) {
            return None;
        }
        sets.iter().position(|set| is_same(&self.set, &set.object))
    }
}

impl Default for Deployments {
    fn default() -> Self {
        Self {
            cursor: Cursor::default(),
            queue: Queue::default(),
            events: Recorder::new("deployment-controller"),
            orphans: BTreeSet::new(),
            known: HashMap::default(),
            counts_going: false,
        }
    }
}

impl Actor for Deployments {
    fn act(&mut self, server: &mut ApiServer, now: Timestamp) -> Option<Timestamp> {
        self.counts_going = server.profile().terminating_replicas;
        self.watch(server.store());
        while let Some(key) = self.queue.pop(now) {
            let outcome = self.reconcile(server, now, &key);
            self.queue.settle(key, now, outcome);
        }
        self.queue.next_at()
    }
}

impl Watcher for Deployments {
    fn watched(&self) -> Resources {
        Resources::of(self.watched())
    }

    fn cursor(&mut self) -> &mut Cursor {
        &mut self.cursor
    }
}

impl Deployments {
    /// What is watched. Where statuses of ReplicaSets do not count pods that are going, the pods themselves tell that the last one is
    /// gone.
    fn watched(&self) -> &'static [&'static Resource] {
        const ALL: &[&Resource] = &[&DEPLOYMENTS, &REPLICA_SETS, &PODS];
        if self.counts_going { &ALL[..2] } else { ALL }
    }

    /// Takes in what changed.
    fn watch(&mut self, store: &Store) {
        if self.cursor.is_lost(store) {
            self.orphans.clear();
        }
        let watched = self.watched();
        let Self { cursor, queue, orphans, .. } = self;
        cursor.look(store, watched, |news| {
            if *news.object.resource() == PODS {
                if news.what == What::Deleted
                    && let Some(owner) = owner_of_pod(store, news.object)
                {
                    queue.add(owner);
                }
                return;
            }
            if *news.object.resource() == DEPLOYMENTS {
                if !news.is_only_status() {
                    queue.add(Key::of(news.object));
                }
                return;
            }
            if let Some(owner) = Key::of_controller(news.object, "Deployment") {
                queue.add(owner);
            }
            if news.what == What::Modified && !news.changed("metadata") {
                return;
            }
            if let Some(owner) = news.before.and_then(|set| Key::of_controller(set, "Deployment")) {
                queue.add(owner);
            }
            let key = Key::of(news.object);
            if news.what == What::Deleted || news.object.controller().is_some() {
                orphans.remove(&key);
            } else {
                let of = store.list(&DEPLOYMENTS, Some(news.object.namespace()));
                let labels = news.object.labels();
                for deployment in of.filter(|d| selects(d, labels)) {
                    queue.add(Key::of(deployment));
                }
                orphans.insert(key);
            }
        });
    }

    fn reconcile(&mut self, server: &mut ApiServer, now: Timestamp, key: &Key) -> Outcome {
        let Some(deployment) = server.store().get(&DEPLOYMENTS, &key.namespace, &key.name).cloned() else {
            self.known.remove(key);
            return Outcome::Done;
        };
        self.adopt(server, now, &deployment);
        let owned = server.store().owned_by(deployment.uid());
        let mut sets: Vec<Set> = owned
            .filter(|o| *o.resource() == REPLICA_SETS && o.controller() == Some(deployment.uid()))
            .map(|set| Set::new(Arc::clone(set)))
            .collect();
        sets.sort_by(|a, b| {
            let by_age = a.marks().created.cmp(&b.marks().created);
            by_age.then_with(|| a.object.name.cmp(&b.object.name))
        });
        let new = self.find_new(key, &deployment, &sets);
        Sync::new(server, &mut self.events, now, deployment, sets, new).run()
    }

    /// The place of the ReplicaSet with the current template; the oldest if there are several.
    fn find_new(&mut self, key: &Key, deployment: &Object, sets: &[Set]) -> Option<usize> {
        if let Some(at) = self.known.get(key).and_then(|known| known.find(deployment, sets)) {
            return Some(at);
        }
        let template = deployment.field("spec", "template");
        let at =
            sets.iter().position(|s| same_template(s.object.field("spec", "template"), template, HASH))?;
        let specs = (deployment.section("spec"), sets[at].object.section("spec"));
        if let (Some(deployment), Some(set)) = specs {
            let found = Match { deployment: deployment.clone(), set: set.clone() };
            self.known.insert(key.clone(), found);
        }
        Some(at)
    }

    fn adopt(&mut self, server: &mut ApiServer, now: Timestamp, deployment: &Object) {
        if self.orphans.is_empty() || deployment.is_terminating() {
            return;
        }
        let first = Key { namespace: Arc::clone(&deployment.namespace), name: Arc::from("") };
        let here = self.orphans.range(first..).take_while(|k| k.namespace == deployment.namespace);
        let mine: Vec<Arc<Object>> = here
            .filter_map(|k| server.store().get(&REPLICA_SETS, &k.namespace, &k.name))
            .filter(|o| !o.is_terminating() && selects(deployment, o.labels()))
            .cloned()
            .collect();
        for set in mine {
            self.orphans.remove(&Key::of(&set));
            write::adopt(server, now, deployment, &set);
        }
    }
}

/// The Deployment a pod belongs to.
fn owner_of_pod(store: &Store, pod: &Object) -> Option<Key> {
    let set = Key::of_controller(pod, "ReplicaSet")?;
    Key::of_controller(store.get(&REPLICA_SETS, &set.namespace, &set.name)?, "Deployment")
}

fn selects(owner: &Object, labels: &Value) -> bool {
    let selector = LabelSelector::of(owner.field("spec", "selector"));
    !selector.is_empty() && selector.matches(labels)
}
