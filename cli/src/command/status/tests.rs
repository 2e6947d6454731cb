//! The first line and the table of what runs.

use release_cluster::Action;
use release_core::{Assessment, Cause, CauseKind, Certainty, ObjectRef, PinnedImage, Readiness};

use super::super::history::tests::header;
use super::*;

fn seen(status: Status, ready: u32, cause: Option<Cause>) -> Seen {
    let readiness = Readiness { ready, updated: ready, desired: 3 };
    let object = ObjectRef::new("apps/v1", "Deployment", "radio", "web");
    let assessment = Assessment { status, cause, readiness, revisit_at: None };
    Seen { object, assessment, images: Vec::new(), checks: Vec::new() }
}

#[test]
fn every_status_in_a_table() {
    let web: ServiceName = "web".parse().expect("a name");
    let cause = Cause {
        kind: CauseKind::CrashLoop,
        certainty: Certainty::Terminal,
        object: ObjectRef::new("v1", "Pod", "radio", "web-1"),
        summary: "3 of 3 pods: exit code 1".to_owned(),
        evidence: Vec::new(),
    };
    let image = format!("registry.example.com/radio/web@sha256:{}", "11".repeat(32));
    let image: PinnedImage = image.parse().expect("an image");
    let row = |seen| Row { service: &web, released: &image, seen, missing: Vec::new() };
    let object = |kind: &str| ObjectRef::new("v1", kind, "radio", "web");
    let running = |image: &str| {
        let images = vec![image.to_owned(), "proxy:1".to_owned()];
        Seen { images, ..seen(Status::Ready, 3, None) }
    };
    let rows = [
        row(running(&image.to_string())),
        row(seen(Status::Progressing, 1, None)),
        row(seen(Status::Failed, 0, Some(cause.clone()))),
        row(seen(Status::Unknown, 0, None)),
        row(running("registry.example.com/radio/web:mine")),
        row(running(&format!("registry.example.com/radio/web@sha256:{}", "22".repeat(32)))),
        Row { missing: vec![object("Service"), object("ConfigMap")], ..row(seen(Status::Ready, 3, None)) },
        Row { missing: vec![object("Service")], ..row(seen(Status::Failed, 0, Some(cause))) },
    ];
    insta::assert_snapshot!(text("radio in prod: release 42", &rows));
}

#[test]
fn nothing_has_been_released() {
    let now = "2026-11-24T08:00:00Z".parse().expect("a time");
    assert_eq!(
        text(&headline("radio", "prod", &[], None, now), &[]),
        "radio in prod: nothing has been released and verified yet\n"
    );
}

#[test]
fn a_newer_release_that_failed_is_told() {
    let now = "2026-11-24T08:05:00Z".parse().expect("a time");
    let told = |states: &[State]| {
        let headers: Vec<_> =
            (1..).zip(states).map(|(number, state)| header(number, Action::Deploy, *state)).collect();
        headline("radio", "prod", &headers, None, now)
    };
    insta::assert_snapshot!(
        [
            told(&[State::Verified, State::RolledBack]),
            told(&[State::Verified, State::NotRolledBack]),
            told(&[State::RolledBack, State::Verified]),
            told(&[State::Verified, State::Running]),
        ]
        .join("\n\n")
    );
}
