//! The lower half of the page: what was asked of the cluster and what came back, in tables.

use release_core::ServiceName;

use super::html::{Cell, Html, cell, styled};
use super::words::{did, phase, result};
use super::{Did, Report, ServiceReport, took};
use crate::Verb;

/// Single verdicts of a check in the table below the counts: those that were not good.
const VERDICTS: usize = 40;

/// Every section after the timeline; those with nothing in them are left out.
pub(super) fn sections(out: &mut Html, report: &Report) {
    saved(out, report);
    checks(out, report);
    suspicions(out, report);
    changes(out, report);
    images(out, report);
    course(out, report);
}

fn section(out: &mut Html, id: &'static str, title: &'static str, inside: impl FnOnce(&mut Html)) {
    out.raw("<section aria-labelledby=\"").id(id).raw("\">\n<h2 id=\"").id(id).raw("\">").raw(title);
    out.raw("</h2>\n");
    inside(out);
    out.raw("</section>\n");
}

/// The rows that `row` makes of every item of every service.
fn rows<'a, T: 'a>(
    report: &'a Report,
    items: impl Fn(&'a ServiceReport) -> Vec<T>,
    row: impl Fn(&'a ServiceName, T) -> Vec<Cell>,
) -> Vec<Vec<Cell>> {
    let each = report.services.iter().flat_map(|(name, service)| {
        items(service).into_iter().map(move |item| (name, item)).collect::<Vec<_>>()
    });
    each.map(|(name, item)| row(name, item)).collect()
}

/// Log tails and events, saved before the rollback.
fn saved(out: &mut Html, report: &Report) {
    if report.services.values().all(|service| service.captures.is_empty()) {
        return;
    }
    section(out, "saved", "What was saved before the rollback", |out| {
        for (name, service) in &report.services {
            for saved in &service.captures {
                for log in &saved.capture.logs {
                    out.raw("<details open>\n<summary>Last lines of <code>pod/")
                        .text(&log.pod)
                        .raw("</code>");
                    out.raw(", container <code>").text(&log.container).raw("</code>");
                    out.raw(if log.previous { ", the run before" } else { "" }).raw("</summary>\n<pre>");
                    for line in &log.lines {
                        out.text(line).raw("\n");
                    }
                    out.raw("</pre>\n</details>\n");
                }
                events(out, name, &saved.object.to_string(), &saved.capture.events);
            }
        }
    });
}

fn events(out: &mut Html, service: &ServiceName, object: &str, events: &[String]) {
    if events.is_empty() {
        return;
    }
    out.raw("<details>\n<summary>").text(&super::words::count(events.len(), "event")).raw(" about <code>");
    out.text(object).raw("</code> of ").text(service.as_str()).raw(", warnings marked</summary>\n");
    out.raw("<ol class=\"events\">\n");
    for event in events {
        let class = if event.starts_with("Warning") { "bad" } else { "" };
        out.element("li", class, event).raw("\n");
    }
    out.raw("</ol>\n</details>\n");
}

fn checks(out: &mut Html, report: &Report) {
    let counted = rows(
        report,
        |service| service.tallies.iter().collect(),
        |name, (check, tally)| {
            let bad = if tally.bad > 0 { "num bad" } else { "num" };
            vec![
                cell(name.as_str()),
                styled(check, "code"),
                styled(tally.good.to_string(), "num"),
                styled(tally.bad.to_string(), bad),
                styled(tally.not_enough.to_string(), "num"),
                styled(format!("{} ms", tally.slowest_ms), "num"),
            ]
        },
    );
    if counted.is_empty() {
        return;
    }
    section(out, "checks", "Checks", |out| {
        let head = &["Service", "Check", "Good", "Bad", "No evidence", "Slowest good"];
        out.table("Verdicts of each check, counted", head, &counted);
        let single = rows(
            report,
            |service| service.checks.iter().filter(|checked| result(&checked.result).0 != "good").collect(),
            |name, checked| {
                let (word, why) = result(&checked.result);
                vec![
                    cell(name.as_str()),
                    styled(took(checked.at), "num"),
                    styled(&checked.check, "code"),
                    styled(word, "bad"),
                    cell(why),
                ]
            },
        );
        if !single.is_empty() {
            let shown = &single[..single.len().min(VERDICTS)];
            out.table("What was not good", &["Service", "At", "Check", "Verdict", "Why"], shown);
        }
    });
}

fn suspicions(out: &mut Html, report: &Report) {
    let rows = rows(
        report,
        |service| service.suspicions.iter().collect(),
        |name, seen| {
            vec![
                cell(name.as_str()),
                styled(took(seen.at), "num"),
                styled(seen.cause.kind.as_str(), "code"),
                cell(&seen.cause.summary),
            ]
        },
    );
    if !rows.is_empty() {
        section(out, "suspicions", "What looked wrong on the way", |out| {
            out.table("Suspicions; some pass", &["Service", "At", "Kind", "What was seen"], &rows);
        });
    }
}

fn changes(out: &mut Html, report: &Report) {
    let rows = rows(
        report,
        |service| service.changes.iter().collect(),
        |name, change| {
            let (verb, class) = match change.verb {
                Verb::Create => ("create", "good"),
                Verb::Update => ("update", ""),
                Verb::Delete => ("delete", "bad"),
            };
            vec![
                cell(name.as_str()),
                styled(verb, class),
                styled(change.object.to_string(), "code"),
                styled(change.fields.join(", "), "code"),
            ]
        },
    );
    if rows.is_empty() && report.unchanged.is_empty() {
        return;
    }
    section(out, "changes", "What was to change", |out| {
        if !rows.is_empty() {
            out.table("Planned changes", &["Service", "Change", "Object", "Fields"], &rows);
        }
        if !report.unchanged.is_empty() {
            let names: Vec<_> = report.unchanged.iter().map(ServiceName::as_str).collect();
            out.element("p", "dim", &format!("Unchanged: {}", names.join(", "))).raw("\n");
        }
    });
}

fn images(out: &mut Html, report: &Report) {
    let rows = rows(
        report,
        |service| service.image.iter().collect(),
        |name, image| {
            vec![
                cell(name.as_str()),
                styled(image.repository.to_string(), "code"),
                styled(image.digest.to_string(), "code wrap"),
            ]
        },
    );
    if !rows.is_empty() {
        section(out, "images", "Images", |out| {
            out.table("What was released, by digest", &["Service", "Repository", "Digest"], &rows);
        });
    }
}

/// Everything with its time, for who wants to know exactly. It is also what the drawing says, in words.
fn course(out: &mut Html, report: &Report) {
    let phases = rows(
        report,
        |service| service.phases.iter().collect(),
        |name, span| {
            let time = span.to.map(|to| took(to - span.from)).unwrap_or_default();
            vec![
                cell(name.as_str()),
                cell(phase(span.phase)),
                styled(took(span.from), "num"),
                styled(time, "num"),
            ]
        },
    );
    let writes = rows(
        report,
        |service| service.writes.iter().collect(),
        |name, write| {
            let class = match write.did {
                Did::Applied | Did::Restored | Did::Deleted => "",
                Did::Refused | Did::Unclear => "bad",
            };
            let object = write.object.as_ref().map(ToString::to_string).unwrap_or_default();
            vec![
                cell(name.as_str()),
                styled(took(write.at), "num"),
                styled(did(write.did), class),
                styled(object, "code"),
                cell(write.why.clone().unwrap_or_default()),
            ]
        },
    );
    if phases.is_empty() && writes.is_empty() && report.notes.is_empty() {
        return;
    }
    section(out, "course", "The course in detail", |out| {
        if !report.notes.is_empty() {
            let row = |note: &super::Note| vec![styled(took(note.at), "num"), cell(&note.text)];
            out.table("Besides", &["At", "What"], &report.notes.iter().map(row).collect::<Vec<_>>());
        }
        if !phases.is_empty() {
            out.raw("<details>\n<summary>Phases</summary>\n");
            out.table("Phases of each service", &["Service", "Phase", "From", "For"], &phases);
            out.raw("</details>\n");
        }
        if !writes.is_empty() {
            out.raw("<details>\n<summary>")
                .text(&super::words::count(writes.len(), "write"))
                .raw("</summary>\n");
            out.table("Writes in the cluster", &["Service", "At", "Done", "Object", "Why"], &writes);
            out.raw("</details>\n");
        }
    });
}
