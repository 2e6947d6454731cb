//! When a Job makes its next pod, and how many at once, as numbers only.

use std::time::Duration;

/// The pause after the first failure; it doubles with each.
const FIRST: Duration = Duration::from_secs(10);

/// The longest pause.
const LONGEST: Duration = Duration::from_secs(10 * 60);

/// How long to wait after the last of so many failures in a row.
pub(crate) fn backoff(failures: u32) -> Duration {
    if failures == 0 {
        return Duration::ZERO;
    }
    FIRST.saturating_mul(1 << (failures - 1).min(16)).min(LONGEST)
}

/// How many pods should run.
pub(crate) fn wanted(parallelism: i64, completions: Option<i64>, succeeded: i64, active: i64) -> i64 {
    match completions {
        Some(completions) => (completions - succeeded).min(parallelism).max(0),
        // Without a number to reach, the first success ends the making of pods.
        None if succeeded > 0 => active,
        None => parallelism,
    }
}

/// The numbers of a set as the API writes them: `0-2,5`.
pub(crate) fn ranges(numbers: impl IntoIterator<Item = i64>) -> String {
    let mut parts: Vec<(i64, i64)> = Vec::new();
    for n in numbers {
        match parts.last_mut() {
            Some(last) if last.1 + 1 == n => last.1 = n,
            _ => parts.push((n, n)),
        }
    }
    let write = |(from, to): &(i64, i64)| if from == to { from.to_string() } else { format!("{from}-{to}") };
    parts.iter().map(write).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_ten_minutes() {
        let seconds: Vec<u64> = (0..=9).map(|n| backoff(n).as_secs()).collect();
        assert_eq!(seconds, [0, 10, 20, 40, 80, 160, 320, 600, 600, 600]);
        assert_eq!(backoff(u32::MAX).as_secs(), 600);
    }

    #[test]
    fn as_many_pods_as_are_still_needed() {
        for (parallelism, completions, succeeded, active, want) in [
            (1, Some(1), 0, 0, 1),
            (3, Some(5), 3, 1, 2),
            (3, Some(5), 5, 0, 0),
            (3, None, 0, 1, 3),
            (3, None, 1, 2, 2),
        ] {
            assert_eq!(wanted(parallelism, completions, succeeded, active), want);
        }
    }

    #[test]
    fn numbers_in_a_row_are_a_range() {
        assert_eq!(ranges([0, 1, 2, 5, 7, 8]), "0-2,5,7-8");
        assert_eq!(ranges([]), "");
    }
}
