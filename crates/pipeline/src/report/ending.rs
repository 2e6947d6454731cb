//! How a run ended, in a value, an exit code and a sentence.

use release_cluster::{Action, State};
use release_core::{Cause, ServiceName};
use serde::Serialize;

use super::{Report, took};

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
    /// It was interrupted, and another release took its place.
    Superseded {
        /// The number of the other one, where it is known.
        by: Option<u64>,
    },
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
            Self::Stopped | Self::Superseded { .. } => 130,
            Self::Failed { exit_code, .. } => *exit_code,
        }
    }

    /// Why it did not end well.
    pub(crate) fn cause(&self) -> Option<(Option<&ServiceName>, &Cause)> {
        match self {
            Self::RolledBack { service, cause, .. } | Self::NotRolledBack { service, cause, .. } => {
                Some((service.as_ref(), cause))
            }
            Self::NothingToDo { .. }
            | Self::Verified
            | Self::Stopped
            | Self::Superseded { .. }
            | Self::Failed { .. } => None,
        }
    }
}

/// The ending that the event of a release's end tells.
pub(super) fn ended(
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
        (State::Superseded, _) => Some(Ending::Superseded { by: None }),
        (State::RolledBack | State::NotRolledBack | State::Running, _) => None,
    }
}

/// One line: what is now.
pub fn verdict(report: &Report, ending: &Ending) -> String {
    let number = report.release.unwrap_or(0);
    let took = took(report.seconds);
    let action = match report.action {
        Some(Action::Rollback { to }) => format!(" (rollback to release {to})"),
        Some(Action::Deploy) | None => String::new(),
    };
    match ending {
        Ending::Verified => format!("release {number} verified in {took}{action}"),
        Ending::NothingToDo { unwell } if unwell.is_empty() => {
            format!("nothing to do: release {number} runs and is healthy; nothing was written")
        }
        Ending::NothingToDo { .. } => format!("nothing to do, but release {number} is not healthy"),
        Ending::RolledBack { running: Some(running), .. } => {
            format!("release {number} failed and was rolled back to release {running} in {took}")
        }
        Ending::RolledBack { running: None, .. } => {
            format!("release {number} failed and was undone in {took}; no release ran before it")
        }
        Ending::NotRolledBack { .. } => format!("release {number} failed and could NOT be rolled back"),
        Ending::Stopped => format!("release {number} stopped half-way"),
        Ending::Superseded { by } => {
            let by = by.map_or_else(|| "another release".to_owned(), |by| format!("release {by}"));
            format!("release {number} was interrupted; {by} took its place")
        }
        Ending::Failed { exit_code, .. } => {
            let number = report.release.map(|number| format!("release {number}: ")).unwrap_or_default();
            format!("{number}the command failed with exit code {exit_code}")
        }
    }
}
