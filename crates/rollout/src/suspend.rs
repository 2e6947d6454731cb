//! A release written down, and taken up again by another process under another lock.
//!
//! Monotonic time means nothing outside the process: deadlines are written as the time that remains. The plan is not part
//! of it; it is stored once, beside.

use std::collections::BTreeMap;
use std::time::Duration;

use release_core::{MonoTime, ServiceName};
use serde::{Deserialize, Serialize};

use crate::release::Stage;
use crate::rollout::Rollout;
use crate::saga::Ids;
use crate::{Effect, EffectId, PlanError, Release, ReleasePlan};

/// A release that stands still.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Suspended {
    stage: Stage<Duration>,
    rollouts: BTreeMap<ServiceName, Rollout<Duration>>,
    outstanding: Vec<Effect>,
    next: u64,
}

/// Why a suspended release does not go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResumeError {
    /// The plan itself is not sound.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The plan is not the one the release was made from.
    #[error("the plan has other services than the release that was interrupted")]
    OtherPlan,
}

impl Release {
    /// What has to be written down to go on later.
    pub fn suspend(&self, now: MonoTime) -> Suspended {
        let remaining = |at: MonoTime| at.since(now);
        let same = |id| id;
        Suspended {
            stage: map_stage(self.stage.clone(), &remaining, &same),
            rollouts: self
                .rollouts
                .iter()
                .map(|(name, r)| (name.clone(), r.clone().map(&remaining, &same)))
                .collect(),
            outstanding: self.outstanding.values().cloned().collect(),
            next: self.ids.next,
        }
    }
}

impl Suspended {
    /// Takes it up under a new lock. Effects that had not been answered are asked for again, with new identities.
    ///
    /// # Errors
    /// When `plan` is not the plan it was made from.
    pub fn resume(
        self,
        plan: ReleasePlan,
        now: MonoTime,
        fence: u64,
    ) -> Result<(Release, Vec<Effect>), ResumeError> {
        plan.check()?;
        if !plan.services.keys().eq(self.rollouts.keys()) {
            return Err(ResumeError::OtherPlan);
        }
        let mut ids = Ids { fence, next: self.next };
        let mut renamed = BTreeMap::new();
        let mut effects = Vec::new();
        let rollouts: BTreeMap<ServiceName, Rollout<Duration>> =
            self.rollouts.into_iter().map(|(name, rollout)| (name, rollout.taken_over())).collect();
        let awaited: Vec<EffectId> = rollouts.values().flat_map(Rollout::awaited).collect();
        let pruning =
            |id: &EffectId| matches!(&self.stage, Stage::Pruning { asked, .. } if asked.contains(id));
        for effect in
            self.outstanding.into_iter().filter(|effect| awaited.contains(&effect.id) || pruning(&effect.id))
        {
            let id = ids.take();
            renamed.insert(effect.id, id);
            effects.push(Effect { id, ..effect });
        }
        let at = |remaining: Duration| now + remaining;
        let rename = |id: EffectId| renamed.get(&id).copied().unwrap_or(id);
        let mut release = Release {
            plan,
            ids,
            stage: map_stage(self.stage.clone(), &at, &rename),
            rollouts: rollouts.into_iter().map(|(name, rollout)| (name, rollout.map(&at, &rename))).collect(),
            outstanding: BTreeMap::new(),
        };
        // A write that ended with the other process may have been all that was waited for.
        release.settle_all(now, &mut effects);
        Ok((release, effects))
    }
}

fn map_stage<T, U>(stage: Stage<T>, time: &dyn Fn(T) -> U, id: &dyn Fn(EffectId) -> EffectId) -> Stage<U> {
    match stage {
        Stage::Planned => Stage::Planned,
        Stage::Forward => Stage::Forward,
        Stage::Backward { service, cause } => Stage::Backward { service, cause },
        Stage::Pruning { until, asked } => {
            Stage::Pruning { until: time(until), asked: asked.into_iter().map(id).collect() }
        }
        Stage::Done { outcome } => Stage::Done { outcome },
    }
}
