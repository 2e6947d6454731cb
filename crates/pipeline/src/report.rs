//! What happened, as a fold over envelopes and nothing else: the same report whether it is made while a run goes on or from a
//! file afterwards.

use std::collections::BTreeMap;

use jiff::Timestamp;
use release_cluster::{Action, Capture, State};
use release_core::{Cause, PinnedImage, ServiceName};
use release_rollout::Phase;
use serde::Serialize;

use crate::{Envelope, Event};

/// What happened in one run.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The release's number, once it has one.
    pub release: Option<u64>,
    /// What was asked for.
    pub action: Option<Action>,
    /// The services that were touched.
    pub services: BTreeMap<ServiceName, ServiceReport>,
    /// Services that stayed as they are.
    pub unchanged: Vec<ServiceName>,
    /// How it ended; `None` while it goes on.
    pub ending: Option<Ending>,
    /// When it began.
    pub began: Option<Timestamp>,
    /// Seconds from the first event to the last.
    pub seconds: f64,
}

/// What happened to one service.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceReport {
    /// What was released.
    pub image: Option<PinnedImage>,
    /// Every phase it entered, with the second.
    pub phases: Vec<(f64, Phase)>,
    /// Why it failed.
    pub cause: Option<Cause>,
    /// What was saved before the rollback.
    pub captures: Vec<Capture>,
    /// Good and other answers of its checks.
    pub checks: (u32, u32),
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "ended")]
pub enum Ending {
    /// Nothing had to change. `unwell` are workloads that are not well all the same.
    NothingToDo {
        /// Their causes.
        unwell: Vec<Cause>,
    },
    /// The new version runs and passed its checks.
    Verified,
    /// It failed, and what ran before runs again.
    RolledBack {
        /// The service that failed.
        service: Option<ServiceName>,
        /// Why.
        cause: Box<Cause>,
        /// The release that runs now; `None` when nothing ran before.
        running: Option<u64>,
    },
    /// It failed, and what ran before could not be restored completely.
    NotRolledBack {
        /// The service that failed.
        service: Option<ServiceName>,
        /// Why.
        cause: Box<Cause>,
        /// Why it could not be restored.
        why: Option<Box<Cause>>,
    },
    /// It was stopped half-way and can be taken up again.
    Stopped,
    /// The command did not do what was asked. What it had begun is told by the events before.
    #[serde(rename_all = "camelCase")]
    Failed {
        /// What the process ended with.
        exit_code: u8,
        /// The message as people read it.
        error: String,
    },
}

impl Ending {
    /// The process's exit code, part of the published interface. A stopped run's code is that of the signal, which is not known
    /// here: 130 stands for it.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::NothingToDo { unwell } if !unwell.is_empty() => 9,
            Self::Verified | Self::NothingToDo { .. } => 0,
            Self::RolledBack { .. } => 7,
            Self::NotRolledBack { .. } => 8,
            Self::Stopped => 130,
            Self::Failed { exit_code, .. } => *exit_code,
        }
    }
}

impl Report {
    /// The report of a whole run.
    pub fn of<'a>(envelopes: impl IntoIterator<Item = &'a Envelope>) -> Self {
        let mut report = Self::default();
        for envelope in envelopes {
            report.add(envelope);
        }
        report
    }

    /// Takes one more event into account.
    pub fn add(&mut self, envelope: &Envelope) {
        self.began.get_or_insert(envelope.at);
        self.seconds = envelope.elapsed;
        match &envelope.event {
            Event::Planned { release, unchanged, .. } => {
                self.release = Some(*release);
                self.unchanged.clone_from(unchanged);
            }
            Event::ReleaseBegan { release, action, images } => {
                self.release = Some(*release);
                self.action = Some(*action);
                for (name, image) in images {
                    if !self.unchanged.contains(name) {
                        self.service(name).image = Some(image.clone());
                    }
                }
            }
            Event::ReleaseResumed { release, action } => {
                self.release = Some(*release);
                self.action = *action;
            }
            Event::NothingToDo { release, unwell } => {
                self.release = Some(*release);
                self.ending = Some(Ending::NothingToDo { unwell: unwell.clone() });
            }
            Event::Stopped { release, .. } => {
                self.release = Some(*release);
                self.ending = Some(Ending::Stopped);
            }
            Event::ReleaseEnded { action, state, cause, not_restored, service, running, .. } => {
                self.action = Some(*action);
                self.ending =
                    ended(*state, service.as_ref(), cause.as_ref(), not_restored.as_ref(), *running);
            }
            Event::Failed { exit_code, error } => {
                self.ending = Some(Ending::Failed { exit_code: *exit_code, error: error.clone() });
            }
            Event::Cluster(event) => self.cluster(envelope.elapsed, event),
            Event::Started { .. }
            | Event::Image { .. }
            | Event::Prepared { .. }
            | Event::Unknown { .. }
            | Event::ReleaseSuperseded { .. }
            | Event::LockLost { .. } => {}
        }
    }

    fn service(&mut self, name: &ServiceName) -> &mut ServiceReport {
        self.services.entry(name.clone()).or_default()
    }

    fn cluster(&mut self, elapsed: f64, event: &release_cluster::Event) {
        use release_cluster::Event as Cluster;
        match event {
            Cluster::PhaseEntered { service, phase } => self.service(service).phases.push((elapsed, *phase)),
            Cluster::CauseFound { service, cause } | Cluster::WriteRefused { service, cause, .. } => {
                self.service(service).cause.get_or_insert_with(|| cause.clone());
            }
            Cluster::Captured { service, capture, .. } => {
                self.service(service).captures.push(capture.clone());
            }
            Cluster::Checked { service, verdict, .. } => {
                let checks = &mut self.service(service).checks;
                match verdict {
                    release_core::Verdict::Good { .. } => checks.0 += 1,
                    release_core::Verdict::Bad { .. } | release_core::Verdict::NotEnough { .. } => {
                        checks.1 += 1;
                    }
                }
            }
            Cluster::LockAwaited { .. }
            | Cluster::LockTaken { .. }
            | Cluster::ObjectApplied { .. }
            | Cluster::ObjectDeleted { .. }
            | Cluster::OutcomeUnknown { .. }
            | Cluster::Progress { .. }
            | Cluster::CauseSuspected { .. }
            | Cluster::WorkloadReady { .. }
            | Cluster::WatchTroubled { .. } => {}
        }
    }
}

fn ended(
    state: State,
    service: Option<&ServiceName>,
    cause: Option<&Cause>,
    why: Option<&Cause>,
    running: Option<u64>,
) -> Option<Ending> {
    let service = service.cloned();
    match (state, cause) {
        (State::Verified, _) => Some(Ending::Verified),
        (State::RolledBack, Some(cause)) => {
            Some(Ending::RolledBack { service, cause: Box::new(cause.clone()), running })
        }
        (State::NotRolledBack, Some(cause)) => Some(Ending::NotRolledBack {
            service,
            cause: Box::new(cause.clone()),
            why: why.map(|why| Box::new(why.clone())),
        }),
        (State::RolledBack | State::NotRolledBack | State::Running | State::Superseded, _) => None,
    }
}
