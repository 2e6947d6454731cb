//! The ReplicaSets of a Deployment as its controller sees them.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::maths::Count;
use crate::controllers::conditions;
use crate::controllers::read::text;
use crate::controllers::replica_set::{self, SetSpec, SetStatus};
use crate::object::Object;
use crate::section::{Reading, Section};

/// The label that holds the hash of the template.
pub(super) const HASH: &str = "pod-template-hash";
pub(super) const REVISION: &str = "deployment.kubernetes.io/revision";
const REVISIONS: &str = "deployment.kubernetes.io/revision-history";
const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
const MAX: &str = "deployment.kubernetes.io/max-replicas";

/// Annotations of a Deployment that its ReplicaSets do not take over.
const OWN: &[&str] = &[
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    REVISIONS,
    DESIRED,
    MAX,
    "deprecated.deployment.rollback.to",
];

/// Until the revisions of a ReplicaSet take so many letters, all are kept.
const MAX_REVISIONS_CHARS: usize = 2000;

/// One ReplicaSet.
#[derive(Debug, Clone)]
pub(super) struct Set {
    pub(super) object: Arc<Object>,
    pub(super) spec: i64,
    pub(super) replicas: i64,
    pub(super) ready: i64,
    pub(super) available: i64,
    pub(super) terminating: i64,
}

impl Set {
    pub(super) fn new(object: Arc<Object>) -> Self {
        let spec = object.reading::<SetSpec>("spec").map_or(1, |spec| spec.replicas);
        let status = SetStatus::of(&object);
        let (replicas, ready, available) = (status.replicas, status.ready, status.available);
        let terminating = status.terminating.unwrap_or(0);
        drop(status);
        Self { object, spec, replicas, ready, available, terminating }
    }

    /// Why it cannot make or delete pods.
    pub(super) fn failure(&self) -> Option<Value> {
        conditions::find(&SetStatus::of(&self.object).conditions, replica_set::FAILURE).cloned()
    }

    pub(super) fn name(&self) -> &str {
        self.object.name()
    }

    pub(super) fn count(&self) -> Count {
        Count { spec: self.spec, available: self.available }
    }

    pub(super) fn marks(&self) -> Arc<Marks> {
        Marks::on(&self.object)
    }

    pub(super) fn min_ready(&self) -> i64 {
        self.object.reading::<SetSpec>("spec").map_or(0, |spec| spec.min_ready)
    }
}

/// What this controller marks ReplicaSets and Deployments with, and when they were made.
#[derive(Debug, Default)]
pub(super) struct Marks {
    /// As a text that sorts like the moment.
    pub(super) created: String,
    /// As it is written; Null if it is not.
    pub(super) written_revision: Value,
    /// Zero if it is not written, or no number.
    pub(super) revision: i64,
    pub(super) desired: Option<i64>,
    pub(super) max: i64,
    /// Annotations that ReplicaSets take over from their Deployment.
    passed_on: Vec<(String, Value)>,
}

impl Marks {
    /// Those of an object.
    pub(super) fn on(object: &Object) -> Arc<Self> {
        object.reading("metadata").unwrap_or_default()
    }
}

impl Reading for Marks {
    fn of(metadata: &Section) -> Self {
        let annotations = metadata.field("annotations");
        let number = |key: &str| text(&annotations[key]).parse::<i64>().ok();
        let passed_on = annotations.as_object().into_iter().flatten();
        let passed_on = passed_on.filter(|(key, _)| !OWN.contains(&key.as_str()));
        Self {
            created: text(metadata.field("creationTimestamp")).to_owned(),
            written_revision: annotations[REVISION].clone(),
            revision: number(REVISION).unwrap_or(0),
            desired: number(DESIRED),
            max: number(MAX).unwrap_or(0),
            passed_on: passed_on.map(|(key, value)| (key.clone(), value.clone())).collect(),
        }
    }
}

/// Writes down the wanted and the highest number of replicas. True if they were others.
pub(super) fn annotate_size(annotations: &mut Map<String, Value>, desired: i64, max: i64) -> bool {
    let mut changed = false;
    for (key, value) in [(DESIRED, json!(desired.to_string())), (MAX, json!(max.to_string()))] {
        if annotations.get(key) != Some(&value) {
            annotations.insert(key.to_owned(), value);
            changed = true;
        }
    }
    changed
}

/// Whether [`annotate_revision`] would change anything.
pub(super) fn needs_revision(set: &Object, deployment: &Object, revision: i64) -> bool {
    let others = Marks::on(deployment);
    let is_new = |(key, value): &(String, Value)| set.field("metadata", "annotations")[key] != *value;
    Marks::on(set).revision < revision || others.passed_on.iter().any(is_new)
}

/// Takes over the Deployment's annotations and the revision. True if anything changed.
pub(super) fn annotate_revision(
    annotations: &mut Map<String, Value>,
    deployment: &Object,
    revision: i64,
    exists: bool,
) -> bool {
    let mut changed = false;
    for (key, value) in &Marks::on(deployment).passed_on {
        if annotations.get(key) != Some(value) {
            annotations.insert(key.clone(), value.clone());
            changed = true;
        }
    }
    let old = annotations.get(REVISION).map(|r| text(r).to_owned());
    if old.as_deref().and_then(|r| r.parse().ok()).unwrap_or(0) >= revision {
        return changed;
    }
    annotations.insert(REVISION.to_owned(), json!(revision.to_string()));
    if let Some(old) = old.filter(|_| exists) {
        let before = annotations.get(REVISIONS).map(|r| text(r).to_owned()).filter(|r| !r.is_empty());
        let mut all: Vec<String> =
            before.into_iter().flat_map(|b| b.split(',').map(str::to_owned).collect::<Vec<_>>()).collect();
        all.push(old);
        while all.len() > 1 && all.join(",").len() > MAX_REVISIONS_CHARS {
            all.remove(0);
        }
        annotations.insert(REVISIONS.to_owned(), json!(all.join(",")));
    }
    true
}

/// The annotations of an object, copied.
pub(super) fn annotations(object: &Object) -> Map<String, Value> {
    object.field("metadata", "annotations").as_object().cloned().unwrap_or_default()
}
