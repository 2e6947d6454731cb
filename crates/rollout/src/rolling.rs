//! The rolling rollout of one service: the workload's own controller replaces pods, we watch.
//!
//! ```text
//!   Planned ─► Applying ─► Progressing ─► Soaking ─► Verified
//!                 │             │            │          │
//!                 └─────────────┴─── roll_back ─────────┘
//!                                     ▼
//!                               RollingBack ─► RolledBack | NotRolledBack
//! ```
//!
//! What it does not do: know other services. When it may start and when it is its turn to be restored, the release says.

mod applying;
mod progressing;
mod refused;
mod rolling_back;
mod soaking;
mod suspicions;
mod undo;
mod walk;

use std::time::Duration;

use release_core::{Cause, CauseKind, Certainty, Evidence, MonoTime, ObjectRef};
use serde::{Deserialize, Serialize};

use crate::saga::{Happened, Step};
use crate::{EffectId, Phase};

pub(crate) use applying::Applying;
pub(crate) use progressing::Progressing;
pub(crate) use rolling_back::RollingBack;
pub(crate) use soaking::Soaking;

/// Where a rolling rollout stands. `T` is how points in time are kept: [`MonoTime`] while it runs, the time that remains when
/// it is written down.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "camelCase", tag = "phase")]
pub(crate) enum Rolling<T = MonoTime> {
    /// Nothing has been asked for.
    Planned,
    /// Objects are written, one after the other.
    Applying(Applying<T>),
    /// Everything is written; the workloads are becoming ready.
    Progressing(Progressing<T>),
    /// The workloads are ready; they are watched and checked.
    Soaking(Soaking<T>),
    /// The new version runs and passed its checks.
    Verified,
    /// What was before is being restored.
    RollingBack(RollingBack<T>),
    /// What was before runs again.
    RolledBack {
        /// Why the new version does not.
        cause: Cause,
    },
    /// What was before could not be restored completely.
    NotRolledBack {
        /// Why the new version does not run.
        cause: Cause,
        /// Why the old one does not, either.
        why: Cause,
    },
    /// It was never begun, because another service failed first.
    NotStarted,
}

impl Rolling {
    /// One arrow of the picture.
    pub(crate) fn step(self, step: &mut Step<'_>, happened: Happened<'_>) -> Self {
        match (self, happened) {
            (Self::Planned, Happened::Started) => Applying::enter(step),
            (Self::Planned, Happened::Undone(_)) => Self::NotStarted,
            (Self::Applying(applying), happened) => applying.step(step, happened),
            (Self::Progressing(progressing), happened) => progressing.step(step, happened),
            (Self::Soaking(soaking), happened) => soaking.step(step, happened),
            (Self::Verified, Happened::Undone(cause)) => {
                RollingBack::undo(step, cause.clone(), step.plan.apply.len(), None)
            }
            (Self::RollingBack(rolling_back), happened) => rolling_back.step(step, happened),
            (
                Self::Planned,
                Happened::Replied(..) | Happened::Assessed(..) | Happened::Turned | Happened::Woke,
            ) => Self::Planned,
            (
                Self::Verified,
                Happened::Started
                | Happened::Replied(..)
                | Happened::Assessed(..)
                | Happened::Turned
                | Happened::Woke,
            ) => Self::Verified,
            (
                done @ (Self::RolledBack { .. } | Self::NotRolledBack { .. } | Self::NotStarted),
                Happened::Started
                | Happened::Replied(..)
                | Happened::Assessed(..)
                | Happened::Undone(_)
                | Happened::Turned
                | Happened::Woke,
            ) => done,
        }
    }

    /// The one deadline.
    pub(crate) fn wake_at(&self) -> Option<MonoTime> {
        match self {
            Self::Progressing(progressing) => Some(progressing.deadline),
            Self::Soaking(soaking) => soaking.wake_at(),
            Self::RollingBack(rolling_back) => rolling_back.wake_at(),
            Self::Applying(applying) => Some(applying.walk.until),
            Self::Planned
            | Self::Verified
            | Self::RolledBack { .. }
            | Self::NotRolledBack { .. }
            | Self::NotStarted => None,
        }
    }
}

impl<T> Rolling<T> {
    pub(crate) fn phase(&self) -> Phase {
        match self {
            Self::Planned => Phase::Waiting,
            Self::Applying(_) => Phase::Applying,
            Self::Progressing(_) => Phase::Progressing,
            Self::Soaking(_) => Phase::Soaking,
            Self::Verified => Phase::Verified,
            Self::RollingBack(_) => Phase::RollingBack,
            Self::RolledBack { .. } => Phase::RolledBack,
            Self::NotRolledBack { .. } => Phase::NotRolledBack,
            Self::NotStarted => Phase::NotStarted,
        }
    }

    /// The effects whose replies are waited for.
    pub(crate) fn awaited(&self) -> Vec<EffectId> {
        match self {
            Self::Applying(applying) => applying.walk.awaited().into_iter().collect(),
            Self::Soaking(soaking) => soaking.awaited(),
            Self::RollingBack(rolling_back) => rolling_back.awaited(),
            Self::Planned
            | Self::Progressing(_)
            | Self::Verified
            | Self::RolledBack { .. }
            | Self::NotRolledBack { .. }
            | Self::NotStarted => Vec::new(),
        }
    }

    pub(crate) fn cause(&self) -> Option<&Cause> {
        match self {
            Self::RollingBack(back) => Some(&back.cause),
            Self::RolledBack { cause } | Self::NotRolledBack { cause, .. } => Some(cause),
            Self::Planned
            | Self::Applying(_)
            | Self::Progressing(_)
            | Self::Soaking(_)
            | Self::Verified
            | Self::NotStarted => None,
        }
    }

    pub(crate) fn trouble(&self) -> Option<&Cause> {
        match self {
            Self::NotRolledBack { why, .. } => Some(why),
            Self::Planned
            | Self::Applying(_)
            | Self::Progressing(_)
            | Self::Soaking(_)
            | Self::Verified
            | Self::RollingBack(_)
            | Self::RolledBack { .. }
            | Self::NotStarted => None,
        }
    }

    pub(crate) fn is_held(&self) -> bool {
        match self {
            Self::RollingBack(back) => back.is_held(),
            Self::Planned
            | Self::Applying(_)
            | Self::Progressing(_)
            | Self::Soaking(_)
            | Self::Verified
            | Self::RolledBack { .. }
            | Self::NotRolledBack { .. }
            | Self::NotStarted => false,
        }
    }

    /// The same state with times and identities replaced.
    pub(crate) fn map<U>(self, time: &dyn Fn(T) -> U, id: &dyn Fn(EffectId) -> EffectId) -> Rolling<U> {
        match self {
            Self::Planned => Rolling::Planned,
            Self::Applying(applying) => Rolling::Applying(Applying { walk: applying.walk.map(time, id) }),
            Self::Progressing(progressing) => Rolling::Progressing(progressing.map(time)),
            Self::Soaking(soaking) => Rolling::Soaking(soaking.map(time, id)),
            Self::Verified => Rolling::Verified,
            Self::RollingBack(rolling_back) => Rolling::RollingBack(rolling_back.map(time, id)),
            Self::RolledBack { cause } => Rolling::RolledBack { cause },
            Self::NotRolledBack { cause, why } => Rolling::NotRolledBack { cause, why },
            Self::NotStarted => Rolling::NotStarted,
        }
    }
}

impl Rolling<Duration> {
    pub(crate) fn taken_over(self) -> Self {
        match self {
            Self::Applying(applying) => Self::Applying(Applying { walk: applying.walk.taken_over() }),
            Self::Soaking(soaking) => Self::Soaking(soaking.taken_over()),
            Self::RollingBack(back) => Self::RollingBack(back.taken_over()),
            other @ (Self::Planned
            | Self::Progressing(_)
            | Self::Verified
            | Self::RolledBack { .. }
            | Self::NotRolledBack { .. }
            | Self::NotStarted) => other,
        }
    }
}

/// A cause the machine itself finds, without an observation of the cluster.
fn own_cause(kind: CauseKind, object: ObjectRef, summary: String, evidence: Vec<Evidence>) -> Cause {
    Cause { kind, certainty: Certainty::Terminal, object, summary, evidence }
}

/// The object a service-wide cause is about: its first workload, else its first object.
fn stand_in(step: &Step<'_>) -> ObjectRef {
    let plan = step.plan;
    plan.workloads.first().or(plan.apply.first()).or(plan.restore.first()).cloned().unwrap_or_else(|| {
        ObjectRef {
            api_version: "v1".to_owned(),
            kind: "Service".to_owned(),
            namespace: None,
            name: step.service.to_string(),
        }
    })
}

/// A deadline passed; what looked suspicious until then is the best explanation there is.
fn too_late(object: &ObjectRef, limit: Duration, what: &str, suspicion: Option<Cause>) -> Cause {
    let seconds = limit.as_secs();
    match suspicion {
        Some(cause) => own_cause(
            CauseKind::Deadline,
            cause.object,
            format!("{object} {what} within {seconds} s: {}", cause.summary),
            cause.evidence,
        ),
        None => own_cause(
            CauseKind::Deadline,
            object.clone(),
            format!("{object} {what} within {seconds} s"),
            Vec::new(),
        ),
    }
}
