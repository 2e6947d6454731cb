//! All pods on nodes, by number, by uid, and by when they are due.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

use foldhash::HashMap;
use jiff::Timestamp;

use super::pod::Pod;

/// A moment and the number of a pod, as one number that compares like both: earlier first, then the older pod.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Due(i128);

/// So many bits are for the number of the pod; nanoseconds of all times there are take 69.
const KEY_BITS: u32 = 58;

impl Due {
    fn new(at: Timestamp, key: u64) -> Self {
        Self(at.as_nanosecond() << KEY_BITS | i128::from(key))
    }

    fn key(&self) -> u64 {
        u64::try_from(self.0 & ((1 << KEY_BITS) - 1)).unwrap_or_default()
    }
}

/// The pods, numbered in the order in which kubelets saw them.
#[derive(Debug, Default)]
pub(super) struct Pods {
    last: u64,
    all: HashMap<u64, Pod>,
    /// By uid. Never iterated, so that its order does not matter.
    keys: HashMap<Arc<str>, u64>,
    /// The first one on top. A pod that is due at another time by now is in it for the old one too, and passed over then.
    due: BinaryHeap<Reverse<Due>>,
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
        self.all.remove(&key)
    }

    /// When the first one is due.
    pub(super) fn first_due(&mut self) -> Option<Timestamp> {
        while let Some(Reverse(due)) = self.due.peek() {
            let at = self.all.get(&due.key()).and_then(|pod| pod.queued);
            if at.is_some_and(|at| Due::new(at, due.key()) == *due) {
                return at;
            }
            self.due.pop();
        }
        None
    }

    /// Takes one that is due out of the queue.
    pub(super) fn next_due(&mut self, now: Timestamp) -> Option<u64> {
        self.first_due().filter(|at| *at <= now)?;
        let Reverse(due) = self.due.pop()?;
        self.all.get_mut(&due.key())?.queued = None;
        Some(due.key())
    }

    /// A pod is due at another time, or not any more.
    pub(super) fn queue(&mut self, key: u64, wake: Option<Timestamp>) {
        let Some(pod) = self.all.get_mut(&key).filter(|pod| pod.queued != wake) else { return };
        pod.queued = wake;
        if let Some(wake) = wake {
            self.due.push(Reverse(Due::new(wake, key)));
        }
    }
}
