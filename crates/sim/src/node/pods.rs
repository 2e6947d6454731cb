//! All pods on nodes, by number, by uid, and by when they are due.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use foldhash::HashMap;
use jiff::Timestamp;

use super::pod::Pod;

/// The pods, numbered in the order in which kubelets saw them.
#[derive(Debug, Default)]
pub(super) struct Pods {
    last: u64,
    all: HashMap<u64, Pod>,
    /// By uid. Never iterated, so that its order does not matter.
    keys: HashMap<Arc<str>, u64>,
    due: BTreeSet<(Timestamp, u64)>,
}

impl Pods {
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn key(&self, uid: &str) -> Option<u64> {
        self.keys.get(uid).copied()
    }

    pub(super) fn get(&self, key: u64) -> Option<&Pod> {
        self.all.get(&key)
    }

    pub(super) fn get_mut(&mut self, key: u64) -> Option<&mut Pod> {
        self.all.get_mut(&key)
    }

    /// The pod with that uid.
    pub(super) fn of(&self, uid: &str) -> Option<&Pod> {
        self.get(self.key(uid)?)
    }

    /// In the order of their numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &Pod)> {
        let sorted: BTreeMap<u64, &Pod> = self.all.iter().map(|(key, pod)| (*key, pod)).collect();
        sorted.into_iter()
    }

    pub(super) fn insert(&mut self, pod: Pod) -> u64 {
        self.last += 1;
        self.keys.insert(Arc::clone(&pod.object.uid), self.last);
        self.all.insert(self.last, pod);
        self.last
    }

    pub(super) fn remove(&mut self, uid: &str) -> Option<Pod> {
        let key = self.keys.remove(uid)?;
        let pod = self.all.remove(&key)?;
        if let Some(at) = pod.queued {
            self.due.remove(&(at, key));
        }
        Some(pod)
    }

    /// When the first one is due.
    pub(super) fn first_due(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, _)| *at)
    }

    /// One that is due.
    pub(super) fn next_due(&self, now: Timestamp) -> Option<u64> {
        self.due.first().filter(|(at, _)| *at <= now).map(|(_, key)| *key)
    }

    /// A pod is due at another time, or not any more.
    pub(super) fn queue(&mut self, key: u64, wake: Option<Timestamp>) {
        let Some(pod) = self.all.get_mut(&key).filter(|pod| pod.queued != wake) else { return };
        if let Some(old) = pod.queued {
            self.due.remove(&(old, key));
        }
        pod.queued = wake;
        if let Some(wake) = wake {
            self.due.insert((wake, key));
        }
    }
}
