//! Box *Progressing*: everything is written, the workloads are becoming ready.

use std::collections::BTreeSet;

use release_core::{Assessment, Cause, CauseKind, MonoTime, ObjectRef, Status};
use serde::{Deserialize, Serialize};

use super::suspicions::Suspicions;
use super::{Rolling, RollingBack, Soaking, own_cause, stand_in, too_late};
use crate::Version;
use crate::saga::{Happened, Step};

/// The workloads are becoming ready.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Progressing<T = MonoTime> {
    /// When they have to be.
    pub(crate) deadline: T,
    /// Those that are.
    pub(crate) ready: BTreeSet<ObjectRef>,
    /// What looks wrong with those that are not.
    pub(crate) suspicions: Suspicions,
}

impl Progressing {
    pub(super) fn enter(step: &mut Step<'_>) -> Rolling {
        if step.plan.workloads.is_empty() {
            return Soaking::enter(step);
        }
        let deadline = step.now + step.plan.deadline;
        Rolling::Progressing(Self { deadline, ready: BTreeSet::new(), suspicions: Suspicions::default() })
    }

    pub(super) fn step(self, step: &mut Step<'_>, happened: Happened<'_>) -> Rolling {
        match happened {
            Happened::Assessed(object, Version::New, assessment) if step.plan.workloads.contains(object) => {
                self.assessed(step, object, assessment)
            }
            Happened::Woke if step.now >= self.deadline => {
                let missing = step.plan.workloads.iter().find(|workload| !self.ready.contains(workload));
                let object = missing.cloned().unwrap_or_else(|| stand_in(step));
                let suspicion = self.suspicions.about(&object);
                let cause = too_late(&object, step.plan.deadline, "did not become ready", suspicion);
                RollingBack::roll_back(step, cause, step.plan.apply.len())
            }
            Happened::Undone(cause) => RollingBack::undo(step, cause.clone(), step.plan.apply.len(), None),
            Happened::Assessed(..)
            | Happened::Woke
            | Happened::Started
            | Happened::Replied(..)
            | Happened::Turned => Rolling::Progressing(self),
        }
    }

    fn assessed(mut self, step: &mut Step<'_>, object: &ObjectRef, assessment: &Assessment) -> Rolling {
        match assessment.status {
            Status::Ready => {
                self.ready.insert(object.clone());
                self.suspicions.set(object, None);
                if step.plan.workloads.iter().all(|workload| self.ready.contains(workload)) {
                    return Soaking::enter(step);
                }
                Rolling::Progressing(self)
            }
            Status::Failed => {
                RollingBack::roll_back(step, failure(object, assessment), step.plan.apply.len())
            }
            Status::Progressing | Status::Unknown => {
                self.ready.remove(object);
                self.suspicions.set(object, assessment.cause.clone());
                Rolling::Progressing(self)
            }
        }
    }
}

impl<T> Progressing<T> {
    pub(super) fn map<U>(self, time: &dyn Fn(T) -> U) -> Progressing<U> {
        Progressing { deadline: time(self.deadline), ready: self.ready, suspicions: self.suspicions }
    }
}

/// The cause of a failed assessment; one without a cause is a defect of whoever assessed, and still a failure.
pub(super) fn failure(object: &ObjectRef, assessment: &Assessment) -> Cause {
    assessment.cause.clone().unwrap_or_else(|| {
        own_cause(
            CauseKind::NeverReady,
            object.clone(),
            format!("{object} failed for an unknown reason"),
            Vec::new(),
        )
    })
}
