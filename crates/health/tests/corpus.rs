//! Every recorded situation, moment by moment: what is concluded, when, and how often that is right.

mod support;

use std::fmt::Write as _;

use release_core::{Assessment, Certainty, Status};
use release_health::{Graces, Tracker};
use support::{at, index, moments};

/// The assessments of a situation's moments, in order.
fn assess(situation: &str) -> Vec<(u64, Assessment)> {
    let moments = moments(situation);
    let mut tracker = Tracker::new(moments[0].target(), Graces::default());
    moments.iter().map(|m| (m.seconds, tracker.assess(m.now(), &m.snapshot()))).collect()
}

/// The same, and then as time goes by with nothing new, until nothing can change by itself any more.
fn assess_to_the_end(situation: &str) -> Vec<(u64, Assessment)> {
    let moments = moments(situation);
    let mut tracker = Tracker::new(moments[0].target(), Graces::default());
    let mut all: Vec<_> =
        moments.iter().map(|m| (m.seconds, tracker.assess(m.now(), &m.snapshot()))).collect();
    let last = moments.last().expect("a moment");
    while let Some(revisit_at) = all.last().and_then(|(_, a)| a.revisit_at) {
        assert!(all.len() < 50, "{situation}: always something to wait for");
        all.push((revisit_at.since_origin().as_secs(), tracker.assess(revisit_at, &last.snapshot())));
    }
    all
}

fn kind(assessment: &Assessment) -> &'static str {
    assessment.cause.as_ref().map_or("none", |c| c.kind.as_str())
}

fn check(situation: &str, cause: &str, class: &str) {
    let seen = assess_to_the_end(situation);
    let first_failed = seen.iter().find(|(_, a)| a.status == Status::Failed);
    let last_recorded = &seen[3].1;
    match class {
        "terminal" => {
            let (second, failed) = first_failed.unwrap_or_else(|| panic!("{situation}: never called failed"));
            assert_eq!(kind(failed), cause, "{situation}: first failed at {second} s");
            let certainty = failed.cause.as_ref().map(|c| c.certainty);
            assert_eq!(certainty, Some(Certainty::Terminal), "{situation} at {second} s");
            assert_eq!(last_recorded.status, Status::Failed, "{situation}: by the last moment");
            assert_eq!(kind(last_recorded), cause, "{situation}: at the last moment");
        }
        "likely" => {
            let suspected = seen.iter().find(|(_, a)| a.cause.is_some());
            let (suspected_at, suspicion) = suspected.unwrap_or_else(|| panic!("{situation}: not suspected"));
            assert_eq!(suspicion.status, Status::Progressing, "{situation}: suspicion before failure");
            assert_eq!(kind(suspicion), cause, "{situation}: suspected at {suspected_at} s");
            let (failed_at, failed) =
                first_failed.unwrap_or_else(|| panic!("{situation}: never called failed"));
            assert_eq!(kind(failed), cause, "{situation}: failed at {failed_at} s");
            assert!(failed_at > suspected_at, "{situation}: no grace");
        }
        _ => {
            assert!(first_failed.is_none(), "{situation}: called failed at {first_failed:?}");
            assert_eq!(last_recorded.status, Status::Ready, "{situation}: at the last moment");
            assert_eq!(kind(last_recorded), "none", "{situation}: at the last moment");
        }
    }
}

#[test]
fn every_situation_is_called_what_it_is() {
    for (situation, cause, class) in index() {
        check(&situation, &cause, &class);
    }
}

#[test]
fn what_people_read() {
    let mut table = String::new();
    for (situation, ..) in index() {
        for (second, a) in assess(&situation) {
            let status = format!("{:?}", a.status).to_lowercase();
            let (certainty, summary) = a
                .cause
                .as_ref()
                .map_or((String::new(), ""), |c| (format!("{:?}", c.certainty).to_lowercase(), &*c.summary));
            let r = a.readiness;
            let counts = format!("{}/{}/{}", r.ready, r.updated, r.desired);
            let kind = kind(&a);
            let _ = writeln!(
                table,
                "{situation:<22} {second:>3} s  {status:<11} {counts:<6} {kind:<18} {certainty:<9} {summary}"
            );
        }
    }
    insta::assert_snapshot!(table);
}

#[test]
fn evidence_people_read() {
    for situation in ["image-tag-missing", "crash-exit-1", "progress-deadline", "quota-exceeded"] {
        let (_, assessment) = assess(situation).pop().expect("a moment");
        insta::assert_json_snapshot!(situation, assessment.cause.expect("a cause").evidence);
    }
}

/// Of the situations that were called failed, the share that had failed; of those that had failed, the share
/// that was called so, by the right name.
#[test]
fn nothing_is_missed_and_nothing_is_made_up() {
    let (mut right, mut wrong, mut missed) = (0_u32, 0_u32, 0_u32);
    for (situation, cause, _) in index() {
        let seen = assess_to_the_end(&situation);
        let called = seen.iter().find(|(_, a)| a.status == Status::Failed).map_or("none", |(_, a)| kind(a));
        match (called, &*cause) {
            ("none", "none") => {}
            (called, cause) if called == cause => right += 1,
            ("none", _) => missed += 1,
            _ => wrong += 1,
        }
    }
    assert_eq!((right, wrong, missed), (25, 0, 0), "right, wrong, missed");
}

#[test]
fn the_old_version_keeps_serving_and_is_not_counted() {
    let (_, assessment) = assess("update-bad-image").pop().expect("a moment");
    let readiness = assessment.readiness;
    assert_eq!((readiness.ready, readiness.updated, readiness.desired), (0, 1, 2));
    let cause = assessment.cause.expect("a cause");
    assert!(cause.object.name.starts_with("web-5ff5ffc97d-"), "{}", cause.object);
}

#[test]
fn grace_starts_anew_when_the_suspicion_went_away() {
    let [bad, good] = ["never-ready-404", "healthy"].map(|s| moments(s).remove(3));
    let mut tracker = Tracker::new(
        release_health::Target { uid: None, min_generation: None, ..bad.target() },
        Graces::default(),
    );
    assert_eq!(tracker.assess(at(0), &bad.snapshot()).status, Status::Progressing);
    assert_eq!(tracker.assess(at(50), &good.snapshot()).status, Status::Ready);
    assert_eq!(tracker.assess(at(59), &bad.snapshot()).status, Status::Progressing);
    assert_eq!(tracker.assess(at(118), &bad.snapshot()).status, Status::Progressing);
    assert_eq!(tracker.assess(at(119), &bad.snapshot()).status, Status::Failed);
}
