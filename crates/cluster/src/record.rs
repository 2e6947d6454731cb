//! What remains of a release.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use release_core::{Cause, EnvironmentName, ObjectRef, PinnedImage, ProjectName, ServiceName};
use release_rollout::{Check, ReleasePlan};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{HttpCheck, Identity};

/// The objects of a release, complete, by service and in the order in which they are applied. Never contains Secrets.
pub type Objects = BTreeMap<ServiceName, Vec<Value>>;

/// The version of the record's form. Readers refuse what is newer.
pub const RECORD_VERSION: u32 = 1;

/// One release as the cluster remembers it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Header {
    /// The form, [`RECORD_VERSION`].
    pub v: u32,
    /// The release's number, from 1.
    pub number: u64,
    /// The project.
    pub project: ProjectName,
    /// The environment.
    pub environment: EnvironmentName,
    /// Which cluster this was written in. A copy in another cluster gives itself away by it.
    pub identity: Identity,
    /// What was asked for.
    pub action: Action,
    /// How it stands or ended.
    pub state: State,
    /// What people call the version, usually a git revision.
    pub version: Option<String>,
    /// Who or what asked, for people.
    pub actor: String,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// The release a rollback of this one returns to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<u64>,
    /// Every service of the project in this release, changed or not.
    pub services: BTreeMap<ServiceName, ServiceRecord>,
    /// A hash over all objects and checks: equal for equal content.
    pub content: String,
    /// What the machine was told to do. Empty of services when nothing had to change.
    pub plan: ReleasePlan,
    /// Why it did not end well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// Objects this release found in the place of its own that are in no verified release, as they were: a rollback brings
    /// them back. Never contains Secrets.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub adopted: Objects,
    /// How many chunks hold its objects.
    #[serde(default)]
    pub chunks: usize,
}

/// One service as released, with everything a later rollback needs to know besides the objects' bodies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceRecord {
    /// What runs.
    pub image: PinnedImage,
    /// The services it needs.
    #[serde(default)]
    pub needs: BTreeSet<ServiceName>,
    /// Its checks by name.
    #[serde(default)]
    pub checks: BTreeMap<String, CheckRecord>,
    /// How long it is watched after it became ready.
    pub soak: Duration,
    /// How long it may take to become ready.
    pub deadline: Duration,
    /// The names of its objects, in the order in which they are applied.
    pub objects: Vec<ObjectRef>,
}

/// One check: what is asked, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckRecord {
    /// What is asked.
    pub http: HttpCheck,
    /// When, and what is made of the answers.
    pub timing: Check,
}

impl Header {
    /// Every object of the release.
    pub fn inventory(&self) -> impl Iterator<Item = (&ServiceName, &ObjectRef)> {
        self.services
            .iter()
            .flat_map(|(name, service)| service.objects.iter().map(move |object| (name, object)))
    }
}

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "do")]
pub enum Action {
    /// Release what the project says.
    Deploy,
    /// Return to an earlier release.
    Rollback {
        /// The release returned to.
        to: u64,
    },
}

/// How a release stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It has begun and not ended. Without a journal entry it was interrupted.
    Running,
    /// Every service runs the new version and passed its checks.
    Verified,
    /// It failed, and what ran before runs again.
    RolledBack,
    /// It failed, and what ran before could not be restored completely.
    NotRolledBack,
    /// It was interrupted, and another release took its place.
    Superseded,
}

impl State {
    /// The word used in output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Verified => "verified",
            Self::RolledBack => "rolled-back",
            Self::NotRolledBack => "not-rolled-back",
            Self::Superseded => "superseded",
        }
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}
