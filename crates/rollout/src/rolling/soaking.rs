//! Box *Soaking*: the workloads are ready; for a while they are watched and asked questions.
//!
//! Promotion needs all of: the soak's time is over, every workload is ready, every check has had a good answer and its last
//! answer was not bad. "No answer" is not an answer: without any good one there is no promotion.

use std::collections::BTreeMap;
use std::time::Duration;

use release_core::{Assessment, Cause, CauseKind, MonoTime, ObjectRef, Status, Verdict};
use serde::{Deserialize, Serialize};

use super::progressing::failure;
use super::walk::ANSWER;
use super::{Rolling, RollingBack, own_cause, stand_in, too_late};
use crate::saga::{Happened, Step};
use crate::{Answer, Check, EffectId, EffectKind, Outcome, Version};

/// Checks rest at least this long, so that a plan without an interval does not keep the shell and the service busy.
const SHORTEST_REST: Duration = Duration::from_secs(1);

/// The workloads are watched and checked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Soaking<T = MonoTime> {
    /// When the soak is over; `None` once it is.
    pub(crate) ends: Option<T>,
    /// When every workload has to be ready for good, however often one stops being so.
    pub(crate) ready_by: T,
    /// Workloads that stopped being ready, and when they have to be again.
    pub(crate) unready: Vec<Unready<T>>,
    /// The checks, by name.
    pub(crate) checks: BTreeMap<String, Asking<T>>,
}

/// A workload that stopped being ready during the soak.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Unready<T> {
    pub(crate) object: ObjectRef,
    pub(crate) until: T,
    pub(crate) suspicion: Option<Cause>,
}

/// How one check stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Asking<T> {
    /// Whether it has had a good answer.
    pub(crate) good: bool,
    /// Bad answers since the last good one.
    pub(crate) bad: u32,
    /// When a good answer has to have come, as long as it is not satisfied.
    pub(crate) patience: T,
    /// What it does.
    pub(crate) turn: Turn<T>,
}

/// What a check does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Turn<T> {
    /// It was asked.
    Asked {
        /// The effect.
        id: EffectId,
        /// When the answer counts as lost.
        until: T,
    },
    /// It is asked again at this time.
    Rests(T),
}

impl<T> Asking<T> {
    fn is_satisfied(&self) -> bool {
        self.good && self.bad == 0
    }
}

impl Soaking {
    pub(super) fn enter(step: &mut Step<'_>) -> Rolling {
        let checks = step.plan.checks.clone();
        let now = step.now;
        let asked = checks.into_iter().map(|check| {
            let patience = now + check.patience;
            let turn = ask(step, &check);
            (check.name, Asking { good: false, bad: 0, patience, turn })
        });
        let checks = asked.collect();
        let ends = now + step.plan.soak;
        let ready_by = ends + step.plan.deadline;
        Self { ends: Some(ends), ready_by, unready: Vec::new(), checks }.settle(step)
    }

    pub(super) fn step(self, step: &mut Step<'_>, happened: Happened<'_>) -> Rolling {
        match happened {
            Happened::Replied(id, outcome) => match self.asked_by(id) {
                Some(name) => self.answered(step, &name, outcome),
                None => Rolling::Soaking(self),
            },
            Happened::Assessed(object, Version::New, assessment) if step.plan.workloads.contains(object) => {
                self.assessed(step, object, assessment)
            }
            Happened::Woke => self.woke(step),
            Happened::Undone(cause) => RollingBack::undo(step, cause.clone(), step.plan.apply.len(), None),
            Happened::Assessed(..) | Happened::Started | Happened::Turned => Rolling::Soaking(self),
        }
    }

    fn asked_by(&self, id: EffectId) -> Option<String> {
        let asked = |turn: &Turn<MonoTime>| matches!(turn, Turn::Asked { id: asked, .. } if *asked == id);
        self.checks.iter().find(|(_, asking)| asked(&asking.turn)).map(|(name, _)| name.clone())
    }

    fn answered(mut self, step: &mut Step<'_>, name: &str, outcome: &Outcome) -> Rolling {
        let (Some(asking), Some(check)) =
            (self.checks.get_mut(name), step.plan.checks.iter().find(|check| check.name == name))
        else {
            return Rolling::Soaking(self);
        };
        asking.turn = Turn::Rests(step.now + check.every.max(SHORTEST_REST));
        let why = match outcome {
            Outcome::Ok(Answer::Checked(Verdict::Good { .. })) => {
                asking.good = true;
                asking.bad = 0;
                return self.settle(step);
            }
            Outcome::Ok(Answer::Checked(Verdict::Bad { why })) => {
                asking.bad += 1;
                // A bad answer is one: what was good before is now waited for anew.
                if asking.good {
                    asking.patience = step.now + check.patience;
                }
                if asking.bad > check.tolerate {
                    let summary = format!("check {name} failed: {why}");
                    let cause = own_cause(CauseKind::CheckFailed, stand_in(step), summary, Vec::new());
                    return give_up(step, cause);
                }
                return self.settle(step);
            }
            Outcome::Ok(Answer::Checked(Verdict::NotEnough { why })) | Outcome::Unknown { why } => {
                why.clone()
            }
            Outcome::Refused(cause) => cause.summary.clone(),
            Outcome::Ok(Answer::Applied | Answer::NotApplied | Answer::Deleted | Answer::Captured) => {
                "the answer was about something else".to_owned()
            }
        };
        if !asking.is_satisfied() && step.now >= asking.patience {
            return give_up(step, no_evidence(step, check, &why));
        }
        self.settle(step)
    }

    fn assessed(mut self, step: &mut Step<'_>, object: &ObjectRef, assessment: &Assessment) -> Rolling {
        match assessment.status {
            Status::Failed => give_up(step, failure(object, assessment)),
            Status::Ready => {
                self.unready.retain(|unready| unready.object != *object);
                self.settle(step)
            }
            Status::Progressing | Status::Unknown => {
                let suspicion = assessment.cause.clone();
                let known = self.unready.iter_mut().find(|unready| unready.object == *object);
                if let Some(unready) = known {
                    unready.suspicion = suspicion;
                } else {
                    let until = self.ready_by.min(step.now + step.plan.deadline);
                    self.unready.push(Unready { object: object.clone(), until, suspicion });
                }
                Rolling::Soaking(self)
            }
        }
    }

    fn woke(mut self, step: &mut Step<'_>) -> Rolling {
        if let Some(late) = self.unready.iter().find(|unready| step.now >= unready.until) {
            let what = if late.until < self.ready_by {
                "stopped being ready and was not again"
            } else {
                "was not ready for good after the soak"
            };
            let cause = too_late(&late.object, step.plan.deadline, what, late.suspicion.clone());
            return give_up(step, cause);
        }
        let overdue = |turn: &Turn<MonoTime>| matches!(turn, Turn::Asked { until, .. } if step.now >= *until);
        if let Some((name, _)) = self.checks.iter().find(|(_, asking)| overdue(&asking.turn)) {
            let name = name.clone();
            let lost = Outcome::Unknown { why: "there was no answer".to_owned() };
            return self.answered(step, &name, &lost);
        }
        for check in &step.plan.checks {
            let Some(asking) = self.checks.get_mut(&check.name) else { continue };
            let Turn::Rests(until) = asking.turn else { continue };
            if !asking.is_satisfied() && step.now >= asking.patience {
                let cause = no_evidence(step, check, "there was no usable answer in time");
                return give_up(step, cause);
            }
            // After the soak only checks that stand in the way are asked, so that it comes to an end.
            let watching = self.ends.is_some_and(|ends| step.now < ends) || !self.unready.is_empty();
            let wanted = watching || !asking.is_satisfied();
            if step.now >= until && wanted {
                asking.turn = ask(step, check);
            }
        }
        self.settle(step)
    }

    /// Promotes when nothing stands in the way.
    fn settle(mut self, step: &Step<'_>) -> Rolling {
        self.ends = self.ends.filter(|ends| step.now < *ends);
        let over = self.ends.is_none() && self.unready.is_empty();
        let satisfied =
            self.checks.values().all(|asking| asking.is_satisfied() && matches!(asking.turn, Turn::Rests(_)));
        if over && satisfied { Rolling::Verified } else { Rolling::Soaking(self) }
    }

    pub(super) fn wake_at(&self) -> Option<MonoTime> {
        let unready = self.unready.iter().map(|unready| unready.until);
        let watching = self.ends.is_some() || !self.unready.is_empty();
        let checks = self.checks.values().filter_map(|asking| match asking.turn {
            Turn::Rests(until) if !asking.is_satisfied() => Some(until.min(asking.patience)),
            Turn::Rests(until) => watching.then_some(until),
            Turn::Asked { until, .. } => Some(until),
        });
        self.ends.into_iter().chain(unready).chain(checks).min()
    }
}

impl<T> Soaking<T> {
    pub(super) fn awaited(&self) -> Vec<EffectId> {
        self.checks
            .values()
            .filter_map(|asking| match asking.turn {
                Turn::Asked { id, .. } => Some(id),
                Turn::Rests(_) => None,
            })
            .collect()
    }

    pub(super) fn map<U>(self, time: &dyn Fn(T) -> U, id: &dyn Fn(EffectId) -> EffectId) -> Soaking<U> {
        let unready = self.unready.into_iter().map(|unready| Unready {
            object: unready.object,
            until: time(unready.until),
            suspicion: unready.suspicion,
        });
        let checks = self.checks.into_iter().map(|(name, asking)| {
            let turn = match asking.turn {
                Turn::Asked { id: asked, until } => Turn::Asked { id: id(asked), until: time(until) },
                Turn::Rests(until) => Turn::Rests(time(until)),
            };
            (name, Asking { good: asking.good, bad: asking.bad, patience: time(asking.patience), turn })
        });
        Soaking {
            ends: self.ends.map(time),
            ready_by: time(self.ready_by),
            unready: unready.collect(),
            checks: checks.collect(),
        }
    }
}

impl Soaking<Duration> {
    /// What is asked again has its whole time.
    pub(super) fn taken_over(mut self) -> Self {
        for asking in self.checks.values_mut() {
            if let Turn::Asked { until, .. } = &mut asking.turn {
                *until = ANSWER;
            }
        }
        self
    }
}

fn ask(step: &mut Step<'_>, check: &Check) -> Turn<MonoTime> {
    let id = step.ask(EffectKind::Check { name: check.name.clone(), version: Version::New });
    Turn::Asked { id, until: step.now + ANSWER }
}

/// Everything is written by now.
fn give_up(step: &mut Step<'_>, cause: Cause) -> Rolling {
    RollingBack::roll_back(step, cause, step.plan.apply.len())
}

fn no_evidence(step: &Step<'_>, check: &Check, why: &str) -> Cause {
    let seconds = check.patience.as_secs();
    let summary =
        format!("check {} had no good answer within {seconds} s, so there is no evidence: {why}", check.name);
    own_cause(CauseKind::CheckFailed, stand_in(step), summary, Vec::new())
}
