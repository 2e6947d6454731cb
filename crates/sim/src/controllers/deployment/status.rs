//! What the status of a Deployment says.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::set::Set;
use crate::controllers::conditions::{self, Claim};
use crate::controllers::read::{count, moment, text};
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
    pub(super) fn judge_availability(&self, conditions: &mut Vec<Arc<Value>>, counts: Counts) {
        let claim = if counts.available >= self.desired - self.unavailable {
            let message = "Deployment has minimum availability.";
            Claim::new(AVAILABLE, "True", "MinimumReplicasAvailable", message)
        } else {
            let message = "Deployment does not have minimum availability.";
            Claim::new(AVAILABLE, "False", "MinimumReplicasUnavailable", message)
        };
        conditions::set_updated(conditions, self.now, &claim);
    }

    /// Whether the rollout progresses. `known` is the condition as it is stored.
    pub(super) fn judge_progress(
        &self,
        conditions: &mut Vec<Arc<Value>>,
        known: Option<&Value>,
        counts: Counts,
        before: Counts,
    ) {
        let Some(deadline) = self.deadline_seconds else {
            conditions::remove(conditions, PROGRESSING);
            return;
        };
        let is_done = counts.replicas == counts.updated && known.is_some_and(|c| c["reason"] == DONE);
        if is_done {
            return;
        }
        let who = match self.new {
            Some(set) => format!("ReplicaSet \"{}\"", set.name()),
            None => format!("Deployment \"{}\"", self.name),
        };
        let say =
            |status, reason, what: &str| Claim::new(PROGRESSING, status, reason, format!("{who} {what}"));
        if counts.is_complete(self.desired) {
            let claim = say("True", DONE, "has successfully progressed.");
            conditions::set_updated(conditions, self.now, &claim);
        } else if counts.is_progress_since(before) {
            let claim = say("True", "ReplicaSetUpdated", "is progressing.");
            conditions::refresh(conditions, self.now, &claim);
        } else if is_timed_out(conditions, deadline, self.now) {
            let claim = say("False", TIMED_OUT, "has timed out progressing.");
            conditions::set_updated(conditions, self.now, &claim);
        }
    }

    /// Takes over why a ReplicaSet cannot make or delete pods.
    pub(super) fn pass_on_failures(&self, conditions: &mut Vec<Arc<Value>>) {
        let found = self.new.and_then(Set::failure).or_else(|| self.old.iter().find_map(Set::failure));
        let Some(found) = found else {
            conditions::remove(conditions, FAILURE);
            return;
        };
        let old = conditions::find(conditions, FAILURE);
        if old.is_some_and(|c| c["status"] == found["status"] && c["reason"] == found["reason"]) {
            return;
        }
        let mut next = found.clone();
        next["lastUpdateTime"] = found["lastTransitionTime"].clone();
        conditions::remove(conditions, FAILURE);
        conditions.push(Arc::new(next));
    }
}

fn is_timed_out(conditions: &[Arc<Value>], deadline_seconds: i64, now: Timestamp) -> bool {
    let Some(condition) = conditions::find(conditions, PROGRESSING) else { return false };
    match text(&condition["reason"]) {
        DONE => false,
        TIMED_OUT => true,
        _ => moment(&condition["lastUpdateTime"]).is_some_and(|at| {
            at + std::time::Duration::from_secs(deadline_seconds.max(0).unsigned_abs()) < now
        }),
    }
}

/// When to look again whether the deadline has passed.
pub(super) fn recheck(conditions: &[Arc<Value>], deadline_seconds: Option<i64>) -> Option<Timestamp> {
    let condition = conditions::find(conditions, PROGRESSING)?;
    if matches!(text(&condition["reason"]), DONE | TIMED_OUT) {
        return None;
    }
    let wait = std::time::Duration::from_secs(deadline_seconds?.max(0).unsigned_abs() + 1);
    moment(&condition["lastUpdateTime"]).map(|at| at + wait)
}

/// The status of a Deployment.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DeploymentStatus {
    generation: i64,
    counts: Counts,
    unavailable: i64,
    terminating: i64,
    collisions: Option<i64>,
    conditions: Vec<Arc<Value>>,
}

impl DeploymentStatus {
    pub(super) fn new(
        generation: i64,
        counts: Counts,
        (old, new): (&[Set], Option<&Set>),
        collisions: Option<i64>,
        conditions: Vec<Arc<Value>>,
    ) -> Self {
        let all = || old.iter().chain(new);
        let wanted: i64 = all().map(|s| s.spec).sum();
        Self {
            generation,
            counts,
            unavailable: (wanted - counts.available).max(0),
            terminating: all().map(|s| s.terminating).sum(),
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
        let list: Vec<Value> = self.conditions.iter().map(|c| (**c).clone()).collect();
        let mut status = json!({
            "observedGeneration": self.generation,
            "replicas": unless_zero(counts.replicas),
            "updatedReplicas": unless_zero(counts.updated),
            "readyReplicas": unless_zero(counts.ready),
            "availableReplicas": unless_zero(counts.available),
            "unavailableReplicas": unless_zero(self.unavailable),
            "terminatingReplicas": self.terminating,
            "collisionCount": self.collisions,
            "conditions": unless_empty(list),
        });
        without_nulls(&mut status);
        status
    }
}

/// What the stored status of a Deployment says, whoever wrote it.
pub(super) struct Stored {
    pub(super) counts: Counts,
    pub(super) collisions: Option<i64>,
    pub(super) conditions: Vec<Arc<Value>>,
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
            conditions: conditions::of(status).into_iter().map(Arc::new).collect(),
        }
    }
}
