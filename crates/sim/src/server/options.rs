//! Who writes, and how.

use serde_json::{Value, json};

use crate::profile::ApiProfile;
use crate::store::Retention;

/// How a cluster starts.
#[derive(Debug, Clone, Default)]
pub struct Seed {
    /// What uids and generated names are made from.
    pub seed: u64,
    /// How much history is kept.
    pub retention: Retention,
    /// Which version of Kubernetes is played.
    pub profile: ApiProfile,
}

/// Who writes, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct By {
    /// The field manager. None: the write is not tracked in `managedFields`, which is what makes a controller's
    /// status writes cheap.
    pub manager: Option<String>,
    /// Go through everything, store nothing.
    pub dry_run: bool,
}

impl By {
    /// A tracked writer.
    pub fn manager(name: &str) -> Self {
        Self { manager: Some(name.to_owned()), dry_run: false }
    }

    /// A writer that leaves no trace in `managedFields`.
    pub fn nobody() -> Self {
        Self::default()
    }
}

/// A change of one object as a patch.
#[derive(Debug, Clone, PartialEq)]
pub enum Patch {
    /// RFC 6902.
    Json(Value),
    /// RFC 7386.
    Merge(Value),
    /// Kubernetes' own, with merge keys and directives.
    Strategic(Value),
    /// Server-side apply.
    Apply {
        /// The fields somebody wants.
        config: Value,
        /// Whether they are taken from whoever owns them.
        force: bool,
    },
}

/// What becomes of an object's dependents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    /// They are deleted after it.
    Background,
    /// They are deleted before it.
    Foreground,
    /// They stay.
    Orphan,
}

/// What must be true of an object for a write to happen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Preconditions {
    /// Its uid.
    pub uid: Option<String>,
    /// Its resource version.
    pub resource_version: Option<String>,
}

/// How to delete.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeleteOptions {
    /// How long the object's end may take; only pods take time. None: the object's own.
    pub grace_period_seconds: Option<i64>,
    /// What must be true of it.
    pub preconditions: Preconditions,
    /// What becomes of its dependents; None: the kind's default, which is background but for old kinds.
    pub propagation: Option<Propagation>,
}

impl DeleteOptions {
    /// At once, as a kubelet does when a pod's containers have stopped.
    pub fn now() -> Self {
        Self { grace_period_seconds: Some(0), ..Self::default() }
    }

    pub(crate) fn read(value: &Value) -> Self {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let propagation = match value["propagationPolicy"].as_str() {
            Some("Background") => Some(Propagation::Background),
            Some("Foreground") => Some(Propagation::Foreground),
            Some("Orphan") => Some(Propagation::Orphan),
            _ if value["orphanDependents"] == json!(true) => Some(Propagation::Orphan),
            _ if value["orphanDependents"] == json!(false) => Some(Propagation::Background),
            _ => None,
        };
        Self {
            grace_period_seconds: value["gracePeriodSeconds"].as_i64(),
            preconditions: Preconditions {
                uid: text(&value["preconditions"]["uid"]),
                resource_version: text(&value["preconditions"]["resourceVersion"]),
            },
            propagation,
        }
    }
}
