//! The drawing: a lane a service, phases as segments, readiness as a step line, checks and causes as marks.
//!
//! Every mark differs in shape and not only in colour, and has a `<title>`; the tables below the drawing say the same in words.

use release_core::{ServiceName, Verdict};
use release_rollout::Phase;

use super::html::Html;
use super::words::{phase, result};
use super::{Report, ServiceReport, took};

/// Width of the drawing, in its own units; the page scales it.
const WIDTH: f64 = 1000.0;
/// Above the first lane: the axis.
const TOP: f64 = 26.0;
/// One lane.
const LANE: f64 = 102.0;
/// Inside a lane: where the phases, the marks and the readiness begin.
const PHASES: f64 = 22.0;
const PHASE_HEIGHT: f64 = 22.0;
const CHECKS: f64 = 52.0;
const READY: f64 = 60.0;
const READY_HEIGHT: f64 = 22.0;
/// Lanes in one drawing; those that failed come first.
const LANES: usize = 40;
/// Segments narrower than this have no label in them.
const LABEL_ROOM: f64 = 7.2;

/// The section with the drawing; nothing when no service was begun.
pub(super) fn section(out: &mut Html, report: &Report) {
    let mut lanes: Vec<_> = report.services.iter().filter(|(_, service)| begun(service)).collect();
    if lanes.is_empty() {
        return;
    }
    lanes.sort_by_key(|(_, service)| service.cause.is_none());
    let hidden = lanes.len().saturating_sub(LANES);
    lanes.truncate(LANES);
    out.raw("<section aria-labelledby=\"")
        .id("timeline")
        .raw("\">\n<h2 id=\"")
        .id("timeline")
        .raw("\">Timeline</h2>\n");
    drawing(out, report, &lanes);
    legend(out);
    if hidden > 0 {
        out.element("p", "dim", &format!("{hidden} more services are in the tables below.")).raw("\n");
    }
    out.raw("</section>\n");
}

fn begun(service: &ServiceReport) -> bool {
    !service.phases.is_empty() || service.prepared.is_some()
}

fn drawing(out: &mut Html, report: &Report, lanes: &[(&ServiceName, &ServiceReport)]) {
    let height = TOP + LANE * f64::from(u32::try_from(lanes.len()).unwrap_or(u32::MAX)) + 4.0;
    let scale = Scale { seconds: report.seconds.max(0.1) };
    out.raw("<div class=\"scroll\"><svg viewBox=\"0 0 ").number(WIDTH).raw(" ").number(height);
    out.raw("\" role=\"img\" aria-labelledby=\"")
        .id("drawing-title")
        .raw(" ")
        .id("drawing-text")
        .raw("\">\n");
    out.raw("<title id=\"")
        .id("drawing-title")
        .raw("\">What each service did, over time</title>\n<desc id=\"");
    out.id("drawing-text").raw("\">");
    out.text(&in_words(lanes)).raw("</desc>\n");
    axis(out, &scale, height);
    for (index, (name, service)) in lanes.iter().enumerate() {
        let y = TOP + LANE * f64::from(u32::try_from(index).unwrap_or(u32::MAX));
        out.raw("<g transform=\"translate(0 ").number(y).raw(")\">\n");
        lane(out, &scale, name, service);
        out.raw("</g>\n");
    }
    for (_, service) in lanes {
        if let Some(cause) =
            service.cause.as_ref().filter(|found| found.cause.kind != release_core::CauseKind::Sibling)
        {
            let x = scale.x(cause.at);
            out.raw("<line class=\"cause-line\" x1=\"").number(x).raw("\" x2=\"").number(x);
            out.raw("\" y1=\"").number(TOP - 4.0).raw("\" y2=\"").number(height).raw("\"/>\n");
        }
    }
    out.raw("</svg></div>\n");
}

fn in_words(lanes: &[(&ServiceName, &ServiceReport)]) -> String {
    let one = |(name, service): &(&ServiceName, &ServiceReport)| {
        let spans =
            service.phases.iter().map(|span| format!("{} from {}", phase(span.phase), took(span.from)));
        format!("{name}: {}.", spans.collect::<Vec<_>>().join(", "))
    };
    lanes.iter().map(one).collect::<Vec<_>>().join(" ")
}

/// From seconds to places.
struct Scale {
    seconds: f64,
}

impl Scale {
    fn x(&self, at: f64) -> f64 {
        (at / self.seconds).clamp(0.0, 1.0) * (WIDTH - 2.0) + 1.0
    }

    /// Distances between the ticks of an axis: about ten of them, at numbers people count in.
    fn step(&self) -> f64 {
        const STEPS: &[f64] = &[
            0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0,
            7200.0, 14_400.0, 43_200.0, 86_400.0,
        ];
        let fits = STEPS.iter().copied().find(|step| self.seconds / step <= 10.0);
        fits.unwrap_or(self.seconds / 10.0)
    }
}

fn axis(out: &mut Html, scale: &Scale, height: f64) {
    let step = scale.step();
    for index in 0..=11_u32 {
        let at = step * f64::from(index);
        let x = scale.x(at);
        // A label at the very end would be cut.
        if at > scale.seconds || (index > 0 && x > WIDTH - 24.0) {
            break;
        }
        out.raw("<line class=\"tick\" x1=\"").number(x).raw("\" x2=\"").number(x).raw("\" y1=\"");
        out.number(TOP - 8.0).raw("\" y2=\"").number(height).raw("\"/>");
        let anchor = if index == 0 { "start" } else { "middle" };
        out.raw("<text class=\"axis\" y=\"12\" x=\"")
            .number(x)
            .raw("\" text-anchor=\"")
            .raw(anchor)
            .raw("\">");
        out.text(&tick(at, step)).raw("</text>\n");
    }
}

fn tick(at: f64, step: f64) -> String {
    if at == 0.0 {
        "0".to_owned()
    } else if step < 1.0 {
        format!("{at:.1}s")
    } else if at < 60.0 {
        format!("{at:.0}s")
    } else {
        took(at)
    }
}

fn lane(out: &mut Html, scale: &Scale, name: &ServiceName, service: &ServiceReport) {
    out.raw("<text class=\"name\" x=\"1\" y=\"15\">").text(name.as_str()).raw("</text>\n");
    if let Some(last) = service.phases.last() {
        out.raw("<text class=\"now\" x=\"").number(WIDTH - 1.0).raw("\" y=\"15\" text-anchor=\"end\">");
        out.text(phase(last.phase)).raw("</text>\n");
    }
    if let Some(prepared) = service.prepared {
        segment(out, scale, "p-image", "image", prepared.from, prepared.to.unwrap_or(scale.seconds));
    }
    for span in &service.phases {
        segment(
            out,
            scale,
            class(span.phase),
            phase(span.phase),
            span.from,
            span.to.unwrap_or(scale.seconds),
        );
    }
    readiness(out, scale, service);
    for checked in &service.checks {
        let (word, why) = result(&checked.result);
        let x = scale.x(checked.at);
        match checked.result {
            Verdict::Good { .. } => {
                out.raw("<circle class=\"check-good\" r=\"2.6\" cx=\"").number(x).raw("\" cy=\"");
                out.number(CHECKS).raw("\">");
            }
            Verdict::Bad { .. } => {
                path(out, "check-bad", x, CHECKS, "m0 -5.5 l5.5 5.5 l-5.5 5.5 l-5.5 -5.5 z");
            }
            Verdict::NotEnough { .. } => path(out, "check-none", x, CHECKS, "m-3 -3 h6 v6 h-6 z"),
        }
        out.raw("<title>").text(&format!("{} check {}: {word}, {why}", took(checked.at), checked.check));
        out.raw("</title>").raw(match checked.result {
            Verdict::Good { .. } => "</circle>\n",
            Verdict::Bad { .. } | Verdict::NotEnough { .. } => "</path>\n",
        });
    }
    for seen in &service.suspicions {
        path(out, "suspicion", scale.x(seen.at), PHASES - 1.0, "m0 -2 l5.5 -10 h-11 z");
        title(out, seen.at, "suspicious", &seen.cause);
    }
    if let Some(found) = &service.cause {
        path(out, "cause", scale.x(found.at), PHASES + PHASE_HEIGHT / 2.0, "m-6 -6 l12 12 m0 -12 l-12 12");
        title(out, found.at, "failed", &found.cause);
    }
}

fn path(out: &mut Html, class: &'static str, x: f64, y: f64, shape: &'static str) {
    out.raw("<path class=\"")
        .raw(class)
        .raw("\" d=\"M")
        .number(x)
        .raw(" ")
        .number(y)
        .raw(" ")
        .raw(shape)
        .raw("\">");
}

fn title(out: &mut Html, at: f64, word: &str, cause: &release_core::Cause) {
    out.raw("<title>").text(&format!("{} {word}: {}: {}", took(at), cause.kind, cause.summary));
    out.raw("</title></path>\n");
}

fn class(phase: Phase) -> &'static str {
    match phase {
        Phase::Waiting | Phase::NotStarted => "p-waiting",
        Phase::Applying => "p-applying",
        Phase::Progressing => "p-progressing",
        Phase::Soaking => "p-soaking",
        Phase::Verified => "p-verified",
        Phase::RollingBack => "p-rolling-back",
        Phase::RolledBack => "p-rolled-back",
        Phase::NotRolledBack => "p-not-rolled-back",
    }
}

fn segment(out: &mut Html, scale: &Scale, class: &'static str, label: &'static str, from: f64, to: f64) {
    let (left, right) = (scale.x(from), scale.x(to));
    // Wide enough to be seen, and never beyond the edge.
    let width = (right - left).max(2.0);
    let left = left.min(WIDTH - width);
    out.raw("<g class=\"")
        .raw(class)
        .raw("\"><rect rx=\"2\" x=\"")
        .number(left)
        .raw("\" y=\"")
        .number(PHASES);
    out.raw("\" width=\"").number(width).raw("\" height=\"").number(PHASE_HEIGHT).raw("\"/><title>");
    out.text(&format!("{label}, {} to {}: {}", took(from), took(to), took(to - from))).raw("</title>");
    let room = LABEL_ROOM * f64::from(u32::try_from(label.len()).unwrap_or(u32::MAX)) + 8.0;
    if width >= room {
        out.raw("<text x=\"").number(left + 6.0).raw("\" y=\"").number(PHASES + 15.5).raw("\">").raw(label);
        out.raw("</text>");
    }
    out.raw("</g>\n");
}

/// The step line of ready pods. A rollback counts the pods of the release before, so it starts a line of its own.
fn readiness(out: &mut Html, scale: &Scale, service: &ServiceReport) {
    let most = service.readiness.iter().map(|seen| seen.readiness.desired.max(seen.readiness.ready)).max();
    let Some(most) = most.filter(|most| *most > 0) else { return };
    let height = |count: u32| READY + READY_HEIGHT * (1.0 - f64::from(count) / f64::from(most));
    let back = service.phases.iter().find(|span| span.phase == Phase::RollingBack).map(|span| span.from);
    let (before, after): (Vec<&super::ReadinessAt>, Vec<&super::ReadinessAt>) =
        service.readiness.iter().partition(|seen| back.is_none_or(|back| seen.at < back));
    let last_of = |points: &[&super::ReadinessAt], end: f64| {
        points.last().map(|last| (last.at.max(end), last.readiness.ready))
    };
    for (points, end) in [(before, back.unwrap_or(scale.seconds)), (after, scale.seconds)] {
        let Some(first) = points.first() else { continue };
        let floor = READY + READY_HEIGHT;
        let mut steps = Html::default();
        for seen in &points {
            steps.raw(" H").number(scale.x(seen.at)).raw(" V").number(height(seen.readiness.ready));
        }
        if let Some((end, _)) = last_of(&points, end) {
            steps.raw(" H").number(scale.x(end));
        }
        let steps = steps.finish();
        let start = scale.x(first.at);
        out.raw("<path class=\"ready-area\" d=\"M").number(start).raw(" ").number(floor).text(&steps);
        out.raw(" V").number(floor).raw(" Z\"/>\n<path class=\"ready\" d=\"M").number(start).raw(" ");
        out.number(height(first.readiness.ready)).text(&steps).raw("\"><title>").text(&counts(&points));
        out.raw("</title></path>\n");
        if let Some((end, ready)) = last_of(&points, end) {
            let text = format!("{ready} of {most} ready");
            out.raw("<text class=\"count\" text-anchor=\"end\" x=\"")
                .number(scale.x(end) - 3.0)
                .raw("\" y=\"");
            out.number(READY + READY_HEIGHT - 4.0).raw("\">").text(&text).raw("</text>\n");
        }
    }
}

fn counts(points: &[&super::ReadinessAt]) -> String {
    let one = |seen: &&super::ReadinessAt| {
        let counts = seen.readiness;
        format!("{} {} of {} ready, {} updated", took(seen.at), counts.ready, counts.desired, counts.updated)
    };
    points.iter().map(one).collect::<Vec<_>>().join("\n")
}

fn legend(out: &mut Html) {
    const SEGMENTS: &[(&str, &str)] = &[
        ("p-image", "image"),
        ("p-waiting", "waiting"),
        ("p-applying", "applying"),
        ("p-progressing", "rolling out"),
        ("p-soaking", "watching"),
        ("p-verified", "verified"),
        ("p-rolling-back", "rolling back"),
        ("p-rolled-back", "rolled back"),
    ];
    const MARKS: &[(&str, &str, &str)] = &[
        ("check-good", "M7 7 m-3 0 a3 3 0 1 0 6 0 a3 3 0 1 0 -6 0", "check good"),
        ("check-bad", "M7 1.5 l5.5 5.5 l-5.5 5.5 l-5.5 -5.5 z", "check bad"),
        ("check-none", "M4 4 h6 v6 h-6 z", "no evidence"),
        ("suspicion", "M7 12 l5.5 -10 h-11 z", "suspicious"),
        ("cause", "M2 2 l10 10 m0 -10 l-10 10", "failed"),
        ("ready", "M0 12 H5 V7 H10 V2 H14", "pods ready"),
    ];
    out.raw("<ul class=\"legend\">\n");
    for (class, word) in SEGMENTS {
        out.raw("<li><svg viewBox=\"0 0 14 14\" aria-hidden=\"true\"><g class=\"").raw(class);
        out.raw("\"><rect rx=\"2\" x=\"1\" y=\"1\" width=\"12\" height=\"12\"/></g></svg>")
            .raw(word)
            .raw("</li>\n");
    }
    for (class, shape, word) in MARKS {
        out.raw("<li><svg viewBox=\"0 0 14 14\" aria-hidden=\"true\"><path class=\"")
            .raw(class)
            .raw("\" d=\"");
        out.raw(shape).raw("\"/></svg>").raw(word).raw("</li>\n");
    }
    out.raw("</ul>\n");
}
