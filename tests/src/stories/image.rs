//! The images stories use: one program, which behaves as its tag says.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::story::REGISTRY;
use crate::var;

/// What the program of each tag does, as a script of busybox' shell, and as `release-sim` reads it. It ends at once when asked to.
const TAGS: &[(&str, &str)] = &[
    ("good-1", "trap 'exit 0' TERM; /bin/busybox httpd -f -p 8080 -h /www & wait"),
    ("good-2", "trap 'exit 0' TERM; /bin/busybox httpd -f -p 8080 -h /www & wait; exit 2"),
    ("unready", "trap 'exit 0' TERM; /bin/busybox httpd -f -p 8080 -h /bin & wait"),
    ("crash", "/bin/busybox sleep 3; exit 3"),
];

/// The same for the simulation.
pub(super) const SCRIPTS: &str = "
default: {start: 200ms, stop: {takes: 100ms}}
apps:
  - {image: '*:unready', start: 200ms, ready: {never: true, refusal: 404}, stop: {takes: 100ms}}
  - {image: '*:crash', deaf: true, exit: {after: 3s, code: 3}}
  - {image: '*:missing', pull: {fails: not-found}}
";

/// The reference of a tag, in any registry.
pub(super) fn reference(tag: &str) -> String {
    format!("{REGISTRY}/stories/app:{tag}")
}

/// Builds the images with the Docker Engine of the stack and pushes them to its registry.
///
/// # Errors
/// When Docker does not do it.
pub fn build_images() -> Result<()> {
    let folder = tempfile::tempdir()?;
    std::fs::copy("/bin/busybox", folder.path().join("busybox"))
        .context("busybox-static is not installed")?;
    std::fs::create_dir(folder.path().join("www"))?;
    std::fs::write(folder.path().join("www/healthz"), "ok\n")?;
    for (tag, script) in TAGS {
        let entry = serde_json::json!(["/bin/busybox", "sh", "-c", script]);
        let file = format!("FROM scratch\nCOPY busybox /bin/busybox\nCOPY www /www\nENTRYPOINT {entry}\n");
        std::fs::write(folder.path().join("Dockerfile"), file)?;
        let image = reference(tag).replace(REGISTRY, &var("RELEASE_TEST_REGISTRY"));
        docker(folder.path(), &["build", "-q", "-t", &image, "."])?;
        docker(folder.path(), &["push", "-q", &image])?;
    }
    Ok(())
}

fn docker(folder: &Path, words: &[&str]) -> Result<()> {
    let host = var("RELEASE_TEST_DOCKER_HOST");
    let output = Command::new("docker").args(["-H", &host]).args(words).current_dir(folder).output()?;
    ensure!(output.status.success(), "docker {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
