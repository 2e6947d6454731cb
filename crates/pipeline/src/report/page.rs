//! A report as one HTML file: no script, no request, nothing outside of it. It holds the events, so that it can be folded again.

use release_core::{Cause, ServiceName};

use super::advice::advice;
use super::html::Html;
use super::text::{causing, facts, headline};
use super::{Ending, Report, releases, tables, timeline};
use crate::{ENVELOPE_VERSION, Envelope, Event};

const STYLE: &str = include_str!("style.css");

/// Where the events are.
const EVENTS: &str = "<script type=\"application/json\" id=\"events\">";

/// Why a page has no events that can be read.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// It was not made by this program.
    #[error("the page has no events in it")]
    NoEvents,
    /// They are cut or changed.
    #[error("the events in the page are damaged")]
    Damaged(#[source] serde_json::Error),
    /// They were written in a newer format.
    #[error(
        "the events in the page have format version {found}; this program reads up to {ENVELOPE_VERSION}"
    )]
    Newer {
        /// Their version.
        found: u32,
    },
}

/// The page of a run, or of several: what belongs to one release is one report, and releases follow one another. The same
/// events give the same bytes.
///
/// Events of types this version does not know are not in it.
pub fn page(envelopes: &[Envelope]) -> String {
    let reports: Vec<_> = releases(envelopes).into_iter().map(Report::of).collect();
    let mut out = Html::default();
    out.raw("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    out.raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    out.raw("<meta name=\"color-scheme\" content=\"light dark\">\n");
    // Nothing is loaded and nothing runs, whatever is in the events.
    out.raw("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n");
    out.element("title", "", &reports.iter().map(title).collect::<Vec<_>>().join(" — "))
        .raw("\n<style>\n")
        .raw(STYLE)
        .raw("</style>\n</head>\n<body>\n");
    for (n, report) in reports.iter().enumerate() {
        out.about(n);
        header(&mut out, report);
        out.raw("<main>\n");
        why(&mut out, report);
        next(&mut out, report);
        timeline::section(&mut out, report);
        tables::sections(&mut out, report);
        out.raw("</main>\n");
    }
    out.raw("<footer>\n<p>Made by <code>release report</code> from ");
    out.text(&super::words::count(envelopes.len(), "event"));
    out.raw(", which are in this file: <code>release report</code> reads it again.");
    let left_out: u32 = reports.iter().map(|report| report.left_out).sum();
    if left_out > 0 {
        out.raw(" ").text(&left_out.to_string()).raw(" facts more than the page has room for.");
    }
    out.raw("</p>\n</footer>\n").raw(EVENTS).raw("\n");
    embed(&mut out, envelopes);
    out.raw("</script>\n</body>\n</html>\n");
    out.finish()
}

/// The events a page holds.
///
/// # Errors
/// When it holds none, or they cannot be read.
pub fn read_page(page: &str) -> Result<Vec<Envelope>, PageError> {
    let (_, rest) = page.split_once(EVENTS).ok_or(PageError::NoEvents)?;
    let (json, _) = rest.split_once("</script>").ok_or(PageError::NoEvents)?;
    let values: Vec<serde_json::Value> = serde_json::from_str(json).map_err(PageError::Damaged)?;
    let newest = values.iter().filter_map(|value| value["v"].as_u64()).max().unwrap_or(0);
    if newest > u64::from(ENVELOPE_VERSION) {
        return Err(PageError::Newer { found: u32::try_from(newest).unwrap_or(u32::MAX) });
    }
    let read = values.into_iter().map(serde_json::from_value).collect::<Result<_, _>>();
    read.map_err(PageError::Damaged)
}

fn embed(out: &mut Html, envelopes: &[Envelope]) {
    out.raw("[");
    let known = envelopes.iter().filter(|envelope| !matches!(envelope.event, Event::Unknown { .. }));
    for (index, json) in known.filter_map(|envelope| serde_json::to_string(envelope).ok()).enumerate() {
        out.raw(if index == 0 { "\n" } else { ",\n" }).json(&json);
    }
    out.raw("\n]\n");
}

fn title(report: &Report) -> String {
    let (_, word) = mark(report);
    let what =
        report.started.as_ref().map(|started| format!("{} in {}", started.project, started.environment));
    let number = report.release.map(|number| format!("release {number}"));
    let parts: Vec<_> = [Some(word.to_owned()), number, what].into_iter().flatten().collect();
    parts.join(" · ")
}

/// How it ended, as a class and in a word.
fn mark(report: &Report) -> (&'static str, &'static str) {
    match &report.ending {
        Some(Ending::Verified) => ("good", "Verified"),
        Some(Ending::NothingToDo { unwell }) if unwell.is_empty() => ("good", "Nothing to do"),
        Some(Ending::NothingToDo { .. }) => ("bad", "Not healthy"),
        Some(Ending::RolledBack { running: None, .. }) => ("warn", "Failed and removed"),
        Some(Ending::RolledBack { .. }) => ("warn", "Rolled back"),
        Some(Ending::NotRolledBack { .. }) => ("bad", "NOT rolled back"),
        Some(Ending::Stopped) => ("warn", "Stopped half-way"),
        Some(Ending::Superseded { .. }) => ("warn", "Superseded"),
        Some(Ending::Failed { .. }) => ("bad", "Failed"),
        None => ("warn", "Not ended"),
    }
}

fn header(out: &mut Html, report: &Report) {
    let (class, word) = mark(report);
    out.raw("<header class=\"").raw(class).raw("\">\n").element("p", "mark", word).raw("\n<h1>");
    let mut headline = headline(report);
    if let Some(first) = headline.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    out.text(&headline).raw("</h1>\n<dl>\n");
    for (word, value) in facts(report) {
        out.raw("<div><dt>").raw(word).raw("</dt><dd>").text(&value).raw("</dd></div>\n");
    }
    out.raw("</dl>\n</header>\n");
}

fn why(out: &mut Html, report: &Report) {
    let open = |out: &mut Html| {
        out.raw("<section aria-labelledby=\"").id("why").raw("\">\n<h2 id=\"").id("why").raw("\">Why</h2>\n");
    };
    match &report.ending {
        Some(Ending::Failed { error, .. }) => {
            open(out);
            out.element("pre", "", error.trim_end()).raw("\n</section>\n");
        }
        Some(Ending::NothingToDo { unwell }) if !unwell.is_empty() => {
            open(out);
            for cause in unwell {
                cause_card(out, None, cause, None);
            }
            out.raw("</section>\n");
        }
        Some(ending) => {
            let Some((service, cause)) = ending.cause() else { return };
            open(out);
            let service_report = causing(report).and_then(|name| report.services.get(name));
            let at = service_report.and_then(|service| service.cause.as_ref()).map(|cause| cause.at);
            cause_card(out, service, cause, at);
            if let Ending::NotRolledBack { why: Some(why), .. } = ending {
                out.raw("<h3>Why it could not be rolled back</h3>\n");
                cause_card(out, None, why, None);
            }
            out.raw("</section>\n");
        }
        None => {}
    }
}

fn cause_card(out: &mut Html, service: Option<&ServiceName>, cause: &Cause, at: Option<f64>) {
    out.raw("<div class=\"card\">\n<p class=\"cause\">");
    if let Some(service) = service {
        out.element("b", "", service.as_str()).raw(" ");
    }
    out.element("span", "kind", cause.kind.as_str()).raw(" ").text(&cause.summary);
    if let Some(at) = at {
        out.raw(" <span class=\"dim\">after ").text(&super::took(at)).raw("</span>");
    }
    out.raw("</p>\n");
    if !cause.evidence.is_empty() {
        out.raw("<ul class=\"evidence\">\n");
        for evidence in &cause.evidence {
            out.raw("<li><code>").text(&evidence.object.to_string()).raw("</code> ");
            if let Some(reason) = &evidence.reason {
                out.element("b", "", reason).raw(" ");
            }
            out.text(evidence.message.trim()).raw(" <span class=\"dim\">").text(&evidence.source);
            if let Some(at) = &evidence.at {
                out.raw(", ").text(at);
            }
            out.raw("</span></li>\n");
        }
        out.raw("</ul>\n");
    }
    out.raw("</div>\n");
}

fn next(out: &mut Html, report: &Report) {
    out.raw("<section aria-labelledby=\"").id("next").raw("\">\n<h2 id=\"").id("next");
    out.raw("\">What to do next</h2>\n<ul>\n");
    for line in advice(report) {
        out.raw("<li>");
        // Commands stand between backticks.
        for (index, part) in line.split('`').enumerate() {
            if index % 2 == 1 {
                out.element("code", "", part);
            } else {
                out.text(part);
            }
        }
        out.raw("</li>\n");
    }
    out.raw("</ul>\n</section>\n");
}
