//! The exit codes: a published interface, in one table. Pipelines branch on them, so a number never gets another meaning.

use std::fmt::Write as _;

use release_pipeline::Ending;

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    Done,
    Bug,
    Usage,
    Build,
    Push,
    Render,
    Cluster,
    RolledBack,
    NotRolledBack,
    Check,
    Gate,
    Locked,
    Interrupted,
    Terminated,
}

impl Exit {
    /// Every code, in order.
    pub(crate) const ALL: &[Self] = &[
        Self::Done,
        Self::Bug,
        Self::Usage,
        Self::Build,
        Self::Push,
        Self::Render,
        Self::Cluster,
        Self::RolledBack,
        Self::NotRolledBack,
        Self::Check,
        Self::Gate,
        Self::Locked,
        Self::Interrupted,
        Self::Terminated,
    ];

    /// The number, and in a sentence what it says.
    const fn entry(self) -> (u8, &'static str) {
        match self {
            Self::Done => (
                0,
                "Done. After `deploy`: the new version runs and passed its checks, or nothing had to change.",
            ),
            Self::Bug => (1, "A defect of this program. Please report it."),
            Self::Usage => (2, "The command line, release.yaml or another input cannot be used."),
            Self::Build => (3, "An image was not built."),
            Self::Push => (4, "An image was not pushed, or the registry does not confirm it."),
            Self::Render => (5, "The manifests cannot be made."),
            Self::Cluster => (6, "The cluster was not reached, is not the right one, or refused."),
            Self::RolledBack => (7, "The release failed and was rolled back: what ran before runs again."),
            Self::NotRolledBack => {
                (8, "The release failed and was NOT rolled back completely. Look at it now.")
            }
            Self::Check => (
                9,
                "A check failed: something that runs, or something a release needs, is not as it should be.",
            ),
            Self::Gate => (10, "A gate is closed. Run it again with `--approve`."),
            Self::Locked => (11, "Another release of the same environment holds the lock."),
            Self::Interrupted => {
                (130, "Stopped by Ctrl-C (SIGINT). The same command goes on where it stood.")
            }
            Self::Terminated => (143, "Stopped by SIGTERM. The same command goes on where it stood."),
        }
    }

    /// The number.
    pub(crate) const fn code(self) -> u8 {
        self.entry().0
    }

    /// What it says.
    pub(crate) const fn sentence(self) -> &'static str {
        self.entry().1
    }

    /// How a run that ended like this ends the process; `stopped` is what the signal asks for.
    pub(crate) fn of(ending: &Ending, stopped: Self) -> Self {
        match ending {
            Ending::NothingToDo { unwell } if !unwell.is_empty() => Self::Check,
            Ending::Verified | Ending::NothingToDo { .. } => Self::Done,
            Ending::RolledBack { .. } => Self::RolledBack,
            Ending::NotRolledBack { .. } => Self::NotRolledBack,
            Ending::Stopped | Ending::Superseded { .. } => stopped,
            Ending::Failed { exit_code, .. } => {
                Self::ALL.iter().copied().find(|exit| exit.code() == *exit_code).unwrap_or(Self::Bug)
            }
        }
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// What `release --help` says about them.
pub(crate) fn help() -> String {
    let mut text =
        String::from("Answers go to standard output, everything else to standard error.\n\nExit codes:\n");
    for exit in Exit::ALL {
        let _ = writeln!(text, "  {:>3}  {}", exit.code(), exit.sentence());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_told_apart_and_in_order() {
        assert!(Exit::ALL.is_sorted_by(|a, b| a.code() < b.code()));
        let codes: Vec<u8> = Exit::ALL.iter().map(|exit| exit.code()).collect();
        assert_eq!(codes, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 130, 143]);
    }
}
