//! Where the Docker Engine listens: found as the `docker` command finds it.
//!
//! `DOCKER_HOST` wins, then the context named by `DOCKER_CONTEXT` or by `currentContext` of the configuration, then
//! the socket every installation has. Nothing is contacted here.

use std::env;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::EngineError;

/// Where an engine listens when nobody says otherwise.
const DEFAULT_URL: &str = "unix:///var/run/docker.sock";

/// The context which stands for [`DEFAULT_URL`] and has no files.
const DEFAULT_CONTEXT: &str = "default";

/// The address of a Docker Engine: `unix://`, `npipe://`, `tcp://`, `http://` or `https://`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    url: String,
    /// A folder with `ca.pem`, `cert.pem` and `key.pem`.
    tls: Option<PathBuf>,
}

/// What [`Endpoint::from_env`] reads from outside, so that it can be tested without touching the process's own.
struct Surroundings {
    docker_host: Option<String>,
    docker_context: Option<String>,
    tls_verify: bool,
    cert_path: Option<PathBuf>,
    /// The folder of Docker's configuration, `~/.docker`.
    config: Option<PathBuf>,
}

#[derive(Deserialize)]
struct ConfigFile {
    #[serde(rename = "currentContext")]
    current_context: Option<String>,
}

#[derive(Deserialize)]
struct Meta {
    #[serde(rename = "Name")]
    name: String,
    #[serde(rename = "Endpoints", default)]
    endpoints: MetaEndpoints,
}

#[derive(Default, Deserialize)]
struct MetaEndpoints {
    docker: Option<MetaDocker>,
}

#[derive(Deserialize)]
struct MetaDocker {
    #[serde(rename = "Host")]
    host: Option<String>,
}

impl Endpoint {
    /// The endpoint the `docker` command would use.
    ///
    /// # Errors
    /// When the address is of no known scheme, or the chosen context cannot be read or does not exist.
    pub fn from_env() -> Result<Self, EngineError> {
        let text = |name| env::var(name).ok().filter(|v| !v.is_empty());
        let home =
            || text("HOME").or_else(|| text("USERPROFILE")).map(|home| Path::new(&home).join(".docker"));
        Self::from_surroundings(&Surroundings {
            docker_host: text("DOCKER_HOST"),
            docker_context: text("DOCKER_CONTEXT"),
            tls_verify: text("DOCKER_TLS_VERIFY").is_some(),
            cert_path: text("DOCKER_CERT_PATH").map(PathBuf::from),
            config: text("DOCKER_CONFIG").map(PathBuf::from).or_else(home),
        })
    }

    /// The endpoint at `url`, without TLS certificates of its own.
    ///
    /// # Errors
    /// When the scheme is unknown, or is `ssh`, which needs a tunnel that is not built here.
    pub fn new(url: &str) -> Result<Self, EngineError> {
        let known = ["unix://", "npipe://", "tcp://", "http://", "https://"]
            .iter()
            .any(|scheme| url.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty()));
        if known {
            Ok(Self { url: url.to_owned(), tls: None })
        } else {
            Err(EngineError::Scheme { url: url.to_owned() })
        }
    }

    /// The address as it was given.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The folder of `ca.pem`, `cert.pem` and `key.pem`, when the engine is to be met with TLS.
    pub(crate) fn tls(&self) -> Option<&Path> {
        self.tls.as_deref()
    }

    fn from_surroundings(around: &Surroundings) -> Result<Self, EngineError> {
        if let Some(host) = &around.docker_host {
            let mut endpoint = Self::new(host)?;
            if around.tls_verify {
                endpoint.tls = around.cert_path.clone().or_else(|| around.config.clone());
            }
            return Ok(endpoint);
        }
        let name = match (&around.docker_context, &around.config) {
            (Some(name), _) => Some(name.clone()),
            (None, Some(config)) => current_context(&config.join("config.json"))?,
            (None, None) => None,
        };
        match (name, &around.config) {
            (Some(name), Some(config)) if name != DEFAULT_CONTEXT => Self::from_context(&name, config),
            (Some(name), None) if name != DEFAULT_CONTEXT => Err(EngineError::NoContext { name }),
            _ => Self::new(DEFAULT_URL),
        }
    }

    /// Contexts lie in folders named by the hash of their name; reading each `meta.json` finds one without hashing.
    fn from_context(name: &str, config: &Path) -> Result<Self, EngineError> {
        let none = || EngineError::NoContext { name: name.to_owned() };
        let folder = config.join("contexts").join("meta");
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| EngineError::Config { path, source }
        };
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(none()),
            other => other.map_err(failed(&folder))?,
        };
        for entry in entries {
            let entry = entry.map_err(failed(&folder))?;
            let path = entry.path().join("meta.json");
            let Some(bytes) = read_if_there(&path)? else { continue };
            let meta: Meta = serde_json::from_slice(&bytes).map_err(|e| failed(&path)(e.into()))?;
            if meta.name != name {
                continue;
            }
            let host = meta.endpoints.docker.and_then(|docker| docker.host).ok_or_else(none)?;
            let mut endpoint = Self::new(&host)?;
            let tls = config.join("contexts").join("tls").join(entry.file_name()).join("docker");
            endpoint.tls = tls.is_dir().then_some(tls);
            return Ok(endpoint);
        }
        Err(none())
    }
}

fn current_context(path: &Path) -> Result<Option<String>, EngineError> {
    let Some(bytes) = read_if_there(path)? else { return Ok(None) };
    let file: ConfigFile = serde_json::from_slice(&bytes)
        .map_err(|error| EngineError::Config { path: path.to_owned(), source: error.into() })?;
    Ok(file.current_context.filter(|name| !name.is_empty()))
}

fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, EngineError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(source) => Err(EngineError::Config { path: path.to_owned(), source }),
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A `~/.docker` with the given current context, and one context `far` with certificates.
    fn docker_folder(current: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::write(
            dir.path().join("config.json"),
            format!(r#"{{"auths":{{}},"currentContext":"{current}"}}"#),
        )
        .unwrap();
        let meta = dir.path().join("contexts/meta/abc");
        fs::create_dir_all(&meta).unwrap();
        fs::write(
            meta.join("meta.json"),
            r#"{"Name":"far","Metadata":{},"Endpoints":{"docker":{"Host":"tcp://far:2376","SkipTLSVerify":false}}}"#,
        )
        .unwrap();
        fs::create_dir_all(dir.path().join("contexts/tls/abc/docker")).unwrap();
        dir
    }

    #[test]
    fn the_engine_is_found_where_docker_finds_it() {
        // DOCKER_HOST, DOCKER_CONTEXT, currentContext -> the address, or the text of the error
        for (host, context, current, expected) in [
            (None, None, "", "unix:///var/run/docker.sock"),
            (None, None, "default", "unix:///var/run/docker.sock"),
            (None, None, "far", "tcp://far:2376 with TLS"),
            (None, Some("far"), "", "tcp://far:2376 with TLS"),
            (None, Some("default"), "far", "unix:///var/run/docker.sock"),
            (Some("tcp://near:2375"), Some("far"), "far", "tcp://near:2375"),
            (None, Some("gone"), "far", "there is no docker context `gone` with an engine"),
            (
                Some("ftp://x"),
                None,
                "",
                "`ftp://x` is no address of a docker engine: write `unix://…` or `tcp://…`",
            ),
        ] {
            let dir = docker_folder(current);
            let found = Endpoint::from_surroundings(&Surroundings {
                docker_host: host.map(str::to_owned),
                docker_context: context.map(str::to_owned),
                tls_verify: false,
                cert_path: None,
                config: Some(dir.path().to_owned()),
            });
            let shown = match found {
                Ok(endpoint) => {
                    format!("{endpoint}{}", if endpoint.tls.is_some() { " with TLS" } else { "" })
                }
                Err(error) => error.to_string(),
            };
            assert_eq!(shown, expected, "{host:?} {context:?} {current:?}");
        }
    }

    #[test]
    fn without_any_configuration_the_usual_socket_is_meant() {
        let around = Surroundings {
            docker_host: None,
            docker_context: None,
            tls_verify: false,
            cert_path: None,
            config: None,
        };
        assert_eq!(Endpoint::from_surroundings(&around).unwrap().url(), DEFAULT_URL);
    }

    #[test]
    fn a_verified_host_takes_its_certificates_from_where_it_is_told() {
        let around = Surroundings {
            docker_host: Some("tcp://near:2376".into()),
            docker_context: None,
            tls_verify: true,
            cert_path: Some("/certs".into()),
            config: None,
        };
        assert_eq!(Endpoint::from_surroundings(&around).unwrap().tls(), Some(Path::new("/certs")));
    }

    #[test]
    fn a_broken_configuration_is_named() {
        let dir = docker_folder("");
        fs::write(dir.path().join("config.json"), "{").unwrap();
        let around = Surroundings {
            docker_host: None,
            docker_context: None,
            tls_verify: false,
            cert_path: None,
            config: Some(dir.path().to_owned()),
        };
        let error = Endpoint::from_surroundings(&around).unwrap_err();
        assert!(
            matches!(&error, EngineError::Config { path, .. } if path.ends_with("config.json")),
            "{error:?}"
        );
    }
}
