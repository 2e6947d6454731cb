//! What happened, as a fold over envelopes and nothing else: the same report whether it is made while a run goes on or from a
//! file afterwards.
//!
//! ```text
//!  envelopes ──► Report ──► text(&report)          a screen
//!      │                └─► page(&envelopes)       an HTML file, which holds the envelopes
//!      └──────────────────────── read_page ◄──┘    and gives them back
//! ```
//!
//! Every list has a limit; [`Report::left_out`] counts what did not fit. Times are seconds since the first event.

mod advice;
mod ending;
mod fold;
mod html;
mod lists;
mod page;
mod split;
mod tables;
mod text;
mod timeline;
mod words;

use std::collections::BTreeMap;

use jiff::Timestamp;
use release_cluster::{Action, Capture};
use release_core::{Cause, ObjectRef, PinnedImage, Readiness, ServiceName, Verdict};
use release_rollout::Phase;
use serde::Serialize;

use crate::PlannedChange;

pub use ending::{Ending, verdict};
pub use page::{PageError, page, read_page};
pub use split::releases;
pub use text::{story, text};
pub use words::took;

/// What happened to one release, or in one run of a command that has no release.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// What was asked, by whom, and where.
    pub started: Option<Started>,
    /// The release's number, once it has one.
    pub release: Option<u64>,
    /// The release a rollback returns to.
    pub baseline: Option<u64>,
    /// What was asked for.
    pub action: Option<Action>,
    /// The services that were touched.
    pub services: BTreeMap<ServiceName, ServiceReport>,
    /// Services that stayed as they are.
    pub unchanged: Vec<ServiceName>,
    /// How it ended; `None` while it goes on.
    pub ending: Option<Ending>,
    /// When it began.
    pub began: Option<Timestamp>,
    /// Seconds from the first event to the last.
    pub seconds: f64,
    /// The runs of the tool it took: more than one when it was interrupted and taken up again.
    pub runs: Vec<Run>,
    /// What concerns no single service: waiting for a lock, an outage, being taken up again.
    pub notes: Vec<Note>,
    /// How many facts did not fit in the lists.
    pub left_out: u32,
}

/// What was asked, by whom, and where.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Started {
    /// The command, `deploy`.
    pub command: String,
    /// The project.
    pub project: String,
    /// The environment.
    pub environment: String,
    /// The context; empty when only the cluster's record is known.
    pub context: String,
    /// The namespace.
    pub namespace: String,
    /// What people call the version.
    pub version: Option<String>,
    /// Who asked.
    pub actor: Option<String>,
}

/// One run of the tool.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Run {
    /// Its name.
    pub run: String,
    /// When it began.
    pub at: f64,
}

/// Something that concerns no single service.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Note {
    /// When.
    pub at: f64,
    /// What.
    pub text: String,
}

/// What happened to one service.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceReport {
    /// What was released.
    pub image: Option<PinnedImage>,
    /// When its image was built, pushed and confirmed.
    pub prepared: Option<Prepared>,
    /// Every phase it was in, one after the other.
    pub phases: Vec<PhaseReport>,
    /// How many pods were ready, whenever that changed. Thinned out when it changed very often.
    pub readiness: Vec<ReadinessAt>,
    /// What looked wrong, each once.
    pub suspicions: Vec<CauseAt>,
    /// Why it failed.
    pub cause: Option<CauseAt>,
    /// Every verdict of its checks. Good ones are thinned out when there are very many.
    pub checks: Vec<CheckedAt>,
    /// The same, counted, by check.
    pub tallies: BTreeMap<String, Tally>,
    /// What planning said would change.
    pub changes: Vec<PlannedChange>,
    /// What was written in the cluster.
    pub writes: Vec<Write>,
    /// What was saved before the rollback.
    pub captures: Vec<CaptureAt>,
}

/// The time it took to have an image in the registry.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Prepared {
    /// When it began.
    pub from: f64,
    /// When the registry confirmed it.
    pub to: Option<f64>,
}

/// One phase of a service.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PhaseReport {
    /// Which.
    pub phase: Phase,
    /// When it was entered.
    pub from: f64,
    /// When the next one was entered.
    pub to: Option<f64>,
}

/// How many pods were ready.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ReadinessAt {
    /// Since when.
    pub at: f64,
    /// The counts.
    #[serde(flatten)]
    pub readiness: Readiness,
}

/// A cause, and when it was seen.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CauseAt {
    /// When.
    pub at: f64,
    /// What.
    pub cause: Cause,
}

/// A verdict of a check.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CheckedAt {
    /// When.
    pub at: f64,
    /// Which check.
    pub check: String,
    /// What came of it.
    pub result: Verdict,
}

/// The verdicts of one check, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tally {
    /// Good answers.
    pub good: u32,
    /// Bad answers.
    pub bad: u32,
    /// Times there was not enough evidence.
    pub not_enough: u32,
    /// The slowest good answer, in milliseconds.
    pub slowest_ms: u64,
}

/// Something done to an object in the cluster.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Write {
    /// When.
    pub at: f64,
    /// What was done.
    pub did: Did,
    /// The object; `None` when the event does not name it.
    pub object: Option<ObjectRef>,
    /// Why, where that needs words.
    pub why: Option<String>,
}

/// What was done to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Did {
    /// It has the new body.
    Applied,
    /// It has the body of the release before.
    Restored,
    /// It is gone.
    Deleted,
    /// The cluster refused.
    Refused,
    /// Nobody knew whether it was done; it was read back.
    Unclear,
}

/// What was saved of a workload, and when.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CaptureAt {
    /// When.
    pub at: f64,
    /// The workload.
    pub object: ObjectRef,
    /// What.
    pub capture: Capture,
}

#[cfg(test)]
mod tests;
