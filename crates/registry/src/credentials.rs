//! What people gave to `docker login`, found as the `docker` command finds it.
//!
//! For a registry the configuration's `credHelpers` win, then `credsStore`, then `auths`. Nothing is ever written, and
//! nobody is asked for a password.

use std::collections::HashMap;
use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use release_core::{Credentials, Secret};
use serde::Deserialize;

use crate::credential_helper::{self, HelperError};

/// Docker Hub's key in the configuration; its images are named `docker.io/…`.
const HUB_KEY: &str = "https://index.docker.io/v1/";

/// The largest configuration that is read. A file with hundreds of registries has some 50 KiB.
const MAX_CONFIG_BYTES: u64 = 4 * 1024 * 1024;

/// The user name under which helpers hand out an identity token in place of a password.
const TOKEN_USER: &str = "<token>";

/// Docker's credentials: the `config.json` of one folder, and the helpers it names.
#[derive(Debug, Default)]
pub struct CredentialStore {
    path: PathBuf,
    config: Config,
}

/// Why credentials cannot be had. None of the texts holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The configuration cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The configuration is not what Docker writes. The text of the file is not repeated, as it holds secrets.
    #[error("{} is no docker configuration: line {line}, column {column}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
    },
    /// The entry of one registry makes no sense.
    #[error("the credentials of {registry} in {} are not `user:password` in base64", path.display())]
    Entry {
        /// The file.
        path: PathBuf,
        /// The registry.
        registry: String,
    },
    /// A credential helper did not help.
    #[error("no credentials for {registry} from docker-credential-{helper}")]
    Helper {
        /// The registry.
        registry: String,
        /// The helper's name, without `docker-credential-`.
        helper: String,
        /// What went wrong.
        #[source]
        source: HelperError,
    },
}

#[derive(Debug, Default, Deserialize)]
struct Config {
    #[serde(default)]
    auths: HashMap<String, Entry>,
    #[serde(default, rename = "credHelpers")]
    helpers: HashMap<String, String>,
    #[serde(default, rename = "credsStore")]
    store: Option<String>,
}

#[derive(Default, Deserialize)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    #[serde(rename = "identitytoken")]
    identity_token: Option<String>,
}

/// Its fields are secrets, so it says nothing.
impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Entry(…)")
    }
}

impl CredentialStore {
    /// Reads `config.json` in `dir`; a folder without one knows nobody.
    ///
    /// # Errors
    /// When the file is there and cannot be read or understood.
    pub fn load(dir: &Path) -> Result<Self, CredentialsError> {
        let path = dir.join("config.json");
        let failed = |source| CredentialsError::Read { path: path.clone(), source };
        let bytes = match fs::metadata(&path) {
            Ok(found) if found.len() > MAX_CONFIG_BYTES => {
                return Err(failed(io::Error::other(format!("it is larger than {MAX_CONFIG_BYTES} bytes"))));
            }
            Ok(_) => fs::read(&path).map_err(failed)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self { path, ..Self::default() });
            }
            Err(error) => return Err(failed(error)),
        };
        // Docker itself takes an empty file for an empty configuration.
        let config = if bytes.trim_ascii().is_empty() {
            Config::default()
        } else {
            serde_json::from_slice(&bytes).map_err(|error| CredentialsError::Malformed {
                path: path.clone(),
                line: error.line(),
                column: error.column(),
            })?
        };
        Ok(Self { path, config })
    }

    /// Reads the folder the `docker` command reads: `DOCKER_CONFIG`, else `~/.docker`.
    ///
    /// # Errors
    /// As [`CredentialStore::load`].
    pub fn from_env() -> Result<Self, CredentialsError> {
        let folder = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = || folder("HOME").or_else(|| folder("USERPROFILE")).map(|home| home.join(".docker"));
        folder("DOCKER_CONFIG").or_else(home).map_or_else(|| Ok(Self::default()), |dir| Self::load(&dir))
    }

    /// What to show to `registry`, a host as in [`Repository::registry`](release_core::Repository::registry). `None` when
    /// nobody has logged in there.
    ///
    /// # Errors
    /// When a helper fails, or the entry makes no sense.
    pub async fn get(&self, registry: &str) -> Result<Option<Credentials>, CredentialsError> {
        let key = if is_hub(registry) { HUB_KEY } else { registry };
        let helper = self.config.helpers.iter().find(|(name, _)| host_of(name) == host_of(key));
        let helper =
            helper.map(|(_, helper)| helper).or(self.config.store.as_ref()).filter(|h| !h.is_empty());
        if let Some(helper) = helper {
            let failed = |source| CredentialsError::Helper {
                registry: registry.to_owned(),
                helper: helper.clone(),
                source,
            };
            if let Some((username, secret)) = credential_helper::get(helper, key).await.map_err(failed)? {
                return Ok(Some(if username == TOKEN_USER {
                    Credentials::IdentityToken(secret)
                } else {
                    Credentials::Basic { username, password: secret }
                }));
            }
        }
        let exact = self.config.auths.get(key);
        let entry = exact.or_else(|| {
            // Older entries are written as URLs. The smallest key, so that the choice does not depend on a hash.
            let same = self.config.auths.iter().filter(|(name, _)| host_of(name) == host_of(key));
            same.min_by_key(|(name, _)| *name).map(|(_, entry)| entry)
        });
        entry.map_or(Ok(None), |entry| {
            entry.credentials().map_err(|()| CredentialsError::Entry {
                path: self.path.clone(),
                registry: registry.to_owned(),
            })
        })
    }
}

impl Entry {
    /// `Ok(None)` for the empty entry that Docker leaves behind when a helper keeps the secret.
    fn credentials(&self) -> Result<Option<Credentials>, ()> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        if let Some(token) = given(&self.identity_token) {
            return Ok(Some(Credentials::IdentityToken(Secret::new(token))));
        }
        if let Some(auth) = given(&self.auth) {
            let bytes = STANDARD.decode(auth.trim()).map_err(|_| ())?;
            let text = String::from_utf8(bytes).map_err(|_| ())?;
            let (username, password) = text.split_once(':').ok_or(())?;
            // Docker pads the password with zero bytes in some old files.
            let password = Secret::new(password.trim_end_matches('\0'));
            return Ok(Some(Credentials::Basic { username: username.to_owned(), password }));
        }
        Ok(given(&self.username)
            .zip(given(&self.password))
            .map(|(username, password)| Credentials::Basic { username, password: Secret::new(password) }))
    }
}

fn is_hub(registry: &str) -> bool {
    matches!(registry, "docker.io" | "index.docker.io" | "registry-1.docker.io")
}

/// `registry.example.com` of `https://registry.example.com/v2/`.
fn host_of(key: &str) -> &str {
    let rest = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    let host = rest.split('/').next().unwrap_or(rest);
    if is_hub(host) { "index.docker.io" } else { host }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn check(config: &str, registry: &str) -> String {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("config.json"), config).unwrap();
        let store = match CredentialStore::load(dir.path()) {
            Ok(store) => store,
            Err(error) => return error.to_string().replace(&format!("{}/", dir.path().display()), ""),
        };
        match store.get(registry).await {
            Ok(None) => "nobody".into(),
            Ok(Some(Credentials::Basic { username, password })) => {
                format!("{username} {}", password.expose())
            }
            Ok(Some(Credentials::IdentityToken(token))) => format!("token {}", token.expose()),
            Err(error) => error.to_string().replace(&format!("{}/", dir.path().display()), ""),
        }
    }

    #[tokio::test]
    async fn entries_are_found_as_docker_finds_them() {
        // ci:hunter2, ci:a:b, ci:x\0\0, ci
        for (config, registry, expected) in [
            ("", "r.io", "nobody"),
            ("{}", "r.io", "nobody"),
            (r#"{"auths":{"r.io":{"auth":"Y2k6aHVudGVyMg=="}}}"#, "r.io", "ci hunter2"),
            (r#"{"auths":{"r.io":{"auth":"Y2k6aHVudGVyMg=="}}}"#, "s.io", "nobody"),
            (r#"{"auths":{"r.io:5000":{"auth":"Y2k6aHVudGVyMg=="}}}"#, "r.io", "nobody"),
            (r#"{"auths":{"r.io":{"auth":"Y2k6YTpi"}}}"#, "r.io", "ci a:b"),
            (r#"{"auths":{"r.io":{"auth":"Y2k6eAAA"}}}"#, "r.io", "ci x"),
            (r#"{"auths":{"https://r.io/v2/":{"auth":"Y2k6aHVudGVyMg=="}}}"#, "r.io", "ci hunter2"),
            (r#"{"auths":{"https://index.docker.io/v1/":{"auth":"Y2k6YTpi"}}}"#, "docker.io", "ci a:b"),
            (r#"{"auths":{"docker.io":{"auth":"Y2k6YTpi"}}}"#, "docker.io", "ci a:b"),
            (r#"{"auths":{"r.io":{"username":"ci","password":"p"}}}"#, "r.io", "ci p"),
            (r#"{"auths":{"r.io":{"auth":"Y2k6YTpi","identitytoken":"t"}}}"#, "r.io", "token t"),
            (r#"{"auths":{"r.io":{}}}"#, "r.io", "nobody"),
            (
                r#"{"auths":{"r.io":{"auth":"hunter2!"}}}"#,
                "r.io",
                "the credentials of r.io in config.json are not `user:password` in base64",
            ),
            (
                r#"{"auths":{"r.io":{"auth":"Y2k="}}}"#,
                "r.io",
                "the credentials of r.io in config.json are not `user:password` in base64",
            ),
            (
                r#"{"auths":{"r.io":{"auth":hunter2}}}"#,
                "r.io",
                "config.json is no docker configuration: line 1, column 26",
            ),
        ] {
            assert_eq!(check(config, registry).await, expected, "{config}");
        }
    }

    #[tokio::test]
    async fn a_folder_without_configuration_knows_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let store = CredentialStore::load(dir.path()).unwrap();
        assert_eq!(store.get("r.io").await.unwrap(), None);
    }

    #[test]
    fn the_store_does_not_show_its_secrets() {
        let dir = tempfile::tempdir().unwrap();
        let config =
            r#"{"auths":{"r.io":{"auth":"Y2k6aHVudGVyMg==","password":"hunter2","identitytoken":"t0k3n"}}}"#;
        fs::write(dir.path().join("config.json"), config).unwrap();
        let shown = format!("{:?}", CredentialStore::load(dir.path()).unwrap());
        assert!(shown.contains("r.io"), "{shown}");
        for secret in ["hunter2", "Y2k6", "t0k3n"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }

    #[tokio::test]
    async fn a_missing_helper_is_named() {
        let shown = check(r#"{"credsStore":"no-such-helper"}"#, "r.io").await;
        assert_eq!(shown, "no credentials for r.io from docker-credential-no-such-helper");
        let shown = check(r#"{"credHelpers":{"r.io":"../evil"}}"#, "r.io").await;
        assert_eq!(shown, "no credentials for r.io from docker-credential-../evil");
    }
}
