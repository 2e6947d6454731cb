//! The changes of the last minutes in the order of their revisions, which have no gaps.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::object::Object;

/// How much of the past is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Changes younger than this stay; a real cluster compacts every 5 minutes.
    pub age: Duration,
    /// At most so many changes stay, whatever their age.
    pub changes: usize,
}

impl Default for Retention {
    fn default() -> Self {
        Self { age: Duration::from_secs(300), changes: 102_400 }
    }
}

/// What happened to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// It is new.
    Added,
    /// It has another version.
    Modified,
    /// It is gone.
    Deleted,
}

/// One write.
#[derive(Debug, Clone)]
pub struct Change {
    /// When.
    pub at: Timestamp,
    /// What happened.
    pub what: What,
    /// The object after it; the last state, at the revision of the deletion, if it is gone.
    pub object: Arc<Object>,
    /// The object before it.
    pub before: Option<Arc<Object>>,
}

impl Change {
    /// The revision of the write.
    pub fn revision(&self) -> u64 {
        self.object.revision()
    }
}

/// History does not reach so far back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("revision {asked} is compacted, history starts after {oldest}")]
pub struct Compacted {
    /// What was asked for.
    pub asked: u64,
    /// The newest revision that is forgotten.
    pub oldest: u64,
}

/// How seldom age is looked at: every so many changes.
const COMPACT_EVERY: u64 = 64;

#[derive(Debug, Clone)]
pub(super) struct History {
    retention: Retention,
    /// The revision before the first entry.
    compacted: u64,
    changes: VecDeque<Option<Change>>,
}

impl History {
    pub(super) fn new(retention: Retention) -> Self {
        Self::after_revision(retention, 1)
    }

    /// A history that begins after `compacted`.
    pub(super) fn after_revision(retention: Retention, compacted: u64) -> Self {
        Self { retention, compacted, changes: VecDeque::new() }
    }

    pub(super) fn compacted(&self) -> u64 {
        self.compacted
    }

    pub(super) fn check(&self, asked: u64) -> Result<(), Compacted> {
        if asked < self.compacted { Err(Compacted { asked, oldest: self.compacted }) } else { Ok(()) }
    }

    pub(super) fn get(&self, revision: u64) -> Option<&Change> {
        let at = revision.checked_sub(self.compacted + 1)?;
        self.changes.get(usize::try_from(at).ok()?)?.as_ref()
    }

    pub(super) fn at(&self, time: Timestamp) -> u64 {
        let later =
            self.changes.iter().rev().take_while(|change| change.as_ref().is_none_or(|c| c.at > time));
        self.compacted + (self.changes.len() - later.count()) as u64
    }

    pub(super) fn after(&self, revision: u64) -> impl Iterator<Item = &Change> {
        let skip = usize::try_from(revision.saturating_sub(self.compacted)).unwrap_or(usize::MAX);
        self.changes.range(skip.min(self.changes.len())..).flatten()
    }

    pub(super) fn push(&mut self, revision: u64, change: Change) {
        debug_assert_eq!(revision, self.compacted + self.changes.len() as u64 + 1);
        self.changes.push_back(Some(change));
    }

    pub(super) fn push_nothing(&mut self) {
        self.changes.push_back(None);
    }

    pub(super) fn is_due(&self) -> bool {
        self.changes.len() > self.retention.changes
            || (self.compacted + self.changes.len() as u64).is_multiple_of(COMPACT_EVERY)
    }

    /// Forgets what is due, and shows it.
    pub(super) fn compact(&mut self, now: Timestamp, everything: bool, mut forgotten: impl FnMut(&Change)) {
        let oldest = now - self.retention.age;
        while let Some(first) = self.changes.front() {
            let is_old = first.as_ref().is_none_or(|c| c.at < oldest);
            if !everything && !is_old && self.changes.len() <= self.retention.changes {
                break;
            }
            self.changes.pop_front().flatten().iter().for_each(&mut forgotten);
            self.compacted += 1;
        }
    }
}
