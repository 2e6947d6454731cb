//! The memory between two looks at one workload.

use release_core::{Assessment, MonoTime, Readiness, Status};

use crate::{Graces, Snapshot, Target};

/// Follows one workload through one rollout.
///
/// It remembers when each bad look began. What it remembers is bounded by what the last snapshot held.
#[derive(Debug, Clone)]
pub struct Tracker {
    target: Target,
    graces: Graces,
}

impl Tracker {
    /// Nothing seen yet.
    pub fn new(target: Target, graces: Graces) -> Self {
        Self { target, graces }
    }

    /// Whose health is asked for.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Concludes from what is seen at `now`.
    ///
    /// `now` must not go backwards. Call it whenever anything in the snapshot changed, and at the last
    /// assessment's `revisit_at`.
    pub fn assess(&mut self, now: MonoTime, snapshot: &Snapshot<'_>) -> Assessment {
        let _ = (now, snapshot, &self.graces);
        Assessment { status: Status::Unknown, cause: None, readiness: Readiness::default(), revisit_at: None }
    }
}
