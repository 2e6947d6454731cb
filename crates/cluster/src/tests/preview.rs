//! What applying would do, asked of the server without writing.

use release_core::{Cause, CauseKind};

use super::fake::{Act, Fake, status};
use super::process::{NEW, OLD, running_old};
use super::record::bodies;
use crate::{ApiError, Change, Conflicts, is_ours};

fn words(changes: &[Change]) -> Vec<&'static str> {
    changes
        .iter()
        .map(|change| match change {
            Change::Create => "create",
            Change::Update { .. } => "update",
            Change::Nothing { .. } => "nothing",
            Change::Refused(_) => "refused",
        })
        .collect()
}

async fn preview(fake: &Fake, image: &str) -> Vec<Change> {
    let changes = fake.cluster().preview(&bodies(image), Conflicts::Refuse).await.expect("answers");
    let written = |line: &String| !line.starts_with("GET ") && !line.starts_with("TRY ");
    assert!(!fake.log().iter().any(written), "{:?}", fake.log());
    changes
}

/// The cause when the server answers the dry run of the Deployment like this, for ever.
async fn refused(code: u16, reason: &str, message: &str) -> Cause {
    let fake = running_old().await;
    fake.on(
        "PATCH deployments/web",
        usize::MAX,
        Act::Answer(code, status(code, reason, message).to_string()),
    );
    let changes = preview(&fake, NEW).await;
    assert_eq!(words(&changes), ["update", "refused", "nothing"]);
    match changes.into_iter().nth(1) {
        Some(Change::Refused(cause)) => *cause,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_new_changes_or_stays_is_told_apart() {
    assert_eq!(words(&preview(&Fake::new(), NEW).await), ["create", "create", "create"]);
    let fake = running_old().await;
    assert_eq!(words(&preview(&fake, OLD).await), ["nothing", "nothing", "nothing"]);
    let changes = preview(&fake, NEW).await;
    assert_eq!(words(&changes), ["update", "update", "nothing"]);
    match &changes[1] {
        Change::Update { live, would_be } => {
            let image = |object: &serde_json::Value| {
                object["spec"]["template"]["spec"]["containers"][0]["image"].as_str().map(str::to_owned)
            };
            assert_eq!((image(live).as_deref(), image(would_be).as_deref()), (Some(OLD), Some(NEW)));
            assert!(is_ours(live));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_told_by_its_kind_and_in_the_servers_words() {
    for (code, reason, message, kind) in [
        (403, "Forbidden", "exceeded quota: compute, requested: pods=1, used: pods=4", CauseKind::Quota),
        (400, "", "admission webhook \"policy.example\" denied the request: no", CauseKind::Admission),
        (500, "InternalError", "failed calling webhook \"policy.example\": timeout", CauseKind::Admission),
        (
            422,
            "Invalid",
            "ValidatingAdmissionPolicy 'p' with binding 'b' denied request",
            CauseKind::Admission,
        ),
        (422, "Invalid", "spec.selector: Invalid value: field is immutable", CauseKind::Refused),
        (409, "Conflict", "Apply failed with 1 conflict: conflict with \"helm\"", CauseKind::Refused),
        (403, "Forbidden", "deployments.apps is forbidden: User \"ci\" cannot patch", CauseKind::Refused),
    ] {
        let cause = refused(code, reason, message).await;
        assert_eq!(cause.kind, kind, "{message}");
        assert!(cause.summary.contains(message), "{}", cause.summary);
        assert_eq!(cause.object, super::record::web());
        assert_eq!(cause.evidence[0].message, message);
    }
}

#[tokio::test(start_paused = true)]
async fn an_object_that_may_not_be_read_is_a_refusal_and_an_absent_server_is_an_error() {
    let fake = running_old().await;
    fake.on("GET configmaps/web", 1, Act::status(403, "Forbidden", "no"));
    assert_eq!(words(&preview(&fake, OLD).await), ["refused", "nothing", "nothing"]);
    fake.on("GET configmaps/web", usize::MAX, Act::Refuse);
    let error = fake.cluster().preview(&bodies(OLD), Conflicts::Refuse).await.expect_err("no server");
    assert!(matches!(error, ApiError::Unreachable { .. }), "{error:?}");
}
