//! The engine and registries of the tests, and contexts to build from.
//!
//! Nothing can be pulled: every image starts from scratch with a static busybox of this machine.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use release_image::{BuildInputs, DockerfileBuild, Endpoint, Engine};

pub(crate) const BUSYBOX: &str =
    "FROM scratch AS base\nCOPY busybox /bin/busybox\nSHELL [\"/bin/busybox\", \"sh\", \"-c\"]\n";

pub(crate) fn var(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"))
}

pub(crate) async fn engine() -> Engine {
    let endpoint = Endpoint::new(&var("RELEASE_TEST_DOCKER_HOST")).unwrap();
    Engine::connect(&endpoint).await.unwrap()
}

/// What the `docker` command answers, asked against the same engine.
pub(crate) fn docker(arguments: &[&str]) -> String {
    try_docker(arguments).unwrap_or_else(|said| panic!("docker {arguments:?}: {said}"))
}

/// What the `docker` command answers, or complains about.
pub(crate) fn try_docker(arguments: &[&str]) -> Result<String, String> {
    docker_said(arguments).map(|(answer, _)| answer)
}

/// What the `docker` command answers, and what it said besides; or what it complains about.
pub(crate) fn docker_said(arguments: &[&str]) -> Result<(String, String), String> {
    let out = Command::new(var("RELEASE_TEST_DOCKER"))
        .args(arguments)
        .env("DOCKER_HOST", var("RELEASE_TEST_DOCKER_HOST"))
        .env("DOCKER_BUILDKIT", "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    let answer = String::from_utf8_lossy(&out.stdout).trim().to_owned();
    if out.status.success() { Ok((answer, said)) } else { Err(said) }
}

/// A name no earlier run has used, so that no layer is there already.
pub(crate) fn fresh(name: &str) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    format!("{name}-{}", now.as_nanos())
}

/// A context with busybox and this Dockerfile.
pub(crate) fn context(dockerfile: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("Dockerfile"), dockerfile).unwrap();
    fs::copy("/bin/busybox", dir.path().join("busybox")).unwrap();
    dir
}

pub(crate) fn build(context: &Path, tag: &str) -> DockerfileBuild {
    DockerfileBuild {
        context: context.to_owned(),
        dockerfile: context.join("Dockerfile"),
        target: None,
        args: BTreeMap::new(),
        platform: None,
        labels: BTreeMap::new(),
        tag: tag.parse().unwrap(),
        no_cache: false,
        inputs: BuildInputs::default(),
    }
}
