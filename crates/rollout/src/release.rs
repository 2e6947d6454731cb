//! The saga over services: forward in the order of needs, and backward in the reverse order when one fails.

use std::collections::{BTreeMap, BTreeSet};

use release_core::{Cause, CauseKind, Certainty, MonoTime, ObjectRef, ServiceName};
use serde::{Deserialize, Serialize};

use crate::rollout::Rollout;
use crate::saga::{Happened, Ids, Step};
use crate::{Effect, EffectId, EffectKind, Input, PlanError, ReleasePlan, Strategy};

/// How long deletions of superfluous objects may take before the release ends without them.
const PRUNING: std::time::Duration = std::time::Duration::from_secs(30);

/// One release under way.
#[derive(Debug, Clone, PartialEq)]
pub struct Release {
    pub(crate) plan: ReleasePlan,
    pub(crate) ids: Ids,
    pub(crate) stage: Stage,
    pub(crate) rollouts: BTreeMap<ServiceName, Rollout>,
    /// Effects whose replies are waited for.
    pub(crate) outstanding: BTreeMap<EffectId, Effect>,
}

/// Where a release stands as a whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "camelCase", tag = "stage")]
pub(crate) enum Stage<T = MonoTime> {
    /// Nothing has been asked for.
    Planned,
    /// Services are on their way to the new version.
    Forward,
    /// One failed; all are on their way back.
    Backward { service: Option<ServiceName>, cause: Cause },
    /// Every service is verified; what nothing needs any more is deleted.
    Pruning { until: T, asked: BTreeSet<EffectId> },
    /// It is over.
    Done { outcome: ReleaseOutcome },
}

/// How a release ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "camelCase", tag = "outcome")]
pub enum ReleaseOutcome {
    /// Every service runs the new version and passed its checks.
    Verified,
    /// What ran before runs again.
    RolledBack {
        /// The service that failed; `None` when somebody asked for it.
        service: Option<ServiceName>,
        /// Why.
        cause: Cause,
    },
    /// What ran before could not be restored completely.
    NotRolledBack {
        /// The service that failed first.
        service: Option<ServiceName>,
        /// Why the new version does not run.
        cause: Cause,
        /// Why the old one does not, either.
        why: Cause,
    },
}

/// Where one service stands, for people and for the journal's reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// What it needs is not verified yet.
    Waiting,
    /// Its objects are being written.
    Applying,
    /// Its workloads are becoming ready.
    Progressing,
    /// It is ready, watched and checked.
    Soaking,
    /// It runs and passed its checks.
    Verified,
    /// What was before is being restored.
    RollingBack,
    /// What was before runs again.
    RolledBack,
    /// What was before could not be restored.
    NotRolledBack,
    /// It was never begun.
    NotStarted,
}

impl Phase {
    /// Whether nothing more will happen to the service unless another one fails.
    pub fn is_over(self) -> bool {
        match self {
            Self::Verified | Self::RolledBack | Self::NotRolledBack | Self::NotStarted => true,
            Self::Waiting | Self::Applying | Self::Progressing | Self::Soaking | Self::RollingBack => false,
        }
    }
}

impl Release {
    /// A release that has not begun. `fence` is the generation of the lock it runs under.
    ///
    /// # Errors
    /// When the plan cannot be carried out.
    pub fn new(plan: ReleasePlan, fence: u64) -> Result<Self, PlanError> {
        plan.check()?;
        let rollouts = plan
            .services
            .iter()
            .map(|(name, service)| (name.clone(), Rollout::planned(&service.strategy)))
            .collect();
        let ids = Ids { fence, next: 0 };
        Ok(Self { plan, ids, stage: Stage::Planned, rollouts, outstanding: BTreeMap::new() })
    }

    /// What follows from one input. Total: every input is legal at any time.
    #[must_use]
    pub fn step(mut self, now: MonoTime, input: Input) -> (Self, Vec<Effect>) {
        let mut effects = Vec::new();
        match input {
            Input::Begin => {
                if self.stage == Stage::Planned {
                    self.stage = Stage::Forward;
                }
            }
            Input::Replied { id, outcome } => {
                if let Some(effect) = self.outstanding.remove(&id) {
                    self.pruned(id);
                    self.deliver(now, &effect.service, Happened::Replied(id, &outcome), &mut effects);
                }
            }
            Input::Assessed { service, object, version, assessment } => {
                self.deliver(now, &service, Happened::Assessed(&object, version, &assessment), &mut effects);
            }
            Input::Abort { why } => self.abort(why),
            Input::Woke => {
                let names: Vec<_> = self.rollouts.keys().cloned().collect();
                for name in names {
                    self.deliver(now, &name, Happened::Woke, &mut effects);
                }
                self.give_up_pruning(now);
            }
        }
        self.settle_all(now, &mut effects);
        (self, effects)
    }

    /// Does all that follows at the level of the release, and remembers what is waited for.
    pub(crate) fn settle_all(&mut self, now: MonoTime, effects: &mut Vec<Effect>) {
        while self.settle(now, effects) {}
        self.outstanding.extend(effects.iter().map(|effect| (effect.id, effect.clone())));
        let awaited: BTreeSet<EffectId> = self.awaited();
        self.outstanding.retain(|id, _| awaited.contains(id));
    }

    /// The one deadline; a wake-up before it changes nothing.
    pub fn wake_at(&self) -> Option<MonoTime> {
        let pruning = match &self.stage {
            Stage::Pruning { until, .. } => Some(*until),
            Stage::Planned | Stage::Forward | Stage::Backward { .. } | Stage::Done { .. } => None,
        };
        self.rollouts.values().filter_map(Rollout::wake_at).chain(pruning).min()
    }

    /// Effects that were asked for and not answered.
    pub fn outstanding(&self) -> Vec<Effect> {
        self.outstanding.values().cloned().collect()
    }

    /// Where each service stands.
    pub fn phases(&self) -> BTreeMap<ServiceName, Phase> {
        self.rollouts.iter().map(|(name, rollout)| (name.clone(), rollout.phase())).collect()
    }

    /// How it ended, once it has.
    pub fn outcome(&self) -> Option<&ReleaseOutcome> {
        match &self.stage {
            Stage::Done { outcome } => Some(outcome),
            Stage::Planned | Stage::Forward | Stage::Backward { .. } | Stage::Pruning { .. } => None,
        }
    }

    fn awaited(&self) -> BTreeSet<EffectId> {
        let mut awaited: BTreeSet<_> = self.rollouts.values().flat_map(Rollout::awaited).collect();
        if let Stage::Pruning { asked, .. } = &self.stage {
            awaited.extend(asked);
        }
        awaited
    }

    fn deliver(
        &mut self,
        now: MonoTime,
        service: &ServiceName,
        happened: Happened<'_>,
        effects: &mut Vec<Effect>,
    ) {
        let (Some(rollout), Some(service_plan)) =
            (self.rollouts.remove(service), self.plan.services.get(service))
        else {
            return;
        };
        let Strategy::Rolling(plan) = &service_plan.strategy;
        let mut step = Step { service, plan, now, ids: &mut self.ids, effects };
        let rollout = rollout.step(&mut step, happened);
        self.rollouts.insert(service.clone(), rollout);
    }

    fn abort(&mut self, why: String) {
        let object = ObjectRef {
            api_version: "v1".into(),
            kind: "Release".into(),
            namespace: None,
            name: "abort".into(),
        };
        let cause = Cause {
            kind: CauseKind::Aborted,
            certainty: Certainty::Terminal,
            object,
            summary: why,
            evidence: Vec::new(),
        };
        match self.stage {
            Stage::Planned | Stage::Forward => self.stage = Stage::Backward { service: None, cause },
            Stage::Backward { .. } | Stage::Pruning { .. } | Stage::Done { .. } => {}
        }
    }

    /// Does what follows at the level of the release; `true` when something did.
    fn settle(&mut self, now: MonoTime, effects: &mut Vec<Effect>) -> bool {
        match self.stage.clone() {
            Stage::Planned | Stage::Done { .. } => false,
            Stage::Forward => self.forward(now, effects),
            Stage::Backward { service, cause } => self.backward(now, service, cause, effects),
            Stage::Pruning { asked, .. } => {
                if asked.is_empty() {
                    self.stage = Stage::Done { outcome: ReleaseOutcome::Verified };
                }
                asked.is_empty()
            }
        }
    }

    fn forward(&mut self, now: MonoTime, effects: &mut Vec<Effect>) -> bool {
        let failed = self.rollouts.iter().find_map(|(name, rollout)| Some((name, rollout.cause()?)));
        if let Some((service, cause)) = failed {
            let (service, cause) = (service.clone(), cause.clone());
            self.stage = Stage::Backward { service: Some(service), cause };
            return true;
        }
        if self.rollouts.values().all(|rollout| rollout.phase() == Phase::Verified) {
            self.stage = self.prune(now, effects);
            return true;
        }
        let on_their_way = self.rollouts.values().filter(|rollout| !rollout.phase().is_over()).count()
            - self.rollouts.values().filter(|rollout| rollout.phase() == Phase::Waiting).count();
        if on_their_way >= self.plan.concurrency.max(1) {
            return false;
        }
        let Some(next) = self.next_to_start() else { return false };
        self.deliver(now, &next, Happened::Started, effects);
        true
    }

    /// The first service by name that waits and whose needs are all verified.
    fn next_to_start(&self) -> Option<ServiceName> {
        let verified = |name: &ServiceName| {
            self.rollouts.get(name).is_none_or(|rollout| rollout.phase() == Phase::Verified)
        };
        self.rollouts
            .iter()
            .filter(|(_, rollout)| rollout.phase() == Phase::Waiting)
            .map(|(name, _)| name)
            .find(|name| self.plan.services.get(*name).is_some_and(|plan| plan.needs.iter().all(verified)))
            .cloned()
    }

    fn prune(&mut self, now: MonoTime, effects: &mut Vec<Effect>) -> Stage {
        let mut asked = BTreeSet::new();
        for (service, object) in &self.plan.prune {
            let id = self.ids.take();
            effects.push(Effect {
                id,
                service: service.clone(),
                kind: EffectKind::Delete { object: object.clone() },
            });
            asked.insert(id);
        }
        Stage::Pruning { until: now + PRUNING, asked }
    }

    fn pruned(&mut self, id: EffectId) {
        if let Stage::Pruning { asked, .. } = &mut self.stage {
            asked.remove(&id);
        }
    }

    fn give_up_pruning(&mut self, now: MonoTime) {
        if let Stage::Pruning { until, asked } = &mut self.stage
            && now >= *until
        {
            asked.clear();
        }
    }

    fn backward(
        &mut self,
        now: MonoTime,
        service: Option<ServiceName>,
        cause: Cause,
        effects: &mut Vec<Effect>,
    ) -> bool {
        if let Some(name) = self.next_to_undo() {
            let sibling = match &service {
                Some(failed) => Cause {
                    kind: CauseKind::Sibling,
                    summary: format!("{failed} failed: {}", cause.summary),
                    evidence: Vec::new(),
                    ..cause.clone()
                },
                None => cause.clone(),
            };
            self.deliver(now, &name, Happened::Undone(&sibling), effects);
            return true;
        }
        if let Some(name) = self.next_to_restore() {
            self.deliver(now, &name, Happened::Turned, effects);
            return true;
        }
        if self.rollouts.values().any(|rollout| !rollout.phase().is_over()) {
            return false;
        }
        let outcome = match self.rollouts.values().find_map(Rollout::trouble).cloned() {
            None => ReleaseOutcome::RolledBack { service, cause },
            Some(why) => ReleaseOutcome::NotRolledBack { service, cause, why },
        };
        self.stage = Stage::Done { outcome };
        true
    }

    /// A service that does not know yet that the release goes back.
    fn next_to_undo(&self) -> Option<ServiceName> {
        self.rollouts
            .iter()
            .find(|(_, rollout)| match rollout.phase() {
                Phase::Waiting | Phase::Applying | Phase::Progressing | Phase::Soaking | Phase::Verified => {
                    true
                }
                Phase::RollingBack | Phase::RolledBack | Phase::NotRolledBack | Phase::NotStarted => false,
            })
            .map(|(name, _)| name.clone())
    }

    /// A service that waits for its turn, and whose dependents have all been undone.
    fn next_to_restore(&self) -> Option<ServiceName> {
        let blocked = |name: &ServiceName| {
            self.plan.services.iter().any(|(other, plan)| {
                plan.needs.contains(name)
                    && self.rollouts.get(other).is_some_and(|rollout| !rollout.phase().is_over())
            })
        };
        self.rollouts
            .iter()
            .find(|(name, rollout)| rollout.is_held() && !blocked(name))
            .map(|(name, _)| name.clone())
    }
}
