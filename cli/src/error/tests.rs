//! Failures that need a server to happen: message, hint and exit code of each.

use std::time::Duration;

use release_cluster::{Part, State};
use release_core::{Certainty, Evidence, ObjectRef};

use super::*;

fn refused(kind: CauseKind, reason: Option<&str>, message: &str) -> Failure {
    let object = ObjectRef::new("apps/v1", "Deployment", "radio", "conflict-forbidden-immutable");
    let evidence = Evidence {
        source: "API server".to_owned(),
        object: object.clone(),
        reason: reason.map(str::to_owned),
        message: message.to_owned(),
        at: None,
    };
    let cause = Cause {
        kind,
        certainty: Certainty::Terminal,
        summary: format!("cannot apply {object}: {message}"),
        object,
        evidence: vec![evidence],
    };
    Failure::Run(RunError::Plan(PlanError::Refused { causes: vec![cause] }))
}

fn unknown() -> ApiError {
    ApiError::Unknown { verb: "read", what: "namespace/radio".to_owned(), why: "connection reset".to_owned() }
}

fn target(error: ConnectError) -> Failure {
    Failure::Target(TargetError::Connect(error))
}

fn screens(failures: &[Failure]) -> String {
    failures
        .iter()
        .map(|failure| format!("{}= {}\n\n", failure.text(Color::Never), failure.exit().code()))
        .collect()
}

#[test]
fn what_the_server_refuses() {
    insta::assert_snapshot!(screens(&[
        refused(
            CauseKind::Refused,
            Some("Conflict"),
            "Apply failed with 1 conflict: conflict with \"kubectl\": .spec.replicas"
        ),
        refused(CauseKind::Refused, Some("Invalid"), "spec.selector: field is immutable"),
        refused(CauseKind::Refused, Some("Invalid"), "spec.replicas: must be greater than 0"),
        refused(
            CauseKind::Refused,
            Some("Forbidden"),
            "deployments.apps is forbidden: User \"ci\" cannot patch"
        ),
        refused(CauseKind::Quota, Some("Forbidden"), "services is forbidden: exceeded quota: q"),
        refused(
            CauseKind::Admission,
            Some("Forbidden"),
            "admission webhook \"policy\" denied the request: no owner"
        ),
        refused(
            CauseKind::Refused,
            Some("BadRequest"),
            "unknown field \"spec.template.spec.containers[0].lifecycle.preStop.sleep\""
        ),
        refused(CauseKind::Refused, None, "it belongs to project `tv`"),
    ]));
}

#[test]
fn clusters_that_are_not_the_right_one() {
    let (context, namespace) = ("prod".to_owned(), "radio".to_owned());
    let source = || Box::new(unknown());
    insta::assert_snapshot!(screens(&[
        target(ConnectError::NoNamespace { namespace: namespace.clone(), context: context.clone() }),
        target(ConnectError::Unauthorized { context: context.clone(), source: source() }),
        target(ConnectError::NotIdentified { namespace: namespace.clone(), source: source() }),
        Failure::Target(TargetError::Wrong {
            context: context.clone(),
            found: "cluster 1111".to_owned(),
            meant: "the cluster in release.yaml",
            expected: "2222".to_owned(),
        }),
        Failure::Target(TargetError::NotRecorded { context }),
        Failure::Rights {
            namespace,
            missing: vec!["patch deployments.apps".to_owned(), "get pods".to_owned()]
        },
        Failure::Need { needed: "tv/guide".to_owned(), why: "0 of 2 pods are ready".to_owned() },
        Failure::Api(unknown()),
    ]));
}

fn record(suffix: &str) -> ObjectRef {
    ObjectRef::new("v1", "ConfigMap", "radio", &format!("release.radio.prod{suffix}"))
}

fn damaged(part: Part, suffix: &str, why: &str) -> StoreError {
    StoreError::Damaged { part, object: Box::new(record(suffix)), why: why.to_owned() }
}

#[test]
fn runs_that_do_not_begin_or_do_not_go_on() {
    let holder = "ada@laptop (process 4711)".to_owned();
    insta::assert_snapshot!(screens(&[
        Failure::Run(RunError::Lock(LockError::Held { holder, held_for: Duration::from_secs(312) })),
        Failure::Run(RunError::Lock(LockError::Api {
            lease: "release.radio.prod".to_owned(),
            source: Box::new(unknown())
        })),
        Failure::Run(RunError::TakenOver { release: 42 }),
        Failure::Run(RunError::Store(StoreError::Fenced { ours: 3, theirs: 4 })),
        Failure::Run(RunError::Store(damaged(Part::Record, ".42", "chunk 2 of 3 is missing"))),
        Failure::Target(TargetError::Store(damaged(Part::Journal, ".journal", "it was deleted"))),
        Failure::Run(RunError::Store(damaged(Part::Events, ".42.events", "unexpected end of file"))),
        Failure::Run(RunError::Store(StoreError::Newer { object: Box::new(record(".42")), form: 2 })),
        Failure::Run(RunError::NotResumable {
            release: 42,
            why: "it was written by a newer version".to_owned()
        }),
        Failure::Run(RunError::NothingToRestore),
        Failure::Run(RunError::NoSuchRelease { release: 99, known: "41, 40".to_owned() }),
        Failure::Run(RunError::NotVerified { release: 42, state: State::RolledBack }),
        Failure::Gate { environment: "prod".to_owned(), planned: true },
        Failure::Check { message: "not everything that runs is as it should be".to_owned() },
        Failure::Stopped { exit: Exit::Terminated },
        Failure::Internal(anyhow::anyhow!("the program broke off")),
    ]));
}
