//! The table of releases, and the same as JSON.

use std::time::Duration;

use release_cluster::{Identity, ServiceRecord};
use release_core::{CauseKind, Certainty, ObjectRef};
use release_rollout::ReleasePlan;

use super::*;

fn time(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

pub(in crate::command) fn header(number: u64, action: Action, state: State) -> Header {
    let image = format!("registry.example.com/radio/web@sha256:{}", "1".repeat(64));
    let record = ServiceRecord {
        image: image.parse().expect("an image"),
        needs: std::collections::BTreeSet::new(),
        checks: BTreeMap::new(),
        soak: Duration::from_secs(30),
        deadline: Duration::from_secs(300),
        objects: Vec::new(),
    };
    Header {
        v: 1,
        number,
        project: "radio".parse().expect("a name"),
        environment: "prod".parse().expect("a name"),
        identity: Identity::Cluster("uid".to_owned()),
        action,
        state,
        version: None,
        actor: "ada@laptop".to_owned(),
        started_at: time("2026-11-24T08:00:00Z"),
        ended_at: None,
        baseline: None,
        services: BTreeMap::from([("web".parse().expect("a name"), record)]),
        content: "0".repeat(64),
        plan: ReleasePlan { services: BTreeMap::new(), concurrency: 8, prune: Vec::new() },
        cause: None,
        adopted: std::collections::BTreeMap::new(),
        chunks: 1,
    }
}

fn headers() -> Vec<Header> {
    let ended = Some(time("2026-11-24T08:01:15Z"));
    let cause = Cause {
        kind: CauseKind::CrashLoop,
        certainty: Certainty::Terminal,
        object: ObjectRef::new("v1", "Pod", "radio", "web-1"),
        summary: "3 of 3 pods: exit code 1".to_owned(),
        evidence: Vec::new(),
    };
    vec![
        Header {
            version: Some("3f2a1bc".to_owned()),
            ended_at: ended,
            ..header(1, Action::Deploy, State::Verified)
        },
        Header {
            ended_at: ended,
            baseline: Some(1),
            cause: Some(cause),
            ..header(2, Action::Deploy, State::RolledBack)
        },
        header(3, Action::Rollback { to: 1 }, State::Running),
    ]
}

#[test]
fn newest_first() {
    insta::assert_snapshot!(text(&headers(), time("2026-11-24T09:00:00Z")));
    insta::assert_snapshot!("nothing", text(&[], time("2026-11-24T09:00:00Z")));
}

#[test]
fn json_has_what_people_asked_for_and_got() {
    let headers = headers();
    let releases: Vec<_> = headers.iter().map(Published::from).collect();
    insta::assert_json_snapshot!(releases);
}
