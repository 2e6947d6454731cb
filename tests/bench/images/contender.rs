//! Who builds and pushes, and what it cost.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::files::Project;
use crate::proxy::Proxy;

/// One build and push.
pub(crate) struct Outcome {
    pub(crate) seconds: f64,
    /// What the registry was asked.
    pub(crate) requests: f64,
    /// Of the layers, compressed.
    pub(crate) bytes: f64,
    /// The most memory the process itself had; 0 where a daemon does the work.
    pub(crate) peak_mb: f64,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seconds, requests, bytes, peak_mb } = self;
        write!(
            f,
            "{seconds:8.3} s {requests:3} requests {:7.2} MB of layers {peak_mb:6.1} MB peak",
            bytes / 1e6
        )
    }
}

enum Kind {
    /// The tool, and the name of the service.
    Release(PathBuf, &'static str),
    Docker,
    Buildah,
}

/// Somebody who builds and pushes.
pub(crate) struct Contender {
    kind: Kind,
    name: &'static str,
    /// A home of its own: nothing of the user's is used, and nothing left.
    home: TempDir,
}

/// Everybody who is here.
pub(crate) fn all(tool: &Path) -> anyhow::Result<Vec<Contender>> {
    let new = |kind, name| Ok(Contender { kind, name, home: tempfile::tempdir()? });
    let mut all = vec![
        new(Kind::Release(tool.to_owned(), "gzip"), "release"),
        new(Kind::Release(tool.to_owned(), "zstd"), "release, zstd"),
        new(Kind::Docker, "docker"),
    ];
    let there = Command::new("buildah").arg("--version").stdout(Stdio::null()).status();
    if there.is_ok_and(|status| status.success()) {
        all.push(new(Kind::Buildah, "buildah"));
    } else {
        println!("buildah is not here and is left out");
    }
    all.into_iter().collect()
}

impl Contender {
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Builds and pushes once.
    pub(crate) fn go(&self, project: &Project, proxy: &Proxy) -> anyhow::Result<Outcome> {
        let before = proxy.requests();
        let began = Instant::now();
        let mut peak_mb = 0.0_f64;
        for mut command in self.commands(project) {
            peak_mb = peak_mb.max(run(&mut command)?);
        }
        let seconds = began.elapsed().as_secs_f64();
        // Loopback: what the other side has not counted yet is milliseconds behind.
        std::thread::sleep(Duration::from_millis(50));
        let requests = f64::from(u32::try_from(proxy.requests() - before)?);
        if !matches!(self.kind, Kind::Release(..)) {
            peak_mb = 0.0;
        }
        Ok(Outcome { seconds, requests, bytes: self.bytes(project)?, peak_mb })
    }

    fn repository(&self) -> &'static str {
        match self.kind {
            Kind::Release(_, service) => service,
            Kind::Docker => "docker",
            Kind::Buildah => "buildah",
        }
    }

    fn commands(&self, project: &Project) -> Vec<Command> {
        let image = format!("{}/{}:v1", project.registry, self.repository());
        let command = |program: &Path, words: &[&str]| {
            let mut command = Command::new(program);
            command.args(words).current_dir(project.path("")).env("HOME", self.home.path());
            command.env_remove("XDG_CACHE_HOME").env_remove("CI");
            command
        };
        match &self.kind {
            Kind::Release(tool, service) => {
                let config = format!("{service}.yaml");
                vec![command(tool, &["push", "-q", "--config", &config, "--version", "v1"])]
            }
            Kind::Docker => {
                let host = std::env::var("RELEASE_TEST_DOCKER_HOST").unwrap_or_default();
                let mut all = vec![
                    command(Path::new("docker"), &["build", "-q", "-t", &image, "."]),
                    command(Path::new("docker"), &["push", "-q", &image]),
                ];
                for command in &mut all {
                    command.env("DOCKER_BUILDKIT", "1").env("DOCKER_HOST", &host);
                }
                all
            }
            Kind::Buildah => {
                let (root, runroot) = (self.home.path().join("root"), self.home.path().join("run"));
                let all = [root, runroot].map(|path| path.display().to_string());
                let storage = ["--root", &all[0], "--runroot", &all[1]];
                let build = ["bud", "-q", "--layers", "--isolation", "chroot", "-t", &image, "."];
                let push = ["push", "-q", "--tls-verify=false", &image];
                vec![
                    command(Path::new("buildah"), &[&storage[..], &build].concat()),
                    command(Path::new("buildah"), &[&storage[..], &push].concat()),
                ]
            }
        }
    }

    /// The bytes of the layers, as the registry has them.
    fn bytes(&self, project: &Project) -> anyhow::Result<f64> {
        let (host, path) = project.registry.split_once('/').context("a registry")?;
        let url = format!("http://{host}/v2/{path}/{}/manifests/v1", self.repository());
        let accept = "application/vnd.oci.image.manifest.v1+json, \
                      application/vnd.docker.distribution.manifest.v2+json";
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let _ = rustls::crypto::ring::default_provider().install_default();
        let text = runtime.block_on(async {
            let client = reqwest::Client::new();
            client.get(url).header("accept", accept).send().await?.error_for_status()?.text().await
        })?;
        let manifest: Value = serde_json::from_str(&text)?;
        let layers = manifest["layers"].as_array().context("layers")?;
        Ok(layers.iter().filter_map(|layer| layer["size"].as_f64()).sum())
    }

    /// Removes what an engine that is not ours still has.
    pub(crate) fn forget(&self, project: &Project) {
        if let Kind::Docker = self.kind {
            let image = format!("{}/{}:v1", project.registry, self.repository());
            let host = std::env::var("RELEASE_TEST_DOCKER_HOST").unwrap_or_default();
            let mut command = Command::new("docker");
            command.args(["rmi", "-f", &image]).env("DOCKER_HOST", host).stdout(Stdio::null());
            // What stays is of no harm but for its place.
            let _ = command.stderr(Stdio::null()).status();
        }
    }
}

/// Runs a command to its end; the most memory its process had, in megabytes, as far as the system tells.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<f64> {
    let log = tempfile::NamedTempFile::new()?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log.reopen()?)
        .spawn()
        .with_context(|| format!("{command:?}"))?;
    let status_file = format!("/proc/{}/status", child.id());
    let mut peak_kb = 0.0_f64;
    let status = loop {
        // The high-water mark of the process so far; read until it is gone.
        if let Ok(text) = fs::read_to_string(&status_file) {
            let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let kb = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
            peak_kb = peak_kb.max(kb.unwrap_or(0.0));
        }
        if let Some(status) = child.try_wait()? {
            break status;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    ensure!(status.success(), "{command:?}: {}", fs::read_to_string(log.path())?);
    Ok(peak_kb / 1000.0)
}
