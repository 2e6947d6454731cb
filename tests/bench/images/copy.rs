//! An image layout that is ready, from disk to a registry: `release-registry` against `skopeo copy`. Nothing is built, so
//! what is measured is how blobs travel.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::Context as _;
use flate2::write::GzEncoder;
use release_core::{Digest, Repository};
use release_registry::{Push, Registry};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::contender;

/// The first word of a process that only pushes a layout: so that its memory is its own.
pub(crate) const WORD: &str = "--push-layout";

/// A layout with one image of layers that cannot be compressed any further. Nobody has seen their bytes before.
pub(crate) fn layout(dir: &Path, layers: usize, layer_bytes: usize) -> anyhow::Result<()> {
    let blobs = dir.join("blobs/sha256");
    fs::create_dir_all(&blobs)?;
    let write = |kind: &str, bytes: &[u8]| -> anyhow::Result<_> {
        let digest = digest(bytes);
        fs::write(blobs.join(digest.hex()), bytes)?;
        Ok(json!({"mediaType": kind, "digest": digest, "size": bytes.len()}))
    };
    let (mut all, mut ids) = (Vec::new(), Vec::new());
    let mut noise = vec![0; layer_bytes];
    for _ in 0..layers {
        fastrand::fill(&mut noise);
        ids.push(digest(&noise));
        // Gzip, because skopeo would compress what is not.
        let mut gzip = GzEncoder::new(Vec::new(), flate2::Compression::none());
        gzip.write_all(&noise)?;
        all.push(write("application/vnd.oci.image.layer.v1.tar+gzip", &gzip.finish()?)?);
    }
    let config = json!({
        "os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": ids},
    });
    let config = write("application/vnd.oci.image.config.v1+json", config.to_string().as_bytes())?;
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": all});
    let mut manifest = write(kind, manifest.to_string().as_bytes())?;
    manifest["annotations"] = json!({"org.opencontainers.image.ref.name": "v1"});
    let index = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [manifest],
    });
    fs::write(dir.join("index.json"), index.to_string())?;
    Ok(fs::write(dir.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?)
}

fn digest(bytes: &[u8]) -> Digest {
    Digest::from_sha256(Sha256::digest(bytes).into())
}

/// How many bytes the blobs of a layout have.
pub(crate) fn bytes(dir: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(dir.join("blobs/sha256"))? {
        bytes += entry?.metadata()?.len();
    }
    Ok(bytes)
}

/// What the process of [`WORD`] does.
pub(crate) fn push(dir: &Path, repository: &str) -> anyhow::Result<()> {
    let index: serde_json::Value = serde_json::from_slice(&fs::read(dir.join("index.json"))?)?;
    let manifest = index["manifests"][0]["digest"].as_str().context("a digest")?.parse()?;
    let repository: Repository = repository.parse()?;
    let _ = rustls::crypto::ring::default_provider().install_default();
    // As many threads as `release` has.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let tags = ["v1".to_owned()];
    let push =
        Push { layout: dir, manifest: &manifest, repository: &repository, tags: &tags, mount_from: &[] };
    runtime.block_on(Registry::new()?.push(&push, None, &mut |_| {}))?;
    Ok(())
}

/// Seconds, and the most memory the process had in megabytes.
pub(crate) struct Cost {
    pub(crate) seconds: f64,
    pub(crate) peak_mb: f64,
}

fn cost(command: &mut Command) -> anyhow::Result<Cost> {
    let began = Instant::now();
    let peak_mb = contender::run(command)?;
    Ok(Cost { seconds: began.elapsed().as_secs_f64(), peak_mb })
}

/// Ours.
pub(crate) fn release(dir: &Path, repository: &str) -> anyhow::Result<Cost> {
    cost(Command::new(std::env::current_exe()?).arg(WORD).arg(dir).arg(repository))
}

/// Skopeo's, which tries again after a broken connection.
pub(crate) fn skopeo(dir: &Path, repository: &str) -> anyhow::Result<Cost> {
    let mut command = Command::new("skopeo");
    command.args(["copy", "--insecure-policy", "--dest-tls-verify=false", "--retry-times", "3"]);
    cost(command.arg(format!("oci:{}:v1", dir.display())).arg(format!("docker://{repository}:v1")))
}

/// Whether skopeo is here.
pub(crate) fn has_skopeo() -> bool {
    let there = Command::new("skopeo").arg("--version").stdout(Stdio::null()).status();
    there.is_ok_and(|status| status.success())
}
