//! What was refused on the way back, or undone by somebody else, and when it is tried again.
//!
//! A webhook restarts, pods that leave free a quota, somebody mends rights; the way forward need not wait for that, because it
//! has the way back. Nothing is written here: the rounds are the rollback's.

use std::collections::BTreeSet;
use std::time::Duration;

use release_core::{MonoTime, ObjectRef};
use serde::{Deserialize, Serialize};

/// The rest before the first round; it doubles from round to round.
const REST: Duration = Duration::from_secs(10);

/// How long after the first refusal there are rounds: more than a webhook needs to restart on another node.
const ROUNDS: Duration = Duration::from_secs(300);

/// Objects whose restoration or removal was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Refused<T = MonoTime> {
    /// From when on a refusal is for good.
    until: T,
    /// What this round is about; `None`: everything, because it is the first.
    round: Option<BTreeSet<ObjectRef>>,
    /// The rest before the next one.
    rest: Duration,
    /// What was refused in this round.
    again: BTreeSet<ObjectRef>,
}

impl Refused {
    /// As of the first refusal.
    pub(super) fn first(now: MonoTime) -> Self {
        Self { until: now + ROUNDS, round: None, rest: REST, again: BTreeSet::new() }
    }

    /// Takes in a refusal; `false` when it is for good.
    pub(super) fn again(&mut self, now: MonoTime, object: ObjectRef) -> bool {
        now < self.until && {
            self.again.insert(object);
            true
        }
    }

    /// When the next round begins, if one is needed.
    pub(super) fn next_at(&self, now: MonoTime) -> Option<MonoTime> {
        (!self.again.is_empty()).then(|| (now + self.rest).min(self.until))
    }

    /// Begins the next round.
    pub(super) fn next(&mut self) {
        self.round = Some(std::mem::take(&mut self.again));
        self.rest = self.rest.saturating_mul(2);
    }
}

impl<T> Refused<T> {
    /// What this round is about; `None`: everything.
    pub(super) fn round(&self) -> Option<&BTreeSet<ObjectRef>> {
        self.round.as_ref()
    }

    pub(super) fn map<U>(self, time: &dyn Fn(T) -> U) -> Refused<U> {
        Refused { until: time(self.until), round: self.round, rest: self.rest, again: self.again }
    }
}
