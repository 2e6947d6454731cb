//! Questions to a registry: is this image there, and which one does this tag name?
//!
//! Both are one `HEAD` of a manifest ([distribution specification](https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests)),
//! with the authentication the registry asks for and a few retries. Registries on this machine are spoken to without TLS,
//! all others with it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use release_core::{Credentials, Digest, ImageRef, PinnedImage, Repository};
use reqwest::header::{ACCEPT, RETRY_AFTER, WWW_AUTHENTICATE};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use rustls::crypto::CryptoProvider;
use url::Url;

use crate::challenge::Challenge;
use crate::patience::Pace;
use crate::token::{self, Wanted};
use crate::trust::Trust;

/// How often a question is asked. With the pauses between it takes a registry that restarts about three seconds.
const ATTEMPTS: u32 = 5;

/// The pause before the second attempt; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// The longest pause between two attempts, if the registry asks for no longer one.
pub(crate) const MAX_PAUSE: Duration = Duration::from_secs(10);

/// The longest `Retry-After` that is honoured by whoever only asks: as long as nobody thinks that the command hangs.
const LONGEST_REST: Duration = Duration::from_secs(30);

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long one answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// The largest manifest: the specification asks registries for 4 MiB.
pub(crate) const MAX_MANIFEST_BYTES: usize = 4 * 1024 * 1024;

/// How often one answer may lead elsewhere. Registries send us to their store, which may send us to a mirror.
const MAX_REDIRECTS: usize = 5;

/// Every kind of manifest there is; a registry converts, or hides, what is not accepted.
pub(crate) const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";

pub(crate) const DIGEST_HEADER: &str = "docker-content-digest";

/// A client for any number of registries.
#[derive(Debug, Clone)]
pub struct Registry {
    pub(crate) clients: Clients,
    pub(crate) pace: Pace,
    /// Whose habits are expected, if not those the host's name tells of.
    pub(crate) vendor: Option<&'static str>,
    trust: Arc<Trust>,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The process has not chosen who does its TLS.
    #[error("no TLS provider is installed in this process")]
    NoTlsProvider,
    /// The TLS provider of the process cannot do what is needed.
    #[error("cannot set up TLS for registries")]
    Tls(#[source] rustls::Error),
    /// The HTTP client cannot be set up.
    #[error("cannot set up a client for registries")]
    Client(#[source] reqwest::Error),
}

/// Why an image could not be confirmed or resolved. None of the texts holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum ConfirmError {
    /// The registry answered, and has no such image.
    #[error("registry {registry} has no image `{image}`")]
    NotFound {
        /// The registry's host.
        registry: String,
        /// The image that was asked for.
        image: String,
    },
    /// The registry does not let us read the image.
    #[error("registry {registry} does not let {} in", if *anonymous { "anybody without credentials" } else { "this user" })]
    Unauthorized {
        /// The registry's host.
        registry: String,
        /// Whether no credentials were given.
        anonymous: bool,
    },
    /// No answer came, however often we asked.
    #[error("cannot reach registry {registry}")]
    Unreachable {
        /// The registry's host.
        registry: String,
        /// What the last attempt ended with.
        #[source]
        source: reqwest::Error,
    },
    /// The registry wants to be asked again later than we wait.
    #[error(
        "registry {registry} answered with status {status} and wants to be asked again in {}s; it is waited for {}s at most",
        wanted.as_secs(),
        longest.as_secs()
    )]
    Later {
        /// The registry's host.
        registry: String,
        /// The HTTP status.
        status: u16,
        /// How long it wants to be left alone: its `Retry-After`.
        wanted: Duration,
        /// How long it is waited for at most.
        longest: Duration,
    },
    /// The registry answers for another image than the one asked for.
    #[error("registry {registry} was asked for {expected} and has {found}")]
    OtherDigest {
        /// The registry's host.
        registry: String,
        /// The digest that was asked for.
        expected: Digest,
        /// The digest it answered with.
        found: Digest,
    },
    /// The registry answered with a status that means nothing here, or kept failing.
    #[error("registry {registry} answered with status {status}")]
    Unexpected {
        /// The registry's host.
        registry: String,
        /// The HTTP status.
        status: u16,
    },
    /// A part of the answer cannot be understood, or is too large.
    #[error("registry {registry} sent {what} that cannot be understood")]
    Malformed {
        /// The registry's host.
        registry: String,
        /// Which part.
        what: &'static str,
    },
    /// The registry wants our secrets sent to a place that others could listen at.
    #[error("registry {registry} asks for credentials at `{realm}`, which is not secure")]
    Realm {
        /// The registry's host.
        registry: String,
        /// Where they should be sent.
        realm: String,
    },
}

impl Registry {
    /// A client that believes whom the system believes. Needs the process's TLS provider to be installed. The system's
    /// certificates are read for the first registry that is spoken to with TLS.
    ///
    /// # Errors
    /// When there is no TLS provider, or it cannot be used.
    pub fn new() -> Result<Self, RegistryError> {
        let provider = CryptoProvider::get_default().ok_or(RegistryError::NoTlsProvider)?;
        let trust = Trust::new(Arc::clone(provider));
        let tls = trust.config().map_err(RegistryError::Tls)?;
        let builder = || {
            Client::builder()
                .tls_backend_preconfigured(tls.clone())
                .connect_timeout(CONNECT_TIMEOUT)
                .timeout(ANSWER_TIMEOUT)
                .user_agent("release")
                .referer(false)
                .redirect(Policy::custom(follow))
        };
        // A proxy cannot see this machine's own addresses.
        let near = builder().no_proxy().build().map_err(RegistryError::Client)?;
        let far = builder().build().map_err(RegistryError::Client)?;
        Ok(Self {
            clients: Clients { near, far, first_pause: FIRST_PAUSE },
            pace: Pace::default(),
            vendor: None,
            trust,
        })
    }

    /// Gets ready to speak to `registry`, a host with or without port: reads the system's certificates if it is one that is
    /// spoken to with TLS. Takes some milliseconds and blocks; without it that happens with the first connection.
    pub fn prepare_for(&self, registry: &str) {
        if !is_loopback(registry) {
            // Whoever needs them is told if there are none.
            let _ = self.trust.verifier();
        }
    }

    /// Makes sure that the registry has exactly this image.
    ///
    /// # Errors
    /// When it has not, or does not say.
    pub async fn confirm(
        &self,
        image: &PinnedImage,
        credentials: Option<&Credentials>,
    ) -> Result<(), ConfirmError> {
        let found =
            self.digest(&image.repository, image.digest.as_str(), &image.to_string(), credentials).await?;
        if found == image.digest {
            return Ok(());
        }
        let registry = image.repository.registry().to_owned();
        Err(ConfirmError::OtherDigest { registry, expected: image.digest.clone(), found })
    }

    /// The digest `image` has now. The tag is looked up (`latest` when there is none) unless there is a digest, which is
    /// then confirmed.
    ///
    /// # Errors
    /// When there is no such image, or the registry does not say.
    pub async fn resolve(
        &self,
        image: &ImageRef,
        credentials: Option<&Credentials>,
    ) -> Result<Digest, ConfirmError> {
        if let Some(digest) = &image.digest {
            self.confirm(&image.repository.at(digest.clone()), credentials).await?;
            return Ok(digest.clone());
        }
        let tag = image.tag.as_deref().unwrap_or("latest");
        self.digest(&image.repository, tag, &image.to_string(), credentials).await
    }

    async fn digest(
        &self,
        repository: &Repository,
        reference: &str,
        image: &str,
        credentials: Option<&Credentials>,
    ) -> Result<Digest, ConfirmError> {
        let registry = repository.registry();
        let url = address(repository, &format!("manifests/{reference}"))?;
        let mut asked = Question { clients: &self.clients, repository, url, credentials, pass: Pass::None };
        let head = asked.ask(Method::HEAD, image).await?;
        let malformed = |what| ConfirmError::Malformed { registry: registry.to_owned(), what };
        if let Some(header) = head.headers().get(DIGEST_HEADER) {
            let text = header.to_str().map_err(|_| malformed("a digest"))?;
            return text.parse().map_err(|_| malformed("a digest"));
        }
        // The header is optional; the digest of the manifest's bytes is the same thing.
        let body = asked.ask(Method::GET, image).await?;
        let bytes = bounded_body(body, MAX_MANIFEST_BYTES, registry).await?;
        Ok(release_layout::digest(&bytes))
    }
}

/// Follows a redirect that may be followed. The HTTP client takes `Authorization` off where host or port change.
fn follow(attempt: reqwest::redirect::Attempt<'_>) -> reqwest::redirect::Action {
    let hops = attempt.previous();
    let allowed =
        hops.len() <= MAX_REDIRECTS && hops.last().is_some_and(|from| may_follow(from, attempt.url()));
    if allowed { attempt.follow() } else { attempt.stop() }
}

/// Whether a redirect leads to a place as safe as the one it comes from: not past TLS, and not from elsewhere into this
/// machine, whose services trust whoever can reach them.
fn may_follow(from: &Url, to: &Url) -> bool {
    let near = |url: &Url| url.host_str().is_some_and(is_loopback);
    let secure = to.scheme() == "https" || (to.scheme() == "http" && from.scheme() == "http");
    secure && (near(from) || !near(to))
}

/// What is shown to the registry with every request.
pub(crate) enum Pass {
    None,
    Basic,
    Token(release_core::Secret),
}

impl Pass {
    /// Puts it on a request.
    pub(crate) fn show(&self, request: RequestBuilder, credentials: Option<&Credentials>) -> RequestBuilder {
        match (self, credentials) {
            (Self::Basic, Some(Credentials::Basic { username, password })) => {
                request.basic_auth(username, Some(password.expose()))
            }
            (Self::Token(token), _) => request.bearer_auth(token.expose()),
            _ => request,
        }
    }
}

/// The address of something in a repository: `manifests/v1`.
pub(crate) fn address(repository: &Repository, below: &str) -> Result<Url, ConfirmError> {
    let registry = repository.registry();
    let scheme = if is_loopback(registry) { "http" } else { "https" };
    let host = if registry == "docker.io" { "registry-1.docker.io" } else { registry };
    Url::parse(&format!("{scheme}://{host}/v2/{}/{below}", repository.path()))
        .map_err(|_| ConfirmError::Malformed { registry: registry.to_owned(), what: "an address" })
}

/// Something that is asked, with what has been learnt about authentication.
pub(crate) struct Question<'a> {
    pub(crate) clients: &'a Clients,
    pub(crate) repository: &'a Repository,
    pub(crate) url: Url,
    pub(crate) credentials: Option<&'a Credentials>,
    pub(crate) pass: Pass,
}

impl Question<'_> {
    /// The manifest of `image`, or what answers in its place.
    async fn ask(&mut self, method: Method, image: &str) -> Result<Response, ConfirmError> {
        let answer = self.answer(&method).await?;
        let registry = self.repository.registry().to_owned();
        match answer.status() {
            status if status.is_success() => Ok(answer),
            StatusCode::NOT_FOUND => Err(ConfirmError::NotFound { registry, image: image.to_owned() }),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(self.unauthorized()),
            status => Err(ConfirmError::Unexpected { registry, status: status.as_u16() }),
        }
    }

    pub(crate) fn unauthorized(&self) -> ConfirmError {
        let registry = self.repository.registry().to_owned();
        ConfirmError::Unauthorized { registry, anonymous: self.credentials.is_none() }
    }

    /// What the registry answers when it knows who asks.
    pub(crate) async fn answer(&mut self, method: &Method) -> Result<Response, ConfirmError> {
        let registry = self.repository.registry();
        let answer = self.send(method).await?;
        // Whoever answers in another place, after a redirect, must not name where our secrets go.
        let theirs = address(self.repository, "")?.origin() != answer.url().origin();
        if answer.status() == StatusCode::UNAUTHORIZED && !theirs && matches!(self.pass, Pass::None) {
            let headers = answer.headers().get_all(WWW_AUTHENTICATE);
            let asked = headers.iter().filter_map(|h| h.to_str().ok()).collect::<Vec<_>>().join(", ");
            self.pass = match Challenge::parse(&asked) {
                Some(Challenge::Basic) if matches!(self.credentials, Some(Credentials::Basic { .. })) => {
                    Pass::Basic
                }
                Some(Challenge::Bearer { realm, service, scope }) => {
                    let pull = format!("repository:{}:pull", self.repository.path());
                    let scope = scope.unwrap_or(pull);
                    let wanted =
                        Wanted { registry, realm: &realm, service: service.as_deref(), scope: &scope };
                    Pass::Token(token::fetch(self.clients, &wanted, self.credentials).await?.secret)
                }
                _ => return Err(self.unauthorized()),
            };
            return self.send(method).await;
        }
        Ok(answer)
    }

    async fn send(&self, method: &Method) -> Result<Response, ConfirmError> {
        let registry = self.repository.registry();
        let client = self.clients.of(&self.url);
        let request = client.request(method.clone(), self.url.clone()).header(ACCEPT, MANIFESTS);
        let request = self.pass.show(request, self.credentials);
        self.clients.send(request, registry).await
    }
}

/// The HTTP clients, and how they try again.
#[derive(Debug, Clone)]
pub(crate) struct Clients {
    /// For this machine, past any proxy.
    near: Client,
    far: Client,
    pub(crate) first_pause: Duration,
}

impl Clients {
    /// The same, for questions that somebody waits for.
    pub(crate) fn without_pauses(&self) -> Self {
        Self { first_pause: Duration::ZERO, ..self.clone() }
    }

    /// The client for `url`.
    pub(crate) fn of(&self, url: &Url) -> &Client {
        if url.host_str().is_some_and(is_loopback) { &self.near } else { &self.far }
    }

    /// Sends, and sends again while the failure may pass. Every question here only reads, so asking twice does no harm.
    pub(crate) async fn send(
        &self,
        request: RequestBuilder,
        registry: &str,
    ) -> Result<Response, ConfirmError> {
        let mut pause = self.first_pause;
        let mut attempt = 1;
        loop {
            let again = request.try_clone();
            let result = match again {
                Some(again) if attempt < ATTEMPTS => again.send().await,
                _ => {
                    return request.send().await.map_err(|error| ConfirmError::Unreachable {
                        registry: registry.to_owned(),
                        source: error.without_url(),
                    });
                }
            };
            let wait = match result {
                Ok(answer) if may_pass(answer.status()) => match retry_after(&answer) {
                    Some(wanted) if wanted > LONGEST_REST => {
                        let (registry, status) = (registry.to_owned(), answer.status().as_u16());
                        return Err(ConfirmError::Later { registry, status, wanted, longest: LONGEST_REST });
                    }
                    wanted => wanted.unwrap_or(pause).min(LONGEST_REST),
                },
                Ok(answer) => return Ok(answer),
                Err(error) => {
                    tracing::debug!(registry, attempt, error = %error.without_url(), "no answer");
                    pause
                }
            };
            tokio::time::sleep(wait).await;
            pause *= 2;
            attempt += 1;
        }
    }
}

pub(crate) fn may_pass(status: StatusCode) -> bool {
    status.is_server_error() || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
}

/// `Retry-After` in seconds; its other form, a date, would need the registry's clock to agree with ours.
pub(crate) fn retry_after(answer: &Response) -> Option<Duration> {
    answer.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// Whether a host, with or without port, is this machine.
pub(crate) fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') && !name.ends_with(':') && !port.is_empty() => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost" || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// The body, if it has no more than `limit` bytes.
pub(crate) async fn bounded_body(
    mut answer: Response,
    limit: usize,
    registry: &str,
) -> Result<Vec<u8>, ConfirmError> {
    let mut bytes = Vec::new();
    loop {
        let chunk = answer.chunk().await.map_err(|source| ConfirmError::Unreachable {
            registry: registry.to_owned(),
            source: source.without_url(),
        })?;
        let Some(chunk) = chunk else { return Ok(bytes) };
        if bytes.len() + chunk.len() > limit {
            return Err(ConfirmError::Malformed { registry: registry.to_owned(), what: "an answer" });
        }
        bytes.extend_from_slice(&chunk);
    }
}

#[cfg(test)]
mod tests;
