//! The fold: what each event adds to a report.

use release_cluster::Event as Cluster;
use release_core::{Cause, ServiceName, Verdict};
use release_rollout::{Phase, Version};

use super::ending::ended;
use super::lists::{self, push, thin};
use super::{
    CaptureAt, CauseAt, CheckedAt, Did, Ending, Note, PhaseReport, Prepared, ReadinessAt, Report, Run,
    ServiceReport, Started, Write,
};
use crate::{Envelope, Event, ImageEvent};

impl Report {
    /// The report of a whole run, or of several runs of one release.
    pub fn of<'a>(envelopes: impl IntoIterator<Item = &'a Envelope>) -> Self {
        let mut report = Self::default();
        for envelope in envelopes {
            report.add(envelope);
        }
        report
    }

    /// Takes one more event into account.
    pub fn add(&mut self, envelope: &Envelope) {
        let at = self.when(envelope);
        match &envelope.event {
            Event::Started { command, project, environment, context, namespace, version, actor } => {
                self.ending = None;
                // Who takes a release up again is not who asked for it.
                self.started.get_or_insert_with(|| Started {
                    command: command.clone(),
                    project: project.clone(),
                    environment: environment.clone(),
                    context: context.clone(),
                    namespace: namespace.clone(),
                    version: version.clone(),
                    actor: actor.clone(),
                });
            }
            Event::Image { service, event } => self.image(at, service, event),
            Event::Planned { release, changes, unchanged, baseline } => {
                self.release = Some(*release);
                self.baseline = *baseline;
                self.unchanged.clone_from(unchanged);
                for change in changes {
                    self.with(&change.service, |service| {
                        push(&mut service.changes, lists::CHANGES, change.clone())
                    });
                }
            }
            Event::ReleaseBegan { release, action, images } => {
                self.release = Some(*release);
                self.action = Some(*action);
                for (name, image) in images {
                    if !self.unchanged.contains(name) {
                        self.with(name, |service| {
                            service.image = Some(image.clone());
                            0
                        });
                    }
                }
            }
            Event::ReleaseResumed { release, action } => {
                self.release = Some(*release);
                self.action = action.or(self.action);
                self.ending = None;
                self.note(at, "taken up again where it stood".to_owned());
            }
            Event::ReleaseSuperseded { release, by } => {
                if self.release == Some(*release) {
                    self.ending = Some(Ending::Superseded { by: Some(*by) });
                }
                self.note(at, format!("release {release} was interrupted; release {by} takes its place"));
            }
            Event::LockLost { .. } => {
                self.note(at, "the cluster was out of reach for so long that the lock was lost".to_owned());
            }
            Event::NothingToDo { release, unwell } => {
                self.release = Some(*release);
                self.ending = Some(Ending::NothingToDo { unwell: unwell.clone() });
            }
            Event::Stopped { release, .. } => {
                self.release = Some(*release);
                self.ending = Some(Ending::Stopped);
                self.note(at, "stopped half-way".to_owned());
            }
            Event::ReleaseEnded { release, action, state, cause, not_restored, service, running } => {
                self.release = Some(*release);
                self.action = Some(*action);
                self.ending =
                    ended(*state, service.as_ref(), cause.as_ref(), not_restored.as_ref(), *running);
                if let (Some(name), Some(cause)) = (service, cause) {
                    self.with(name, |service| decided(service, at, cause));
                }
            }
            Event::Failed { exit_code, error } => {
                self.ending = Some(Ending::Failed { exit_code: *exit_code, error: error.clone() });
            }
            Event::Cluster(event) => self.cluster(at, event),
            Event::Prepared { .. } | Event::Unknown { .. } => {}
        }
    }

    /// Seconds since the first event. A later run of the same release is placed by the time of day, but never before what was
    /// told already: clocks of two machines differ.
    fn when(&mut self, envelope: &Envelope) -> f64 {
        let began = *self.began.get_or_insert(envelope.at);
        if self.runs.last().is_none_or(|last| last.run != envelope.run) {
            let wall = envelope.at.duration_since(began).as_secs_f64() - envelope.elapsed;
            let at = if self.runs.is_empty() { 0.0 } else { wall.max(self.seconds) };
            let run = Run { run: envelope.run.clone(), at };
            self.left_out += push(&mut self.runs, lists::RUNS, run);
        }
        let base = self.runs.last().map_or(0.0, |run| run.at);
        // Milliseconds, as events have them.
        let at = ((base + envelope.elapsed) * 1e3).round() / 1e3;
        self.seconds = if at.is_finite() { at.max(self.seconds) } else { self.seconds };
        self.seconds
    }

    fn note(&mut self, at: f64, text: String) {
        self.left_out += push(&mut self.notes, lists::NOTES, Note { at, text });
    }

    /// Changes what is known of a service; `change` says how much did not fit.
    fn with(&mut self, name: &ServiceName, change: impl FnOnce(&mut ServiceReport) -> u32) {
        if self.services.len() >= lists::SERVICES && !self.services.contains_key(name) {
            self.left_out += 1;
            return;
        }
        self.left_out += change(self.services.entry(name.clone()).or_default());
    }

    fn image(&mut self, at: f64, name: &ServiceName, event: &ImageEvent) {
        if let ImageEvent::Notice { message } = event {
            self.note(at, format!("{name}: {message}"));
        }
        self.with(name, |service| {
            let prepared = service.prepared.get_or_insert(Prepared { from: at, to: None });
            if let ImageEvent::Confirmed { reference } = event {
                // Who takes a release up finds the image again.
                prepared.to.get_or_insert(at);
                service.image = Some(reference.clone());
            }
            0
        });
    }

    fn cluster(&mut self, at: f64, event: &Cluster) {
        match event {
            Cluster::LockAwaited { holder } => self.note(at, format!("waits for {holder}")),
            Cluster::WatchTroubled { why } => self.note(at, format!("the cluster cannot be watched: {why}")),
            Cluster::PhaseEntered { service, phase } => {
                self.with(service, |service| enter(service, at, *phase));
            }
            Cluster::ObjectApplied { service, object, version, .. } => {
                let did = match version {
                    Version::New => Did::Applied,
                    Version::Previous => Did::Restored,
                };
                self.wrote(service, Write { at, did, object: Some(object.clone()), why: None });
            }
            Cluster::ObjectDeleted { service, object, .. } => {
                self.wrote(service, Write { at, did: Did::Deleted, object: Some(object.clone()), why: None });
            }
            Cluster::WriteRefused { service, cause, .. } => {
                let (object, why) = (Some(cause.object.clone()), Some(cause.summary.clone()));
                self.wrote(service, Write { at, did: Did::Refused, object, why });
                self.with(service, |service| found(service, at, cause));
            }
            Cluster::OutcomeUnknown { service, why, .. } => {
                self.wrote(service, Write { at, did: Did::Unclear, object: None, why: Some(why.clone()) });
            }
            Cluster::Progress { service, readiness, .. } => {
                let readiness = ReadinessAt { at, readiness: *readiness };
                self.with(service, |service| {
                    thin(&mut service.readiness, lists::READINESS, readiness, |_| true)
                });
            }
            Cluster::CauseSuspected { service, cause } => {
                self.with(service, |service| suspected(service, at, cause));
            }
            Cluster::CauseFound { service, cause } => self.with(service, |service| found(service, at, cause)),
            Cluster::Checked { service, check, verdict } => {
                self.with(service, |service| checked(service, at, check, verdict));
            }
            Cluster::Captured { service, object, capture } => {
                let capture = CaptureAt { at, object: object.clone(), capture: capture.clone() };
                self.with(service, |service| push(&mut service.captures, lists::CAPTURES, capture));
            }
            Cluster::LockTaken { .. } | Cluster::WorkloadReady { .. } => {}
        }
    }

    fn wrote(&mut self, service: &ServiceName, write: Write) {
        self.with(service, |service| push(&mut service.writes, lists::WRITES, write));
    }
}

/// A run that takes a release up again tells the phase it finds; that is no new phase.
fn enter(service: &mut ServiceReport, at: f64, phase: Phase) -> u32 {
    if let Some(last) = service.phases.last_mut() {
        if last.phase == phase {
            return 0;
        }
        last.to = Some(at);
    }
    push(&mut service.phases, lists::PHASES, PhaseReport { phase, from: at, to: None })
}

/// The first cause is the cause; what follows is its consequence.
fn found(service: &mut ServiceReport, at: f64, cause: &Cause) -> u32 {
    service.cause.get_or_insert_with(|| CauseAt { at, cause: cause.clone() });
    0
}

/// A check that fails is no cause that a watch finds: the end tells it, and it was decided when the rollback began.
fn decided(service: &mut ServiceReport, ended: f64, cause: &Cause) -> u32 {
    let back = service.phases.iter().find(|span| span.phase == Phase::RollingBack);
    found(service, back.map_or(ended, |span| span.from), cause)
}

/// The same words again say nothing new.
fn suspected(service: &mut ServiceReport, at: f64, cause: &Cause) -> u32 {
    let known = |seen: &CauseAt| seen.cause.kind == cause.kind && seen.cause.summary == cause.summary;
    if service.suspicions.iter().any(known) {
        return 0;
    }
    push(&mut service.suspicions, lists::SUSPICIONS, CauseAt { at, cause: cause.clone() })
}

fn checked(service: &mut ServiceReport, at: f64, check: &str, verdict: &Verdict) -> u32 {
    if service.tallies.contains_key(check) || service.tallies.len() < lists::TALLIES {
        let tally = service.tallies.entry(check.to_owned()).or_default();
        match verdict {
            Verdict::Good { latency } => {
                tally.good += 1;
                let millis = u64::try_from(latency.as_millis()).unwrap_or(u64::MAX);
                tally.slowest_ms = tally.slowest_ms.max(millis);
            }
            Verdict::Bad { .. } => tally.bad += 1,
            Verdict::NotEnough { .. } => tally.not_enough += 1,
        }
    }
    let good = |checked: &CheckedAt| matches!(checked.result, Verdict::Good { .. });
    let checked = CheckedAt { at, check: check.to_owned(), result: verdict.clone() };
    thin(&mut service.checks, lists::CHECKS, checked, good)
}
