//! Telling everybody who waits that the revision is another one, always in the order in which they began to wait.
//!
//! `tokio::sync::watch` wakes its readers in a random order, which would make the same seed tell different stories.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

/// The last revision, and who waits for the next.
#[derive(Debug)]
pub(super) struct Changes {
    revision: AtomicU64,
    waiting: Notify,
}

impl Changes {
    pub(super) fn new(revision: u64) -> Self {
        Self { revision: AtomicU64::new(revision), waiting: Notify::new() }
    }

    /// The revision now.
    pub(super) fn revision(&self) -> u64 {
        self.revision.load(Ordering::Acquire)
    }

    /// It is this one from now on, unless a later one has been told already.
    pub(super) fn set(&self, revision: u64) {
        if self.revision.fetch_max(revision, Ordering::AcqRel) < revision {
            self.waiting.notify_waiters();
        }
    }

    /// Waits until it is another one than `seen`.
    pub(super) async fn after(&self, seen: u64) {
        loop {
            let notified = self.waiting.notified();
            tokio::pin!(notified);
            // Whatever happens from here on wakes us.
            notified.as_mut().enable();
            if self.revision() != seen {
                return;
            }
            notified.await;
        }
    }
}
