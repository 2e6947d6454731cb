//! Moments as the API writes them. Nobody here asks what time it is.

use std::fmt::Write as _;

use jiff::Timestamp;

/// A moment in whole seconds, as in `creationTimestamp`.
pub fn seconds(at: Timestamp) -> String {
    const DAY: i64 = 24 * 60 * 60;
    let second = at.as_second();
    let (year, month, day) = date(second.div_euclid(DAY));
    let of_day = second.rem_euclid(DAY);
    let mut text = String::with_capacity(20);
    digits(&mut text, year / 100);
    let parts = [
        ("", year % 100),
        ("-", month),
        ("-", day),
        ("T", of_day / 3600),
        (":", of_day / 60 % 60),
        (":", of_day % 60),
    ];
    for (before, part) in parts {
        text.push_str(before);
        digits(&mut text, part);
    }
    text.push('Z');
    text
}

/// Year, month and day of the n-th day since 1970, as in Howard Hinnant's "chrono-compatible low-level date algorithms": years
/// begin in March there, so that the day that is sometimes there comes last, and repeat after 400.
fn date(days: i64) -> (i64, i64, i64) {
    // From 0000-03-01.
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

/// A number below 100 with two digits.
fn digits(text: &mut String, n: i64) {
    for digit in [n / 10 % 10, n % 10] {
        text.push(char::from(b'0' + u8::try_from(digit).unwrap_or(0)));
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
#[inline]
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn seconds_are_written_as_everybody_does(second in -62_135_596_800_i64..253_402_207_200) {
            let at = Timestamp::from_second(second).unwrap();
            prop_assert_eq!(seconds(at), at.to_string());
        }
    }

    #[test]
    fn days_at_the_seams_of_calendars() {
        for text in [
            "0001-01-01T00:00:00Z",
            "1600-02-29T23:59:59Z",
            "1900-02-28T23:59:59Z",
            "1969-12-31T23:59:59Z",
            "1970-01-01T00:00:00Z",
            "2000-02-29T12:00:00Z",
            "2024-12-31T23:59:59Z",
            "2100-03-01T00:00:00Z",
            "9999-12-30T22:00:00Z",
        ] {
            assert_eq!(seconds(parse(text).unwrap()), text);
        }
    }
}
