//! What single events add to a report.

use release_pipeline::{Did, Ending, Report, page, read, text};

/// A report of these events: run, second, and the rest of the line.
fn fold(events: &[(&str, f64, &str)]) -> Report {
    let lines: Vec<String> = events
        .iter()
        .enumerate()
        .map(|(seq, (run, elapsed, rest))| {
            // Runs begin a minute apart by the clock on the wall.
            let minute = run.trim_start_matches('r');
            let (whole, milli) = (elapsed.trunc(), (elapsed.fract() * 1e3).round());
            let at = format!("2026-11-24T08:{minute:0>2}:{whole:02}.{milli:03}Z");
            format!(r#"{{"v":1,"run":"{run}","seq":{seq},"at":"{at}","elapsed":{elapsed},{rest}}}"#)
        })
        .collect();
    let envelopes = read(&lines.join("\n")).expect("events");
    // Whatever is folded can be shown.
    let report = Report::of(&envelopes);
    assert!(!text(&report, None).is_empty() && page(&envelopes).contains("</html>"));
    report
}

const DEPLOYMENT: &str =
    r#""object":{"apiVersion":"apps/v1","kind":"Deployment","namespace":"radio","name":"web"}"#;

fn phase(word: &str) -> String {
    format!(r#""type":"phase-entered","service":"web","phase":"{word}""#)
}

fn cause(kind: &str, event: &str, summary: &str) -> String {
    format!(
        r#""type":"{event}","service":"web","effect":{{"fence":1,"seq":1}},"cause":{{"kind":"{kind}","certainty":"terminal",{DEPLOYMENT},"summary":"{summary}"}}"#
    )
}

#[test]
fn phases_have_a_begin_and_an_end() {
    let report = fold(&[
        ("r0", 1.0, &phase("applying")),
        ("r0", 1.5, &phase("progressing")),
        ("r0", 1.7, &phase("progressing")),
        ("r0", 4.0, &phase("verified")),
    ]);
    let phases: Vec<_> =
        report.services.values().next().expect("web").phases.iter().map(|p| (p.from, p.to)).collect();
    assert_eq!(phases, [(1.0, Some(1.5)), (1.5, Some(4.0)), (4.0, None)]);
    assert_eq!(report.ending, None);
}

#[test]
fn a_release_that_is_taken_up_is_one_story() {
    let report = fold(&[
        (
            "r0",
            0.0,
            r#""type":"started","command":"deploy","project":"radio","environment":"dev","context":"c","namespace":"n","actor":"ada""#,
        ),
        ("r0", 1.0, &phase("applying")),
        ("r0", 2.0, r#""type":"stopped","release":4,"phases":{"web":"applying"}"#),
        (
            "r1",
            0.0,
            r#""type":"started","command":"deploy","project":"radio","environment":"dev","context":"c","namespace":"n","actor":"bob""#,
        ),
        ("r1", 0.5, r#""type":"release-resumed","release":4"#),
        ("r1", 0.6, &phase("applying")),
        ("r1", 3.0, &phase("progressing")),
    ]);
    assert_eq!(report.ending, None, "it goes on");
    assert_eq!(report.runs.iter().map(|run| run.at).collect::<Vec<_>>(), [0.0, 60.0]);
    let web = report.services.values().next().expect("web");
    assert_eq!(
        web.phases.iter().map(|p| (p.from, p.to)).collect::<Vec<_>>(),
        [(1.0, Some(63.0)), (63.0, None)]
    );
    assert_eq!(report.started.expect("it was").actor.as_deref(), Some("ada"));
    assert_eq!(report.notes.len(), 2);
}

#[test]
fn a_clock_that_goes_back_does_not_turn_the_story_round() {
    let report = fold(&[("r9", 30.0, &phase("applying")), ("r0", 1.0, &phase("progressing"))]);
    let web = report.services.values().next().expect("web");
    assert!(web.phases[1].from >= web.phases[0].from, "{:?}", web.phases);
}

#[test]
fn the_first_cause_is_the_cause() {
    let report = fold(&[
        ("r0", 1.0, &cause("never-ready", "cause-suspected", "slow")),
        ("r0", 1.5, &cause("never-ready", "cause-suspected", "slow")),
        ("r0", 2.0, &cause("crash-loop", "cause-found", "it exits")),
        ("r0", 3.0, &cause("sibling", "cause-found", "another")),
        ("r0", 4.0, &cause("refused", "write-refused", "no")),
    ]);
    let web = report.services.values().next().expect("web");
    assert_eq!(web.suspicions.len(), 1);
    assert_eq!(
        web.cause.as_ref().map(|found| (found.at, found.cause.summary.as_str())),
        Some((2.0, "it exits"))
    );
    assert_eq!(web.writes.iter().map(|write| write.did).collect::<Vec<_>>(), [Did::Refused]);
}

#[test]
fn endings_are_told() {
    let ended = |state: &str, rest: &str| {
        let line = format!(
            r#""type":"release-ended","release":4,"action":{{"do":"deploy"}},"state":"{state}"{rest}"#
        );
        fold(&[("r0", 1.0, &line)]).ending
    };
    let because =
        format!(r#","cause":{{"kind":"deadline","certainty":"terminal",{DEPLOYMENT},"summary":"late"}}"#);
    assert_eq!(ended("verified", ""), Some(Ending::Verified));
    assert!(matches!(ended("rolled-back", &because), Some(Ending::RolledBack { .. })));
    assert!(matches!(ended("not-rolled-back", &because), Some(Ending::NotRolledBack { .. })));
    assert_eq!(ended("superseded", ""), Some(Ending::Superseded { by: None }));
    assert_eq!(ended("running", ""), None);
    assert_eq!(fold(&[]).ending, None);
}

#[test]
fn lists_end() {
    let progress = format!(
        r#""type":"progress","service":"web",{DEPLOYMENT},"readiness":{{"ready":1,"updated":1,"desired":2}}"#
    );
    let good = r#""type":"checked","service":"web","check":"c","verdict":{"verdict":"good","latency":{"secs":0,"nanos":1}}"#;
    let bad = r#""type":"checked","service":"web","check":"c","verdict":{"verdict":"bad","why":"x"}"#;
    let mut events = Vec::new();
    for _ in 0..5_000 {
        events.extend([("r0", 1.0, progress.as_str()), ("r0", 1.0, good)]);
    }
    events.push(("r0", 2.0, bad));
    let report = fold(&events);
    let web = report.services.values().next().expect("web");
    assert!(web.readiness.len() <= 400 && web.checks.len() <= 600);
    assert_eq!(web.checks.last().map(|checked| checked.at), Some(2.0), "what is bad is never given up");
    let tally = web.tallies["c"];
    assert_eq!((tally.good, tally.bad), (5_000, 1), "they are counted all the same");
    assert!(report.left_out > 0);
}
