//! What is to be looked at, now or later: each key once, in order.

use std::collections::BTreeSet;
use std::hash::Hash;
use std::time::Duration;

use foldhash::HashMap;
use jiff::Timestamp;

/// The first pause after a failure; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_millis(5);

/// The longest pause, as in client-go's work queues.
const LONGEST_PAUSE: Duration = Duration::from_secs(1000);

/// What became of a look at an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Nothing more to do until something changes.
    Done,
    /// To be looked at again then.
    At(Timestamp),
    /// It failed: again after a pause that grows.
    Failed,
}

impl Outcome {
    pub(crate) fn at(when: Option<Timestamp>) -> Self {
        when.map_or(Self::Done, Self::At)
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Queue<K> {
    now: BTreeSet<K>,
    /// Never iterated, so that its order does not matter.
    later: HashMap<K, Timestamp>,
    times: BTreeSet<(Timestamp, K)>,
    /// As `later`.
    failures: HashMap<K, u32>,
}

impl<K> Default for Queue<K> {
    fn default() -> Self {
        Self {
            now: BTreeSet::new(),
            later: HashMap::default(),
            times: BTreeSet::new(),
            failures: HashMap::default(),
        }
    }
}

impl<K: Ord + Hash + Clone> Queue<K> {
    pub(crate) fn add(&mut self, key: K) {
        self.now.insert(key);
    }

    /// Keeps the earlier moment if there is one.
    pub(crate) fn add_at(&mut self, key: K, at: Timestamp) {
        if let Some(known) = self.later.get(&key) {
            if *known <= at {
                return;
            }
            self.times.remove(&(*known, key.clone()));
        }
        self.later.insert(key.clone(), at);
        self.times.insert((at, key));
    }

    /// The next key that is due.
    pub(crate) fn pop(&mut self, now: Timestamp) -> Option<K> {
        while let Some((at, _)) = self.times.first() {
            if *at > now {
                break;
            }
            if let Some((_, key)) = self.times.pop_first() {
                self.later.remove(&key);
                self.now.insert(key);
            }
        }
        self.now.pop_first()
    }

    /// Writes down what became of a key that was popped.
    pub(crate) fn settle(&mut self, key: K, now: Timestamp, outcome: Outcome) {
        match outcome {
            Outcome::Failed => {
                let failures = self.failures.entry(key.clone()).or_default();
                let pause = FIRST_PAUSE.saturating_mul(1 << (*failures).min(20)).min(LONGEST_PAUSE);
                *failures += 1;
                self.add_at(key, now + pause);
            }
            Outcome::Done => drop(self.failures.remove(&key)),
            Outcome::At(at) => {
                self.failures.remove(&key);
                self.add_at(key, at);
            }
        }
    }

    /// When the next key is due.
    pub(crate) fn next_at(&self) -> Option<Timestamp> {
        self.times.first().map(|(at, _)| *at)
    }
}
