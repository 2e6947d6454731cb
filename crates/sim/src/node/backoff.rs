//! How long a kubelet waits before it tries again: 10 s, doubled each time, at most 300 s.

use std::time::Duration;

use jiff::Timestamp;

const FIRST: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(5 * 60);
/// After so long without trouble the next wait is the first one again.
const FORGOTTEN: Duration = Duration::from_secs(10 * 60);

/// The waiting time of one container or one image.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Backoff {
    entry: Option<(Duration, Timestamp)>,
}

impl Backoff {
    /// Until when to wait for something that went wrong at `since`; None: not at all.
    pub(super) fn until(self, since: Timestamp, now: Timestamp) -> Option<Timestamp> {
        let (wait, updated) = self.entry?;
        if since > updated + FORGOTTEN {
            return None;
        }
        let until = since + wait;
        (now < until).then_some(until)
    }

    /// Something is tried again that went wrong at `since`.
    pub(super) fn tries(&mut self, since: Timestamp, now: Timestamp) {
        let wait = match self.entry {
            Some((wait, updated)) if since <= updated + FORGOTTEN => (wait * 2).min(LONGEST),
            _ => FIRST,
        };
        self.entry = Some((wait, now));
    }

    /// How long the wait is now.
    pub(super) fn wait(self) -> Duration {
        self.entry.map_or(Duration::ZERO, |(wait, _)| wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_five_minutes_and_are_forgotten() {
        let start = Timestamp::UNIX_EPOCH;
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let mut backoff = Backoff::default();
        assert_eq!(backoff.until(at(0), at(0)), None);
        let mut waits = Vec::new();
        for _ in 0..7 {
            backoff.tries(at(0), at(0));
            waits.push(backoff.wait().as_secs());
        }
        assert_eq!(waits, [10, 20, 40, 80, 160, 300, 300]);
        assert_eq!(backoff.until(at(100), at(200)), Some(at(400)));
        assert_eq!(backoff.until(at(700), at(700)), None);
        backoff.tries(at(700), at(700));
        assert_eq!(backoff.wait().as_secs(), 10);
    }
}
