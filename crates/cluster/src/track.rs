//! One health tracker per workload the machine may be waiting for, and what people are told of it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use release_core::{Assessment, CauseKind, Certainty, MonoTime, ObjectRef, Readiness, ServiceName, Status};
use release_health::{Graces, Target, Tracker, images};
use release_rollout::{Effect, EffectKind, Phase, ReleasePlan, Strategy, Version};
use serde_json::Value;

use crate::FIELD_MANAGER;
use crate::event::Event;
use crate::watch::Known;

/// The workloads that are being looked at.
#[derive(Default)]
pub(crate) struct Tracked {
    all: BTreeMap<(ServiceName, ObjectRef), Workload>,
    told_trouble: bool,
}

struct Workload {
    version: Version,
    tracker: Tracker,
    revisit_at: Option<MonoTime>,
    told: Option<Told>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Told {
    status: Status,
    cause: Option<CauseKind>,
    readiness: Readiness,
}

impl Tracked {
    /// Takes up workloads that were applied before this process began: those of services that are past it, and, when a
    /// service gets past it, those that an earlier process had applied.
    pub(crate) fn adopt(&mut self, phases: &BTreeMap<ServiceName, Phase>, plan: &ReleasePlan) {
        for (service, phase) in phases {
            let Some(Strategy::Rolling(rolling)) =
                plan.services.get(service).map(|service| &service.strategy)
            else {
                continue;
            };
            let (objects, version) = match phase {
                Phase::Progressing | Phase::Soaking | Phase::Verified => (&rolling.workloads, Version::New),
                Phase::RollingBack => (&rolling.restore_workloads, Version::Previous),
                Phase::Waiting
                | Phase::Applying
                | Phase::RolledBack
                | Phase::NotRolledBack
                | Phase::NotStarted => continue,
            };
            for object in objects {
                let tracked = self.all.get(&(service.clone(), object.clone()));
                if tracked.is_none_or(|workload| workload.version != version) {
                    self.track(service, Target::new(object.clone()), version);
                }
            }
        }
    }

    /// Starts looking at a workload that was just applied; from this write on only its own evidence counts.
    pub(crate) fn applied(&mut self, effect: &Effect, live: &Value, plan: &ReleasePlan) {
        let (EffectKind::Apply { object, version } | EffectKind::ReadBack { object, version }) = &effect.kind
        else {
            return;
        };
        let Some(Strategy::Rolling(rolling)) =
            plan.services.get(&effect.service).map(|service| &service.strategy)
        else {
            return;
        };
        let waited_for = match version {
            Version::New => &rolling.workloads,
            Version::Previous => &rolling.restore_workloads,
        };
        if waited_for.contains(object) {
            let target = Target {
                object: object.clone(),
                min_generation: live["metadata"]["generation"].as_i64(),
                since: written_at(live),
                uid: live["metadata"]["uid"].as_str().map(str::to_owned),
                images: images(live),
            };
            self.track(&effect.service, target, *version);
        }
    }

    /// Stops looking at an object that is about to be deleted: that it goes is no news.
    pub(crate) fn forget(&mut self, service: &ServiceName, object: &ObjectRef) {
        self.all.remove(&(service.clone(), object.clone()));
    }

    fn track(&mut self, service: &ServiceName, target: Target, version: Version) {
        let key = (service.clone(), target.object.clone());
        let tracker = Tracker::new(target, Graces::default());
        self.all.insert(key, Workload { version, tracker, revisit_at: None, told: None });
    }

    pub(crate) fn keys(&self) -> Vec<(ServiceName, ObjectRef)> {
        self.all.keys().cloned().collect()
    }

    /// When something may change by itself.
    pub(crate) fn revisit_at(&self) -> Option<MonoTime> {
        self.all.values().filter_map(|workload| workload.revisit_at).min()
    }

    /// Looks at one workload and tells what is new.
    pub(crate) fn assess(
        &mut self,
        service: &ServiceName,
        object: &ObjectRef,
        now: MonoTime,
        known: &Known,
        tell: &mut dyn FnMut(Event),
    ) -> Option<(Version, Assessment)> {
        let workload = self.all.get_mut(&(service.clone(), object.clone()))?;
        let assessment = workload.tracker.assess(now, &known.snapshot(object));
        workload.revisit_at = assessment.revisit_at.filter(|at| *at > now);
        let told =
            Told { status: assessment.status, cause: audible(&assessment), readiness: assessment.readiness };
        let before = workload.told.replace(told);
        if before != Some(told) {
            report(service, object, workload.version, before, &assessment, tell);
        }
        Some((workload.version, assessment))
    }

    /// Tells once that a watch does not work.
    pub(crate) fn troubled(&mut self, why: String, tell: &mut dyn FnMut(Event)) {
        if !self.told_trouble {
            self.told_trouble = true;
            tell(Event::WatchTroubled { why });
        }
    }
}

/// Tells what differs from the last assessment.
fn report(
    service: &ServiceName,
    object: &ObjectRef,
    version: Version,
    before: Option<Told>,
    assessment: &Assessment,
    tell: &mut dyn FnMut(Event),
) {
    let service = service.clone();
    if before.is_none_or(|before| before.readiness != assessment.readiness) {
        let readiness = assessment.readiness;
        tell(Event::Progress { service: service.clone(), object: object.clone(), readiness });
    }
    let is_new =
        before.is_none_or(|before| before.status != assessment.status || before.cause != audible(assessment));
    if !is_new {
        return;
    }
    match (assessment.status, &assessment.cause) {
        (Status::Ready, _) => tell(Event::WorkloadReady { service, object: object.clone(), version }),
        // Nothing is for good on the way back: what is restored is waited for until its deadline.
        (Status::Failed, Some(cause)) if version == Version::New => {
            tell(Event::CauseFound { service, cause: cause.clone() });
        }
        (Status::Progressing | Status::Unknown | Status::Failed, Some(cause))
            if cause.certainty > Certainty::Early =>
        {
            tell(Event::CauseSuspected { service, cause: cause.clone() });
        }
        (Status::Progressing | Status::Unknown | Status::Failed, Some(_) | None) => {}
    }
}

/// The kind of the cause people are warned of, if there is one.
fn audible(assessment: &Assessment) -> Option<CauseKind> {
    assessment.cause.as_ref().filter(|cause| cause.certainty > Certainty::Early).map(|cause| cause.kind)
}

/// When the API server says our manager last changed the object's content, by its own clock.
fn written_at(live: &Value) -> Option<Timestamp> {
    live["metadata"]["managedFields"]
        .as_array()?
        .iter()
        .filter(|entry| entry["manager"] == FIELD_MANAGER && entry["operation"] == "Apply")
        .find_map(|entry| entry["time"].as_str()?.parse().ok())
}
