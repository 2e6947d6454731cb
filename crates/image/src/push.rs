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

pub(crate) fn auth_config(credentials: &Credentials, registry: &str) -> DockerCredentials {
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

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use bollard::models::ProgressDetail;
    use release_core::Secret;

    use super::*;

    #[test]
    fn the_digest_is_read_from_the_last_line() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (status, expected) in [
            (format!("v1: digest: {digest} size: 527"), true),
            (format!("latest: digest: {digest}"), true),
            ("The push refers to repository [127.0.0.1:5000/player]".to_owned(), false),
            ("v1: digest: sha256:abc size: 1".to_owned(), false),
            ("digest: ".to_owned(), false),
        ] {
            assert_eq!(digest_in(&status).is_some(), expected, "{status}");
        }
    }

    #[test]
    fn refusals_are_told_apart_by_the_engines_words() {
        let image: ImageRef = "r.io/player:v1".parse().unwrap();
        let shown: Vec<String> = [
            ("denied: requested access to the resource is denied", true),
            ("unauthorized: authentication required", false),
            ("no basic auth credentials", true),
            ("Get \"https://r.io/v2/\": dial tcp: lookup r.io: no such host", false),
            ("Get \"http://127.0.0.1:1/v2/\": dial tcp 127.0.0.1:1: connect: connection refused", true),
            ("Get \"https://r.io/v2/\": x509: certificate signed by unknown authority", true),
            ("received unexpected HTTP status: 500 Internal Server Error", true),
            ("An image does not exist locally with the tag: r.io/player", true),
        ]
        .into_iter()
        .map(|(said, anonymous)| refused(said.to_owned(), &image, anonymous).to_string())
        .collect();
        insta::assert_snapshot!(shown.join("\n"));
    }

    #[test]
    fn layers_say_how_far_they_are() {
        let said = |current, total| PushImageInfo {
            status: Some("Pushing".into()),
            progress_detail: Some(ProgressDetail { current, total }),
            error_detail: None,
        };
        for (current, total, sent, of) in
            [(Some(5), Some(10), 5, Some(10)), (None, None, 0, None), (Some(-1), Some(0), 0, None)]
        {
            let doing = "Pushing".to_owned();
            assert_eq!(layer(said(current, total)), Some(PushEvent::Layer { doing, sent, total: of }));
        }
        assert_eq!(layer(PushImageInfo { status: Some("v1: digest: …".into()), ..Default::default() }), None);
    }

    #[test]
    fn every_password_reaches_the_engine() {
        // In standard base64 these give `/` and `+`, whichever place they stand at.
        for password in ["???", ">>>", "~~~", "a?", "aa?", "üöÿ"] {
            let credentials = Credentials::Basic { username: "ci".into(), password: Secret::new(password) };
            let config = auth_config(&credentials, "r.io");
            let json = serde_json::to_string(&config).unwrap();
            let sent = base64::engine::general_purpose::STANDARD.encode(&json);
            let mut request = BollardRequest::new(bollard::body_full(bytes::Bytes::new()));
            request.headers_mut().insert("x-registry-auth", sent.parse().unwrap());
            let request = repair_auth_header(request);
            let value = &request.headers()["x-registry-auth"];
            let read = base64::engine::general_purpose::URL_SAFE.decode(value.as_bytes()).expect(password);
            assert_eq!(String::from_utf8(read).unwrap(), json);
            assert!(!format!("{value:?}").contains(&sent));
        }
    }

    #[test]
    fn identity_tokens_go_where_the_engine_looks_for_them() {
        let config = auth_config(&Credentials::IdentityToken(Secret::new("t")), "r.io");
        assert_eq!((config.identitytoken.as_deref(), config.password), (Some("t"), None));
    }
}
