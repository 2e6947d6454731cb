//! The wire format of `-o json` stays readable: a stored line of every event, and the reference made from them.

mod reference;
mod samples;
mod source;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use release_pipeline::{Envelope, Event, ImageEvent, ReadError, read};

/// What a test says when a stored file is behind the code.
const REFRESH: &str = "UPDATE_DOCS=1 cargo nextest run -E 'binary(wire)'";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn stored() -> PathBuf {
    root().join("tests/wire/v1.jsonl")
}

/// Whether stored files are written instead of compared.
fn updating() -> bool {
    std::env::var_os("UPDATE_DOCS").is_some_and(|value| !value.is_empty() && value != "0")
}

fn line(envelope: &Envelope) -> String {
    serde_json::to_string(envelope).expect("an event that can be written")
}

/// Stored lines are only ever added: what was written once must be read for ever.
#[test]
fn every_stored_line_is_read_and_written_the_same() {
    let mut text = std::fs::read_to_string(stored()).unwrap_or_default();
    let missing: Vec<_> =
        samples::all().iter().map(line).filter(|line| !text.lines().any(|stored| stored == line)).collect();
    if updating() && !missing.is_empty() {
        text.extend(missing.iter().map(|line| format!("{line}\n")));
        std::fs::write(stored(), &text).expect("tests/wire can be written");
    } else {
        assert!(missing.is_empty(), "not in tests/wire/v1.jsonl; add with `{REFRESH}`:\n{missing:#?}");
    }
    for stored in text.lines() {
        let envelopes = read(stored).unwrap_or_else(|error| panic!("{error:?}\n{stored}"));
        let [envelope] = envelopes.as_slice() else { panic!("not one line: {stored}") };
        assert!(!matches!(envelope.event, Event::Unknown { .. }), "nobody knows {stored}");
        assert_eq!(line(envelope), stored);
    }
}

#[test]
fn every_event_comes_back_as_the_same_value() {
    for envelope in samples::all() {
        let back = read(&line(&envelope)).expect("it was just written");
        assert_eq!(back, [envelope]);
    }
}

/// The types in the code, in the lists that readers go by, and in the samples are the same.
#[test]
fn every_type_of_event_has_a_sample() {
    let mut sampled: Vec<_> = samples::all().iter().map(|envelope| samples::kind(&envelope.event)).collect();
    sampled.dedup();
    let known: Vec<String> = Event::TYPES
        .iter()
        .chain(Event::CLUSTER_TYPES)
        .flat_map(|kind| match *kind {
            "image" => ImageEvent::TYPES.iter().map(|image| format!("image/{image}")).collect(),
            kind => vec![kind.to_owned()],
        })
        .collect();
    assert_eq!(sampled, known);
    let in_code: Vec<String> = reference::types();
    assert_eq!(in_code, known);
}

#[test]
fn every_word_has_a_sample() {
    let lines: String = samples::all().iter().map(line).collect();
    for (list, word) in reference::words() {
        assert!(lines.contains(&format!("\"{word}\"")), "no sample has the {list} `{word}`");
    }
    for kind in release_core::CauseKind::ALL {
        assert!(lines.contains(&format!("\"kind\":\"{kind}\"")), "no sample has the cause `{kind}`");
    }
}

const FRAME: &str = r#""run":"r","seq":0,"at":"2026-11-24T08:00:00Z","elapsed":0.5"#;

fn one(rest: &str) -> Result<Event, String> {
    let with_sources = |error: ReadError| match &error {
        ReadError::Line { source, .. } => format!("{error}: {source}"),
        ReadError::Newer { .. } => error.to_string(),
    };
    let mut envelopes = read(&format!("{{{rest}}}")).map_err(with_sources)?;
    envelopes.pop().map(|envelope| envelope.event).ok_or_else(|| "no line".to_owned())
}

#[test]
fn a_reader_survives_what_it_does_not_know() {
    let event = |rest: &str| one(&format!(r#""v":1,{FRAME},{rest}"#));
    let unknown = |kind: &str| Ok(Event::Unknown { kind: kind.to_owned() });
    assert_eq!(event(r#""type":"tea-made","cups":[{"of":3}]"#), unknown("tea-made"));
    assert_eq!(event(r#""type":"image","service":"web","image":"signed","by":"x""#), unknown("image/signed"));
    // New keys beside known ones.
    assert_eq!(
        event(r#""type":"lock-taken","fence":3,"since":{"a":1}"#),
        Ok(Event::Cluster(release_cluster::Event::LockTaken { fence: 3 }))
    );
    assert_eq!(
        event(r#""type":"release-resumed","release":3,"x":null"#),
        Ok(Event::ReleaseResumed { release: 3, action: None })
    );
}

#[test]
fn half_a_story_is_refused() {
    let newer = format!(r#""v":2,{FRAME},"type":"lock-taken""#);
    let mut refusals = String::new();
    for rest in [
        r#""type":"lock-taken""#,
        r#""type":"release-resumed","release":"three""#,
        r#""type":"image","service":"web","image":"step","name":"x""#,
        r#""type":"phase-entered","service":"web","phase":"resting""#,
        r#""service":"web""#,
    ] {
        let error = one(&format!(r#""v":1,{FRAME},{rest}"#)).expect_err(rest);
        let _ = writeln!(refusals, "{rest}\n    {error}");
    }
    for rest in [newer.as_str(), r#""v":1,"type":"lock-taken","fence":1"#, r#""type":"lock-taken""#] {
        let _ = writeln!(refusals, "{rest}\n    {}", one(rest).expect_err(rest));
    }
    insta::assert_snapshot!(refusals);
}

#[test]
fn what_is_not_known_is_not_written() {
    let event = Event::Unknown { kind: "tea-made".to_owned() };
    assert!(serde_json::to_string(&event).is_err());
}

#[test]
fn empty_lines_are_passed_over_and_errors_say_the_line() {
    let good = line(&samples::all()[0]);
    assert_eq!(read(&format!("\n{good}\n\n{good}\n")).expect("two lines").len(), 2);
    let error = read(&format!("{good}\n\nnonsense\n")).unwrap_err();
    assert_eq!(error.to_string(), "line 3 is not an event of a run");
}

#[test]
fn reference_events_is_what_the_code_says() {
    let path = root().join("docs/reference/events.md");
    let text = reference::page();
    if updating() {
        std::fs::write(&path, &text).expect("docs/reference can be written");
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(stored == text, "docs/reference/events.md is behind the code; refresh it with `{REFRESH}`");
}
