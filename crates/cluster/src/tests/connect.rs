//! Whose cluster it is.

use serde_json::json;

use super::fake::{Act, Fake, status};
use crate::{ConnectError, Identity};

const NAMESPACE: &str = "GET /api/v1/namespaces/radio";
const SYSTEM: &str = "GET /api/v1/namespaces/kube-system";

fn forbidden() -> Act {
    Act::status(403, "Forbidden", "namespaces is forbidden")
}

async fn identity(rules: &[(&'static str, Act)]) -> Result<Identity, ConnectError> {
    let fake = Fake::new();
    for (what, act) in rules {
        fake.on(what, usize::MAX, act.clone());
    }
    fake.cluster().identity().await
}

#[tokio::test(start_paused = true)]
async fn a_cluster_is_known_by_its_system_namespace_and_else_by_its_own() {
    let cluster = Identity::Cluster("uid-of-the-cluster".to_owned());
    assert_eq!(identity(&[]).await.expect("an identity"), cluster);
    assert_eq!(identity(&[(NAMESPACE, forbidden())]).await.expect("an identity"), cluster);
    let own = Identity::Namespace("uid-of-radio".to_owned());
    assert_eq!(identity(&[(SYSTEM, forbidden())]).await.expect("an identity"), own);
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_cannot_be_recognised_is_told() {
    let error = identity(&[(NAMESPACE, forbidden()), (SYSTEM, forbidden())]).await;
    assert!(matches!(error, Err(ConnectError::NotIdentified { .. })), "{error:?}");
    let error = identity(&[(NAMESPACE, Act::status(401, "Unauthorized", "who?"))]).await;
    assert!(matches!(error, Err(ConnectError::Unauthorized { .. })), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_namespace_that_does_not_exist_is_told() {
    let mut absent = status(404, "NotFound", "namespaces \"radio\" not found");
    absent["details"] = json!({"name": "radio", "kind": "namespaces"});
    let error = identity(&[(NAMESPACE, Act::Answer(404, absent.to_string()))]).await;
    assert!(matches!(error, Err(ConnectError::NoNamespace { .. })), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn the_version_is_the_servers_own_word() {
    assert_eq!(Fake::new().cluster().version().await.expect("a version"), "v1.36.1");
}
