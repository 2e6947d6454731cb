//! What the status of a ReplicaSet says.

use std::borrow::Cow;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{FAILURE, Failure};
use crate::controllers::conditions;
use crate::controllers::pods::{self, Availability};
use crate::controllers::queue::Outcome;
use crate::controllers::read::{count, int};
use crate::controllers::write::{self, unless_empty, unless_zero, without_nulls};
use crate::object::Object;
use crate::section::{Facts, Reading, Section};
use crate::server::{ApiServer, Mould};
use crate::store::Store;
use crate::time;

/// The status of a ReplicaSet.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct SetStatus {
    pub(crate) replicas: i64,
    labelled: i64,
    pub(crate) ready: i64,
    pub(crate) available: i64,
    /// None where this version of Kubernetes does not say.
    pub(crate) terminating: Option<i64>,
    /// The generation of the spec it is about.
    pub(crate) generation: i64,
    pub(crate) conditions: Vec<Value>,
}

impl SetStatus {
    /// What is stored, whoever wrote it.
    pub(crate) fn of(set: &Object) -> Cow<'_, Self> {
        if let Some(status) = set.facts::<Self>("status") {
            return Cow::Borrowed(status);
        }
        let status = &set["status"];
        Cow::Owned(Self {
            replicas: count(&status["replicas"]),
            labelled: count(&status["fullyLabeledReplicas"]),
            ready: count(&status["readyReplicas"]),
            available: count(&status["availableReplicas"]),
            terminating: status["terminatingReplicas"].as_i64(),
            generation: count(&status["observedGeneration"]),
            conditions: conditions::of(status),
        })
    }
}

/// What the spec of a ReplicaSet says, but for its template.
#[derive(Debug)]
pub(crate) struct SetSpec {
    pub(crate) replicas: i64,
    /// `minReadySeconds`, zero when absent.
    pub(crate) min_ready: i64,
}

impl Reading for SetSpec {
    fn of(section: &Section) -> Self {
        Self {
            replicas: int(section.field("replicas"), 1),
            min_ready: count(section.field("minReadySeconds")),
        }
    }
}

impl Facts for SetStatus {
    fn mark(&self) -> &'static str {
        "observedGeneration"
    }

    fn to_value(&self) -> Value {
        let mut status = json!({
            "replicas": self.replicas,
            "fullyLabeledReplicas": unless_zero(self.labelled),
            "readyReplicas": unless_zero(self.ready),
            "availableReplicas": unless_zero(self.available),
            "terminatingReplicas": self.terminating,
            "observedGeneration": self.generation,
            "conditions": unless_empty(self.conditions.clone()),
        });
        without_nulls(&mut status);
        status
    }
}

/// The pods of a ReplicaSet by what they are.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) replicas: i64,
    labelled: i64,
    ready: i64,
    available: i64,
    terminating: i64,
    /// When the counts will be others without anybody's doing.
    again: Option<Timestamp>,
}

impl Counts {
    /// `mould`: what pods of its template were made of.
    pub(super) fn of(store: &Store, set: &Object, mould: Option<&Mould>, now: Timestamp) -> Self {
        let mould = mould.filter(|mould| mould.is_of(set));
        let min_ready = set.reading::<SetSpec>("spec").map_or(0, |spec| spec.min_ready);
        let labels = || set.field("spec", "template")["metadata"]["labels"].as_object();
        let has_labels = |pod: &Object| {
            let own = pod.labels();
            labels().is_none_or(|labels| labels.iter().all(|(key, value)| own[key] == *value))
        };
        let mut counts = Self::default();
        // Pods that were made of one template share their labels.
        let mut alike: Option<&Object> = None;
        for pod in pods::controlled_by(store, set.uid()).filter(|pod| !pods::is_finished(pod)) {
            if pod.is_terminating() {
                counts.terminating += 1;
                continue;
            }
            counts.replicas += 1;
            if mould.is_some_and(|mould| mould.labelled(pod)) {
                counts.labelled += 1;
            } else if alike.is_some_and(|known| known.shares_labels(pod)) || has_labels(pod) {
                alike = Some(pod);
                counts.labelled += 1;
            }
            match pods::availability(pod, min_ready, now) {
                Availability::No => continue,
                Availability::Yes => counts.available += 1,
                Availability::At(at) => counts.again = Some(counts.again.map_or(at, |a| a.min(at))),
            }
            counts.ready += 1;
        }
        counts
    }

    pub(super) fn write(
        self,
        server: &mut ApiServer,
        now: Timestamp,
        set: &Object,
        failure: Option<&Failure>,
    ) -> Outcome {
        let status = SetStatus {
            replicas: self.replicas,
            labelled: self.labelled,
            ready: self.ready,
            available: self.available,
            terminating: server.profile().terminating_replicas.then_some(self.terminating),
            generation: set.generation(),
            conditions: failure_condition(set, now, failure),
        };
        write::status_facts(server, now, set, status);
        if failure.is_some() { Outcome::Failed } else { Outcome::at(self.again) }
    }
}

/// The first refusal stays until there is none.
fn failure_condition(set: &Object, now: Timestamp, failure: Option<&Failure>) -> Vec<Value> {
    let mut list = SetStatus::of(set).conditions.clone();
    match failure {
        None => conditions::remove(&mut list, FAILURE),
        Some(_) if conditions::find(&list, FAILURE).is_some() => {}
        Some(failure) => list.push(json!({
            "type": FAILURE,
            "status": "True",
            "reason": failure.reason,
            "message": failure.message,
            "lastTransitionTime": time::seconds(now),
        })),
    }
    list
}
