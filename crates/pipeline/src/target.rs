//! The right cluster: whether what was connected to is what was meant.

use release_cluster::{Cluster, ConnectError, Header, Identity, Store, StoreError};

/// What is known about the cluster before it is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expect {
    /// The UID written in `release.yaml`, of `kube-system` or of the namespace.
    pub uid: Option<String>,
    /// The context was not the environment's own (`--context`, in-cluster credentials): only a cluster that is
    /// already known will do.
    pub overridden: bool,
}

/// The target, found to be the right one.
#[derive(Debug, Clone)]
pub struct Found {
    /// Who it is.
    pub identity: Identity,
    /// The releases it remembers, oldest first.
    pub headers: Vec<Header>,
}

/// Why the target will not be touched.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// It cannot be connected to or identified.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The record cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It is another cluster than the one meant.
    #[error("context `{context}` leads to {found}, but {meant} is {expected}")]
    Wrong {
        /// The context used.
        context: String,
        /// Who answered.
        found: String,
        /// Where the expectation comes from.
        meant: &'static str,
        /// Who was expected.
        expected: String,
    },
    /// The context was overridden and nothing says that this cluster is meant.
    #[error(
        "context `{context}` is not the environment's own, and the cluster has no record of this project"
    )]
    NotRecorded {
        /// The context used.
        context: String,
    },
}

fn words(identity: &Identity) -> String {
    match identity {
        Identity::Cluster(uid) => format!("cluster {uid}"),
        Identity::Namespace(uid) => format!("namespace {uid}"),
    }
}

/// Identifies the cluster and compares it with what is expected and with what its own record says.
///
/// # Errors
/// When it cannot be identified, or is not the right one.
pub async fn find_target(cluster: &Cluster, store: &Store, expect: &Expect) -> Result<Found, TargetError> {
    let identity = cluster.identity().await?;
    let context = || cluster.context().to_owned();
    let (Identity::Cluster(uid) | Identity::Namespace(uid)) = &identity;
    if let Some(expected) = expect.uid.as_ref().filter(|expected| *expected != uid) {
        return Err(TargetError::Wrong {
            context: context(),
            found: words(&identity),
            meant: "the cluster in release.yaml",
            expected: expected.clone(),
        });
    }
    let headers = store.headers().await?;
    // Rights may have grown or shrunk since: only identities of the same sort can be compared.
    let recorded = headers.iter().rev().find(|header| same_sort(&header.identity, &identity));
    if let Some(recorded) = recorded.filter(|recorded| recorded.identity != identity) {
        return Err(TargetError::Wrong {
            context: context(),
            found: words(&identity),
            meant: "the one its record was written in",
            expected: words(&recorded.identity),
        });
    }
    if expect.overridden && expect.uid.is_none() && headers.is_empty() {
        return Err(TargetError::NotRecorded { context: context() });
    }
    Ok(Found { identity, headers })
}

fn same_sort(a: &Identity, b: &Identity) -> bool {
    matches!(
        (a, b),
        (Identity::Cluster(_), Identity::Cluster(_)) | (Identity::Namespace(_), Identity::Namespace(_))
    )
}
