//! The registries a project names: whether each answers, and takes the credentials there are. Nothing is pushed, and so nothing
//! is said about who may push.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use release_core::Repository;
use release_manifest::{ImageSource, NativeBase};
use release_pipeline::PrepareError;
use release_registry::{CredentialStore, Greeting, Guest, Registry};
use tokio::task::JoinSet;

use super::{Finding, Wanted, bad, good, silent};
use crate::error::Failure;

/// How long a registry may take to answer. All are asked at the same time.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks all of them, a line each.
pub(super) async fn look(wanted: &Wanted) -> Vec<Finding> {
    let named = named(wanted);
    if named.is_empty() {
        return Vec::new();
    }
    let credentials = |source| {
        let registry = named.keys().next().cloned().unwrap_or_default();
        Failure::from(PrepareError::Credentials { registry, source })
    };
    let store = match CredentialStore::from_env() {
        Ok(store) => Arc::new(store),
        Err(source) => return vec![bad("registry", &credentials(source))],
    };
    let client = match Registry::new() {
        Ok(client) => client,
        Err(error) => return vec![bad("registry", &Failure::from(PrepareError::Registry(error)))],
    };
    let mut asking = JoinSet::new();
    for (host, repository) in named {
        let (store, client) = (Arc::clone(&store), client.clone());
        asking.spawn(async move {
            let answer = tokio::time::timeout(PATIENCE, greet(&store, &client, &repository)).await;
            let finding = match answer {
                Ok(Ok(greeting)) => told(&host, greeting),
                Ok(Err(failure)) => bad("registry", &failure),
                Err(_) => silent("registry", &format!("registry {host}"), PATIENCE),
            };
            (host, finding)
        });
    }
    let found: BTreeMap<String, Finding> = asking.join_all().await.into_iter().collect();
    found.into_values().collect()
}

/// Where images are pushed to and come from: a repository a registry.
fn named(wanted: &Wanted) -> BTreeMap<String, Repository> {
    let sources = wanted.services.values().filter_map(|source| match source {
        ImageSource::Pinned(image) => Some(&image.repository),
        ImageSource::Native(build) => match &build.base {
            NativeBase::Image(image) => Some(&image.repository),
            NativeBase::Scratch | NativeBase::Layout(_) => None,
        },
        ImageSource::Dockerfile(_) => None,
    });
    // The project's own is the last one, and so the one that counts where several are of one registry.
    let all = sources.chain(&wanted.registry);
    all.map(|repository| (repository.registry().to_owned(), repository.clone())).collect()
}

async fn greet(
    store: &CredentialStore,
    client: &Registry,
    repository: &Repository,
) -> Result<Greeting, Failure> {
    let registry = repository.registry();
    let credentials = store
        .get(registry)
        .await
        .map_err(|source| PrepareError::Credentials { registry: registry.to_owned(), source })?;
    Ok(client.greet(repository, credentials.as_ref()).await?)
}

fn told(host: &str, greeting: Greeting) -> Finding {
    let software = greeting.software.map(|software| format!(" ({software})")).unwrap_or_default();
    let guest = match greeting.guest {
        Guest::Anybody => "and lets in anybody",
        Guest::Anonymous => "and has no credentials of yours: what is public can be pulled",
        Guest::Known => "and takes the credentials there are",
    };
    let mut finding = good("registry", format!("{host} answers{software} {guest}"));
    if greeting.guest == Guest::Anonymous {
        finding.hint = Some(format!("`docker login {host}` stores credentials"));
    }
    finding
}
