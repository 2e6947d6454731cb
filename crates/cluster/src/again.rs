//! Trying a write again: pauses that grow, and an end. What is tried, and whether it is worth it, the caller knows.

use std::time::Duration;

use release_core::MonoTime;

use crate::Clock;

/// How long a write of our own bookkeeping is tried, as long as a request that nobody answers: an API server's restart. Each
/// attempt and the look at what became of it have their own patience, so that the whole takes a few times as long at worst.
const PATIENCE: Duration = Duration::from_secs(45);

/// By how much each pause is longer than the one before. The first attempt after a look comes at once: the look has taken
/// its time, and showed that there is something to do.
const STEP: Duration = Duration::from_millis(500);

/// The longest pause.
const LONGEST: Duration = Duration::from_secs(5);

/// The attempts of one write.
pub(crate) struct Again<'a> {
    clock: &'a Clock,
    until: MonoTime,
    pause: Duration,
}

impl<'a> Again<'a> {
    pub(crate) fn new(clock: &'a Clock) -> Self {
        Self { clock, until: clock.now() + PATIENCE, pause: Duration::ZERO }
    }

    /// Waits until the next attempt is due; `false` when there is no time for one.
    pub(crate) async fn pause(&mut self) -> bool {
        if self.clock.now() + self.pause >= self.until {
            return false;
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause + STEP).min(LONGEST);
        true
    }
}
