//! The ReplicaSets of a Deployment as its controller sees them.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::maths::Count;
use crate::controllers::conditions;
use crate::controllers::read::{int, text};
use crate::controllers::replica_set::{self, SetStatus};
use crate::object::Object;

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
        let status = SetStatus::of(&object);
        Self {
            spec: int(object.field("spec", "replicas"), 1),
            replicas: status.replicas,
            ready: status.ready,
            available: status.available,
            terminating: status.terminating.unwrap_or(0),
            object,
        }
    }

    /// Why it cannot make or delete pods.
    pub(super) fn failure(&self) -> Option<Value> {
        let status = SetStatus::of(&self.object);
        conditions::find(&status.conditions, replica_set::FAILURE).cloned()
    }

    pub(super) fn name(&self) -> &str {
        self.object.name()
    }

    pub(super) fn created(&self) -> &str {
        created(&self.object)
    }

    pub(super) fn count(&self) -> Count {
        Count { spec: self.spec, available: self.available }
    }

    fn annotation(&self, key: &str) -> Option<&str> {
        self.object.field("metadata", "annotations")[key].as_str()
    }

    pub(super) fn revision(&self) -> i64 {
        self.annotation(REVISION).and_then(|r| r.parse().ok()).unwrap_or(0)
    }

    pub(super) fn desired(&self) -> Option<i64> {
        self.annotation(DESIRED)?.parse().ok()
    }

    pub(super) fn max(&self) -> i64 {
        self.annotation(MAX).and_then(|m| m.parse().ok()).unwrap_or(0)
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
    let known = set.field("metadata", "annotations");
    let others = deployment.field("metadata", "annotations").as_object().into_iter().flatten();
    text(&known[REVISION]).parse().unwrap_or(0) < revision
        || others.filter(|(key, _)| !OWN.contains(&key.as_str())).any(|(key, value)| known[key] != *value)
}

/// Takes over the Deployment's annotations and the revision. True if anything changed.
pub(super) fn annotate_revision(
    annotations: &mut Map<String, Value>,
    deployment: &Object,
    revision: i64,
    exists: bool,
) -> bool {
    let mut changed = false;
    for (key, value) in deployment.field("metadata", "annotations").as_object().into_iter().flatten() {
        if !OWN.contains(&key.as_str()) && annotations.get(key) != Some(value) {
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

/// When an object was made, as a text that sorts like the moment.
pub(super) fn created(object: &Object) -> &str {
    text(object.field("metadata", "creationTimestamp"))
}

/// The annotations of an object, copied.
pub(super) fn annotations(object: &Object) -> Map<String, Value> {
    object.field("metadata", "annotations").as_object().cloned().unwrap_or_default()
}
