//! The loop between a release machine and a cluster. It has no opinion: it writes down what the machine is about to
//! do, does it, tells the machine how it went, and sleeps.
//!
//! ```text
//!        step ──► journal ──► perform ──► reply ─┐
//!          ▲                                     │
//!          └──── watches · wake-ups · replies ◄──┘
//! ```
//!
//! It ends when the machine has an outcome, when it is asked to stop, or when it may not go on because the lock or the
//! journal is somebody else's.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use release_core::{Assessment, MonoTime, ObjectRef, ServiceName, Status};
use release_rollout::{
    Effect, EffectId, EffectKind, Input, Outcome, Phase, Release, ReleasePlan, Strategy, Version,
};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::event::Event;
use crate::journal::{Journal, Running};
use crate::lock::Lock;
use crate::object::Conflicts;
use crate::perform::{Performed, perform};
use crate::store::StoreError;
use crate::track::Tracked;
use crate::watch::Watches;
use crate::{Cluster, ServiceRecord};

/// When asked to stop, how long requests under way may still take to answer, so that less has to be read back later.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// What a release needs besides its machine.
pub struct Job {
    /// The release's number.
    pub number: u64,
    /// The plan its machine was made from.
    pub plan: ReleasePlan,
    /// The bodies of the plan's objects.
    pub bodies: Bodies,
    /// The services, with their checks by the names the plan gives them.
    pub services: BTreeMap<ServiceName, ServiceRecord>,
    /// What to do about fields other managers own.
    pub conflicts: Conflicts,
    /// The label selector all objects of the project carry.
    pub labels: String,
}

/// Bodies of objects, by whose they are.
#[derive(Debug, Clone, Default)]
pub struct Bodies {
    /// What is being released.
    pub new: BTreeMap<ObjectRef, Value>,
    /// What a rollback returns to.
    pub previous: BTreeMap<ObjectRef, Value>,
}

impl Bodies {
    /// The body of an object in a version.
    pub fn get(&self, object: &ObjectRef, version: Version) -> Option<&Value> {
        match version {
            Version::New => self.new.get(object),
            Version::Previous => self.previous.get(object),
        }
    }
}

/// What makes a process the one that may release: the lock, and the journal opened under it.
pub struct Hold {
    /// The lock.
    pub lock: Lock,
    /// The journal.
    pub journal: Journal,
}

/// How driving ended.
#[derive(Debug)]
pub enum Driven {
    /// The machine has an outcome.
    Ended(Release),
    /// It was asked to stop. The journal says where it stands; driving can be taken up again.
    Stopped(Release),
}

/// Why driving could not go on. The journal says where it stands.
#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    /// The lock could not be renewed, or somebody took it.
    #[error("the lock was lost")]
    LockLost,
    /// The journal could not be written, so nothing more may be done.
    #[error("the journal cannot be written")]
    Journal(#[from] StoreError),
}

/// Drives `release` until it ends. `first` are the effects it already asked for when it was resumed.
///
/// # Errors
/// [`DriveError`]: nothing more may be done by this process, and the release can be resumed by the next.
pub async fn drive(
    cluster: &Cluster,
    job: &Job,
    release: Release,
    first: Vec<Effect>,
    hold: &mut Hold,
    tell: &mut (dyn FnMut(Event) + Send),
    stop: &CancellationToken,
) -> Result<Driven, DriveError> {
    let mut driver = Driver {
        cluster,
        job,
        watches: Watches::open(cluster, &job.labels),
        phases: BTreeMap::new(),
        tracked: Tracked::default(),
        release,
        asked: first,
        flights: FuturesUnordered::new(),
        written: None,
        tell,
    };
    driver.tracked.adopt(&driver.release.phases(), &job.plan);
    driver.run(&mut hold.lock, &mut hold.journal, stop).await
}

struct Driver<'a> {
    cluster: &'a Cluster,
    job: &'a Job,
    watches: Watches,
    phases: BTreeMap<ServiceName, Phase>,
    tracked: Tracked,
    release: Release,
    /// Asked for by the machine, not yet started.
    asked: Vec<Effect>,
    flights: FuturesUnordered<BoxFuture<'a, (Effect, Performed)>>,
    /// What the journal's last entry was about: phases and outstanding effects.
    written: Option<(BTreeMap<ServiceName, Phase>, Vec<EffectId>)>,
    tell: &'a mut (dyn FnMut(Event) + Send),
}

/// What woke the loop.
enum Woken {
    Stop,
    LockLost,
    Landed(Box<(Effect, Performed)>),
    Changed,
    Time,
}

impl Driver<'_> {
    async fn run(
        mut self,
        lock: &mut Lock,
        journal: &mut Journal,
        stop: &CancellationToken,
    ) -> Result<Driven, DriveError> {
        self.step(Input::Begin);
        loop {
            self.write_ahead(lock, journal).await?;
            if self.release.outcome().is_some() {
                return Ok(Driven::Ended(self.release));
            }
            self.start_effects();
            match self.woken(lock, stop).await {
                Woken::Stop => return self.stop(lock, journal).await,
                Woken::LockLost => return Err(DriveError::LockLost),
                Woken::Landed(landed) => self.landed(&landed.0, landed.1),
                Woken::Changed => self.assess(),
                Woken::Time => {
                    self.assess();
                    self.step(Input::Woke);
                }
            }
        }
    }

    async fn woken(&mut self, lock: &mut Lock, stop: &CancellationToken) -> Woken {
        let at = [self.release.wake_at(), self.tracked.revisit_at()].into_iter().flatten().min();
        let clock = self.cluster.clock().clone();
        let alarm = async {
            match at {
                Some(at) => tokio::time::sleep_until(clock.instant(at)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => Woken::Stop,
            () = lock.lost() => Woken::LockLost,
            Some(landed) = self.flights.next() => Woken::Landed(Box::new(landed)),
            () = self.watches.changed() => Woken::Changed,
            () = alarm => Woken::Time,
        }
    }

    fn now(&self) -> MonoTime {
        self.cluster.clock().now()
    }

    /// Gives the machine one input and remembers what it asks for.
    fn step(&mut self, input: Input) {
        tracing::debug!(?input, "step");
        let release = self.release.clone();
        let (release, effects) = release.step(self.now(), input);
        self.release = release;
        self.asked.extend(effects);
        let entered: Vec<_> = self
            .release
            .phases()
            .into_iter()
            .filter(|(service, phase)| self.phases.get(service) != Some(phase))
            .collect();
        // One service may begin because another one ended in the same step: what ended is told first.
        let (ended, begun): (Vec<_>, Vec<_>) = entered.into_iter().partition(|(_, phase)| phase.is_over());
        for (service, phase) in ended.into_iter().chain(begun) {
            self.phases.insert(service.clone(), phase);
            if phase == Phase::Progressing {
                self.tracked.adopt(&BTreeMap::from([(service.clone(), phase)]), &self.job.plan);
            }
            (self.tell)(Event::PhaseEntered { service, phase });
        }
    }

    /// Writes the journal if what the machine is about to do has changed. A write that takes longer than the lock lasts is not
    /// waited for: nothing may follow from it.
    async fn write_ahead(&mut self, lock: &mut Lock, journal: &mut Journal) -> Result<(), DriveError> {
        let outstanding = self.release.outstanding().iter().map(|effect| effect.id).collect();
        let now = (self.release.phases(), outstanding);
        if self.written.as_ref() == Some(&now) {
            return Ok(());
        }
        let machine = self.release.suspend(self.now());
        tokio::select! {
            biased;
            () = lock.lost() => return Err(DriveError::LockLost),
            written = journal.append(Running { release: self.job.number, machine }) => written?,
        }
        self.written = Some(now);
        Ok(())
    }

    fn start_effects(&mut self) {
        for effect in std::mem::take(&mut self.asked) {
            let known = self.watches.known();
            let (cluster, job) = (self.cluster, self.job);
            let workload = self.workload(&effect.service);
            if let EffectKind::Delete { object } = &effect.kind {
                self.tracked.forget(&effect.service, object);
            }
            self.flights.push(Box::pin(async move {
                let performed = perform(cluster, job, &effect, workload, known).await;
                (effect, performed)
            }));
        }
    }

    /// The workload whose pods stand for a service.
    fn workload(&self, service: &ServiceName) -> Option<ObjectRef> {
        let Strategy::Rolling(rolling) = &self.job.plan.services.get(service)?.strategy;
        rolling.workloads.first().or(rolling.restore_workloads.first()).cloned()
    }

    fn landed(&mut self, effect: &Effect, performed: Performed) {
        if let Some(event) = performed.event {
            (self.tell)(event);
        }
        if let Some(applied) = performed.applied {
            self.tracked.applied(effect, &applied, &self.job.plan);
        }
        self.step(Input::Replied { id: effect.id, outcome: performed.outcome });
        self.assess();
    }

    /// Looks at every workload the machine may be waiting for.
    fn assess(&mut self) {
        if let Some(why) = self.watches.trouble() {
            self.tracked.troubled(why, &mut *self.tell);
        }
        if !self.watches.listed() {
            return;
        }
        let known = self.watches.known();
        let now = self.now();
        for (service, object) in self.tracked.keys() {
            let Some((version, assessment)) =
                self.tracked.assess(&service, &object, now, &known, &mut *self.tell)
            else {
                continue;
            };
            self.assessed(service, object, version, assessment);
        }
    }

    fn assessed(
        &mut self,
        service: ServiceName,
        object: ObjectRef,
        version: Version,
        assessment: Assessment,
    ) {
        // The machine has no use for "nothing known yet", and a journal entry for it would be noise.
        if assessment.status != Status::Unknown || assessment.cause.is_some() {
            self.step(Input::Assessed { service, object, version, assessment });
        }
    }

    /// Lets requests under way land, writes down where the machine stands, and starts nothing new.
    async fn stop(mut self, lock: &mut Lock, journal: &mut Journal) -> Result<Driven, DriveError> {
        let give_up = tokio::time::sleep(STOP_PATIENCE);
        tokio::pin!(give_up);
        while !self.flights.is_empty() {
            tokio::select! {
                biased;
                Some((effect, performed)) = self.flights.next() => self.landed(&effect, performed),
                () = &mut give_up => break,
            }
        }
        self.write_ahead(lock, journal).await?;
        if self.release.outcome().is_some() {
            return Ok(Driven::Ended(self.release));
        }
        Ok(Driven::Stopped(self.release))
    }
}

/// An outcome that says that an effect's object has no body in the plan, which only a damaged record can cause.
pub(crate) fn no_body(object: &ObjectRef, version: Version) -> Outcome {
    Outcome::Refused(release_core::Cause {
        kind: release_core::CauseKind::Refused,
        certainty: release_core::Certainty::Terminal,
        object: object.clone(),
        summary: format!("the record has no body of {object} in its {version} version"),
        evidence: Vec::new(),
    })
}
