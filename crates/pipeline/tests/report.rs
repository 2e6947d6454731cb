//! The report is a fold over envelopes: scripted runs and what is made of them.

use release_pipeline::{Ending, Report, read};

/// A run from the middle of its lines: `SECOND TYPE…` a line, the rest as JSON fields.
fn run(lines: &[(f64, &str)]) -> Report {
    let text: String = lines
        .iter()
        .enumerate()
        .map(|(seq, (elapsed, event))| {
            format!("{{\"v\":1,\"run\":\"r\",\"seq\":{seq},\"at\":\"2026-11-24T08:00:00Z\",\"elapsed\":{elapsed},{event}}}\n")
        })
        .collect();
    Report::of(&read(&text).unwrap_or_else(|error| panic!("{error:?}")))
}

const STARTED: &str = r#""type":"started","command":"deploy","project":"radio","environment":"dev","context":"c","namespace":"n""#;
const PLANNED: &str = r#""type":"planned","release":42,"changes":[],"unchanged":["api"],"baseline":41"#;
const IMAGES: &str = r#"{"web":"r.io/web@sha256:1111111111111111111111111111111111111111111111111111111111111111","api":"r.io/api@sha256:2222222222222222222222222222222222222222222222222222222222222222"}"#;
const CAUSE: &str = r#"{"kind":"crash-loop","certainty":"terminal","object":{"apiVersion":"v1","kind":"Pod","namespace":"n","name":"web-1"},"summary":"exit code 1"}"#;

fn began() -> String {
    format!(r#""type":"release-began","release":42,"action":{{"do":"deploy"}},"images":{IMAGES}"#)
}

fn ended(state: &str, more: &str) -> String {
    format!(r#""type":"release-ended","release":42,"action":{{"do":"deploy"}},"state":"{state}"{more}"#)
}

fn code(report: &Report) -> Option<u8> {
    report.ending.as_ref().map(Ending::exit_code)
}

#[test]
fn every_ending_and_its_exit_code() {
    let with_cause = format!(r#","cause":{CAUSE},"service":"web""#);
    let unwell = format!(r#""type":"nothing-to-do","release":42,"unwell":[{CAUSE}]"#);
    for (last, expected) in [
        (ended("verified", r#","running":42"#), Some(0)),
        (ended("rolled-back", &with_cause), Some(7)),
        (ended("not-rolled-back", &with_cause), Some(8)),
        (r#""type":"nothing-to-do","release":42,"unwell":[]"#.to_owned(), Some(0)),
        (unwell, Some(9)),
        (r#""type":"stopped","release":42,"phases":{"web":"soaking"}"#.to_owned(), Some(130)),
        (r#""type":"failed","exitCode":11,"error":"error: cannot start""#.to_owned(), Some(11)),
        (ended("superseded", ""), Some(130)),
        // Nothing was decided here, or what was is incomplete: that is no ending.
        (ended("running", ""), None),
        (ended("rolled-back", ""), None),
        (r#""type":"tea-made""#.to_owned(), None),
        (r#""type":"release-superseded","release":41,"by":42"#.to_owned(), None),
    ] {
        let report = run(&[(0.0, STARTED), (1.0, PLANNED), (1.5, &began()), (9.5, &last)]);
        assert_eq!(code(&report), expected, "{last}");
        assert_eq!((report.release, report.seconds.to_bits()), (Some(42), 9.5_f64.to_bits()), "{last}");
    }
}

#[test]
fn a_failure_after_an_ending_is_the_ending() {
    let failed = r#""type":"failed","exitCode":1,"error":"error: x""#;
    assert_eq!(code(&run(&[(1.0, &began()), (2.0, failed)])), Some(1));
}

#[test]
fn a_whole_run() {
    let phase = |phase: &str| format!(r#""type":"phase-entered","service":"web","phase":"{phase}""#);
    let checked =
        |verdict: &str| format!(r#""type":"checked","service":"web","check":"/","verdict":{verdict}"#);
    let found = format!(r#""type":"cause-found","service":"web","cause":{CAUSE}"#);
    let later = found.replace("exit code 1", "a later cause");
    let captured = r#""type":"captured","service":"web","object":{"apiVersion":"apps/v1","kind":"Deployment","namespace":"n","name":"web"},"capture":{"events":["Warning BackOff pod/web-1: x"],"logs":[]}"#;
    let report = run(&[
        (0.0, STARTED),
        (1.0, PLANNED),
        (1.5, &began()),
        (2.0, &phase("applying")),
        (3.0, &phase("progressing")),
        (
            4.0,
            r#""type":"progress","service":"web","object":{"apiVersion":"apps/v1","kind":"Deployment","name":"web"},"readiness":{"ready":1,"updated":1,"desired":2}"#,
        ),
        (5.0, &phase("soaking")),
        (6.0, &checked(r#"{"verdict":"good","latency":{"secs":0,"nanos":5000000}}"#)),
        (7.0, &checked(r#"{"verdict":"bad","why":"500"}"#)),
        (7.1, &checked(r#"{"verdict":"not-enough","why":"no pod"}"#)),
        (7.5, &found),
        (7.6, &later),
        (7.7, captured),
        (8.0, &phase("rolling-back")),
        (9.0, &phase("rolled-back")),
        (9.5, &ended("rolled-back", &format!(r#","cause":{CAUSE},"service":"web","running":41"#))),
    ]);
    insta::assert_json_snapshot!(report);
}

#[test]
fn folding_one_by_one_gives_the_same() {
    let stored = include_str!("../../../tests/wire/v1.jsonl");
    let envelopes = read(stored).expect("stored events");
    let mut report = Report::default();
    for envelope in &envelopes {
        report.add(envelope);
    }
    assert_eq!(report, Report::of(&envelopes));
}

#[test]
fn a_resumed_release_says_what_it_is() {
    let resumed = r#""type":"release-resumed","release":42,"action":{"do":"rollback","to":41}"#;
    let report = run(&[(0.0, STARTED), (0.1, resumed)]);
    assert_eq!(report.release, Some(42));
    assert_eq!(report.action, Some(release_cluster::Action::Rollback { to: 41 }));
    assert_eq!(report.ending, None);
}
