//! ReplicaSets: so many pods of one template.

mod status;
mod victims;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use foldhash::HashMap;
use jiff::Timestamp;

use super::cursor::Cursor;
use super::events::{Recorder, Tone};
use super::key::Key;
use super::pods;
use super::queue::{Outcome, Queue};
use super::read::size;
use super::write;
use crate::actor::Actor;
use crate::controllers::turns::Watcher;
use crate::object::Object;
use crate::resource::{PODS, REPLICA_SETS, Resources};
use crate::selector::LabelSelector;
use crate::server::{ApiServer, Mould};
use crate::status::Status;
use crate::store::{Store, What};
use status::Counts;
pub(super) use status::{SetSpec, SetStatus};

/// So many pods are made or deleted in one go at most.
const BURST: usize = 500;

pub(super) const FAILURE: &str = "ReplicaFailure";

/// The controller of ReplicaSets.
#[derive(Debug, Clone)]
pub struct ReplicaSets {
    cursor: Cursor,
    queue: Queue<Key>,
    events: Recorder,
    /// Pods without a controller.
    orphans: BTreeSet<Key>,
    /// Pods whose labels changed.
    relabelled: BTreeSet<Key>,
    /// What pods of each have in common.
    moulds: HashMap<Key, Mould>,
}

impl Default for ReplicaSets {
    fn default() -> Self {
        Self {
            cursor: Cursor::default(),
            queue: Queue::default(),
            events: Recorder::new("replicaset-controller"),
            orphans: BTreeSet::new(),
            relabelled: BTreeSet::new(),
            moulds: HashMap::default(),
        }
    }
}

impl Actor for ReplicaSets {
    fn act(&mut self, server: &mut ApiServer, now: Timestamp) -> Option<Timestamp> {
        self.watch(server.store());
        while let Some(key) = self.queue.pop(now) {
            let outcome = self.reconcile(server, now, &key);
            self.queue.settle(key, now, outcome);
        }
        self.queue.next_at()
    }
}

impl Watcher for ReplicaSets {
    fn watched(&self) -> Resources {
        const { Resources::of(&[&REPLICA_SETS, &PODS]) }
    }

    fn cursor(&mut self) -> &mut Cursor {
        &mut self.cursor
    }
}

impl ReplicaSets {
    fn watch(&mut self, store: &Store) {
        if self.cursor.is_lost(store) {
            self.orphans.clear();
        }
        let Self { cursor, queue, orphans, relabelled, .. } = self;
        cursor.look(store, &[&REPLICA_SETS, &PODS], |news| {
            if *news.object.resource() == REPLICA_SETS {
                if !news.is_only_status() {
                    queue.add(Key::of(news.object));
                }
                return;
            }
            let owner = Key::of_controller(news.object, "ReplicaSet");
            let is_owned = owner.is_some();
            if let Some(owner) = owner {
                queue.add(owner);
            }
            if news.what == What::Modified && !news.changed("metadata") {
                return;
            }
            if let Some(owner) = news.before.and_then(|pod| Key::of_controller(pod, "ReplicaSet")) {
                queue.add(owner);
            }
            let key = Key::of(news.object);
            if news.what == What::Deleted {
                orphans.remove(&key);
                relabelled.remove(&key);
            } else if news.object.controller().is_some() {
                orphans.remove(&key);
                let labels = news.object.labels();
                if is_owned && news.before.is_some_and(|old| old.labels() != labels) {
                    relabelled.insert(key);
                }
            } else {
                orphans.insert(key);
                let sets = store.list(&REPLICA_SETS, Some(news.object.namespace()));
                let labels = news.object.labels();
                for set in sets.filter(|set| selector(set).matches(labels)) {
                    queue.add(Key::of(set));
                }
            }
        });
    }

    fn reconcile(&mut self, server: &mut ApiServer, now: Timestamp, key: &Key) -> Outcome {
        let Some(set) = server.store().get(&REPLICA_SETS, &key.namespace, &key.name).cloned() else {
            self.moulds.remove(key);
            return Outcome::Done;
        };
        if !set.is_terminating() {
            self.claim(server, now, &set);
        }
        let mut counts = Counts::of(server.store(), &set, self.moulds.get(key), now);
        let wanted = set.reading::<SetSpec>("spec").map_or(1, |spec| spec.replicas);
        if set.is_terminating() || counts.replicas == wanted {
            return counts.write(server, now, &set, None);
        }
        let difference = size((counts.replicas - wanted).abs()).min(BURST);
        let failure = if counts.replicas < wanted {
            self.grow(server, now, &set, difference)
        } else {
            self.shrink(server, now, &set, difference)
        };
        if wanted == 0 {
            self.moulds.remove(key);
        }
        counts = Counts::of(server.store(), &set, self.moulds.get(key), now);
        counts.write(server, now, &set, failure.as_ref())
    }

    /// Adopts pods that match and have nobody, lets go of those that no longer match.
    fn claim(&mut self, server: &mut ApiServer, now: Timestamp, set: &Object) {
        if self.orphans.is_empty() && self.relabelled.is_empty() {
            return;
        }
        let first = || Key { namespace: Arc::clone(&set.namespace), name: Arc::from("") };
        let pod = |key: &Key| server.store().get(&PODS, &key.namespace, &key.name).cloned();
        let here = |keys: &BTreeSet<Key>| -> Vec<Arc<Object>> {
            let keys = keys.range(first()..).take_while(|k| k.namespace == set.namespace);
            keys.filter_map(pod).collect()
        };
        let (orphans, relabelled) = (here(&self.orphans), here(&self.relabelled));
        let selector = selector(set);
        let matches = |pod: &Object| selector.matches(pod.labels());
        for pod in orphans.iter().filter(|pod| matches(pod) && pods::is_active(pod)) {
            self.orphans.remove(&Key::of(pod));
            write::adopt(server, now, set, pod);
        }
        for pod in relabelled.iter().filter(|pod| pod.controller() == Some(set.uid())) {
            self.relabelled.remove(&Key::of(pod));
            if !matches(pod) {
                write::release(server, now, &[set.uid()], pod);
            }
        }
    }

    /// Makes pods in batches of 1, 2, 4, …, and stops after the first batch with a refusal.
    fn grow(
        &mut self,
        server: &mut ApiServer,
        now: Timestamp,
        set: &Object,
        mut left: usize,
    ) -> Option<Failure> {
        let mut batch = 1.min(left);
        while batch > 0 {
            let mut failure = None;
            for _ in 0..batch {
                match self.make(server, now, set) {
                    Ok(pod) => {
                        let message = format!("Created pod: {}", pod.name());
                        self.events.record(server, now, set, Tone::Normal, "SuccessfulCreate", &message);
                    }
                    Err(why) => {
                        // Nothing can be done in a namespace that goes: nobody is told.
                        if !why.details.causes.iter().any(|c| c.reason == "NamespaceTerminating") {
                            let message = format!("Error creating: {}", why.message);
                            self.events.record(server, now, set, Tone::Warning, "FailedCreate", &message);
                        }
                        failure.get_or_insert(Failure { reason: "FailedCreate", message: why.message });
                    }
                }
            }
            if failure.is_some() {
                return failure;
            }
            left -= batch;
            batch = (2 * batch).min(left);
        }
        None
    }

    fn make(&mut self, server: &mut ApiServer, now: Timestamp, set: &Object) -> Result<Arc<Object>, Status> {
        let key = Key::of(set);
        if let Some(mould) = self.moulds.get(&key).filter(|mould| server.fits(mould, set)) {
            return server.cast(now, mould);
        }
        let pod = || write::pod_from_template(set, set.field("spec", "template"));
        let Some(mould) = server.mould(now, set, pod()) else {
            self.moulds.remove(&key);
            return write::create_pod(server, now, set, pod());
        };
        let made = server.cast(now, &mould);
        self.moulds.insert(key, mould);
        made
    }

    fn shrink(&mut self, server: &mut ApiServer, now: Timestamp, set: &Object, n: usize) -> Option<Failure> {
        let store = server.store();
        let crowd = crowd(store, set);
        let mine: Vec<_> = pods::controlled_by(store, set.uid()).filter(|pod| pods::is_active(pod)).collect();
        let victims: Vec<Key> =
            victims::in_order(&mine, &crowd, now).into_iter().take(n).map(|pod| Key::of(pod)).collect();
        let mut failure = None;
        for key in victims {
            match write::delete(server, now, &PODS, &key) {
                Ok(_) => {
                    let message = format!("Deleted pod: {}", key.name);
                    self.events.record(server, now, set, Tone::Normal, "SuccessfulDelete", &message);
                }
                Err(why) => {
                    let message = format!("Error deleting: {}", why.message);
                    self.events.record(server, now, set, Tone::Warning, "FailedDelete", &message);
                    failure.get_or_insert(Failure { reason: "FailedDelete", message: why.message });
                }
            }
        }
        failure
    }
}

/// Why pods could not be made or deleted.
pub(super) struct Failure {
    reason: &'static str,
    message: String,
}

fn selector(set: &Object) -> LabelSelector {
    LabelSelector::of(set.field("spec", "selector"))
}

/// How many pods of the same owner's ReplicaSets each node has.
fn crowd(store: &Store, set: &Object) -> BTreeMap<String, usize> {
    let sets: Vec<&str> = match set.controller() {
        Some(owner) => {
            let siblings = store.owned_by(owner).filter(|o| *o.resource() == REPLICA_SETS);
            siblings.map(|o| o.uid()).collect()
        }
        None => vec![set.uid()],
    };
    let mut crowd = BTreeMap::new();
    for pod in sets.into_iter().flat_map(|uid| pods::controlled_by(store, uid)) {
        let node = pod.node_name();
        if !node.is_empty() && pods::is_active(pod) {
            *crowd.entry(node.to_owned()).or_default() += 1;
        }
    }
    crowd
}
