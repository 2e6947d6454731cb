//! Tools that were written by others. Ignored where they may not be installed: `cargo test -- --ignored` runs them.

use std::path::Path;
use std::process::{Output, Stdio};

use release_core::MonoTime;
use release_sim::registry::{Access, Config, Digest, Event, Profile, Server, User, serve};
use serde_json::json;
use tokio::process::Command;

use crate::bench::{CONFIG, IMAGE, LAYER, descriptor, with};

/// Runs skopeo, which has to succeed.
async fn skopeo(args: &[&str]) -> Output {
    let output = Command::new("skopeo").args(args).stdin(Stdio::null()).output().await.expect("skopeo runs");
    assert!(output.status.success(), "skopeo {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// An OCI layout in a folder, with one image of two layers; returns the image's digest.
fn layout(dir: &Path) -> Digest {
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": {},
        "rootfs": { "type": "layers", "diff_ids": [Digest::of(&tar(1)).as_str(), Digest::of(&tar(2)).as_str()] },
    });
    let config = config.to_string().into_bytes();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": IMAGE,
        "config": descriptor(CONFIG, &config),
        "layers": [descriptor(LAYER, &tar(1)), descriptor(LAYER, &tar(2))],
    });
    let manifest = manifest.to_string().into_bytes();
    let mut entry = descriptor(IMAGE, &manifest);
    entry["annotations"] = json!({ "org.opencontainers.image.ref.name": "v1" });
    let index = json!({ "schemaVersion": 2, "manifests": [entry] });
    let blobs = dir.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).unwrap();
    for blob in [&config, &manifest, &tar(1), &tar(2)] {
        std::fs::write(blobs.join(&Digest::of(blob).as_str()["sha256:".len()..]), blob).unwrap();
    }
    std::fs::write(dir.join("index.json"), index.to_string()).unwrap();
    std::fs::write(dir.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    Digest::of(&manifest)
}

/// Something of the size of a layer.
fn tar(seed: u64) -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(seed);
    std::iter::repeat_with(|| rng.u8(..)).take(2_000_000).collect()
}

fn users() -> Access {
    Access::Restricted { users: vec![User::new("ci", "secret")], anonymous: vec![] }
}

async fn there_and_back(server: &Server, dir: &Path, digest: &Digest) {
    for name in ["team/web", "team/copy"] {
        server.with(|registry| registry.create_repository(name).unwrap());
    }
    let source = format!("oci:{}:v1", dir.display());
    let [web, copy] = ["web", "copy"].map(|name| format!("docker://{}/team/{name}:v1", server.address()));
    let to = ["--dest-tls-verify=false", "--dest-creds=ci:secret"];
    let from = ["--src-tls-verify=false", "--src-creds=ci:secret"];
    // It would compress the layers otherwise.
    let copies = ["copy", "--preserve-digests"];
    skopeo(&[&copies[..], &to, &[&source, &web]].concat()).await;
    skopeo(&[&copies[..], &from, &to, &[&web, &copy]].concat()).await;
    let known = server.with(|registry| registry.resolve("team/copy", "v1").cloned());
    assert_eq!(known.as_ref(), Some(digest));
    let back = format!("oci:{}:v1", dir.join("back").display());
    skopeo(&[&copies[..], &from, &[&copy, &back]].concat()).await;
    let hex = &digest.as_str()["sha256:".len()..];
    let [before, after] = [dir.to_owned(), dir.join("back")].map(|dir| dir.join("blobs/sha256").join(hex));
    assert_eq!(std::fs::read(before).unwrap(), std::fs::read(after).unwrap());
}

#[tokio::test]
#[ignore = "needs skopeo"]
async fn skopeo_copies_there_and_back_whatever_the_profile() {
    // Old versions try only `/v2/`, and believe that they need no password.
    for profile in Profile::ALL.into_iter().filter(|profile| !profile.open_root) {
        let dir = tempfile::tempdir().unwrap();
        let digest = layout(dir.path());
        let server = serve(Config { profile, access: users(), ..Config::default() }).await.unwrap();
        there_and_back(&server, dir.path(), &digest).await;
        let leaked = |event: &Event| matches!(event, Event::CredentialsLeaked { .. });
        assert!(!server.with(|registry| registry.trace().events().any(leaked)), "{}", profile.name);
    }
}

#[tokio::test]
#[ignore = "needs skopeo"]
async fn skopeo_lists_inspects_and_deletes() {
    let dir = tempfile::tempdir().unwrap();
    let digest = layout(dir.path());
    let server = serve(Config { access: users(), ..Config::default() }).await.unwrap();
    there_and_back(&server, dir.path(), &digest).await;
    let image = format!("docker://{}/team/web", server.address());
    let access = ["--tls-verify=false", "--creds=ci:secret"];
    let listed = skopeo(&["list-tags", access[0], access[1], &image]).await.stdout;
    assert!(String::from_utf8_lossy(&listed).contains("\"v1\""));
    let tagged = format!("{image}:v1");
    let inspected = skopeo(&["inspect", access[0], access[1], &tagged]).await.stdout;
    assert!(String::from_utf8_lossy(&inspected).contains(digest.as_str()));
    skopeo(&["delete", access[0], access[1], &tagged]).await;
    assert!(server.with(|registry| registry.resolve("team/web", "v1").is_none()));
}

#[test]
fn the_layout_is_one() {
    let dir = tempfile::tempdir().unwrap();
    let digest = layout(dir.path());
    let mut bench = crate::bench::Bench::plain();
    for entry in std::fs::read_dir(dir.path().join("blobs/sha256")).unwrap() {
        bench.blob("a", &std::fs::read(entry.unwrap().path()).unwrap());
    }
    let manifest = bench.get(&format!("/v2/a/blobs/{digest}")).0.body().to_bytes();
    let uri = with("/v2/a/manifests/v1", "x", "y");
    bench.send("PUT", &uri, &[("content-type", IMAGE)], &manifest).is(201);
    assert_eq!(bench.now, MonoTime::ZERO);
}
