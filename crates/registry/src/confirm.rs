//! Whether a registry really has an image: a HEAD for the manifest by digest.
//!
//! What goes on from here is only what a registry has confirmed. Protocol: [distribution-spec, pulling
//! manifests](https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests).

use std::time::Duration;

use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::errors::OciDistributionError;
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};
use release_core::{Credentials, Digest, ImageRef, PinnedImage, Repository};

/// Attempts at one question, with a pause that doubles in between.
const ATTEMPTS: u32 = 4;
const PAUSE: Duration = Duration::from_millis(300);

/// Connecting, and waiting for the next bytes of an answer.
const CONNECT: Duration = Duration::from_secs(10);
const READ: Duration = Duration::from_secs(30);

/// A client for registries. Each is connected to when it is asked.
#[derive(Debug, Clone, Copy, Default)]
pub struct Registry;

/// Why a registry did not confirm an image.
#[derive(Debug, thiserror::Error)]
pub enum ConfirmError {
    /// It has no such image.
    #[error("registry {registry} has no image {image}")]
    NotFound {
        /// The registry.
        registry: String,
        /// The image.
        image: String,
    },
    /// It does not let us look.
    #[error("registry {registry} does not let {who} read {image}")]
    Unauthorized {
        /// The registry.
        registry: String,
        /// The image.
        image: String,
        /// With whose credentials.
        who: String,
    },
    /// It cannot be reached.
    #[error("registry {registry} cannot be reached: {why}")]
    Unreachable {
        /// The registry.
        registry: String,
        /// The transport's reason.
        why: String,
    },
    /// What it has is not what was asked for.
    #[error("registry {registry} answers with {found} when asked for {image}")]
    OtherDigest {
        /// The registry.
        registry: String,
        /// The image.
        image: String,
        /// What it answered with.
        found: String,
    },
    /// It answers in an unexpected way.
    #[error("registry {registry} gave an unexpected answer about {image}: {why}")]
    Unexpected {
        /// The registry.
        registry: String,
        /// The image.
        image: String,
        /// The answer.
        why: String,
    },
}

impl Registry {
    /// Asks the registry for exactly this digest.
    ///
    /// # Errors
    /// See [`ConfirmError`].
    pub async fn confirm(
        &self,
        image: &PinnedImage,
        credentials: Option<&Credentials>,
    ) -> Result<(), ConfirmError> {
        let reference = Reference::with_digest(
            image.repository.registry().to_owned(),
            image.repository.path().to_owned(),
            image.digest.to_string(),
        );
        let found = digest(&image.repository, &reference, &image.to_string(), credentials).await?;
        if found == image.digest {
            return Ok(());
        }
        Err(ConfirmError::OtherDigest {
            registry: image.repository.registry().to_owned(),
            image: image.to_string(),
            found: found.to_string(),
        })
    }

    /// The digest a reference stands for at this moment.
    ///
    /// # Errors
    /// See [`ConfirmError`].
    pub async fn resolve(
        &self,
        image: &ImageRef,
        credentials: Option<&Credentials>,
    ) -> Result<Digest, ConfirmError> {
        let tag = image.tag.clone().unwrap_or_else(|| "latest".to_owned());
        let (registry, path) = (image.repository.registry().to_owned(), image.repository.path().to_owned());
        let reference = match &image.digest {
            Some(digest) => Reference::with_digest(registry, path, digest.to_string()),
            None => Reference::with_tag(registry, path, tag),
        };
        digest(&image.repository, &reference, &image.to_string(), credentials).await
    }
}

/// Whether Docker, and so we, speak to this registry without TLS.
fn is_loopback(registry: &str) -> bool {
    let host = match registry.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => registry.rsplit_once(':').map_or(registry, |(host, _)| host),
    };
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn client(registry: &str) -> Client {
    let protocol = if is_loopback(registry) { ClientProtocol::Http } else { ClientProtocol::Https };
    Client::new(ClientConfig {
        protocol,
        connect_timeout: Some(CONNECT),
        read_timeout: Some(READ),
        user_agent: "release",
        ..ClientConfig::default()
    })
}

async fn digest(
    repository: &Repository,
    reference: &Reference,
    image: &str,
    credentials: Option<&Credentials>,
) -> Result<Digest, ConfirmError> {
    let registry = repository.registry();
    let auth = match credentials {
        Some(Credentials::Basic { username, password }) => {
            RegistryAuth::Basic(username.clone(), password.expose().to_owned())
        }
        Some(Credentials::IdentityToken(token)) => RegistryAuth::Bearer(token.expose().to_owned()),
        None => RegistryAuth::Anonymous,
    };
    let client = client(registry);
    let mut pause = PAUSE;
    let mut attempt = 1;
    loop {
        let error = match client.fetch_manifest_digest(reference, &auth).await {
            Ok(text) => {
                return text.parse().map_err(|_| ConfirmError::Unexpected {
                    registry: registry.to_owned(),
                    image: image.to_owned(),
                    why: format!("`{text}` is not a digest"),
                });
            }
            Err(error) => error,
        };
        if attempt == ATTEMPTS || !is_passing(&error) {
            return Err(classify(registry, image, credentials, error));
        }
        tracing::debug!(registry, attempt, "the registry has trouble, trying again");
        tokio::time::sleep(pause).await;
        pause *= 2;
        attempt += 1;
    }
}

/// Whether the same question may be answered a moment later.
fn is_passing(error: &OciDistributionError) -> bool {
    match error {
        OciDistributionError::RequestError(error) => !error.is_builder(),
        OciDistributionError::ServerError { code, .. } => matches!(code, 408 | 429 | 499..=504 | 522),
        OciDistributionError::IoError(_) => true,
        _ => false,
    }
}

fn classify(
    registry: &str,
    image: &str,
    credentials: Option<&Credentials>,
    error: OciDistributionError,
) -> ConfirmError {
    use oci_client::errors::OciErrorCode as Code;
    let (registry, image) = (registry.to_owned(), image.to_owned());
    let who = match credentials {
        Some(Credentials::Basic { username, .. }) => format!("user `{username}`"),
        Some(Credentials::IdentityToken(_)) => "the identity token".to_owned(),
        None => "anybody without credentials".to_owned(),
    };
    match error {
        OciDistributionError::ImageManifestNotFoundError(_) | OciDistributionError::ServerError { code: 404, .. } => {
            ConfirmError::NotFound { registry, image }
        }
        OciDistributionError::RegistryError { envelope, .. } => {
            let codes: Vec<_> = envelope.errors.iter().map(|error| &error.code).collect();
            if codes
                .iter()
                .any(|code| matches!(code, Code::ManifestUnknown | Code::NameUnknown | Code::NotFound))
            {
                ConfirmError::NotFound { registry, image }
            } else if codes.iter().any(|code| matches!(code, Code::Unauthorized | Code::Denied)) {
                ConfirmError::Unauthorized { registry, image, who }
            } else {
                ConfirmError::Unexpected { registry, image, why: format!("{codes:?}") }
            }
        }
        OciDistributionError::UnauthorizedError { .. }
        | OciDistributionError::AuthenticationFailure(_)
        | OciDistributionError::ServerError { code: 401 | 403, .. } => {
            ConfirmError::Unauthorized { registry, image, who }
        }
        OciDistributionError::RequestError(error) => {
            ConfirmError::Unreachable { registry, why: chain(&error) }
        }
        OciDistributionError::IoError(error) => {
            ConfirmError::Unreachable { registry, why: error.to_string() }
        }
        OciDistributionError::DigestError(error) => {
            ConfirmError::OtherDigest { registry, image, found: error.to_string() }
        }
        OciDistributionError::ServerError { code, .. } => {
            ConfirmError::Unexpected { registry, image, why: format!("status {code}") }
        }
        other => ConfirmError::Unexpected { registry, image, why: other.to_string() },
    }
}

/// The innermost reasons, which name the address and what failed.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = error.to_string();
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    /// A registry that gives each request the next of these answers; `""` hangs up.
    async fn serve(answers: Vec<String>) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            let mut answers = answers.into_iter();
            let mut last = String::new();
            while let Ok((mut socket, _)) = listener.accept().await {
                let mut request = vec![0; 8192];
                let _ = socket.read(&mut request).await;
                last = answers.next().unwrap_or(last);
                let _ = socket.write_all(last.as_bytes()).await;
            }
        });
        address
    }

    fn answer(status: &str, headers: &str, body: &str) -> String {
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n", body.len());
        format!("{head}content-type: application/json\r\n{headers}\r\n{body}")
    }

    async fn check(answers: Vec<String>) -> String {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let registry = serve(answers).await;
        let image: PinnedImage = format!("{registry}/a@sha256:{}", "a".repeat(64)).parse().unwrap();
        let credentials =
            Credentials::Basic { username: "ci".into(), password: release_core::Secret::new("hunter2") };
        match Registry.confirm(&image, Some(&credentials)).await {
            Ok(()) => "confirmed".to_owned(),
            Err(error) => {
                let text = error.to_string();
                assert!(!text.contains("hunter2"), "{text}");
                text.replace(&registry, "R").replace(&"a".repeat(64), "A").replace(&"b".repeat(64), "B")
            }
        }
    }

    fn digest_header(letter: &str) -> String {
        format!("docker-content-digest: sha256:{}\r\n", letter.repeat(64))
    }

    #[tokio::test]
    async fn each_answer_has_its_meaning() {
        let open = answer("200 OK", "", "{}");
        let confirmed = answer("200 OK", &digest_header("a"), "");
        let code = |code: &str| format!(r#"{{"errors":[{{"code":"{code}","message":"m"}}]}}"#);
        assert_eq!(check(vec![open.clone(), confirmed.clone()]).await, "confirmed");
        let other = check(vec![open.clone(), answer("200 OK", &digest_header("b"), "")]).await;
        assert!(other.starts_with("registry R answers with") && other.contains('B'), "{other}");
        let missing = answer("404 Not Found", "", &code("MANIFEST_UNKNOWN"));
        assert_eq!(check(vec![open.clone(), missing]).await, "registry R has no image R/a@sha256:A");
        let denied = answer("403 Forbidden", "", &code("DENIED"));
        assert_eq!(
            check(vec![open.clone(), denied]).await,
            "registry R does not let user `ci` read R/a@sha256:A"
        );
        let challenge =
            answer("401 Unauthorized", "www-authenticate: Basic realm=\"r\"\r\n", &code("UNAUTHORIZED"));
        assert_eq!(check(vec![challenge]).await, "registry R does not let user `ci` read R/a@sha256:A");
    }

    #[tokio::test]
    async fn trouble_that_passes_is_waited_for() {
        let open = answer("200 OK", "", "{}");
        let busy = answer("503 Service Unavailable", &digest_header("a"), "busy");
        let confirmed = answer("200 OK", &digest_header("a"), "");
        assert_eq!(
            check(vec![open.clone(), busy, open.clone(), confirmed.clone(), confirmed]).await,
            "confirmed"
        );
    }

    #[tokio::test]
    async fn nobody_there_is_said_so() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let image: PinnedImage = format!("127.0.0.1:1/a@sha256:{}", "a".repeat(64)).parse().unwrap();
        let error = Registry.confirm(&image, None).await.unwrap_err();
        assert!(matches!(error, ConfirmError::Unreachable { .. }), "{error}");
    }

    #[test]
    fn loopback_is_what_docker_takes_for_it() {
        for yes in ["localhost", "localhost:5000", "127.0.0.1:5000", "127.8.9.1", "[::1]:5000"] {
            assert!(is_loopback(yes), "{yes}");
        }
        for no in ["r.example.com", "localhost.example.com:5000", "10.0.0.1:5000", "[fe80::1]:5000"] {
            assert!(!is_loopback(no), "{no}");
        }
    }
}
