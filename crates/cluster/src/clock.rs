//! The two clocks, handed in: a monotonic one for decisions and a wall clock for records.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use release_core::MonoTime;
use tokio::time::Instant;

/// Tells both times. Its monotonic side is tokio's clock, so a paused runtime pauses it.
#[derive(Clone)]
pub struct Clock {
    origin: Instant,
    wall: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

impl Clock {
    /// The machine's own clocks.
    pub fn system() -> Self {
        Self::with_wall(Timestamp::now)
    }

    /// The runtime's monotonic clock, and `wall` for timestamps.
    pub fn with_wall(wall: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self { origin: Instant::now(), wall: Arc::new(wall) }
    }

    /// Monotonic time since this clock was made.
    pub fn now(&self) -> MonoTime {
        MonoTime::from_origin(self.origin.elapsed())
    }

    /// The runtime's instant of a point of this clock.
    pub(crate) fn instant(&self, at: MonoTime) -> Instant {
        self.origin + at.since_origin()
    }

    /// The time of day, for records and events only.
    pub fn wall(&self) -> Timestamp {
        (self.wall)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clock({:?})", self.now())
    }
}
