//! A release from the lock to the record.

use std::collections::BTreeSet;
use std::time::Duration;

use release_cluster::{
    Action, Bodies, Cluster, Conflicts, DriveError, Driven, Header, Hold, Job, LockError, Objects,
    RECORD_VERSION, State, Store, StoreError, TTL, drive,
};
use release_core::{Cause, EnvironmentName, ProjectName, ServiceName, Status};
use release_manifest::LABEL_PART_OF;
use release_rollout::{Effect, Release, ReleaseOutcome};
use tokio_util::sync::CancellationToken;

use crate::plan::{KEEP, Plan, Whose, plan, ref_of};
use crate::{Desired, Event, Found, PlanError, Tape};

/// How often a lost lock is taken again within one run. An API server that is away this often is not coming back soon.
const RELOCKS: usize = 20;

/// What applies to a whole run.
#[derive(Debug, Clone)]
pub struct Options {
    /// The project.
    pub project: ProjectName,
    /// The environment.
    pub environment: EnvironmentName,
    /// What people call the version.
    pub version: Option<String>,
    /// Who or what asks, for the record: `ada@laptop`, `GitLab job 4711`.
    pub actor: String,
    /// The name under which the lock is held; unique to this process.
    pub holder: String,
    /// How long to wait for another release.
    pub lock_timeout: Duration,
    /// What to do about fields other managers own.
    pub conflicts: Conflicts,
    /// The services that may change; empty: all of them.
    pub only: BTreeSet<ServiceName>,
    /// Where the envelopes of this run are put; the release's record keeps them.
    pub tape: Tape,
}

/// Why a run could not do what was asked. The events tell how far it got.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Another release holds the lock.
    #[error("the release cannot start")]
    Lock(#[from] LockError),
    /// The record or the journal cannot be used.
    #[error("the release cannot go on")]
    Store(#[from] StoreError),
    /// There is no plan.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The machine refuses the plan.
    #[error("the plan is not sound")]
    Unsound(#[source] release_rollout::PlanError),
    /// What another process left cannot be taken up.
    #[error("release {release} was interrupted and cannot be resumed: {why}")]
    NotResumable {
        /// Its number.
        release: u64,
        /// The reason.
        why: String,
    },
    /// The lock was lost and another process went on.
    #[error("release {release} lost its lock and was taken over by another process")]
    TakenOver {
        /// Its number.
        release: u64,
    },
    /// There is nothing a rollback could return to.
    #[error("there is no earlier verified release to return to")]
    NothingToRestore,
    /// A rollback to a release that the record does not have.
    #[error("there is no release {release}; verified releases are: {known}")]
    NoSuchRelease {
        /// The number.
        release: u64,
        /// The verified ones.
        known: String,
    },
    /// A rollback to a release that was never verified.
    #[error("release {release} ended {state}, so it is nothing to return to")]
    NotVerified {
        /// The number.
        release: u64,
        /// How it ended.
        state: State,
    },
    /// The health of what runs cannot be looked at.
    #[error("cannot see what runs now")]
    Survey(#[from] release_cluster::SurveyError),
}

/// The parts every step of a run needs.
struct Run<'a> {
    cluster: &'a Cluster,
    store: &'a Store,
    options: &'a Options,
    found: &'a Found,
    stop: &'a CancellationToken,
}

/// How a release is entered.
enum Entry {
    Fresh(Release),
    Resumed(Release, Vec<Effect>),
}

/// Releases `desired`. Takes the lock, finishes or supersedes what another process left, and tells everything.
///
/// # Errors
/// [`RunError`]; how a release that began ended is told by [`Event::ReleaseEnded`], not by an error.
pub async fn deploy(
    cluster: &Cluster,
    store: &Store,
    found: &Found,
    options: &Options,
    desired: Desired,
    tell: &mut (dyn FnMut(Event) + Send),
    stop: &CancellationToken,
) -> Result<(), RunError> {
    let run = Run { cluster, store, options, found, stop };
    // A first release that would be refused must not even leave a lock and a journal behind.
    if found.headers.is_empty() {
        run.plan(desired.clone(), &found.headers).await?;
    }
    let mut hold = run.enter(tell).await?;
    let result = run.deploy(desired, &mut hold, tell).await;
    hold.lock.unlock().await;
    result
}

/// Returns to release `to`, or to the one before the release that runs now.
///
/// # Errors
/// [`RunError`], as [`deploy`].
pub async fn rollback(
    cluster: &Cluster,
    store: &Store,
    found: &Found,
    options: &Options,
    to: Option<u64>,
    tell: &mut (dyn FnMut(Event) + Send),
    stop: &CancellationToken,
) -> Result<(), RunError> {
    let run = Run { cluster, store, options, found, stop };
    // Asked before the lock is taken: what is refused must leave nothing behind.
    if !found.headers.iter().any(|header| header.state == State::Verified) {
        return Err(RunError::NothingToRestore);
    }
    let mut hold = run.enter(tell).await?;
    let result = run.rollback(to, &mut hold, tell).await;
    hold.lock.unlock().await;
    result
}

/// What a release would do, worked out without the lock and without writing anything.
#[derive(Debug, Clone, PartialEq)]
pub struct Preview {
    /// The number it would have.
    pub number: u64,
    /// What would change.
    pub changes: Vec<crate::PlannedChange>,
    /// Services that would stay as they are.
    pub unchanged: Vec<ServiceName>,
    /// The release a rollback would return to.
    pub baseline: Option<u64>,
}

/// What [`deploy`] would do now.
///
/// # Errors
/// When there is no plan; see [`PlanError`].
pub async fn preview(
    cluster: &Cluster,
    store: &Store,
    found: &Found,
    options: &Options,
    desired: Desired,
) -> Result<Preview, RunError> {
    let stop = CancellationToken::new();
    let run = Run { cluster, store, options, found, stop: &stop };
    let number = found.headers.iter().map(|header| header.number).max().unwrap_or(0) + 1;
    let plan = run.plan(desired, &found.headers).await?;
    Ok(Preview { number, changes: plan.changes, unchanged: plan.unchanged, baseline: plan.baseline })
}

impl Run<'_> {
    async fn enter(&self, tell: &mut (dyn FnMut(Event) + Send)) -> Result<Hold, RunError> {
        let mut told = String::new();
        let lock = self
            .cluster
            .lock(&self.store.name(), &self.options.holder, self.options.lock_timeout, |holder| {
                if told != holder {
                    holder.clone_into(&mut told);
                    tell(Event::Cluster(release_cluster::Event::LockAwaited { holder: holder.to_owned() }));
                }
            })
            .await?;
        tell(Event::Cluster(release_cluster::Event::LockTaken { fence: lock.fence() }));
        match self.store.journal(lock.fence()).await {
            Ok(journal) => Ok(Hold { lock, journal }),
            Err(error) => {
                lock.unlock().await;
                Err(error.into())
            }
        }
    }

    async fn deploy(
        &self,
        desired: Desired,
        hold: &mut Hold,
        tell: &mut (dyn FnMut(Event) + Send),
    ) -> Result<(), RunError> {
        let headers = self.store.headers().await?;
        if let Some(running) = hold.journal.running().cloned() {
            let content = desired.content();
            let left = headers.iter().find(|header| header.number == running.release);
            if let Some(left) = left.filter(|left| left.content == content && left.action == Action::Deploy) {
                return self.resume(left.clone(), running.machine, hold, tell).await;
            }
        }
        self.fresh(Action::Deploy, desired, headers, hold, tell).await
    }

    async fn rollback(
        &self,
        to: Option<u64>,
        hold: &mut Hold,
        tell: &mut (dyn FnMut(Event) + Send),
    ) -> Result<(), RunError> {
        let headers = self.store.headers().await?;
        // After a release that could not be rolled back, the last verified one does not run, either.
        let half_way = hold.journal.running().is_some()
            || headers.last().is_some_and(|newest| newest.state == State::NotRolledBack);
        let target = rollback_target(&headers, to, half_way)?;
        if let Some(running) = hold.journal.running().cloned() {
            let left = headers.iter().find(|header| header.number == running.release);
            if let Some(left) = left.filter(|left| left.action == Action::Rollback { to: target.number }) {
                return self.resume(left.clone(), running.machine, hold, tell).await;
            }
        }
        let objects = self.store.objects(target).await?;
        let desired = desired_from(target, &objects);
        self.fresh(Action::Rollback { to: target.number }, desired, headers.clone(), hold, tell).await
    }

    /// A new release: plan, write it down, drive it.
    async fn fresh(
        &self,
        action: Action,
        desired: Desired,
        headers: Vec<Header>,
        hold: &mut Hold,
        tell: &mut (dyn FnMut(Event) + Send),
    ) -> Result<(), RunError> {
        let left = hold.journal.running().map(|running| running.release);
        let number = headers.iter().map(|header| header.number).max().unwrap_or(0).max(left.unwrap_or(0)) + 1;
        let plan = self.plan(desired, &headers).await?;
        if plan.release.services.is_empty() && plan.release.prune.is_empty() && left.is_none() {
            return self.nothing_to_do(&plan, tell).await;
        }
        tell(Event::Planned {
            release: number,
            changes: plan.changes.clone(),
            unchanged: plan.unchanged.clone(),
            baseline: plan.baseline,
        });
        if let Some(left) = headers.iter().find(|header| Some(header.number) == left) {
            let superseded = Header {
                state: State::Superseded,
                ended_at: Some(self.cluster.clock().wall()),
                ..left.clone()
            };
            self.store.update(&superseded).await?;
            tell(Event::ReleaseSuperseded { release: left.number, by: number });
        }
        let release = Release::new(plan.release.clone(), hold.lock.fence()).map_err(RunError::Unsound)?;
        let mut header = self.header(number, action, &plan);
        self.store.begin(&mut header, &plan.desired.objects()).await?;
        tell(Event::ReleaseBegan { release: number, action, images: images(&header) });
        let job = self.job(&header, &plan.desired.objects(), &plan.previous);
        self.drive(header, job, Entry::Fresh(release), hold, tell).await
    }

    async fn plan(&self, desired: Desired, headers: &[Header]) -> Result<Plan, RunError> {
        let baseline = headers.iter().rev().find(|header| header.state == State::Verified);
        let previous = match baseline {
            Some(header) => self.store.objects(header).await?,
            None => Objects::new(),
        };
        let options = self.options;
        let whose = Whose { project: &options.project, environment: &options.environment };
        let (desired, touched) = carry_over(desired, baseline, &previous, &options.only);
        Ok(plan(self.cluster, whose, desired, headers, previous, &touched, options.conflicts).await?)
    }

    fn header(&self, number: u64, action: Action, plan: &Plan) -> Header {
        Header {
            v: RECORD_VERSION,
            number,
            project: self.options.project.clone(),
            environment: self.options.environment.clone(),
            identity: self.found.identity.clone(),
            action,
            state: State::Running,
            version: self.options.version.clone(),
            actor: self.options.actor.clone(),
            started_at: self.cluster.clock().wall(),
            ended_at: None,
            baseline: plan.baseline,
            services: plan
                .desired
                .services
                .iter()
                .map(|(name, service)| (name.clone(), service.record.clone()))
                .collect(),
            content: plan.content.clone(),
            plan: plan.release.clone(),
            cause: None,
            adopted: plan.adopted.clone(),
            chunks: 0,
        }
    }

    fn job(&self, header: &Header, new: &Objects, previous: &Objects) -> Job {
        let by_ref =
            |objects: &Objects| objects.values().flatten().map(|body| (ref_of(body), body.clone())).collect();
        Job {
            number: header.number,
            plan: header.plan.clone(),
            bodies: Bodies { new: by_ref(new), previous: by_ref(previous) },
            services: header.services.clone(),
            conflicts: self.options.conflicts,
            labels: format!("{LABEL_PART_OF}={}", self.options.project),
        }
    }

    /// Takes up a release another process (or this one, under an earlier lock) left.
    async fn resume(
        &self,
        header: Header,
        machine: release_rollout::Suspended,
        hold: &mut Hold,
        tell: &mut (dyn FnMut(Event) + Send),
    ) -> Result<(), RunError> {
        let (job, entry) = self.reenter(&header, machine, hold.lock.fence()).await?;
        self.options.tape.take_up(self.store, header.number).await;
        tell(Event::ReleaseResumed { release: header.number, action: Some(header.action) });
        self.drive(header, job, entry, hold, tell).await
    }

    async fn reenter(
        &self,
        header: &Header,
        machine: release_rollout::Suspended,
        fence: u64,
    ) -> Result<(Job, Entry), RunError> {
        let new = self.store.objects(header).await?;
        let headers = self.store.headers().await?;
        let mut previous = match headers.iter().find(|other| Some(other.number) == header.baseline) {
            Some(baseline) => self.store.objects(baseline).await?,
            None => Objects::new(),
        };
        for (service, found) in &header.adopted {
            previous.entry(service.clone()).or_default().extend(found.iter().cloned());
        }
        let job = self.job(header, &new, &previous);
        let (release, effects) = machine
            .resume(header.plan.clone(), self.cluster.clock().now(), fence)
            .map_err(|error| RunError::NotResumable { release: header.number, why: error.to_string() })?;
        Ok((job, Entry::Resumed(release, effects)))
    }

    /// Drives until the end, taking the lock again when an outage of the API server outlasted it.
    async fn drive(
        &self,
        header: Header,
        mut job: Job,
        mut entry: Entry,
        hold: &mut Hold,
        tell: &mut (dyn FnMut(Event) + Send),
    ) -> Result<(), RunError> {
        let number = header.number;
        let lost = |refused: Option<StoreError>| {
            refused.map_or(RunError::TakenOver { release: number }, RunError::from)
        };
        let mut refused = None;
        for _ in 0..RELOCKS {
            let (release, first) = match entry {
                Entry::Fresh(release) => (release, Vec::new()),
                Entry::Resumed(release, effects) => (release, effects),
            };
            let mut tell_cluster = |event| tell(Event::Cluster(event));
            match drive(self.cluster, &job, release, first, hold, &mut tell_cluster, self.stop).await {
                Ok(Driven::Ended(release)) => return self.finish(header, &release, hold, tell).await,
                Ok(Driven::Stopped(release)) => {
                    tell(Event::Stopped { release: header.number, phases: release.phases() });
                    self.options.tape.keep(self.store, header.number).await;
                    return Ok(());
                }
                Err(DriveError::Journal(StoreError::Fenced { .. })) => {
                    return Err(RunError::TakenOver { release: header.number });
                }
                Err(DriveError::LockLost) => refused = None,
                Err(DriveError::Journal(error)) => refused = Some(error),
            }
            tell(Event::LockLost { release: header.number });
            *hold = self.reenter_lock().await?;
            let running = hold.journal.running().filter(|running| running.release == header.number).cloned();
            let Some(running) = running else { return Err(lost(refused)) };
            (job, entry) = self.reenter(&header, running.machine, hold.lock.fence()).await?;
        }
        Err(lost(refused))
    }

    /// Takes the lock again after an outage; asks for as long as an outage may last.
    async fn reenter_lock(&self) -> Result<Hold, RunError> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let taken = self.cluster.lock(&self.store.name(), &self.options.holder, TTL * 2, |_| {}).await;
            let journal = match taken {
                Ok(lock) => match self.store.journal(lock.fence()).await {
                    Ok(journal) => return Ok(Hold { lock, journal }),
                    Err(error) => Err(RunError::from(error)),
                },
                Err(error) => Err(RunError::from(error)),
            };
            let gave_up = attempt >= RELOCKS || self.stop.is_cancelled();
            match journal {
                Err(RunError::Lock(LockError::Api { .. }) | RunError::Store(StoreError::Api(_)))
                    if !gave_up =>
                {
                    tokio::time::sleep(TTL / 3).await;
                }
                other => return other,
            }
        }
    }

    async fn finish(
        &self,
        mut header: Header,
        release: &Release,
        hold: &mut Hold,
        tell: &mut (dyn FnMut(Event) + Send),
    ) -> Result<(), RunError> {
        let (state, service, cause, not_restored) = match release.outcome() {
            Some(ReleaseOutcome::Verified) => (State::Verified, None, None, None),
            Some(ReleaseOutcome::RolledBack { service, cause }) => {
                (State::RolledBack, service.clone(), Some(cause.clone()), None)
            }
            Some(ReleaseOutcome::NotRolledBack { service, cause, why }) => {
                (State::NotRolledBack, service.clone(), Some(cause.clone()), Some(why.clone()))
            }
            None => (State::Running, None, None, None),
        };
        header.state = state;
        header.ended_at = Some(self.cluster.clock().wall());
        header.cause.clone_from(&cause);
        // What people wait for is told first; the bookkeeping below takes three requests.
        let running = if state == State::Verified { Some(header.number) } else { header.baseline };
        let ended = Event::ReleaseEnded {
            release: header.number,
            action: header.action,
            state,
            cause,
            not_restored,
            service,
            running,
        };
        tell(ended);
        self.store.update(&header).await?;
        hold.journal.close().await?;
        self.options.tape.keep(self.store, header.number).await;
        if state == State::Verified {
            self.forget_old(&header).await?;
        }
        Ok(())
    }

    /// Forgets records that fell off the end: everything older than the last [`KEEP`] verified releases.
    async fn forget_old(&self, newest: &Header) -> Result<(), RunError> {
        let headers = self.store.headers().await?;
        let verified: Vec<_> =
            headers.iter().rev().filter(|header| header.state == State::Verified).take(KEEP).collect();
        let Some(oldest) = verified.last().filter(|_| verified.len() == KEEP) else { return Ok(()) };
        for header in
            headers.iter().filter(|header| header.number < oldest.number && header.number != newest.number)
        {
            self.store.forget(header).await?;
        }
        Ok(())
    }

    /// Nothing has to change; still, what runs is looked at, so that "nothing to do" is never said of something broken.
    async fn nothing_to_do(&self, plan: &Plan, tell: &mut (dyn FnMut(Event) + Send)) -> Result<(), RunError> {
        let workloads: Vec<_> = plan
            .desired
            .services
            .values()
            .flat_map(|service| service.record.objects.iter().filter(|object| object.kind == "Deployment"))
            .map(|object| (object.clone(), Vec::new()))
            .collect();
        let labels = format!("{LABEL_PART_OF}={}", self.options.project);
        let seen = self.cluster.survey(&labels, &workloads).await?;
        let unwell = seen
            .into_iter()
            .filter(|seen| seen.assessment.status != Status::Ready)
            .map(|seen| {
                seen.assessment.cause.unwrap_or_else(|| not_ready(&seen.object, seen.assessment.readiness))
            })
            .collect();
        tell(Event::NothingToDo { release: plan.baseline.unwrap_or(0), unwell });
        Ok(())
    }
}

fn not_ready(object: &release_core::ObjectRef, readiness: release_core::Readiness) -> Cause {
    Cause {
        kind: release_core::CauseKind::NeverReady,
        certainty: release_core::Certainty::Transient,
        object: object.clone(),
        summary: format!("{} of {} pods of {object} are ready", readiness.ready, readiness.desired),
        evidence: Vec::new(),
    }
}

fn images(header: &Header) -> std::collections::BTreeMap<ServiceName, release_core::PinnedImage> {
    header.services.iter().map(|(name, service)| (name.clone(), service.image.clone())).collect()
}

/// Which release a rollback returns to. `interrupted`: a release is half-way, so the last verified one is the goal;
/// otherwise the last verified one is what runs, and the goal is the one before.
fn rollback_target(headers: &[Header], to: Option<u64>, interrupted: bool) -> Result<&Header, RunError> {
    let verified = || headers.iter().rev().filter(|header| header.state == State::Verified);
    let Some(to) = to else {
        let skip = usize::from(!interrupted);
        return verified().nth(skip).ok_or(RunError::NothingToRestore);
    };
    let known = || {
        let numbers: Vec<_> = verified().map(|header| header.number.to_string()).collect();
        if numbers.is_empty() { "none".to_owned() } else { numbers.join(", ") }
    };
    let header = headers
        .iter()
        .find(|header| header.number == to)
        .ok_or_else(|| RunError::NoSuchRelease { release: to, known: known() })?;
    if header.state == State::Verified {
        Ok(header)
    } else {
        Err(RunError::NotVerified { release: to, state: header.state })
    }
}

/// A recorded release as something to be released again. It was verified before: its checks run once, it does not soak.
fn desired_from(header: &Header, objects: &Objects) -> Desired {
    let services = header
        .services
        .iter()
        .map(|(name, record)| {
            let bodies = objects.get(name).cloned().unwrap_or_default();
            let objects = bodies.into_iter().map(|body| (ref_of(&body), body)).collect();
            (name.clone(), crate::DesiredService { record: record.clone(), objects })
        })
        .collect();
    Desired { services }
}

/// Services outside `only` are taken from the baseline, as they run. Returns the services that may change.
fn carry_over(
    desired: Desired,
    baseline: Option<&Header>,
    previous: &Objects,
    only: &BTreeSet<ServiceName>,
) -> (Desired, BTreeSet<ServiceName>) {
    if only.is_empty() {
        let touched = desired.services.keys().cloned().collect();
        return (desired, touched);
    }
    let mut carried = baseline.map(|header| desired_from(header, previous)).unwrap_or_default();
    for (name, service) in desired.services {
        if only.contains(&name) {
            carried.services.insert(name, service);
        }
    }
    (carried, only.clone())
}
