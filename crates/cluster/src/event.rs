//! What this crate tells. Past-tense facts; the only way anybody learns what happened.

use release_core::{Cause, ObjectRef, Readiness, ServiceName, Verdict};
use release_rollout::{EffectId, Phase, Version};
use serde::{Deserialize, Serialize};

/// One fact about a release under way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "camelCase", tag = "type")]
pub enum Event {
    /// Somebody else holds the lock; we wait.
    LockAwaited {
        /// Who holds it.
        holder: String,
    },
    /// The lock is ours.
    LockTaken {
        /// Its generation.
        fence: u64,
    },
    /// A service entered a phase.
    PhaseEntered {
        /// The service.
        service: ServiceName,
        /// The phase.
        phase: Phase,
    },
    /// An object was written.
    ObjectApplied {
        /// The effect it was done for.
        effect: EffectId,
        /// The service it belongs to.
        service: ServiceName,
        /// The object.
        object: ObjectRef,
        /// Whose body it has now.
        version: Version,
        /// Its generation afterwards, for kinds that have one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        generation: Option<i64>,
        /// The fields that were left as they are because another manager has taken them, as in `.spec.replicas`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        left: Vec<String>,
    },
    /// An object was deleted.
    ObjectDeleted {
        /// The effect it was done for.
        effect: EffectId,
        /// The service it belonged to.
        service: ServiceName,
        /// The object.
        object: ObjectRef,
    },
    /// A write was refused.
    WriteRefused {
        /// The effect.
        effect: EffectId,
        /// The service.
        service: ServiceName,
        /// Why.
        cause: Cause,
    },
    /// Nobody knows whether a write was carried out; it is read back.
    OutcomeUnknown {
        /// The effect.
        effect: EffectId,
        /// The service.
        service: ServiceName,
        /// What is known.
        why: String,
    },
    /// Replicas became ready or went away. May be dropped: never needed to understand a run.
    Progress {
        /// The service.
        service: ServiceName,
        /// The workload.
        object: ObjectRef,
        /// The counts.
        readiness: Readiness,
    },
    /// Something looks wrong with a workload and may pass.
    CauseSuspected {
        /// The service.
        service: ServiceName,
        /// What looks wrong.
        cause: Cause,
    },
    /// A workload has failed for good.
    CauseFound {
        /// The service.
        service: ServiceName,
        /// Why.
        cause: Cause,
    },
    /// A workload is complete at our generation.
    WorkloadReady {
        /// The service.
        service: ServiceName,
        /// The workload.
        object: ObjectRef,
        /// Which version is ready.
        version: Version,
    },
    /// A check came to a verdict.
    Checked {
        /// The service.
        service: ServiceName,
        /// The check's name.
        check: String,
        /// The verdict.
        verdict: Verdict,
    },
    /// Events and logs of what failed were saved.
    Captured {
        /// The service.
        service: ServiceName,
        /// The workload that failed.
        object: ObjectRef,
        /// What was saved.
        capture: Capture,
    },
    /// A watch does not work: assessments wait for it, or see what was true before.
    WatchTroubled {
        /// The reason.
        why: String,
    },
}

/// What was saved of a failed workload before a rollback destroys it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Capture {
    /// The cluster's events about the workload and its pods, oldest first: `Warning BackOff pod/x: …`.
    pub events: Vec<String>,
    /// The last lines of containers that are not well.
    pub logs: Vec<LogTail>,
}

/// The last lines of one container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogTail {
    /// The pod.
    pub pod: String,
    /// The container.
    pub container: String,
    /// Whether these are the lines of the container's previous, ended run.
    pub previous: bool,
    /// The lines, oldest first.
    pub lines: Vec<String>,
}
