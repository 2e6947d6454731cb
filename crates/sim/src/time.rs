//! Moments as the API writes them. Nobody here asks what time it is.

use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// A moment in whole seconds, as in `creationTimestamp`.
pub fn seconds(at: Timestamp) -> String {
    let t = at.to_zoned(TimeZone::UTC).datetime();
    let mut text = String::with_capacity(20);
    let year = usize::try_from(t.year()).unwrap_or(0);
    digits(&mut text, year / 100);
    for (part, before) in
        [(year % 100, ""), (number(t.month()), "-"), (number(t.day()), "-"), (number(t.hour()), "T")]
    {
        text.push_str(before);
        digits(&mut text, part);
    }
    for part in [t.minute(), t.second()] {
        text.push(':');
        digits(&mut text, number(part));
    }
    text.push('Z');
    text
}

fn number(part: i8) -> usize {
    usize::try_from(part).unwrap_or(0)
}

/// A number below 100 with two digits.
fn digits(text: &mut String, n: usize) {
    for digit in [n / 10 % 10, n % 10] {
        text.push(char::from(b"0123456789"[digit]));
    }
}

/// A whole second, as most moments of the API are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Second(i64);

impl Second {
    /// The second a moment lies in.
    pub(crate) fn of(at: Timestamp) -> Self {
        Self(at.as_second())
    }

    /// Its beginning.
    pub(crate) fn at(self) -> Timestamp {
        Timestamp::from_second(self.0).unwrap_or_default()
    }

    /// As in `creationTimestamp`.
    pub(crate) fn text(self) -> String {
        seconds(self.at())
    }
}

/// A moment with microseconds, as in a Lease's `renewTime`.
pub fn micros(at: Timestamp) -> String {
    let mut text = seconds(at);
    text.pop();
    let micros = at.subsec_microsecond();
    let _ = write!(text, ".{micros:06}Z");
    text
}

/// The earlier of two moments; none is later than all.
pub(crate) fn earlier(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, other) => one.or(other),
    }
}

/// The moment a text of the API names.
pub fn parse(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}
