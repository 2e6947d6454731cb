//! The two ranges of the protocol: `Range` of a download, and `Content-Range` of a chunk.

use std::ops::Range;

/// What a `Range` header asks for, of a body with a known length.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Everything: there is no header, or none that we do.
    Whole,
    /// These bytes.
    Some(Range<u64>),
    /// Bytes that are not there.
    Outside,
}

/// Reads `Range`. Several ranges at once, and other units, are as if they were not there.
pub(super) fn of_download(header: Option<&str>, len: u64) -> Part {
    let Some(spec) = header.and_then(|header| header.trim().strip_prefix("bytes=")) else {
        return Part::Whole;
    };
    let Some((from, to)) = spec.split_once('-') else { return Part::Whole };
    match (number(from), number(to)) {
        (Some(from), Some(to)) if from > to => Part::Whole,
        (Some(from), _) if from >= len && (to.is_empty() || number(to).is_some()) => Part::Outside,
        (Some(from), Some(to)) => Part::Some(from..to.saturating_add(1).min(len)),
        (Some(from), None) if to.is_empty() => Part::Some(from..len),
        (None, Some(0)) if from.is_empty() => Part::Outside,
        (None, Some(_)) if from.is_empty() && len == 0 => Part::Outside,
        (None, Some(last)) if from.is_empty() => Part::Some(len.saturating_sub(last)..len),
        _ => Part::Whole,
    }
}

/// Reads `Content-Range` of a chunk: `FIRST-LAST`, both inclusive. Some clients write `bytes FIRST-LAST/…`.
pub(super) fn of_chunk(header: &str) -> Option<Range<u64>> {
    let spec = header.trim();
    let spec = spec.strip_prefix("bytes").map_or(spec, |rest| rest.trim_start_matches([' ', '=']));
    let spec = spec.split_once('/').map_or(spec, |(range, _)| range);
    let (from, to) = spec.split_once('-')?;
    let (from, to) = (number(from)?, number(to)?.checked_add(1)?);
    (from < to).then_some(from..to)
}

/// Digits only: no sign, no space.
fn number(text: &str) -> Option<u64> {
    if text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn downloads() {
        for (header, expected) in [
            ("bytes=0-0", Part::Some(0..1)),
            ("bytes=3-5", Part::Some(3..6)),
            ("bytes=3-", Part::Some(3..10)),
            ("bytes=3-99", Part::Some(3..10)),
            ("bytes=3-18446744073709551615", Part::Some(3..10)),
            ("bytes=-4", Part::Some(6..10)),
            ("bytes=-40", Part::Some(0..10)),
            ("bytes=-0", Part::Outside),
            ("bytes=10-", Part::Outside),
            ("bytes=10-12", Part::Outside),
            ("bytes=5-3", Part::Whole),
            ("bytes=0-1,3-4", Part::Whole),
            ("bytes=a-b", Part::Whole),
            ("bytes=-", Part::Whole),
            ("lines=1-2", Part::Whole),
            ("", Part::Whole),
        ] {
            assert_eq!(of_download(Some(header), 10), expected, "{header}");
        }
        assert_eq!(of_download(None, 10), Part::Whole);
        assert_eq!(of_download(Some("bytes=-3"), 0), Part::Outside);
    }

    #[test]
    fn chunks() {
        for (header, expected) in [
            ("0-0", Some(0..1)),
            ("10-19", Some(10..20)),
            ("bytes 10-19/30", Some(10..20)),
            ("bytes=10-19", Some(10..20)),
            ("19-10", None),
            ("10-", None),
            ("-10", None),
            ("+1-2", None),
            ("0-18446744073709551615", None),
            ("", None),
        ] {
            assert_eq!(of_chunk(header), expected, "{header}");
        }
    }
}
