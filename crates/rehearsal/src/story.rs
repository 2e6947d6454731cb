//! One seed: release 1, then release 2 in the weather of that seed.

use std::time::Duration;

use release_pipeline::{Ending, Envelope, Event, Recorder, Report, deploy, find_target};
use tokio_util::sync::CancellationToken;

use crate::stage::Stage;
use crate::weather::describe;
use crate::{Ended, Moment, Outcome, Rehearsal, ReleaseOutcome};

/// How long one release may take in virtual time. Every deadline of a release together is far below.
const LIMIT: Duration = Duration::from_secs(2 * 60 * 60);

/// How long clients go on after the last release: what it left behind shows.
const AFTERWARDS: Duration = Duration::from_secs(30);

impl Rehearsal {
    /// Tells the story of one seed, on a thread of its own and in a runtime of its own whose clock stands still.
    ///
    /// # Panics
    /// When the story does.
    pub fn run(&self, seed: u64) -> Outcome {
        let told = std::thread::scope(|scope| scope.spawn(|| self.run_here(seed)).join());
        told.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    fn run_here(&self, seed: u64) -> Outcome {
        match tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build() {
            Ok(runtime) => runtime.block_on(self.story(seed)),
            Err(error) => Outcome::broken(seed, error.to_string()),
        }
    }

    async fn story(&self, seed: u64) -> Outcome {
        let faults = self.weather.draw(seed, &self.environment.namespace);
        let mut outcome = Outcome { faults: faults.iter().map(describe).collect(), ..Outcome::new(seed) };
        let mut stage = match Stage::new(self, seed) {
            Ok(stage) => stage,
            Err(error) => return Outcome::broken(seed, error),
        };
        let driver = tokio::spawn(stage.service.clone().drive());
        let clock = stage.cluster.clock().clone();
        let mut recorder = Recorder::new(format!("seed-{seed}"), clock.now());
        let began_at = stage.service.now();
        let mut told = Vec::new();
        for (number, desired) in (1..).zip(&self.versions) {
            if number == 2 {
                stage.begin(self, &faults);
            }
            let began = clock.now();
            let mut envelopes = Vec::new();
            let mut tell = |event| envelopes.push(recorder.stamp(clock.now(), clock.wall(), event));
            let ended = tokio::time::timeout(LIMIT, release(&stage, desired.clone(), &mut tell)).await;
            let ended = match ended {
                Ok(Ok(())) => ended_of(&envelopes),
                Ok(Err(error)) => Ended::Failed { error },
                Err(_) => Ended::Stuck,
            };
            told.append(&mut envelopes);
            let is_good = ended == Ended::Verified;
            let seconds = clock.now().since(began).as_secs_f64();
            outcome.releases.push(ReleaseOutcome { release: number, ended, seconds });
            if !is_good {
                break;
            }
        }
        tokio::time::sleep(AFTERWARDS).await;
        outcome.services = stage.services();
        outcome.timeline = told.into_iter().map(|envelope| Moment::Told(Box::new(envelope))).collect();
        let notes = stage.service.with(|simulation, _| simulation.trace().notes().to_vec());
        outcome.timeline.extend(notes.into_iter().map(|note| Moment::Fault {
            elapsed: note.at.duration_since(began_at).as_secs_f64(),
            fault: note.fault,
            target: note.target,
        }));
        outcome.timeline.sort_by(|a, b| a.elapsed().total_cmp(&b.elapsed()));
        driver.abort();
        outcome
    }
}

/// One release, as `release deploy` does it: find the cluster again, and deploy.
async fn release(
    stage: &Stage,
    desired: release_pipeline::Desired,
    tell: &mut (dyn FnMut(Event) + Send),
) -> Result<(), String> {
    let expect = release_pipeline::Expect::default();
    let found = find_target(&stage.cluster, &stage.store, &expect).await.map_err(|error| chain(&error))?;
    let stop = CancellationToken::new();
    deploy(&stage.cluster, &stage.store, &found, &stage.options, desired, tell, &stop)
        .await
        .map_err(|error| chain(&error))
}

/// An error with everything below it, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let next = error.to_string();
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        source = error.source();
    }
    text
}

fn ended_of(envelopes: &[Envelope]) -> Ended {
    match Report::of(envelopes).ending {
        Some(Ending::Verified) => Ended::Verified,
        Some(Ending::RolledBack { cause, .. }) => Ended::RolledBack { why: cause.summary },
        Some(Ending::NotRolledBack { cause, why, .. }) => {
            Ended::NotRolledBack { why: why.map_or(cause.summary, |why| why.summary) }
        }
        Some(Ending::NothingToDo { .. }) => Ended::NothingToDo,
        Some(Ending::Superseded { .. }) => {
            Ended::Failed { error: "another release took its place".to_owned() }
        }
        Some(Ending::Stopped) => Ended::Failed { error: "it was stopped".to_owned() },
        Some(Ending::Failed { error, .. }) => Ended::Failed { error },
        None => Ended::Failed { error: "it did not say how it ended".to_owned() },
    }
}

impl Outcome {
    fn new(seed: u64) -> Self {
        Self {
            seed,
            faults: Vec::new(),
            releases: Vec::new(),
            services: std::collections::BTreeMap::new(),
            timeline: Vec::new(),
        }
    }

    /// A story that could not begin.
    fn broken(seed: u64, error: String) -> Self {
        let failed = ReleaseOutcome { release: 1, ended: Ended::Failed { error }, seconds: 0.0 };
        Self { releases: vec![failed], ..Self::new(seed) }
    }
}
