//! Words that the screen and the page share, and text of others made fit to be shown.

use std::time::Duration;

use release_core::Verdict;
use release_rollout::Phase;

use super::Did;

/// Seconds as people read them: `4.2s`, `3m12s`, `1h05m`.
pub fn took(seconds: f64) -> String {
    if seconds < 60.0 {
        return format!("{seconds:.1}s");
    }
    let whole = Duration::try_from_secs_f64(seconds).unwrap_or_default().as_secs();
    if whole < 3600 {
        format!("{}m{:02}s", whole / 60, whole % 60)
    } else {
        format!("{}h{:02}m", whole / 3600, whole / 60 % 60)
    }
}

/// A phase in a word or two.
pub(super) fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Waiting => "waiting",
        Phase::Applying => "applying",
        Phase::Progressing => "rolling out",
        Phase::Soaking => "watching",
        Phase::Verified => "verified",
        Phase::RollingBack => "rolling back",
        Phase::RolledBack => "rolled back",
        Phase::NotRolledBack => "NOT rolled back",
        Phase::NotStarted => "not started",
    }
}

/// What was done to an object, in a word.
pub(super) fn did(did: Did) -> &'static str {
    match did {
        Did::Applied => "applied",
        Did::Restored => "restored",
        Did::Deleted => "deleted",
        Did::Refused => "refused",
        Did::Unclear => "outcome unknown",
    }
}

/// A verdict in a word, and what there is to say about it.
pub(super) fn result(verdict: &Verdict) -> (&'static str, String) {
    match verdict {
        Verdict::Good { latency } => ("good", format!("{} ms", latency.as_millis())),
        Verdict::Bad { why } => ("bad", clean(why)),
        Verdict::NotEnough { why } => ("no evidence", clean(why)),
    }
}

/// Text that programs wrote, without what would move a cursor, colour a terminal or turn the direction of reading.
pub(super) fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            // Colours and cursor movements: ESC [ … letter.
            '\u{1b}' => {
                if chars.next_if_eq(&'[').is_some() {
                    while chars.next_if(|c| matches!(c, ' '..='?')).is_some() {}
                    chars.next_if(|c| matches!(c, '@'..='~'));
                }
            }
            '\n' => out.push(c),
            '\t' => out.push_str("    "),
            c if c.is_control() || is_invisible(c) => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// Marks that change the direction of text, or hide in it.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// At most `most` characters of the first line.
pub(super) fn cut(text: &str, most: usize) -> String {
    let line = clean(text.lines().next().unwrap_or_default());
    if line.chars().count() <= most {
        return line;
    }
    let mut out: String = line.chars().take(most.saturating_sub(1)).collect();
    out.push('…');
    out
}

/// `1 pod`, `3 pods`.
pub(super) fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}
