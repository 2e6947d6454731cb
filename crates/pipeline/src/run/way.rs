//! A release under way: driven to its end whatever happens to the lock, and then written down.
//!
//! What it does not do: decide how a release ends, which is the machine's business, and begin one.

use std::time::Duration;

use release_cluster::{
    DriveError, Driven, Header, Hold, Job, LockError, Objects, State, Store, StoreError, TTL, drive,
};
use release_rollout::{Release, ReleaseOutcome, Suspended};

use super::{Entry, Run, RunError};
use crate::Event;
use crate::plan::KEEP;

/// How often a lost lock is taken again within one run. An API server that is away this often is not coming back soon.
const RELOCKS: usize = 20;

/// How long a lost lock is asked for: longer than the control plane of a small cluster needs to come back.
const AWAY: Duration = Duration::from_secs(15 * 60);

impl Run<'_> {
    /// Takes up a release another process (or this one, under an earlier lock) left.
    pub(super) async fn resume(
        &self,
        header: Header,
        machine: Suspended,
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
        machine: Suspended,
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

    /// Drives until the end is written down, taking the lock again when an outage of the API server outlasted it.
    pub(super) async fn drive(
        &self,
        mut header: Header,
        mut job: Job,
        mut entry: Entry,
        hold: &mut Hold,
        tell: &mut (dyn FnMut(Event) + Send),
    ) -> Result<(), RunError> {
        let number = header.number;
        // Who was refused has not lost the lock to anybody.
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
            let broken =
                match drive(self.cluster, &job, release, first, hold, &mut tell_cluster, self.stop).await {
                    Ok(Driven::Stopped(release)) => {
                        tell(Event::Stopped { release: number, phases: release.phases() });
                        self.options.tape.keep(self.store, number).await;
                        return Ok(());
                    }
                    Ok(Driven::Ended(release)) => {
                        // An end is told once, however often it takes to write it down.
                        if header.state == State::Running {
                            tell(self.end(&mut header, &release));
                        }
                        match write_end(self.store, &header, hold).await {
                            Ok(()) => {
                                self.tidy(&header).await;
                                return Ok(());
                            }
                            Err(error) => Some(error),
                        }
                    }
                    Err(DriveError::Journal(error)) => Some(error),
                    Err(DriveError::LockLost) => None,
                };
            match broken {
                Some(StoreError::Fenced { .. }) => return Err(RunError::TakenOver { release: number }),
                // Also what is refused: a release must not be left half-way because an account lost its rights for a moment.
                Some(error @ StoreError::Api(_)) => refused = Some(error),
                None => refused = None,
                Some(error) => return Err(error.into()),
            }
            if header.state == State::Running {
                tell(Event::LockLost { release: number });
            }
            *hold = self.reenter_lock().await?;
            let running = hold.journal.running().filter(|running| running.release == number).cloned();
            // Without an entry of ours somebody went on, or our last write came through: then it is all written.
            let Some(running) = running else {
                return if header.state == State::Running { Err(lost(refused)) } else { Ok(()) };
            };
            (job, entry) = self.reenter(&header, running.machine, hold.lock.fence()).await?;
        }
        Err(lost(refused))
    }

    /// Takes the lock again after an outage; asks for as long as an outage may last.
    async fn reenter_lock(&self) -> Result<Hold, RunError> {
        let clock = self.cluster.clock();
        let until = clock.now() + AWAY;
        loop {
            let taken = self.cluster.lock(&self.store.name(), &self.options.holder, TTL * 2, |_| {}).await;
            let journal = match taken {
                Ok(lock) => match self.store.journal(lock.fence()).await {
                    Ok(journal) => return Ok(Hold { lock, journal }),
                    Err(error) => Err(RunError::from(error)),
                },
                Err(error) => Err(RunError::from(error)),
            };
            let gave_up = clock.now() >= until || self.stop.is_cancelled();
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

    /// Puts the end into the header. What people wait for is told before it is written down: that takes some requests.
    fn end(&self, header: &mut Header, release: &Release) -> Event {
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
        let running = if state == State::Verified { Some(header.number) } else { header.baseline };
        Event::ReleaseEnded {
            release: header.number,
            action: header.action,
            state,
            cause,
            not_restored,
            service,
            running,
        }
    }

    /// What follows a release that is written down. That it cannot be done is no failure of the release.
    async fn tidy(&self, header: &Header) {
        self.options.tape.keep(self.store, header.number).await;
        if header.state == State::Verified
            && let Err(error) = self.forget_old(header).await
        {
            tracing::warn!(%error, release = header.number, "old releases are still in the record");
        }
    }

    /// Forgets records that fell off the end: everything older than the last [`KEEP`] verified releases.
    async fn forget_old(&self, newest: &Header) -> Result<(), StoreError> {
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
}

async fn write_end(store: &Store, header: &Header, hold: &mut Hold) -> Result<(), StoreError> {
    store.update(header).await?;
    hold.journal.close().await
}
