//! The rollout of one service, whatever its strategy: one variant each.
//!
//! This is all that a release knows of its services' machines. What the boxes are and which arrows join them is the strategy's
//! own business.

use std::time::Duration;

use release_core::{Cause, MonoTime};
use serde::{Deserialize, Serialize};

use crate::rolling::Rolling;
use crate::saga::{Happened, Step};
use crate::{EffectId, Phase, Strategy};

/// One service's way. `T` is how points in time are kept: [`MonoTime`] while it runs, the time that remains when it is
/// written down.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "strategy")]
pub(crate) enum Rollout<T = MonoTime> {
    /// The workload's own controller replaces pods step by step.
    Rolling(Rolling<T>),
}

impl Rollout {
    /// A rollout that has not begun.
    pub(crate) fn planned(strategy: &Strategy) -> Self {
        match strategy {
            Strategy::Rolling(_) => Self::Rolling(Rolling::Planned),
        }
    }

    pub(crate) fn step(self, step: &mut Step<'_>, happened: Happened<'_>) -> Self {
        match self {
            Self::Rolling(rolling) => Self::Rolling(rolling.step(step, happened)),
        }
    }

    /// The one deadline.
    pub(crate) fn wake_at(&self) -> Option<MonoTime> {
        match self {
            Self::Rolling(rolling) => rolling.wake_at(),
        }
    }
}

impl<T> Rollout<T> {
    pub(crate) fn phase(&self) -> Phase {
        match self {
            Self::Rolling(rolling) => rolling.phase(),
        }
    }

    /// Why it turned back, if it did.
    pub(crate) fn cause(&self) -> Option<&Cause> {
        match self {
            Self::Rolling(rolling) => rolling.cause(),
        }
    }

    /// Why what was before could not be restored, if it could not.
    pub(crate) fn trouble(&self) -> Option<&Cause> {
        match self {
            Self::Rolling(rolling) => rolling.trouble(),
        }
    }

    /// Whether it waits for its turn to be restored.
    pub(crate) fn is_held(&self) -> bool {
        match self {
            Self::Rolling(rolling) => rolling.is_held(),
        }
    }

    /// The effects whose replies are waited for.
    pub(crate) fn awaited(&self) -> Vec<EffectId> {
        match self {
            Self::Rolling(rolling) => rolling.awaited(),
        }
    }

    /// The same state with times and identities replaced.
    pub(crate) fn map<U>(self, time: &dyn Fn(T) -> U, id: &dyn Fn(EffectId) -> EffectId) -> Rollout<U> {
        match self {
            Self::Rolling(rolling) => Rollout::Rolling(rolling.map(time, id)),
        }
    }
}

impl Rollout<Duration> {
    /// What changes because the process that had effects under way is no more: they are asked for again, and have their whole
    /// time again.
    pub(crate) fn taken_over(self) -> Self {
        match self {
            Self::Rolling(rolling) => Self::Rolling(rolling.taken_over()),
        }
    }
}
