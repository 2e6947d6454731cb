//! What time it is in the simulation: a start, and what tokio's clock has counted since. With a paused clock that is
//! virtual time.

use jiff::Timestamp;
use tokio::time::Instant;

/// A wall clock that follows tokio's.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    epoch: Timestamp,
    start: Instant,
}

impl Clock {
    /// It is `epoch` now.
    pub fn starting_at(epoch: Timestamp) -> Self {
        Self { epoch, start: Instant::now() }
    }

    /// What time it is.
    pub fn now(&self) -> Timestamp {
        self.epoch + self.start.elapsed()
    }

    /// When it will be that late on tokio's clock.
    pub fn instant(&self, at: Timestamp) -> Instant {
        let wait = at.duration_since(self.epoch);
        if wait.is_negative() { self.start } else { self.start + wait.unsigned_abs() }
    }
}
