//! What the status of a Deployment says.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::condition::{Claim, Conditions};
use super::set::Set;
use crate::controllers::read::count;
use crate::controllers::write::{unless_empty, unless_zero, without_nulls};
use crate::object::Object;
use crate::section;

pub(super) const PROGRESSING: &str = "Progressing";
const AVAILABLE: &str = "Available";
const FAILURE: &str = "ReplicaFailure";
pub(super) const DONE: &str = "NewReplicaSetAvailable";
pub(super) const TIMED_OUT: &str = "ProgressDeadlineExceeded";

/// The counts of a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Counts {
    pub(super) replicas: i64,
    pub(super) updated: i64,
    pub(super) ready: i64,
    pub(super) available: i64,
}

impl Counts {
    pub(super) fn read(status: &Value) -> Self {
        Self {
            replicas: count(&status["replicas"]),
            updated: count(&status["updatedReplicas"]),
            ready: count(&status["readyReplicas"]),
            available: count(&status["availableReplicas"]),
        }
    }

    pub(super) fn of(old: &[Set], new: Option<&Set>) -> Self {
        let all = || old.iter().chain(new);
        Self {
            replicas: all().map(|s| s.replicas).sum(),
            updated: new.map_or(0, |s| s.replicas),
            ready: all().map(|s| s.ready).sum(),
            available: all().map(|s| s.available).sum(),
        }
    }

    /// Whether every wanted replica is up to date and available, and no other is left.
    pub(super) fn is_complete(self, desired: i64) -> bool {
        self.updated == desired && self.replicas == desired && self.available == desired
    }

    /// Whether something got better since.
    pub(super) fn is_progress_since(self, before: Self) -> bool {
        self.updated > before.updated
            || self.replicas - self.updated < before.replicas - before.updated
            || self.ready > before.ready
            || self.available > before.available
    }
}

/// What the conditions are worked out from.
pub(super) struct Facts<'a> {
    pub(super) now: Timestamp,
    pub(super) name: &'a str,
    pub(super) desired: i64,
    /// How many may be unavailable.
    pub(super) unavailable: i64,
    /// None: progress has all the time in the world.
    pub(super) deadline_seconds: Option<i64>,
    pub(super) old: &'a [Set],
    pub(super) new: Option<&'a Set>,
}

impl Facts<'_> {
    /// Whether enough replicas are available.
    pub(super) fn judge_availability(&self, conditions: &mut Conditions, counts: Counts) {
        let (status, reason, message) = if counts.available >= self.desired - self.unavailable {
            ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
        } else {
            ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
        };
        conditions.set(self.now, Claim { kind: AVAILABLE, status, reason }, || message.to_owned());
    }

    /// Whether the rollout progresses.
    pub(super) fn judge_progress(&self, conditions: &mut Conditions, counts: Counts, before: Counts) {
        let Some(deadline) = self.deadline_seconds else {
            conditions.remove(PROGRESSING);
            return;
        };
        let is_done = counts.replicas == counts.updated && conditions.reason(PROGRESSING) == Some(DONE);
        if is_done {
            return;
        }
        let claim = |status, reason| Claim { kind: PROGRESSING, status, reason };
        let words = |what: &str| match self.new {
            Some(set) => format!("ReplicaSet \"{}\" {what}", set.name()),
            None => format!("Deployment \"{}\" {what}", self.name),
        };
        if counts.is_complete(self.desired) {
            conditions.set(self.now, claim("True", DONE), || words("has successfully progressed."));
        } else if counts.is_progress_since(before) {
            conditions.refresh(self.now, claim("True", "ReplicaSetUpdated"), || words("is progressing."));
        } else if is_timed_out(conditions, deadline, self.now) {
            conditions.set(self.now, claim("False", TIMED_OUT), || words("has timed out progressing."));
        }
    }

    /// Takes over why a ReplicaSet cannot make or delete pods.
    pub(super) fn pass_on_failures(&self, conditions: &mut Conditions) {
        let found = self.new.and_then(Set::failure).or_else(|| self.old.iter().find_map(Set::failure));
        match found {
            Some(found) => conditions.pass_on(FAILURE, &found),
            None => conditions.remove(FAILURE),
        }
    }
}

fn is_timed_out(conditions: &Conditions, deadline_seconds: i64, now: Timestamp) -> bool {
    let Some(condition) = conditions.find(PROGRESSING) else { return false };
    match condition.reason() {
        DONE => false,
        TIMED_OUT => true,
        _ => condition.updated().is_some_and(|at| {
            at + std::time::Duration::from_secs(deadline_seconds.max(0).unsigned_abs()) < now
        }),
    }
}

/// When to look again whether the deadline has passed.
pub(super) fn recheck(conditions: &Conditions, deadline_seconds: Option<i64>) -> Option<Timestamp> {
    let condition = conditions.find(PROGRESSING)?;
    if matches!(condition.reason(), DONE | TIMED_OUT) {
        return None;
    }
    let wait = std::time::Duration::from_secs(deadline_seconds?.max(0).unsigned_abs() + 1);
    condition.updated().map(|at| at + wait)
}

/// The status of a Deployment.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DeploymentStatus {
    generation: i64,
    counts: Counts,
    unavailable: i64,
    /// None where this version of Kubernetes does not say.
    terminating: Option<i64>,
    collisions: Option<i64>,
    conditions: Conditions,
}

impl DeploymentStatus {
    pub(super) fn new(
        generation: i64,
        counts: Counts,
        (old, new): (&[Set], Option<&Set>),
        collisions: Option<i64>,
        conditions: Conditions,
        tells_terminating: bool,
    ) -> Self {
        let all = || old.iter().chain(new);
        let wanted: i64 = all().map(|s| s.spec).sum();
        Self {
            generation,
            counts,
            unavailable: (wanted - counts.available).max(0),
            terminating: tells_terminating.then(|| all().map(|s| s.terminating).sum()),
            collisions,
            conditions,
        }
    }
}

impl section::Facts for DeploymentStatus {
    fn mark(&self) -> &'static str {
        "observedGeneration"
    }

    fn to_value(&self) -> Value {
        let counts = self.counts;
        let mut status = json!({
            "observedGeneration": self.generation,
            "replicas": unless_zero(counts.replicas),
            "updatedReplicas": unless_zero(counts.updated),
            "readyReplicas": unless_zero(counts.ready),
            "availableReplicas": unless_zero(counts.available),
            "unavailableReplicas": unless_zero(self.unavailable),
            "terminatingReplicas": self.terminating,
            "collisionCount": self.collisions,
            "conditions": unless_empty(self.conditions.to_values()),
        });
        without_nulls(&mut status);
        status
    }
}

/// What the stored status of a Deployment says, whoever wrote it.
pub(super) struct Stored {
    pub(super) counts: Counts,
    pub(super) collisions: Option<i64>,
    pub(super) conditions: Conditions,
}

impl Stored {
    pub(super) fn of(deployment: &Object) -> Self {
        if let Some(status) = deployment.facts::<DeploymentStatus>("status") {
            let (counts, collisions) = (status.counts, status.collisions);
            return Self { counts, collisions, conditions: status.conditions.clone() };
        }
        let status = &deployment["status"];
        Self {
            counts: Counts::read(status),
            collisions: status["collisionCount"].as_i64(),
            conditions: Conditions::read(status),
        }
    }
}
