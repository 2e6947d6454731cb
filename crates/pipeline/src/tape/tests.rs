//! What a tape keeps.

use super::*;

fn envelope(seq: u64, rest: &str) -> Envelope {
    let line = format!(r#"{{"v":1,"run":"r","seq":{seq},"at":"2026-11-24T08:00:00Z","elapsed":0.5,{rest}}}"#);
    read(&line).expect("an event").remove(0)
}

const PHASE: &str = r#""type":"phase-entered","service":"web","phase":"soaking""#;
const GOOD: &str = r#""type":"checked","service":"web","check":"c","verdict":{"verdict":"good","latency":{"secs":0,"nanos":1}}"#;
const READY: &str = r#""type":"progress","service":"web","object":{"apiVersion":"apps/v1","kind":"Deployment","name":"web"},"readiness":{"ready":1,"updated":1,"desired":2}"#;

fn kept(tape: &Tape, most: usize) -> Vec<u64> {
    let lines = tape.lines(most);
    assert!(lines.len() <= most);
    read(&lines).expect("what was written").iter().map(|envelope| envelope.seq).collect()
}

#[test]
fn what_may_be_dropped_is_not_kept() {
    let tape = Tape::default();
    for (seq, rest) in [
        (0, PHASE),
        (1, r#""type":"image","service":"web","image":"output","line":"x""#),
        (2, r#""type":"image","service":"web","image":"pushing","doing":"x","sent":1,"total":null"#),
        (3, r#""type":"tea-made""#),
        (4, READY),
        (5, GOOD),
    ] {
        tape.add(&envelope(seq, rest));
    }
    assert_eq!(kept(&tape, 1 << 20), [0, 4, 5]);
}

#[test]
fn with_little_room_the_frame_and_the_newest_stay() {
    let tape = Tape::default();
    tape.add(&envelope(0, PHASE));
    for seq in 1..100 {
        tape.add(&envelope(seq, GOOD));
    }
    let kept = kept(&tape, 1_000);
    assert_eq!(kept.first(), Some(&0));
    assert_eq!(kept.last(), Some(&99));
    assert!(kept.len() > 3 && kept[1] > 90, "{kept:?}");
    assert!(tape.lines(10).is_empty());
}

#[test]
fn a_tape_ends() {
    let tape = Tape::default();
    tape.add(&envelope(0, PHASE));
    for seq in 1..50_000 {
        tape.add(&envelope(seq, if seq % 2 == 0 { READY } else { GOOD }));
    }
    assert!(tape.list().len() <= ENVELOPES);
    let kept = kept(&tape, usize::MAX);
    assert_eq!((kept.first(), kept.last()), (Some(&0), Some(&49_999)));
}

fn header(state: State) -> Header {
    serde_json::from_value(serde_json::json!({
        "v": 1, "number": 4, "project": "radio", "environment": "dev",
        "identity": {"of": "cluster", "uid": "x"},
        "action": {"do": "deploy"}, "state": state, "version": "v1", "actor": "ada@laptop",
        "startedAt": "2026-11-24T08:00:00Z", "endedAt": "2026-11-24T08:01:00Z", "baseline": 3,
        "services": {}, "content": "x", "plan": {"services": {}, "concurrency": 1, "prune": []},
        "cause": {"kind": "deadline", "certainty": "terminal", "summary": "late",
            "object": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}},
    }))
    .expect("a header")
}

#[test]
fn a_record_without_events_still_says_how_it_ended() {
    let told = |state| {
        let report = crate::Report::of(&from_header(&header(state), "radio", "dev"));
        assert_eq!(report.started.as_ref().and_then(|started| started.actor.as_deref()), Some("ada@laptop"));
        crate::text(&report, None).lines().next().map(str::to_owned)
    };
    assert_eq!(told(State::Verified).as_deref(), Some("release 4 verified in 1m00s"));
    assert_eq!(
        told(State::RolledBack).as_deref(),
        Some("release 4 failed and was rolled back to release 3 in 1m00s")
    );
    assert_eq!(
        told(State::Superseded).as_deref(),
        Some("release 4 was interrupted; another release took its place")
    );
    assert_eq!(told(State::Running).as_deref(), Some("release 4 has not ended, or nobody was left to tell"));
}
