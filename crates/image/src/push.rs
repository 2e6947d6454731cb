//! Pushing an image from the engine to its registry.
//!
//! The engine uploads by itself; we hand it the credentials, listen, and learn the digest from what it says last.

use bollard::BollardRequest;
use bollard::auth::DockerCredentials;
use bollard::errors::Error as EngineSays;
use bollard::models::PushImageInfo;
use bollard::query_parameters::PushImageOptions;
use futures::StreamExt as _;
use release_core::{Credentials, Digest, ImageRef, PinnedImage};

use crate::{Endpoint, Engine};

/// What happens during a push. It may be dropped: nothing is only said here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PushEvent {
    /// A layer went on. The engine's client does not say which one: layers go up side by side.
    Layer {
        /// What happens to it, in the engine's words: `Pushing`, `Pushed`, `Layer already exists`.
        doing: String,
        /// Bytes sent of this layer so far.
        sent: u64,
        /// Bytes it has, if the engine says so.
        total: Option<u64>,
    },
}

/// Why an image is not in its registry.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// The image to push has no tag, or has a digest already.
    #[error("`{image}` cannot be pushed: it needs a tag and no digest")]
    NotTagged {
        /// The image as it was given.
        image: ImageRef,
    },
    /// The registry knows us, or nobody, and does not let us push.
    #[error("registry {registry} does not let {who} push `{image}`: {said}", who = if *anonymous { "anybody without credentials" } else { "this user" })]
    Denied {
        /// The registry's host.
        registry: String,
        /// What was pushed.
        image: ImageRef,
        /// Whether no credentials were given.
        anonymous: bool,
        /// The engine's words.
        said: String,
    },
    /// The engine does not get through to the registry.
    #[error("the docker engine cannot reach registry {registry}: {said}")]
    Unreachable {
        /// The registry's host.
        registry: String,
        /// The engine's words.
        said: String,
    },
    /// The registry or the engine refused for another reason.
    #[error("pushing `{image}` failed: {said}")]
    Failed {
        /// What was pushed.
        image: ImageRef,
        /// The engine's words.
        said: String,
    },
    /// The connection to the engine broke.
    #[error("the docker engine at {endpoint} broke off the push")]
    Engine {
        /// Where the engine listens.
        endpoint: Endpoint,
        /// What it said.
        #[source]
        source: Box<EngineSays>,
    },
    /// The engine ended its answer without the digest.
    #[error("the docker engine at {endpoint} ended the push of `{image}` without naming its digest")]
    NoDigest {
        /// Where the engine listens.
        endpoint: Endpoint,
        /// What was pushed.
        image: ImageRef,
    },
}

impl Engine {
    /// Pushes `image`, a `repository:tag` the engine has, and returns it by the digest the registry took it under.
    ///
    /// # Errors
    /// When the registry denies it or cannot be reached, with the engine's words.
    pub async fn push(
        &self,
        image: &ImageRef,
        credentials: Option<&Credentials>,
        tell: &mut (dyn FnMut(PushEvent) + Send),
    ) -> Result<PinnedImage, PushError> {
        let (Some(tag), None) = (&image.tag, &image.digest) else {
            return Err(PushError::NotTagged { image: image.clone() });
        };
        let options = PushImageOptions { tag: Some(tag.clone()), platform: None };
        let auth = credentials.map(|given| auth_config(given, image.repository.registry()));
        let name = image.repository.to_string();
        let mut stream = std::pin::pin!(self.docker.push_image(&name, Some(options), auth));
        let mut digest = None;
        while let Some(said) = stream.next().await {
            let said = said.map_err(|source| self.push_error(source, image, credentials.is_none()))?;
            digest = said.status.as_deref().and_then(digest_in).or(digest);
            if let Some(event) = layer(said) {
                tell(event);
            }
        }
        match digest {
            Some(digest) => Ok(image.repository.at(digest)),
            None => Err(PushError::NoDigest { endpoint: self.endpoint.clone(), image: image.clone() }),
        }
    }

    fn push_error(&self, source: EngineSays, image: &ImageRef, anonymous: bool) -> PushError {
        match source {
            EngineSays::DockerStreamError { error: said }
            | EngineSays::DockerResponseServerError { message: said, .. } => refused(said, image, anonymous),
            source => PushError::Engine { endpoint: self.endpoint.clone(), source: Box::new(source) },
        }
    }
}

fn auth_config(credentials: &Credentials, registry: &str) -> DockerCredentials {
    let serveraddress = Some(registry.to_owned());
    match credentials {
        Credentials::Basic { username, password } => DockerCredentials {
            username: Some(username.clone()),
            password: Some(password.expose().to_owned()),
            serveraddress,
            ..DockerCredentials::default()
        },
        Credentials::IdentityToken(token) => DockerCredentials {
            identitytoken: Some(token.expose().to_owned()),
            serveraddress,
            ..DockerCredentials::default()
        },
    }
}

/// The engine reads `X-Registry-Auth` as URL-safe base64; the client writes the other alphabet, so that passwords
/// with, say, a `~` in the wrong place would get lost.
pub(crate) fn repair_auth_header(mut request: BollardRequest) -> BollardRequest {
    for name in ["x-registry-auth", "x-registry-config"] {
        let Some(value) = request.headers_mut().get_mut(name) else { continue };
        let safe: Vec<u8> = value
            .as_bytes()
            .iter()
            .map(|byte| match byte {
                b'+' => b'-',
                b'/' => b'_',
                other => *other,
            })
            .collect();
        if let Ok(mut repaired) = safe.as_slice().try_into() {
            std::mem::swap(value, &mut repaired);
            value.set_sensitive(true);
        }
    }
    request
}

/// The line that ends a push: `v1: digest: sha256:… size: 1234`.
fn digest_in(status: &str) -> Option<Digest> {
    let (_, rest) = status.split_once("digest: ")?;
    rest.split_whitespace().next()?.parse().ok()
}

fn layer(said: PushImageInfo) -> Option<PushEvent> {
    let progress = said.progress_detail?;
    let doing = said.status?;
    let bytes = |n: Option<i64>| n.and_then(|n| u64::try_from(n).ok());
    Some(PushEvent::Layer {
        doing,
        sent: bytes(progress.current).unwrap_or(0),
        total: bytes(progress.total).filter(|total| *total > 0),
    })
}

/// The engine hands on errors of registries and of the network as text alone, so its words have to be read. What is not
/// known stays [`PushError::Failed`]; no decision depends on it, only the hint people get.
fn refused(said: String, image: &ImageRef, anonymous: bool) -> PushError {
    let lower = said.to_lowercase();
    let any = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    let registry = image.repository.registry().to_owned();
    if any(&["denied", "unauthorized", "authentication required", "no basic auth credentials", "forbidden"]) {
        PushError::Denied { registry, image: image.clone(), anonymous, said }
    } else if any(&[
        "connection refused",
        "no such host",
        "i/o timeout",
        "no route to host",
        "network is unreachable",
        "connection reset",
        "tls handshake",
        "x509",
        "server gave http response to https client",
        "dial tcp",
    ]) {
        PushError::Unreachable { registry, said }
    } else {
        PushError::Failed { image: image.clone(), said }
    }
}
