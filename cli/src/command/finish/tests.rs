//! The verdict on stdout, the story on stderr and the exit code of every ending.

use release_core::{CauseKind, Certainty, Evidence, ObjectRef};
use release_pipeline::Started;

use super::*;

fn pod() -> ObjectRef {
    ObjectRef::new("v1", "Pod", "radio", "web-5d9-x2x")
}

fn seen(reason: Option<&str>, message: &str) -> Evidence {
    Evidence {
        source: "event".to_owned(),
        object: pod(),
        reason: reason.map(str::to_owned),
        message: message.to_owned(),
        at: None,
    }
}

fn cause(evidence: Vec<Evidence>) -> Cause {
    Cause {
        kind: CauseKind::CrashLoop,
        certainty: Certainty::Terminal,
        object: pod(),
        summary: "3 of 3 pods: the process ended with exit code 1".to_owned(),
        evidence,
    }
}

fn told(action: Option<Action>, ending: &Ending) -> String {
    let started = Started { environment: "prod".to_owned(), ..Started::default() };
    let report =
        Report { started: Some(started), release: Some(42), action, seconds: 75.4, ..Report::default() };
    assert_eq!(Exit::of(ending, Exit::Interrupted).code(), ending.exit_code(), "{ending:?}");
    format!("| {}\n{}= {}\n\n", verdict(&report, ending), story(&report, ending), ending.exit_code())
}

#[test]
fn every_ending() {
    let web = || Some("web".parse().expect("a name"));
    let why = Cause {
        kind: CauseKind::Unreachable,
        summary: "the API server was out of reach for 5m".to_owned(),
        ..cause(Vec::new())
    };
    let plain = || Box::new(cause(Vec::new()));
    let evidence = vec![
        seen(Some("Pulled"), "the first of five, which is too many"),
        seen(Some("BackOff"), "Back-off restarting failed container"),
        seen(None, "exit code 1"),
        seen(Some("Unhealthy"), "Readiness probe failed: 503"),
        seen(Some("BackOff"), "Back-off restarting failed container"),
        seen(None, "no database"),
        seen(None, " "),
    ];
    let screens = [
        told(Some(Action::Deploy), &Ending::Verified),
        told(Some(Action::Rollback { to: 41 }), &Ending::Verified),
        told(None, &Ending::NothingToDo { unwell: Vec::new() }),
        told(None, &Ending::NothingToDo { unwell: vec![cause(Vec::new())] }),
        told(
            Some(Action::Deploy),
            &Ending::RolledBack { service: web(), cause: Box::new(cause(evidence)), running: Some(41) },
        ),
        told(Some(Action::Deploy), &Ending::RolledBack { service: None, cause: plain(), running: None }),
        told(Some(Action::Deploy), &Ending::NotRolledBack { service: web(), cause: plain(), why: None }),
        told(
            Some(Action::Deploy),
            &Ending::NotRolledBack { service: web(), cause: plain(), why: Some(Box::new(why)) },
        ),
        told(Some(Action::Deploy), &Ending::Stopped),
        told(Some(Action::Rollback { to: 40 }), &Ending::Stopped),
        told(
            None,
            &Ending::Failed { exit_code: 11, error: "error: cannot start\n  hint: wait for it".to_owned() },
        ),
    ];
    insta::assert_snapshot!(screens.concat());
}

#[test]
fn a_stopped_run_ends_as_its_signal_says() {
    assert_eq!(Exit::of(&Ending::Stopped, Exit::Terminated).code(), 143);
    assert_eq!(Exit::of(&Ending::Stopped, Exit::Interrupted).code(), 130);
}
