//! What became of one seed.

use std::collections::BTreeMap;

use release_pipeline::Envelope;
use serde::Serialize;

/// How a release ended.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case", tag = "ended")]
pub enum Ended {
    /// The new version runs and passed its checks.
    Verified,
    /// It failed, and what ran before runs again.
    RolledBack {
        /// Why.
        why: String,
    },
    /// It failed, and what ran before could not be restored.
    NotRolledBack {
        /// Why.
        why: String,
    },
    /// Nothing had to change.
    NothingToDo,
    /// The pipeline gave up with an error.
    Failed {
        /// What it said.
        error: String,
    },
    /// It did not end in the time a story has.
    Stuck,
}

impl Ended {
    /// The word people read.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::RolledBack { .. } => "rolled back",
            Self::NotRolledBack { .. } => "NOT rolled back",
            Self::NothingToDo => "nothing to do",
            Self::Failed { .. } => "failed",
            Self::Stuck => "stuck",
        }
    }

    /// What is known about it, besides the word.
    pub fn why(&self) -> Option<&str> {
        match self {
            Self::RolledBack { why } | Self::NotRolledBack { why } | Self::Failed { error: why } => Some(why),
            Self::Verified | Self::NothingToDo | Self::Stuck => None,
        }
    }

    /// Whether it is one of the two ends that are promised.
    pub fn is_promised(&self) -> bool {
        matches!(self, Self::Verified | Self::RolledBack { .. })
    }
}

/// One release of a story.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseOutcome {
    /// Its place in the story, from 1.
    pub release: u64,
    /// How it ended.
    #[serde(flatten)]
    pub ended: Ended,
    /// How long it took, in virtual seconds.
    pub seconds: f64,
}

/// What was seen of one service from the end of release 1 on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceOutcome {
    /// How many pods it shall have.
    pub wanted: u64,
    /// The fewest that were ready at any moment.
    pub least_ready: u64,
    /// Requests the scripted client sent; 0 for a service without a port.
    pub sent: u64,
    /// Requests nobody answered.
    pub lost: u64,
    /// Requests answered with an error or too late.
    pub failed: u64,
}

/// Something that happened in a story.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "what")]
pub enum Moment {
    /// The pipeline told something.
    Told(Box<Envelope>),
    /// A fault hit.
    Fault {
        /// Virtual seconds since the beginning.
        elapsed: f64,
        /// Which, `F21 pull-fails`.
        fault: String,
        /// Whom.
        target: String,
    },
}

impl Moment {
    /// Virtual seconds since the beginning.
    pub fn elapsed(&self) -> f64 {
        match self {
            Self::Told(envelope) => envelope.elapsed,
            Self::Fault { elapsed, .. } => *elapsed,
        }
    }
}

/// What became of one seed.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// The faults that were drawn for release 2.
    pub faults: Vec<String>,
    /// The releases, in order. The second is missing when the first did not end well.
    pub releases: Vec<ReleaseOutcome>,
    /// The services.
    pub services: BTreeMap<String, ServiceOutcome>,
    /// Everything that happened.
    pub timeline: Vec<Moment>,
}
