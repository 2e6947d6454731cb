//! The scheduler: which node a pod runs on. By requests, taints, selectors and required affinity; of the nodes that
//! fit, the least loaded. It does not preempt, and knows no rules between pods.

mod fit;
pub(crate) mod needs;
mod place;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use foldhash::HashMap;
use jiff::Timestamp;
use serde_json::json;

use super::cursor::Cursor;
use super::events::{Recorder, Tone};
use super::key::Key;
use super::pods;
use super::read::{items, text};
use crate::actor::Actor;
use crate::controllers::turns::Watcher;
use crate::faults::{Faults, Note};
use crate::object::Object;
use crate::resource::{NODES, PERSISTENT_VOLUME_CLAIMS, PODS, Resources};
use crate::server::ApiServer;
use crate::store::{Store, What};
use crate::time;
pub(crate) use fit::Room;
use needs::{Amounts, Requests};
use place::Bound;

const NAME: &str = "default-scheduler";

/// The scheduler.
#[derive(Debug, Clone)]
pub struct Scheduler {
    cursor: Cursor,
    events: Recorder,
    rooms: BTreeMap<String, Room>,
    /// What was asked of nodes last; their known loads are with it.
    asked: Arc<Amounts>,
    /// Where pods are, and what they take.
    placed: HashMap<Key, (String, Arc<Amounts>)>,
    requests: Requests,
    bound: Bound,
    /// Pods to be placed.
    waiting: BTreeSet<Key>,
    /// Pods that fitted nowhere; looked at again when a node or a pod changes.
    stuck: BTreeSet<Key>,
    /// What keeps pods from nodes that would take them.
    pub faults: Faults,
    /// When that ends for some.
    reopens: Option<Timestamp>,
    notes: Vec<Note>,
}

impl Default for Scheduler {
    fn default() -> Self {
        Self {
            cursor: Cursor::default(),
            events: Recorder::new(NAME),
            rooms: BTreeMap::new(),
            asked: Arc::default(),
            placed: HashMap::default(),
            requests: Requests::default(),
            bound: Bound::default(),
            waiting: BTreeSet::new(),
            stuck: BTreeSet::new(),
            faults: Faults::none(),
            reopens: None,
            notes: Vec::new(),
        }
    }
}

impl Actor for Scheduler {
    fn act(&mut self, server: &mut ApiServer, now: Timestamp) -> Option<Timestamp> {
        self.watch(server.store());
        if self.reopens.is_some_and(|at| at <= now) {
            self.waiting.append(&mut self.stuck);
        }
        while let Some(key) = self.waiting.pop_first() {
            if let Some(pod) = server.store().get(&PODS, &key.namespace, &key.name).cloned() {
                self.place(server, now, key, &pod);
            }
        }
        self.reopens = self.faults.reopens(now);
        self.reopens
    }
}

impl Watcher for Scheduler {
    fn watched(&self) -> Resources {
        const { Resources::of(&[&NODES, &PERSISTENT_VOLUME_CLAIMS, &PODS]) }
    }

    fn cursor(&mut self) -> &mut Cursor {
        &mut self.cursor
    }
}

impl Scheduler {
    /// What faults did since the last time somebody asked.
    pub fn take_notes(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.notes)
    }

    fn watch(&mut self, store: &Store) {
        if self.cursor.is_lost(store) {
            let (events, faults) = (self.events.clone(), self.faults.clone());
            *self = Self { events, faults, ..Self::default() };
        }
        let mut cursor = std::mem::take(&mut self.cursor);
        cursor.look(store, &[&NODES, &PERSISTENT_VOLUME_CLAIMS, &PODS], |news| {
            let is_gone = news.what == What::Deleted;
            if *news.object.resource() == PODS {
                let is_placed = || !news.object.node_name().is_empty();
                let may_free = is_gone || pods::is_finished(news.object);
                if may_free || !news.is_only_status() || !is_placed() {
                    self.note_pod(news.object, is_gone);
                }
                return;
            }
            if *news.object.resource() == NODES {
                if is_gone {
                    self.rooms.remove(news.object.name());
                    return;
                }
                if !news.changed("spec")
                    && !news.changed("metadata")
                    && has_same_room(news.before, news.object)
                {
                    return;
                }
                self.note_node(news.object);
            }
            self.waiting.append(&mut self.stuck);
        });
        self.cursor = cursor;
    }

    fn note_node(&mut self, node: &Object) {
        let mut room = Room::new(node);
        for (name, needs) in self.placed.values() {
            if name == node.name() {
                take(&mut room, needs, 1);
            }
        }
        self.rooms.insert(node.name().to_owned(), room);
    }

    fn note_pod(&mut self, pod: &Object, is_gone: bool) {
        let key = Key::of(pod);
        let node = pod.node_name();
        if is_gone || pods::is_finished(pod) {
            self.waiting.remove(&key);
            self.stuck.remove(&key);
            if let Some((name, needs)) = self.placed.remove(&key) {
                if let Some(room) = self.rooms.get_mut(&name) {
                    take(room, &needs, -1);
                }
                self.waiting.append(&mut self.stuck);
            }
        } else if !node.is_empty() {
            self.stuck.remove(&key);
            self.waiting.remove(&key);
            if !self.placed.contains_key(&key) {
                let needs = self.requests.of(pod);
                self.put(key, node, needs);
            }
        } else if matches!(text(pod.field("spec", "schedulerName")), "" | NAME) {
            if pod.is_terminating() {
                self.stuck.remove(&key);
            } else if !self.stuck.contains(&key) && is_let_in(pod) {
                self.waiting.insert(key);
            }
        }
    }

    fn put(&mut self, key: Key, node: &str, needs: Arc<Amounts>) {
        if let Some(room) = self.rooms.get_mut(node) {
            take(room, &needs, 1);
        }
        self.placed.insert(key, (node.to_owned(), needs));
    }

    fn place(&mut self, server: &mut ApiServer, now: Timestamp, key: Key, pod: &Arc<Object>) {
        let needs = self.requests.of(pod);
        if let Some(note) = self.faults.keeps_from_nodes(pod, now) {
            let nodes = self.rooms.len();
            let why = "node(s) had untolerated taint(s)";
            let message = format!("0/{nodes} nodes are available: {nodes} {why}.");
            self.notes.push(note);
            self.refuse(server, now, key, pod, &message);
            return;
        }
        if let Some(message) = self.missing_claim(server.store(), pod) {
            self.refuse(server, now, key, pod, &message);
            return;
        }
        let Some(node) = self.best(pod, &needs) else {
            let refusals: Vec<_> = self.rooms.values().map(|room| room.refusals(pod, &needs)).collect();
            let message = fit::message(self.rooms.len(), &refusals);
            self.refuse(server, now, key, pod, &message);
            return;
        };
        let bound = self.bound.bind(pod, &node, now);
        let bound = server.store_mut().put(now, bound);
        let message = format!("Successfully assigned {}/{} to {node}", pod.namespace(), pod.name());
        let how = ("Scheduled", "Binding");
        self.events.record_action(server, now, &bound, Tone::Normal, how, &message);
        self.put(key, &node, needs);
    }

    /// The least loaded of the nodes that fit, then the one with the fewest pods, then the first by name.
    fn best(&mut self, pod: &Object, needs: &Arc<Amounts>) -> Option<String> {
        if !Arc::ptr_eq(&self.asked, needs) && self.asked != *needs {
            self.rooms.values_mut().for_each(|room| room.known_load = None);
        }
        self.asked = Arc::clone(needs);
        let mut least: Option<((i128, i128), &Room)> = None;
        for room in self.rooms.values_mut() {
            let load = room.known_load.unwrap_or_else(|| room.load(needs));
            room.known_load = Some(load);
            let rank = (load, room.pods);
            if least.is_none_or(|(known, _)| rank < known) {
                least = Some((rank, room));
            }
        }
        // Mostly the least loaded of all nodes fits, and the others need not be asked.
        let fits = |room: &&Room| room.refusals(pod, needs).is_empty();
        if let Some((_, room)) = least.filter(|(_, room)| fits(room)) {
            return Some(room.name.clone());
        }
        let others = self.rooms.values().filter(fits);
        others.min_by_key(|room| (room.known_load, room.pods)).map(|room| room.name.clone())
    }

    fn missing_claim(&self, store: &Store, pod: &Object) -> Option<String> {
        let claims = items(pod.field("spec", "volumes"))
            .filter_map(|v| v["persistentVolumeClaim"]["claimName"].as_str());
        let nodes = self.rooms.len();
        for claim in claims {
            match store.get(&PERSISTENT_VOLUME_CLAIMS, pod.namespace(), claim) {
                None => {
                    let what = format!("persistentvolumeclaim \"{claim}\" not found");
                    return Some(format!("0/{nodes} nodes are available: {what}. not found"));
                }
                Some(claim) if text(&claim["status"]["phase"]) != "Bound" => {
                    let what = "pod has unbound immediate PersistentVolumeClaims";
                    return Some(format!("0/{nodes} nodes are available: {what}. not found"));
                }
                Some(_) => {}
            }
        }
        None
    }

    fn refuse(&mut self, server: &mut ApiServer, now: Timestamp, key: Key, pod: &Arc<Object>, message: &str) {
        self.stuck.insert(key);
        let is_known = pods::condition(pod, "PodScheduled")
            .is_some_and(|c| c["status"] == "False" && c["message"] == message);
        if is_known {
            return;
        }
        let condition = json!({
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": message,
            "lastProbeTime": null,
            "lastTransitionTime": time::seconds(now),
            "observedGeneration": pod.generation(),
        });
        let how = ("FailedScheduling", "Scheduling");
        self.events.record_action(server, now, pod, Tone::Warning, how, message);
        server.store_mut().put(now, pod.with_section("status", place::with_condition(pod, condition)));
    }
}

fn take(room: &mut Room, needs: &Amounts, times: i128) {
    room.known_load = None;
    room.pods += times;
    for (name, amount) in needs {
        match room.taken.get_mut(name) {
            Some(taken) => *taken += times * amount,
            None => drop(room.taken.insert(name.clone(), times * amount)),
        }
    }
}

fn has_same_room(before: Option<&Arc<Object>>, after: &Object) -> bool {
    before.is_some_and(|before| before.field("status", "allocatable") == after.field("status", "allocatable"))
}

/// Whether no gate holds the pod back.
fn is_let_in(pod: &Object) -> bool {
    items(pod.field("spec", "schedulingGates")).next().is_none()
}
