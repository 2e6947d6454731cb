//! The connection to a Docker Engine, and what the engine can do.
//!
//! Connecting asks for the version at once: an engine that cannot be met is told about before any work is done.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use bollard::models::SystemVersion;
use bollard::{API_DEFAULT_VERSION, Docker};

use crate::Endpoint;

/// How long the first question may take. An engine answers it from memory; one on the far side of a slow link still fits.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// How long the engine may take to begin an answer, in seconds. A build's answer begins only when the classic builder has
/// read its whole context, so this is a guard against a hung engine, not a limit people should meet.
const ANSWER_TIMEOUT_SECS: u64 = 3600;

/// The first API version with BuildKit (Engine 18.09).
const BUILDKIT_SINCE: (u32, u32) = (1, 39);

/// A Docker Engine that has answered.
#[derive(Clone)]
pub struct Engine {
    pub(crate) docker: Docker,
    pub(crate) endpoint: Endpoint,
    info: EngineInfo,
}

/// What an engine says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineInfo {
    /// The engine's version: `29.0.1`.
    pub version: String,
    /// The API's version: `1.52`.
    pub api_version: String,
    /// Whether builds go through BuildKit; the classic builder does them otherwise.
    pub buildkit: bool,
    /// The API's version as numbers; zeros when it is none.
    pub(crate) api: (u32, u32),
}

/// Why there is no connection to an engine.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The address has no scheme we can speak.
    #[error("`{url}` is no address of a docker engine: write `unix://…` or `tcp://…`")]
    Scheme {
        /// The address as it was given.
        url: String,
    },
    /// The chosen context is not among Docker's, or has no engine.
    #[error("there is no docker context `{name}` with an engine")]
    NoContext {
        /// The context's name.
        name: String,
    },
    /// A file of Docker's configuration cannot be read.
    #[error("cannot read docker's configuration {}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: io::Error,
    },
    /// The engine is there, and we may not speak to it.
    #[error(
        "permission denied at the docker engine {endpoint}: is this user in the group that owns the socket?"
    )]
    PermissionDenied {
        /// Where the engine listens.
        endpoint: Endpoint,
        /// What the system said.
        #[source]
        source: Box<bollard::errors::Error>,
    },
    /// Nobody answers, or not as an engine does.
    #[error("cannot reach the docker engine at {endpoint}: is it running?")]
    Unreachable {
        /// Where the engine should listen.
        endpoint: Endpoint,
        /// What the connection said.
        #[source]
        source: Box<bollard::errors::Error>,
    },
    /// The engine took the connection and said nothing.
    #[error("the docker engine at {endpoint} did not answer within {} seconds", limit.as_secs())]
    Silent {
        /// Where the engine listens.
        endpoint: Endpoint,
        /// How long we waited.
        limit: Duration,
    },
    /// `https://` without certificates.
    #[error("the docker engine at {endpoint} needs certificates: set DOCKER_TLS_VERIFY and DOCKER_CERT_PATH")]
    NoCertificates {
        /// Where the engine listens.
        endpoint: Endpoint,
    },
}

impl Engine {
    /// Meets the engine at `endpoint`.
    ///
    /// # Errors
    /// When nobody listens there, the user may not, or what answers is no engine. Each names the endpoint.
    pub async fn connect(endpoint: &Endpoint) -> Result<Self, EngineError> {
        let failed = |source| unreachable(endpoint, source);
        let docker = open(endpoint)?.with_request_modifier(crate::push::repair_auth_header);
        let version = tokio::time::timeout(CONNECT_TIMEOUT, docker.version())
            .await
            .map_err(|_| EngineError::Silent { endpoint: endpoint.clone(), limit: CONNECT_TIMEOUT })?
            .map_err(failed)?;
        let info = EngineInfo::from_version(&version);
        tracing::debug!(%endpoint, ?info, "met the docker engine");
        Ok(Self { docker, endpoint: endpoint.clone(), info })
    }

    /// What the engine said of itself when it was met.
    pub fn info(&self) -> &EngineInfo {
        &self.info
    }
}

fn open(endpoint: &Endpoint) -> Result<Docker, EngineError> {
    let failed = |source| unreachable(endpoint, source);
    let url = endpoint.url();
    if url.starts_with("unix://") || url.starts_with("npipe://") {
        return Docker::connect_with_socket(url, ANSWER_TIMEOUT_SECS, API_DEFAULT_VERSION).map_err(failed);
    }
    match endpoint.tls() {
        Some(dir) => Docker::connect_with_ssl(
            url,
            &dir.join("key.pem"),
            &dir.join("cert.pem"),
            &dir.join("ca.pem"),
            ANSWER_TIMEOUT_SECS,
            API_DEFAULT_VERSION,
        )
        .map_err(failed),
        None if url.starts_with("https://") => {
            Err(EngineError::NoCertificates { endpoint: endpoint.clone() })
        }
        None => Docker::connect_with_http(url, ANSWER_TIMEOUT_SECS, API_DEFAULT_VERSION).map_err(failed),
    }
}

fn unreachable(endpoint: &Endpoint, source: bollard::errors::Error) -> EngineError {
    let endpoint = endpoint.clone();
    let source = Box::new(source);
    if permission_denied(&source) {
        EngineError::PermissionDenied { endpoint, source }
    } else {
        EngineError::Unreachable { endpoint, source }
    }
}

/// The operating system's refusal lies some levels below the HTTP client's error.
fn permission_denied(error: &bollard::errors::Error) -> bool {
    let denied = |e: &io::Error| e.kind() == io::ErrorKind::PermissionDenied;
    // bollard's `IOError` is transparent: its own source is the one below the I/O error.
    if let bollard::errors::Error::IOError { err } = error {
        return denied(err);
    }
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(match error {
        bollard::errors::Error::HyperLegacyError { err } => err,
        other => other,
    });
    while let Some(error) = cause {
        if error.downcast_ref::<io::Error>().is_some_and(denied) {
            return true;
        }
        cause = error.source();
    }
    false
}

impl EngineInfo {
    /// Podman answers as an engine does, but has no BuildKit session; Windows engines have none either.
    fn from_version(version: &SystemVersion) -> Self {
        let api_version = version.api_version.clone().unwrap_or_default();
        let podman = version.components.iter().flatten().any(|part| part.name.contains("Podman"));
        let linux = version.os.as_deref().is_none_or(|os| os == "linux");
        let number = api_version
            .split_once('.')
            .and_then(|(major, minor)| Some((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?)));
        Self {
            version: version.version.clone().unwrap_or_default(),
            buildkit: linux && !podman && number.is_some_and(|number| number >= BUILDKIT_SINCE),
            api: number.unwrap_or_default(),
            api_version,
        }
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("endpoint", &self.endpoint)
            .field("info", &self.info)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use bollard::models::SystemVersionComponents;

    use super::*;

    #[test]
    fn buildkit_is_used_where_it_is() {
        for (api, os, component, expected) in [
            ("1.38", "linux", "Engine", false),
            ("1.39", "linux", "Engine", true),
            ("1.41", "linux", "Podman Engine", false),
            ("1.41", "windows", "Engine", false),
            ("1.52", "linux", "Engine", true),
            ("2.0", "linux", "Engine", true),
            ("", "linux", "Engine", false),
        ] {
            let version = SystemVersion {
                api_version: Some(api.into()),
                os: Some(os.into()),
                components: Some(vec![SystemVersionComponents {
                    name: component.into(),
                    ..Default::default()
                }]),
                ..Default::default()
            };
            assert_eq!(EngineInfo::from_version(&version).buildkit, expected, "{api} {os} {component}");
        }
    }

    #[tokio::test]
    async fn an_engine_that_is_not_there_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let endpoint = Endpoint::new(&format!("unix://{}/docker.sock", dir.path().display())).unwrap();
        let error = Engine::connect(&endpoint).await.unwrap_err();
        assert!(matches!(error, EngineError::Unreachable { .. }), "{error:?}");
        assert!(error.to_string().contains("docker.sock"), "{error}");
    }

    #[test]
    fn a_refusal_is_told_from_absence() {
        let endpoint = Endpoint::new("unix:///run/docker.sock").unwrap();
        for (kind, expected) in
            [(io::ErrorKind::PermissionDenied, true), (io::ErrorKind::ConnectionRefused, false)]
        {
            let error = unreachable(&endpoint, io::Error::from(kind).into());
            assert_eq!(matches!(error, EngineError::PermissionDenied { .. }), expected);
        }
    }
}
