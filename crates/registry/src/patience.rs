//! How long something is tried.

use std::time::{Duration, Instant};

use crate::registry::MAX_PAUSE;
use crate::request::{Attempt, RequestError};
use crate::session::Session;

const MIB: u64 = 1024 * 1024;

/// How pushes and pulls try again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// How long nothing may move before a request is given up. Some registries say nothing while they move a large blob
    /// into their store.
    pub(crate) stall: Duration,
    /// How long there may be no progress before it is given up: longer than a registry takes to restart.
    pub(crate) patience: Duration,
    /// How long a registry may say nothing at all, from the beginning: there is nothing to lose yet, and most likely its name is
    /// wrong.
    pub(crate) contact: Duration,
    /// How large the parts of a blob are. A reset costs at most one; 8 MiB keep the requests few and stay below what
    /// proxies in front of registries let through.
    pub(crate) part: u64,
    /// The largest blob that goes up in one request. Two requests fewer are worth more than what a reset costs then; proxies
    /// let a hundred megabytes through, or one.
    pub(crate) whole: u64,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            stall: Duration::from_secs(120),
            patience: Duration::from_secs(90),
            contact: Duration::from_secs(10),
            part: 8 * MIB,
            whole: 32 * MIB,
        }
    }
}

/// The time without progress of one thing that is done.
pub(crate) struct Patience<'a> {
    session: &'a Session<'a>,
    what: &'a str,
    since: Instant,
    pause: Duration,
}

impl<'a> Patience<'a> {
    pub(crate) fn new(session: &'a Session<'a>, what: &'a str) -> Self {
        Self { session, what, since: Instant::now(), pause: session.clients.first_pause }
    }

    /// There was some: time counts anew.
    pub(crate) fn progressed(&mut self) {
        self.since = Instant::now();
        self.pause = self.session.clients.first_pause;
    }

    /// Pauses before the next attempt: as long as the registry wants, or twice as long as before.
    pub(crate) async fn wait(
        &mut self,
        attempt: Attempt,
        wanted: Option<Duration>,
    ) -> Result<(), RequestError> {
        let pause = wanted.unwrap_or(self.pause);
        let after = self.since.elapsed();
        let (pace, reached) = (self.session.pace, self.session.was_reached());
        let longest = if reached { pace.patience } else { pace.contact.min(pace.patience) };
        if after + pause >= longest {
            let (registry, what) = (self.session.registry().to_owned(), self.what.to_owned());
            return Err(match wanted {
                Some(wanted) if after + self.pause < longest => {
                    RequestError::Later { registry, what, wanted, longest, source: attempt }
                }
                _ => RequestError::GaveUp { registry, reached, what, after, source: attempt },
            });
        }
        tracing::debug!(what = self.what, ?pause, %attempt, "trying again");
        tokio::time::sleep(pause).await;
        self.pause = (self.pause * 2).min(MAX_PAUSE);
        Ok(())
    }
}
