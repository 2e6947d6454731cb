//! Small words both ways: durations and times as people write and read them.

use std::time::Duration;

use jiff::Timestamp;
use release_core::PinnedImage;

pub(crate) use release_pipeline::took as seconds;

/// Reads `90s`, `5m`, `1h`, `250ms`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: u64 =
        number.parse().map_err(|_| format!("`{text}` is not a duration such as `90s` or `5m`"))?;
    let seconds = match unit {
        "ms" => return Ok(Duration::from_millis(number)),
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err(format!("`{text}` needs a unit: ms, s, m or h")),
    };
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(|| format!("`{text}` is too long"))
}

/// Reads the number of a release.
pub(crate) fn release(text: &str) -> Result<u64, String> {
    let number = text.parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| "not a release's number; `release history` shows them".to_owned())
}

/// An image as people recognise it: `registry.example.com/radio/player@sha256:0123456789ab…`. Whole digests are for machines.
pub(crate) fn image(image: &PinnedImage) -> String {
    format!("{}@sha256:{}…", image.repository, image.digest.short())
}

/// How long ago something was: `just now`, `5m ago`, `3d ago`.
pub(crate) fn ago(at: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(at).as_secs();
    match seconds {
        ..=9 => "just now".to_owned(),
        10..=99 => format!("{seconds}s ago"),
        100..=5_999 => format!("{}m ago", seconds / 60),
        6_000..=172_799 => format!("{}h ago", seconds / 3600),
        _ => format!("{}d ago", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        for bad in ["5", "m", "", "-1s", "5d", "99999999999999999999h", "18446744073709551615h"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn times_are_read_at_a_glance() {
        assert_eq!(seconds(4.21), "4.2s");
        assert_eq!(seconds(192.0), "3m12s");
        let now: Timestamp = "2026-01-02T00:00:00Z".parse().unwrap();
        assert_eq!(ago("2026-01-01T23:00:00Z".parse().unwrap(), now), "60m ago");
        assert_eq!(ago("2025-12-01T23:00:00Z".parse().unwrap(), now), "31d ago");
    }
}
