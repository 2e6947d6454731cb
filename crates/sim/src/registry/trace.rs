//! What happened, in order: the answers, the faults, and what clients should not have done.

use std::collections::VecDeque;
use std::fmt;

use release_core::MonoTime;

use super::digest::Digest;

/// The most entries that are kept; older ones are forgotten. A run of the tests has some hundreds.
const MAX_ENTRIES: usize = 100_000;

/// One thing that happened, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When, on the clock of whoever drives the registry.
    pub at: MonoTime,
    /// What.
    pub event: Event,
}

/// What can happen.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A request was answered.
    Answered {
        /// The method.
        method: String,
        /// The path, without the query: queries can hold secrets.
        path: String,
        /// The status.
        status: u16,
        /// Whether the request carried an `Authorization`.
        credentials: bool,
    },
    /// The connection was closed before there was an answer.
    Dropped {
        /// The method.
        method: String,
        /// The path, without the query.
        path: String,
    },
    /// A fault struck.
    Struck {
        /// The fault's name.
        fault: &'static str,
        /// The repository; empty when the fault is not about one.
        repository: String,
        /// The tag, digest or upload; empty when there is none.
        reference: String,
    },
    /// Somebody else moved a tag.
    TagMoved {
        /// The repository.
        repository: String,
        /// The tag.
        tag: String,
        /// Where it points now.
        to: Digest,
    },
    /// A client showed its credentials to the storage host, to which they do not belong.
    CredentialsLeaked {
        /// The path, without the query.
        path: String,
    },
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered { method, path, status, .. } => write!(f, "{method} {path} {status}"),
            Self::Dropped { method, path } => write!(f, "{method} {path} dropped"),
            Self::Struck { fault, repository, reference } => {
                write!(f, "fault {fault} {repository} {reference}")
            }
            Self::TagMoved { repository, tag, to } => write!(f, "tag {repository}:{tag} moved to {to}"),
            Self::CredentialsLeaked { path } => write!(f, "credentials leaked at {path}"),
        }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.at, self.event)
    }
}

/// The last entries, in order. Shown as a line each.
#[derive(Debug, Default)]
pub struct Trace {
    entries: VecDeque<Entry>,
    forgotten: u64,
}

impl Trace {
    /// The entries, oldest first.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// What happened, oldest first.
    pub fn events(&self) -> impl Iterator<Item = &Event> {
        self.entries.iter().map(|entry| &entry.event)
    }

    /// How many older entries are no longer there.
    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }

    pub(super) fn push(&mut self, at: MonoTime, event: Event) {
        if self.entries.len() == MAX_ENTRIES {
            self.entries.pop_front();
            self.forgotten += 1;
        }
        self.entries.push_back(Entry { at, event });
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.entries.iter().try_for_each(|entry| writeln!(f, "{entry}"))
    }
}
