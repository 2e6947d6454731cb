//! Schedules in five fields: minute, hour, day of the month, month, day of the week.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// A date that fits comes within so many days, or never: the 29th of February on a given weekday takes 28 years, or
/// 40 around a year without a leap day.
const HORIZON_DAYS: usize = 41 * 366;

/// A schedule; each field is a set of bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Schedule {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Whether days of the month or of the week are `*`: if not, either suffices.
    any_day: bool,
    any_weekday: bool,
}

impl Schedule {
    /// Reads `*/5 8-18 1,15 * mon-fri`, `@daily` and so on.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = match text.trim() {
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            other => other,
        };
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields.as_slice() else { return None };
        let mut weekdays = field(weekday, 0, 7, &DAYS, 0)?;
        if weekdays & (1 << 7) != 0 {
            weekdays |= 1;
        }
        let is_any = |field: &str| field.starts_with(['*', '?']);
        Some(Self {
            minutes: field(minute, 0, 59, &[], 0)?,
            hours: field(hour, 0, 23, &[], 0)?,
            days: field(day, 1, 31, &[], 0)?,
            months: field(month, 1, 12, &MONTHS, 1)?,
            weekdays,
            any_day: is_any(day),
            any_weekday: is_any(weekday),
        })
    }

    /// The first moment after `after` that fits.
    pub(crate) fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let local = after.to_zoned(zone.clone()).datetime();
        let mut date = local.date();
        let mut from = i64::from(local.hour()) * 60 + i64::from(local.minute());
        for _ in 0..HORIZON_DAYS {
            if self.fits(date) {
                while let Some(minute) = self.minute_from(from) {
                    let at = DateTime::from_parts(date, time_of(minute)?);
                    let found = zone.to_ambiguous_timestamp(at).compatible().ok();
                    if let Some(found) = found.filter(|found| *found > after) {
                        return Some(found);
                    }
                    from = minute + 1;
                }
            }
            date = date.checked_add(1.day()).ok()?;
            from = 0;
        }
        None
    }

    fn fits(&self, date: Date) -> bool {
        let has = |bits: u64, n: i8| bits & (1_u64 << n) != 0;
        let day = has(self.days, date.day());
        let weekday = has(self.weekdays, date.weekday().to_sunday_zero_offset());
        let fits = if self.any_day || self.any_weekday { day && weekday } else { day || weekday };
        has(self.months, date.month()) && fits
    }

    /// The first minute of a day that fits, from this one on.
    fn minute_from(&self, from: i64) -> Option<i64> {
        (from..24 * 60)
            .find(|m| self.hours & (1_u64 << (m / 60)) != 0 && self.minutes & (1_u64 << (m % 60)) != 0)
    }
}

fn time_of(minute: i64) -> Option<Time> {
    let part = |n: i64| i8::try_from(n).ok();
    Time::new(part(minute / 60)?, part(minute % 60)?, 0, 0).ok()
}

fn field(text: &str, min: u32, max: u32, names: &[&str], first_name: u32) -> Option<u64> {
    let number = |text: &str| -> Option<u32> {
        let lower = text.to_lowercase();
        let place = names.iter().position(|name| *name == lower);
        let n = match place {
            Some(at) => u32::try_from(at).ok()? + first_name,
            None => text.parse().ok()?,
        };
        (min..=max).contains(&n).then_some(n)
    };
    let mut bits = 0;
    for part in text.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(step.parse::<u32>().ok().filter(|s| *s > 0)?)),
            None => (part, None),
        };
        let (from, to) = match range.split_once('-') {
            _ if range == "*" || range == "?" => (min, max.min(if names == DAYS { 6 } else { max })),
            Some((from, to)) => (number(from)?, number(to)?),
            None => {
                let from = number(range)?;
                (from, if step.is_some() { max } else { from })
            }
        };
        if from > to {
            return None;
        }
        for n in (from..=to).step_by(usize::try_from(step.unwrap_or(1)).ok()?) {
            bits |= 1_u64 << n;
        }
    }
    Some(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(schedule: &str, after: &str, want: &[&str]) {
        let schedule = Schedule::parse(schedule).unwrap();
        let mut at: Timestamp = after.parse().unwrap();
        for want in want {
            at = schedule.next(at, &TimeZone::UTC).unwrap();
            assert_eq!(at.to_string(), *want, "{schedule:?}");
        }
    }

    #[test]
    fn schedules_are_met() {
        let noon = "2026-01-01T12:00:00Z";
        check(
            "*/20 * * * *",
            noon,
            &["2026-01-01T12:20:00Z", "2026-01-01T12:40:00Z", "2026-01-01T13:00:00Z"],
        );
        check("5 8-9 * * *", noon, &["2026-01-02T08:05:00Z", "2026-01-02T09:05:00Z"]);
        check("0 0 * * mon-fri", noon, &["2026-01-02T00:00:00Z", "2026-01-05T00:00:00Z"]);
        check("0 0 13 * 5", noon, &["2026-01-02T00:00:00Z", "2026-01-09T00:00:00Z", "2026-01-13T00:00:00Z"]);
        check("30 3 1,15 feb *", noon, &["2026-02-01T03:30:00Z", "2026-02-15T03:30:00Z"]);
        check("0 0 29 2 *", noon, &["2028-02-29T00:00:00Z"]);
        check("0 12 * * 7", noon, &["2026-01-04T12:00:00Z"]);
        check("10/25 0 * * *", noon, &["2026-01-02T00:10:00Z", "2026-01-02T00:35:00Z"]);
        check("@hourly", "2026-01-01T12:59:59.5Z", &["2026-01-01T13:00:00Z"]);
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        for text in [
            "",
            "* * * *",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "5-1 * * * *",
            "*/0 * * * *",
            "x * * * *",
        ] {
            assert_eq!(Schedule::parse(text), None, "{text}");
        }
    }
}
