//! The folder, the cluster in it, and the registry in it.

use std::net::SocketAddr;

use super::*;

fn visit() -> Visit {
    Visit { namespace: "radio".to_owned(), apps: Apps::default() }
}

fn tls() {
    // Another test may have been first.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

#[test]
fn what_a_visit_leaves_is_there_at_the_next_one() {
    tls();
    let folder = tempfile::tempdir().expect("a folder");
    let local = Local::open(folder.path(), "release test").expect("it opens");
    let before = local.visit(&visit(), async |cluster| cluster.identity().await).expect("a visit");
    let before = before.expect("it has an identity");
    drop(local);
    let local = Local::open(folder.path(), "release test").expect("it opens again");
    let after = local.visit(&visit(), async |cluster| cluster.identity().await).expect("a visit");
    assert_eq!(after.expect("it has an identity"), before);
    local.reset().expect("it is reset");
    let new = local.visit(&visit(), async |cluster| cluster.version().await).expect("a visit");
    assert!(new.expect("it has a version").starts_with("v1."));
}

#[test]
fn time_passes_in_a_visit_and_costs_nothing() {
    tls();
    let folder = tempfile::tempdir().expect("a folder");
    let local = Local::open(folder.path(), "release test").expect("it opens");
    let began = std::time::Instant::now();
    let (before, after) = local
        .visit(&visit(), async |cluster| {
            let before = cluster.clock().wall();
            tokio::time::sleep(Duration::from_secs(3600)).await;
            (before, cluster.clock().wall())
        })
        .expect("a visit");
    assert!(after.duration_since(before).as_secs() >= 3600);
    assert!(began.elapsed() < Duration::from_secs(60), "an hour passes faster than a minute");
    let next = local.visit(&visit(), async |cluster| cluster.clock().wall()).expect("a visit");
    assert!(next >= after, "time does not go back between visits");
}

#[test]
fn what_is_damaged_is_named() {
    tls();
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("cluster.json"), "{").expect("it is written");
    let local = Local::open(folder.path(), "release test").expect("it opens");
    let error = local.visit(&visit(), async |_| ()).expect_err("it is damaged");
    assert!(error.to_string().contains("cluster.json cannot be taken up again"), "{error}");
}

#[tokio::test]
async fn the_registry_keeps_what_was_pushed_and_its_address() {
    let folder = tempfile::tempdir().expect("a folder");
    let local = Local::open(folder.path(), "release test").expect("it opens");
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let registry = local.registry(any).await.expect("it listens");
    let address = registry.address();
    registry.with(|registry| registry.create_repository("radio/player")).expect("a repository");
    registry.keep().expect("it is kept");
    let second = local.registry(address).await.expect("another port is found");
    assert_ne!(second.address(), address, "the first one still listens");
    let there = second.with(|registry| registry.contents());
    assert!(there.0.contains_key("radio/player"));
}

#[test]
fn one_works_in_the_folder_and_is_known_and_others_may_look() {
    tls();
    let folder = tempfile::tempdir().expect("a folder");
    let lease = |cluster: &Cluster| cluster.clone();
    let first = Local::open(folder.path(), "release deploy").expect("it opens");
    let identity = first.visit(&visit(), async |cluster| lease(cluster).identity().await).expect("a visit");
    let before = std::fs::read(folder.path().join("cluster.json")).expect("it is there");
    let busy = Local::open(folder.path(), "release status").expect_err("it is in use").to_string();
    let expected = format!("`release deploy` (process {}, since ", std::process::id());
    assert!(busy.starts_with(&expected), "{busy}");
    let seen = Local::look(folder.path())
        .visit(&visit(), async |cluster| {
            tokio::time::sleep(Duration::from_secs(600)).await;
            cluster.identity().await
        })
        .expect("a look");
    assert_eq!(seen.expect("an identity"), identity.expect("an identity"));
    assert_eq!(std::fs::read(folder.path().join("cluster.json")).expect("it is there"), before);
    drop(first);
    // What is written in it does not hold it.
    Local::open(folder.path(), "release status").expect("it is free");
}
