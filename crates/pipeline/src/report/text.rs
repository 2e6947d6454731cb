//! A report on one screen, for somebody who was asleep a minute ago.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use release_core::{Cause, ServiceName};
use release_rollout::Phase;

use super::advice::advice;
use super::words::{clean, count, cut, phase, result};
use super::{Ending, Report, ServiceReport, Tally, took, verdict};

/// Characters of a bar, where there is room for them.
const BAR: u16 = 40;
/// Characters of a bar where there is none. With fewer it would say nothing.
const SHORTEST_BAR: u16 = 10;
/// Characters beside a bar and the name in front of it: gaps, and what the service does now.
const BESIDE: u16 = 20;
/// Services with a bar of their own; the rest is counted, those that failed come first.
const SERVICES: usize = 12;
/// Pieces of evidence.
const EVIDENCE: usize = 4;
/// Containers whose last lines are shown.
const TAILS: usize = 2;
/// Last lines of a container.
const LINES: usize = 8;
/// Characters of a line others wrote.
const WIDTH: usize = 150;
/// Notes.
const NOTES: usize = 6;

/// The report as text: the story, and what to do next. Bars are made to fit into so many columns. Ends with a line break.
pub fn text(report: &Report, columns: Option<u16>) -> String {
    let mut out = story(report, columns);
    out.push_str("\nnext\n");
    for line in advice(report) {
        let _ = writeln!(out, "  - {line}");
    }
    out
}

/// What happened, as text, without what to do next. Ends with a line break.
pub fn story(report: &Report, columns: Option<u16>) -> String {
    let mut out = String::new();
    head(&mut out, report);
    services(&mut out, report, columns);
    why(&mut out, report);
    tails(&mut out, report);
    out
}

/// What is now, in a line.
pub(super) fn headline(report: &Report) -> String {
    match (&report.ending, report.release) {
        (Some(ending), _) => verdict(report, ending),
        (None, Some(number)) => format!("release {number} has not ended, or nobody was left to tell"),
        (None, None) => "no release was begun".to_owned(),
    }
}

/// Who asked for what, where and when: a word and its value.
pub(super) fn facts(report: &Report) -> Vec<(&'static str, String)> {
    let mut all = Vec::new();
    if let Some(started) = &report.started {
        all.push(("project", clean(&started.project)));
        all.push(("environment", clean(&started.environment)));
        all.extend(started.version.iter().map(|version| ("version", clean(version))));
        all.extend(started.actor.iter().map(|actor| ("asked by", clean(actor))));
        if !started.context.is_empty() {
            all.push(("context", clean(&started.context)));
        }
        all.push(("namespace", clean(&started.namespace)));
    }
    // To the second: nobody compares a report with another clock more finely.
    all.extend(report.began.map(|at| ("began", at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())));
    all.push(("took", took(report.seconds)));
    if report.runs.len() > 1 {
        all.push(("runs", format!("{}, it was taken up again", report.runs.len())));
    }
    all
}

fn head(out: &mut String, report: &Report) {
    let _ = writeln!(out, "{}", headline(report));
    let facts: BTreeMap<_, _> = facts(report).into_iter().collect();
    let line = |words: &[(&str, &str)]| {
        let told = words.iter().filter_map(|(before, key)| Some(format!("{before}{}", facts.get(key)?)));
        told.collect::<Vec<_>>().join(", ")
    };
    let what = line(&[("", "project"), ("", "version"), ("asked by ", "asked by"), ("began ", "began")]);
    let place =
        line(&[("environment ", "environment"), ("context ", "context"), ("namespace ", "namespace")]);
    for line in [what, place].iter().filter(|line| !line.is_empty()) {
        let _ = writeln!(out, "  {line}");
    }
    for note in report.notes.iter().take(NOTES) {
        let _ = writeln!(out, "  {:>7}  {}", took(note.at), cut(&note.text, WIDTH));
    }
}

fn services(out: &mut String, report: &Report, columns: Option<u16>) {
    let mut all: Vec<_> = report.services.iter().collect();
    let causing = causing(report);
    all.sort_by_key(|(name, service)| (Some(*name) != causing, service.cause.is_none()));
    let width = all.iter().map(|(name, _)| name.as_str().len()).max().unwrap_or(0).max(12);
    let names = u16::try_from(width).unwrap_or(u16::MAX);
    let cells = columns.map_or(BAR, |columns| columns.saturating_sub(names).saturating_sub(BESIDE));
    let cells = cells.clamp(SHORTEST_BAR, BAR);
    out.push('\n');
    for (name, service) in all.iter().take(SERVICES) {
        lines_of(out, (width, cells), name, service, report);
    }
    if all.len() > SERVICES {
        let _ = writeln!(out, "  and {} more", count(all.len() - SERVICES, "service"));
    }
    if !report.unchanged.is_empty() {
        let names: Vec<_> = report.unchanged.iter().map(ServiceName::as_str).collect();
        let _ = writeln!(out, "  unchanged: {}", cut(&names.join(", "), WIDTH));
    }
}

/// The service that failed first.
pub(super) fn causing(report: &Report) -> Option<&ServiceName> {
    report.ending.as_ref().and_then(|ending| ending.cause()?.0)
}

/// A service: its name, in a column of `width`, and its bar of so many `cells`.
fn lines_of(
    out: &mut String,
    (width, cells): (usize, u16),
    name: &ServiceName,
    service: &ServiceReport,
    report: &Report,
) {
    let now = service.phases.last().map_or("", |last| phase(last.phase));
    let line = format!("  {name:width$}  {}  {now}", bar(service, report.seconds, cells));
    let _ = writeln!(out, "{}", line.trim_end());
    let indent = " ".repeat(width + 4);
    let steps = steps(service, report.seconds);
    if !steps.is_empty() {
        let _ = writeln!(out, "{indent}{}", steps.join("  "));
    }
    let checks: Vec<_> = service
        .tallies
        .iter()
        .map(|(check, tally)| format!("{}: {}", cut(check, 40), tallied(tally)))
        .collect();
    if !checks.is_empty() {
        let _ = writeln!(out, "{indent}{}", checks.join("; "));
    }
}

/// `6 good, 1 bad`.
fn tallied(tally: &Tally) -> String {
    let counts = [(tally.good, "good"), (tally.bad, "bad"), (tally.not_enough, "without evidence")];
    let told: Vec<_> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    told.join(", ")
}

/// How a phase looks in a bar. The line below the bar is its legend.
fn glyph(phase: Phase) -> char {
    match phase {
        Phase::Waiting | Phase::NotStarted => '·',
        Phase::Applying => '+',
        Phase::Progressing => '▒',
        Phase::Soaking => '▓',
        Phase::Verified => '█',
        Phase::RollingBack => '◂',
        Phase::RolledBack => '─',
        Phase::NotRolledBack => '!',
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in the bar")]
fn place(at: f64, seconds: f64, cells: u16) -> usize {
    if seconds > 0.0 { ((at / seconds * f64::from(cells)) as u16).min(cells - 1).into() } else { 0 }
}

fn bar(service: &ServiceReport, seconds: f64, width: u16) -> String {
    let mut cells = vec![' '; width.into()];
    let mut fill = |from: f64, to: f64, glyph: char| {
        let (from, to) = (place(from, seconds, width), place(to, seconds, width));
        cells[from..=to.max(from)].fill(glyph);
    };
    if let Some(prepared) = service.prepared {
        fill(prepared.from, prepared.to.unwrap_or(seconds), '░');
    }
    for span in &service.phases {
        fill(span.from, span.to.unwrap_or(seconds), glyph(span.phase));
    }
    if let Some(cause) = &service.cause {
        fill(cause.at, cause.at, '×');
    }
    cells.iter().collect()
}

/// The phases with their time; the last one, in which nothing happens any more, has none.
fn steps(service: &ServiceReport, seconds: f64) -> Vec<String> {
    let mut all = Vec::new();
    if let Some(prepared) = service.prepared {
        all.push(format!("░ image {}", took(prepared.to.unwrap_or(seconds) - prepared.from)));
    }
    for span in service.phases.iter().filter(|span| !span.phase.is_over() || span.to.is_some()) {
        let time = took(span.to.unwrap_or(seconds) - span.from);
        all.push(format!("{} {} {time}", glyph(span.phase), phase(span.phase)));
    }
    all
}

fn why(out: &mut String, report: &Report) {
    match &report.ending {
        Some(Ending::Failed { error, .. }) => {
            let _ = writeln!(out, "\nwhy\n  {}", clean(error.trim_end()).replace('\n', "\n  "));
        }
        Some(Ending::NothingToDo { unwell }) if !unwell.is_empty() => {
            out.push_str("\nwhy\n");
            for cause in unwell.iter().take(SERVICES) {
                cause_lines(out, &cause.object.to_string(), cause);
            }
        }
        Some(ending) => {
            let Some((service, cause)) = ending.cause() else { return };
            out.push_str("\nwhy\n");
            cause_lines(out, service.map_or("release", ServiceName::as_str), cause);
            if let Ending::NotRolledBack { why: Some(why), .. } = ending {
                cause_lines(out, "not rolled back", why);
            }
            let bad = service
                .and_then(|name| report.services.get(name))
                .and_then(|service| last_bad(service, cause));
            if let Some(bad) = bad {
                let _ = writeln!(out, "    {bad}");
            }
        }
        None => {}
    }
}

/// The last check that was not good, unless the cause says so already.
fn last_bad(service: &ServiceReport, cause: &Cause) -> Option<String> {
    let bad = service.checks.iter().rev().map(|checked| (checked, result(&checked.result)));
    let (checked, (word, why)) = bad.into_iter().find(|(_, (word, _))| *word != "good")?;
    if clean(&cause.summary).contains(&why) {
        return None;
    }
    Some(format!("{:>7}  check {}: {word}: {}", took(checked.at), cut(&checked.check, 60), cut(&why, WIDTH)))
}

fn cause_lines(out: &mut String, of: &str, cause: &Cause) {
    let _ = writeln!(out, "  {}: {}: {}", clean(of), cause.kind, cut(&cause.summary, WIDTH));
    for line in evidence(cause, EVIDENCE) {
        let _ = writeln!(out, "    {line}");
    }
}

/// The newest evidence that the summary has not said already.
fn evidence(cause: &Cause, most: usize) -> Vec<String> {
    let mut shown: Vec<(&str, String)> = Vec::new();
    for evidence in cause.evidence.iter().rev() {
        let message = evidence.message.trim();
        let said = cause.summary.contains(message) || shown.iter().any(|(known, _)| *known == message);
        if shown.len() == most || said {
            continue;
        }
        let reason = evidence.reason.as_ref().map(|reason| format!("{reason}: ")).unwrap_or_default();
        shown.push((message, cut(&format!("{} {reason}{message}", evidence.object), WIDTH)));
    }
    shown.into_iter().map(|(_, line)| line).collect()
}

fn tails(out: &mut String, report: &Report) {
    let first = causing(report).and_then(|name| report.services.get(name));
    let services = first.into_iter().chain(report.services.values().filter(|service| {
        // Already taken.
        first.is_none_or(|first| !std::ptr::eq(first, *service))
    }));
    let logs = services.flat_map(|service| &service.captures).flat_map(|capture| &capture.capture.logs);
    for log in logs.take(TAILS) {
        let run = if log.previous { ", the run before" } else { "" };
        let _ = writeln!(out, "\nlast lines of pod/{} ({}{run})", clean(&log.pod), clean(&log.container));
        for line in log.lines.iter().skip(log.lines.len().saturating_sub(LINES)) {
            let _ = writeln!(out, "  | {}", cut(line, WIDTH));
        }
    }
}
