//! What people read for each event: the stored lines of the wire format, and what is said about them.

use release_pipeline::read;

use super::*;

#[test]
fn every_event_in_words() {
    let stored = include_str!("../../../tests/wire/v1.jsonl");
    let mut said = String::new();
    for (line, envelope) in stored.lines().zip(read(stored).expect("stored events")) {
        let value: serde_json::Value = serde_json::from_str(line).expect("JSON");
        let word = |key: &str| value[key].as_str().map(str::to_owned).unwrap_or_default();
        said.push_str(format!("[{} {}]", word("type"), word("image")).replace(" ]", "]").as_str());
        said.push('\n');
        for line in lines(&envelope) {
            said.push_str(&line);
            said.push('\n');
        }
    }
    insta::assert_snapshot!(said);
}

#[test]
fn long_captures_are_cut_to_what_fits_on_a_screen() {
    let many = |word: &str, count: usize| (1..=count).map(|n| format!("{word} {n}")).collect::<Vec<_>>();
    let mut events = many("Normal Pulled pod/web: pulled", 3);
    events.extend(many("Warning BackOff pod/web: restarting", 8));
    let log = release_cluster::LogTail {
        pod: "web-1".to_owned(),
        container: "web".to_owned(),
        previous: false,
        lines: many("line", 40),
    };
    let event = Event::Cluster(Cluster::Captured {
        service: "web".parse().expect("a name"),
        object: release_core::ObjectRef::new("apps/v1", "Deployment", "radio", "web"),
        capture: release_cluster::Capture { events, logs: vec![log] },
    });
    let at = "2026-11-24T08:00:00Z".parse().expect("a time");
    let clock = Clock::system();
    let now = clock.now();
    insta::assert_snapshot!(lines(&Recorder::new("r", now).stamp(now, at, event)).join("\n"));
}

#[test]
fn an_event_of_a_later_version_is_passed_over() {
    let line = r#"{"v":1,"run":"r","seq":0,"at":"2026-11-24T08:00:00Z","elapsed":1.0,"type":"tea-made"}"#;
    assert!(lines(&read(line).expect("an event")[0]).is_empty());
}
