//! Box `RollingBack`: first what explains the failure is saved, then what was before is restored and waited for.
//!
//! ```text
//!  Saving ─► Held ─► Restoring ─► Removing ─► Settling ─► RolledBack | NotRolledBack
//!                        ▲            │
//!                        └── Resting ◄┘◄────┘
//! ```
//!
//! *Held*: services that need this one are undone first. An object that cannot be restored does not keep the others from
//! being restored; it decides the outcome.
//!
//! *Resting*: what was refused is tried again, for some minutes; so is what somebody else deletes or changes while it settles.
//!
//! *Settling* gives up at its deadline and never sooner. What is restored ran before on this cluster, the cluster goes on
//! trying, and there is nothing further to fall back to: what is terminal on the way forward may be cured here by waiting,
//! a node that comes back or a registry that answers again, and giving up could only turn a late success into a failure.

use std::collections::BTreeSet;
use std::time::Duration;

use release_core::{Assessment, Cause, CauseKind, MonoTime, ObjectRef, Status};
use serde::{Deserialize, Serialize};

use super::progressing::failure;
use super::refused::Refused;
use super::suspicions::Suspicions;
use super::undo::Undo;
use super::walk::{ANSWER, ATTEMPTS, Walk, Walked};
use super::{Rolling, own_cause, stand_in, too_late};
use crate::saga::{Happened, Step};
use crate::{Answer, EffectId, EffectKind, Outcome, Version};

/// Logs and events that have not come by now do not hold up a rollback any longer.
const SAVING: Duration = Duration::from_secs(10);

/// What was before is being restored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RollingBack<T = MonoTime> {
    /// Why.
    pub(crate) cause: Cause,
    /// How many objects of the new version may have been written. None: there is nothing to restore.
    pub(crate) written: usize,
    /// The first thing that could not be restored.
    pub(crate) trouble: Option<Cause>,
    /// What was refused, once something was.
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    pub(crate) refused: Option<Refused<T>>,
    /// How far it is.
    pub(crate) stage: Stage<T>,
}

fn none<T>() -> Option<T> {
    None
}

/// How far a rollback is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "camelCase", tag = "stage")]
pub(crate) enum Stage<T> {
    /// Logs and events are being saved, and a write that was under way lands.
    Saving {
        /// Captures that were asked for.
        captures: BTreeSet<EffectId>,
        /// The write. Not asked for again after a crash: it belongs to the version that is being undone.
        landing: Option<Landing<T>>,
        /// When captures are given up.
        until: T,
    },
    /// Services that need this one come first.
    Held,
    /// The previous version's objects are being written.
    Restoring {
        /// Which one.
        walk: Walk<T>,
    },
    /// Objects that did not exist before are being deleted.
    Removing {
        /// Position in the plan's list.
        at: usize,
        /// The deletion whose reply is waited for.
        asked: EffectId,
        /// When the reply counts as lost.
        until: T,
        /// How often this object has been tried.
        attempt: u32,
    },
    /// What was refused is tried again soon.
    Resting {
        /// When.
        until: T,
    },
    /// The restored workloads are becoming ready.
    Settling {
        /// When they have to be.
        deadline: T,
        /// Those that are.
        ready: BTreeSet<ObjectRef>,
        /// What looks wrong with those that are not.
        suspicions: Suspicions,
    },
}

/// A write of the new version that was under way when the service turned back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Landing<T> {
    /// The effect.
    pub(crate) write: EffectId,
    /// When its reply counts as lost.
    pub(crate) until: T,
}

impl RollingBack {
    /// The one way in for a service that failed itself: what explains the failure is saved first. `written` objects of the
    /// new version may have been written; without any there is nothing to explain.
    pub(super) fn roll_back(step: &mut Step<'_>, cause: Cause, written: usize) -> Rolling {
        if written == 0 {
            return Self::undo(step, cause, written, None);
        }
        let about = step
            .plan
            .workloads
            .iter()
            .filter(|workload| **workload == cause.object)
            .cloned()
            .collect::<Vec<_>>();
        let about = if about.is_empty() { step.plan.workloads.clone() } else { about };
        let captures = about.into_iter().map(|object| step.ask(EffectKind::Capture { object })).collect();
        Self::begin(step, cause, written, captures, None)
    }

    /// The way in for a service that is undone because of something else. `landing` is a write under way.
    pub(super) fn undo(
        step: &mut Step<'_>,
        cause: Cause,
        written: usize,
        landing: Option<Landing<MonoTime>>,
    ) -> Rolling {
        Self::begin(step, cause, written, BTreeSet::new(), landing)
    }

    fn begin(
        step: &Step<'_>,
        cause: Cause,
        written: usize,
        captures: BTreeSet<EffectId>,
        landing: Option<Landing<MonoTime>>,
    ) -> Rolling {
        let until = step.now + SAVING;
        Rolling::RollingBack(Self {
            cause,
            written,
            trouble: None,
            refused: None,
            stage: Stage::Saving { captures, landing, until }.saved(),
        })
    }

    pub(super) fn step(self, step: &mut Step<'_>, happened: Happened<'_>) -> Rolling {
        let Self { cause, written, trouble, refused, stage } = self;
        let round = refused.as_ref().and_then(Refused::round);
        let undo = Undo::new(step.plan, written, round);
        let back = Back { undo, cause, written, trouble, refused };
        match (stage, happened) {
            (Stage::Saving { mut captures, landing, until }, Happened::Replied(id, _)) => {
                captures.remove(&id);
                let landing = landing.filter(|landing| landing.write != id);
                back.at(Stage::Saving { captures, landing, until }.saved())
            }
            (Stage::Saving { captures, landing, until }, Happened::Woke) => {
                let captures = if step.now >= until { BTreeSet::new() } else { captures };
                let landing = landing.filter(|landing| step.now < landing.until);
                back.at(Stage::Saving { captures, landing, until }.saved())
            }
            (Stage::Held, Happened::Turned) => back.restore(step, 0),
            (Stage::Restoring { walk }, Happened::Replied(id, outcome)) if id == walk.asked => {
                let walked = walk.replied(step, &back.undo.restore, outcome);
                back.restored(step, walked)
            }
            (Stage::Restoring { walk }, Happened::Woke) if step.now >= walk.until => {
                let walked = walk.overdue(step, &back.undo.restore);
                back.restored(step, walked)
            }
            (Stage::Removing { at, asked, attempt, .. }, Happened::Replied(id, outcome)) if id == asked => {
                back.removed(step, at, attempt, outcome)
            }
            (Stage::Removing { at, until, attempt, .. }, Happened::Woke) if step.now >= until => {
                let lost = Outcome::Unknown { why: "there was no answer".to_owned() };
                back.removed(step, at, attempt, &lost)
            }
            (Stage::Resting { until }, Happened::Woke) if step.now >= until => back.next_round(step),
            (
                Stage::Settling { deadline, ready, suspicions },
                Happened::Assessed(object, Version::Previous, assessment),
            ) if back.undo.workloads.contains(object) => {
                back.assessed(step, Settling { deadline, ready, suspicions }, object, assessment)
            }
            (Stage::Settling { deadline, suspicions, ready }, Happened::Woke) if step.now >= deadline => {
                let missing = back.undo.workloads.iter().find(|workload| !ready.contains(workload));
                let object = missing.cloned().unwrap_or_else(|| stand_in(step));
                let limit = step.plan.rollback_deadline;
                let suspicion = suspicions.about(&object);
                back.fail(too_late(&object, limit, "did not become ready again", suspicion))
            }
            (
                stage,
                Happened::Started
                | Happened::Replied(..)
                | Happened::Assessed(..)
                | Happened::Undone(_)
                | Happened::Turned
                | Happened::Woke,
            ) => back.at(stage),
        }
    }

    pub(super) fn wake_at(&self) -> Option<MonoTime> {
        match &self.stage {
            Stage::Saving { captures, landing, until } => {
                let captures = (!captures.is_empty()).then_some(*until);
                captures.into_iter().chain(landing.map(|landing| landing.until)).min()
            }
            Stage::Held => None,
            Stage::Restoring { walk } => Some(walk.until),
            Stage::Removing { until, .. } | Stage::Resting { until } => Some(*until),
            Stage::Settling { deadline, .. } => Some(*deadline),
        }
    }
}

/// A rollback between two stages.
struct Back {
    undo: Undo,
    cause: Cause,
    written: usize,
    trouble: Option<Cause>,
    refused: Option<Refused>,
}

/// The settling stage's data.
struct Settling {
    deadline: MonoTime,
    ready: BTreeSet<ObjectRef>,
    suspicions: Suspicions,
}

impl Back {
    fn at(self, stage: Stage<MonoTime>) -> Rolling {
        let Self { cause, written, trouble, refused, undo: _ } = self;
        Rolling::RollingBack(RollingBack { cause, written, trouble, refused, stage })
    }

    /// Ends without having restored everything.
    fn fail(self, why: Cause) -> Rolling {
        Rolling::NotRolledBack { cause: self.cause, why: self.trouble.unwrap_or(why) }
    }

    /// Remembers what went wrong first.
    fn with(self, trouble: Cause) -> Self {
        Self { trouble: self.trouble.or(Some(trouble)), ..self }
    }

    /// Takes in that `object` was not restored or removed: it is tried again, or it is the trouble.
    fn refuse(mut self, step: &Step<'_>, object: ObjectRef, why: Cause) -> Self {
        let refused = self.refused.get_or_insert_with(|| Refused::first(step.now));
        if refused.again(step.now, object) { self } else { self.with(why) }
    }

    /// What somebody else deleted or changed after it was restored is restored again, as long as refusals are tried again.
    fn tries_again(&mut self, step: &Step<'_>, object: &ObjectRef) -> bool {
        self.refused.get_or_insert_with(|| Refused::first(step.now)).again(step.now, object.clone())
    }

    /// Goes on after everything was tried once.
    fn rest(self, step: &Step<'_>) -> Rolling {
        match self.refused.as_ref().and_then(|refused| refused.next_at(step.now)) {
            Some(until) => self.at(Stage::Resting { until }),
            None => self.settle(step),
        }
    }

    /// Tries again what was refused.
    fn next_round(mut self, step: &mut Step<'_>) -> Rolling {
        if let Some(refused) = &mut self.refused {
            refused.next();
            self.undo = Undo::new(step.plan, self.written, refused.round());
        }
        self.restore(step, 0)
    }

    /// Writes the object at `at`, or goes on when there is none.
    fn restore(self, step: &mut Step<'_>, at: usize) -> Rolling {
        match Walk::at(step, Version::Previous, &self.undo.restore, at) {
            Some(walk) => self.at(Stage::Restoring { walk }),
            None => self.remove(step, 0),
        }
    }

    fn restored(self, step: &mut Step<'_>, walked: Walked) -> Rolling {
        match walked {
            Walked::On(walk) => self.at(Stage::Restoring { walk }),
            Walked::Through => self.remove(step, 0),
            Walked::Failed(walk, why) => match self.undo.restore.get(walk.at).cloned() {
                Some(object) => self.refuse(step, object, why).restore(step, walk.at + 1),
                None => self.remove(step, 0),
            },
        }
    }

    /// Deletes the object at `at`, or goes on when there is none.
    fn remove(self, step: &mut Step<'_>, at: usize) -> Rolling {
        match self.undo.remove.get(at).cloned() {
            Some(object) => self.delete(step, object, at, 1),
            None => self.rest(step),
        }
    }

    fn delete(self, step: &mut Step<'_>, object: ObjectRef, at: usize, attempt: u32) -> Rolling {
        let asked = step.ask(EffectKind::Delete { object });
        self.at(Stage::Removing { at, asked, until: step.now + ANSWER, attempt })
    }

    fn removed(self, step: &mut Step<'_>, at: usize, attempt: u32, outcome: &Outcome) -> Rolling {
        let object = self.undo.remove.get(at).cloned().unwrap_or_else(|| stand_in(step));
        match outcome {
            Outcome::Ok(Answer::Deleted) => self.remove(step, at + 1),
            Outcome::Refused(cause) => self.refuse(step, object, cause.clone()).remove(step, at + 1),
            // Deleting twice is harmless.
            Outcome::Unknown { .. } if attempt < ATTEMPTS => self.delete(step, object, at, attempt + 1),
            Outcome::Unknown { why } => {
                let summary =
                    format!("whether {object} was deleted stayed unknown after {ATTEMPTS} attempts: {why}");
                let why = own_cause(CauseKind::Unreachable, object.clone(), summary, Vec::new());
                self.refuse(step, object, why).remove(step, at + 1)
            }
            Outcome::Ok(Answer::Applied | Answer::NotApplied | Answer::Checked(_) | Answer::Captured) => {
                let summary = format!("the answer about {object} was about something else");
                let why = own_cause(CauseKind::Refused, object.clone(), summary, Vec::new());
                self.refuse(step, object, why).remove(step, at + 1)
            }
        }
    }

    fn settle(self, step: &Step<'_>) -> Rolling {
        if self.undo.workloads.is_empty() {
            return self.end();
        }
        let deadline = step.now + step.plan.rollback_deadline;
        self.at(Stage::Settling { deadline, ready: BTreeSet::new(), suspicions: Suspicions::default() })
    }

    fn assessed(
        mut self,
        step: &Step<'_>,
        mut settling: Settling,
        object: &ObjectRef,
        assessment: &Assessment,
    ) -> Rolling {
        match assessment.status {
            Status::Ready => {
                settling.ready.insert(object.clone());
                settling.suspicions.set(object, None);
                if self.undo.workloads.iter().all(|workload| settling.ready.contains(workload)) {
                    return self.end();
                }
            }
            Status::Failed => {
                let why = failure(object, assessment);
                if why.kind == CauseKind::Interference && self.tries_again(step, object) {
                    return self.rest(step);
                }
                settling.ready.remove(object);
                settling.suspicions.set(object, Some(why));
            }
            Status::Progressing | Status::Unknown => {
                settling.ready.remove(object);
                settling.suspicions.set(object, assessment.cause.clone());
            }
        }
        let Settling { deadline, ready, suspicions } = settling;
        self.at(Stage::Settling { deadline, ready, suspicions })
    }

    fn end(self) -> Rolling {
        match self.trouble {
            None => Rolling::RolledBack { cause: self.cause },
            Some(why) => Rolling::NotRolledBack { cause: self.cause, why },
        }
    }
}

impl<T> Stage<T> {
    /// Saving is over when nothing is waited for.
    fn saved(self) -> Self {
        match self {
            Self::Saving { captures, landing: None, .. } if captures.is_empty() => Self::Held,
            other => other,
        }
    }
}

impl<T> RollingBack<T> {
    /// Whether it waits for its turn.
    pub(super) fn is_held(&self) -> bool {
        matches!(self.stage, Stage::Held)
    }

    pub(super) fn awaited(&self) -> Vec<EffectId> {
        match &self.stage {
            Stage::Saving { captures, landing, .. } => {
                captures.iter().copied().chain(landing.as_ref().map(|landing| landing.write)).collect()
            }
            Stage::Restoring { walk } => walk.awaited().into_iter().collect(),
            Stage::Removing { asked, .. } => vec![*asked],
            Stage::Held | Stage::Resting { .. } | Stage::Settling { .. } => Vec::new(),
        }
    }

    pub(super) fn map<U>(self, time: &dyn Fn(T) -> U, id: &dyn Fn(EffectId) -> EffectId) -> RollingBack<U> {
        let stage = match self.stage {
            Stage::Saving { captures, landing, until } => Stage::Saving {
                captures: captures.into_iter().map(id).collect(),
                landing: landing
                    .map(|Landing { write, until }| Landing { write: id(write), until: time(until) }),
                until: time(until),
            },
            Stage::Held => Stage::Held,
            Stage::Restoring { walk } => Stage::Restoring { walk: walk.map(time, id) },
            Stage::Removing { at, asked, until, attempt } => {
                Stage::Removing { at, asked: id(asked), until: time(until), attempt }
            }
            Stage::Resting { until } => Stage::Resting { until: time(until) },
            Stage::Settling { deadline, ready, suspicions } => {
                Stage::Settling { deadline: time(deadline), ready, suspicions }
            }
        };
        let refused = self.refused.map(|refused| refused.map(time));
        RollingBack { cause: self.cause, written: self.written, trouble: self.trouble, refused, stage }
    }
}

impl RollingBack<Duration> {
    /// A write that another process had under way ended with that process. What is asked for again has its whole time.
    pub(super) fn taken_over(self) -> Self {
        let stage = match self.stage {
            Stage::Saving { captures, landing: _, until: _ } => {
                Stage::Saving { captures, landing: None, until: SAVING }.saved()
            }
            Stage::Restoring { walk } => Stage::Restoring { walk: walk.taken_over() },
            Stage::Removing { at, asked, until: _, attempt } => {
                Stage::Removing { at, asked, until: ANSWER, attempt }
            }
            waiting @ (Stage::Held | Stage::Resting { .. } | Stage::Settling { .. }) => waiting,
        };
        Self { stage, ..self }
    }
}
