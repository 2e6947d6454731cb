//! Nodes whose kubelets run scripted applications: images are pulled, containers start, answer probes, crash, wait,
//! and end, in the words and at the pace of a real kubelet with containerd.
//!
//! Nothing is looked at without a reason: changes of pods come from the store's history, and everything else from one
//! queue of due times. What is left out: pods are not preempted or resized, and nodes never run out of disk.

mod addresses;
mod ask;
mod backoff;
mod conditions;
mod config;
mod container;
mod desk;
mod event;
mod image;
mod lost;
mod machine;
mod pod;
mod pods;
mod probe;
mod spec;
mod start;
mod status;
mod volumes;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

pub use ask::{HttpAnswer, NoAnswer};
pub use config::NodeConfig;
pub(crate) use status::PodStatus;

use crate::actor::Actor;
use crate::apps::Apps;
use crate::faults::{Fault, Faults, Note};
use crate::object::Object;
use crate::resource::PODS;
use crate::server::ApiServer;
use crate::store::What;
use crate::time::earlier;
use addresses::Addresses;
use machine::{HEARTBEAT, Machine, Silence};
use pod::{Around, Pod};
use pods::Pods;

/// All nodes of a cluster.
#[derive(Debug)]
pub struct Nodes {
    seed: u64,
    apps: Apps,
    specs: spec::Recent,
    config: NodeConfig,
    faults: Faults,
    machines: BTreeMap<Arc<str>, Machine>,
    /// Whether some machine is silent.
    any_is_silent: bool,
    pods: Pods,
    /// By node and reference.
    images: BTreeSet<(Box<str>, Box<str>)>,
    addresses: Addresses,
    /// The last revision that was looked at.
    seen: u64,
    /// The revisions after it that were written here.
    written: Vec<u64>,
    /// The revision at which there was nothing left to do here, and when there is again although nobody writes. Forgotten by whoever
    /// changes something from outside.
    rested: Option<(u64, Option<Timestamp>)>,
    /// When something is due about the machines themselves; None: nobody has looked.
    machines_due: Option<Timestamp>,
    /// When their Leases are renewed next.
    renewal: Timestamp,
    notes: Vec<Note>,
}

impl Nodes {
    /// Registers the nodes.
    pub fn new(
        server: &mut ApiServer,
        now: Timestamp,
        apps: Apps,
        config: NodeConfig,
        faults: Faults,
        seed: u64,
    ) -> Self {
        let machines = (1..=config.count).map(|n| {
            let machine = Machine::register(server, now, &config, n);
            (Arc::clone(&machine.name), machine)
        });
        let machines = machines.collect();
        Self {
            seed,
            apps,
            specs: spec::Recent::default(),
            config,
            faults,
            machines,
            any_is_silent: false,
            pods: Pods::default(),
            images: BTreeSet::new(),
            addresses: Addresses::default(),
            seen: 0,
            written: Vec::new(),
            rested: None,
            machines_due: None,
            renewal: now + HEARTBEAT,
            notes: Vec::new(),
        }
    }

    /// Other faults from now on; pods that are there already keep theirs.
    pub(crate) fn begin_faults(&mut self, now: Timestamp, plan: &[Fault]) {
        self.faults.begin(now, plan);
        self.machines_due = None;
        self.rested = None;
    }

    /// The scripts, to add to; pods that are there already keep theirs.
    pub fn apps_mut(&mut self) -> &mut Apps {
        self.specs = spec::Recent::default();
        self.rested = None;
        &mut self.apps
    }

    /// How many pods are on nodes.
    pub fn pod_count(&self) -> usize {
        self.pods.len()
    }

    /// What faults did since the last time somebody asked.
    pub fn take_notes(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.notes)
    }

    /// Takes in what others wrote.
    fn watch(&mut self, server: &mut ApiServer, now: Timestamp) {
        let store = server.store();
        if self.seen > 0 && self.seen >= store.compacted() && store.last_change(&PODS) <= self.seen {
            self.seen = store.revision();
            return;
        }
        let mut own = std::mem::take(&mut self.written).into_iter().peekable();
        let changes: Vec<(bool, Arc<Object>)> = if let Ok(changes) = store.changes(&PODS, self.seen) {
            let of_others = changes.filter(|change| own.next_if_eq(&change.revision()).is_none());
            let of_nodes = of_others.filter(|change| !change.object.node_name().is_empty());
            of_nodes.map(|change| (change.what == What::Deleted, Arc::clone(&change.object))).collect()
        } else {
            // Too late for history: what is there now counts.
            let there: BTreeSet<_> = store.list(&PODS, None).map(|pod| Arc::clone(&pod.uid)).collect();
            let gone = self.pods.iter().filter(|(_, pod)| !there.contains(&pod.object.uid));
            let gone: Vec<_> = gone.map(|(_, pod)| (true, Arc::clone(&pod.object))).collect();
            gone.into_iter().chain(store.list(&PODS, None).map(|pod| (false, Arc::clone(pod)))).collect()
        };
        // What is there at the first look was begun by kubelets before.
        let take_in = if self.seen == 0 { Pod::adopt } else { Pod::admit };
        self.seen = store.revision();
        for (gone, object) in changes {
            self.see(server, now, (gone, &object), take_in);
        }
    }

    fn see(
        &mut self,
        server: &mut ApiServer,
        now: Timestamp,
        (gone, object): (bool, &Arc<Object>),
        take_in: fn(&mut Pod, &mut Around<'_>),
    ) {
        if gone {
            if let Some(ip) = self.pods.remove(&object.uid).and_then(|pod| pod.ip) {
                self.addresses.give_back(&ip);
            }
            return;
        }
        if let Some(key) = self.pods.key(&object.uid) {
            let Some(pod) = self.pods.get_mut(key) else { return };
            if pod.object.revision() < object.revision() && pod.see(object) && !pod.is_gone() {
                self.with_pod(server, now, key, Pod::stop);
            }
            return;
        }
        let node = object.node_name();
        let Some(machine) = self.machines.get(node) else { return };
        let finished = matches!(object.phase(), "Succeeded" | "Failed");
        let current = server.store().get(&PODS, object.namespace(), object.name());
        // An older version of a pod that is gone again, or one that somebody else finished.
        let Some(object) = current.filter(|current| !finished && current.uid == object.uid) else { return };
        let object = Arc::clone(object);
        let home = (Arc::clone(&machine.name), Arc::clone(&machine.ip));
        let fate = self.faults.pod(&object, now, &mut self.notes);
        let spec = self.specs.of(&object, &self.apps);
        let pod = Pod::new(object, home, spec, self.seed, fate, now);
        let key = self.pods.insert(pod);
        self.with_pod(server, now, key, take_in);
    }

    /// Lets a pod act, and puts its next due time into the queue.
    fn with_pod(
        &mut self,
        server: &mut ApiServer,
        now: Timestamp,
        key: u64,
        act: impl FnOnce(&mut Pod, &mut Around<'_>),
    ) {
        let Some(pod) = self.pods.get_mut(key) else { return };
        let silent =
            self.any_is_silent && self.machines.get(&pod.node).is_some_and(|m| m.silence != Silence::None);
        let wake = if silent {
            None
        } else {
            let (config, images, addresses) = (&self.config, &mut self.images, &mut self.addresses);
            let written = &mut self.written;
            act(pod, &mut Around { server, now, config, images, addresses, written });
            pod.wake()
        };
        self.pods.queue(key, wake);
    }

    /// What nodes do that nobody's pod asks for; says when there is more of it.
    fn mind_machines(&mut self, server: &mut ApiServer, now: Timestamp) {
        if self.machines_due.is_none_or(|due| due <= now) {
            self.mind_silence(server, now);
            let due = self.machines.values().filter_map(Machine::due);
            let faults = self.faults.next_of_nodes(now, self.machines.keys());
            // Nobody is called at the end of time.
            self.machines_due = Some(due.chain(faults).min().unwrap_or(Timestamp::MAX));
        }
        if self.renewal <= now {
            self.renewal = now + HEARTBEAT;
            for machine in self.machines.values() {
                machine.renew(server, now);
            }
        }
    }
}

impl Actor for Nodes {
    fn act(&mut self, server: &mut ApiServer, now: Timestamp) -> Option<Timestamp> {
        if let Some((revision, next)) = self.rested
            && revision == server.store().revision()
            && next.is_none_or(|next| next > now)
            && self.renewal > now
        {
            return next;
        }
        self.watch(server, now);
        while let Some(key) = self.pods.next_due(now) {
            self.with_pod(server, now, key, Pod::step);
        }
        self.mind_machines(server, now);
        // What was written here needs no second look.
        self.watch(server, now);
        let machines = self.machines_due.filter(|due| *due < Timestamp::MAX);
        let next = earlier(self.pods.first_due(), machines);
        self.rested = Some((server.store().revision(), next));
        next
    }
}
