//! One request to the API server: retried while that is safe, bounded in time and size, classified when it fails.
//!
//! What it does not do: decide. A write whose outcome is unknown is reported as such, never repeated blindly.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use kube::Client;
use kube::client::Body;
use kube::core::Status;
use serde_json::Value;

use crate::Clock;

/// How long one attempt may take before the connection is given up. The API server itself ends ordinary requests
/// after 60 s; an answer that takes longer than this is not worth waiting for when another attempt may be quick.
const ATTEMPT: Duration = Duration::from_secs(20);

/// How long a request is tried when the caller names no deadline: longer than an API server's restart.
const PATIENCE: Duration = Duration::from_secs(45);

/// First and longest pause between attempts; the pause doubles.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// The most a server may make us wait by `Retry-After`; a longer wish is cut, the deadline counts anyway.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(30);

/// The largest body read. Lists of a namespace's pods stay far below; an object is at most about 3 MiB.
const BODY_MAX: usize = 64 << 20;

/// Why a request to the API server did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The server answered and said no.
    #[error("cannot {verb} {what}: {}", describe(.status))]
    Refused {
        /// What was to be done, `apply`.
        verb: &'static str,
        /// To what, `deployment/web`.
        what: String,
        /// The server's own answer, with code, reason and causes.
        status: Box<Status>,
    },
    /// The request never got to the server.
    #[error("cannot {verb} {what}: the API server cannot be reached")]
    Unreachable {
        /// What was to be done.
        verb: &'static str,
        /// To what.
        what: String,
        /// The transport's reason.
        #[source]
        source: kube::Error,
    },
    /// The request was sent and no answer came: it may or may not have been carried out.
    #[error("no answer came when asked to {verb} {what} ({why}); it may or may not have been done")]
    Unknown {
        /// What was to be done.
        verb: &'static str,
        /// To what.
        what: String,
        /// What is known.
        why: String,
    },
    /// The answer cannot be read.
    #[error("cannot {verb} {what}: the answer is not what a Kubernetes API server sends ({why})")]
    Malformed {
        /// What was to be done.
        verb: &'static str,
        /// To what.
        what: String,
        /// What is wrong with it.
        why: String,
    },
}

/// The server's message and, for invalid objects, every field it names.
fn describe(status: &Status) -> String {
    let mut text = if status.message.is_empty() { status.reason.clone() } else { status.message.clone() };
    if text.is_empty() {
        text = format!("HTTP status {}", status.code);
    }
    text
}

impl ApiError {
    /// The server's answer, if there was one.
    pub fn status(&self) -> Option<&Status> {
        match self {
            Self::Refused { status, .. } => Some(status),
            Self::Unreachable { .. } | Self::Unknown { .. } | Self::Malformed { .. } => None,
        }
    }

    /// Whether the server answered with this HTTP code.
    pub fn is_code(&self, code: u16) -> bool {
        self.status().is_some_and(|status| status.code == code)
    }

    /// Whether the server answered that it has trouble, which says nothing about what was asked.
    pub fn is_transient(&self) -> bool {
        self.status().is_some_and(|status| matches!(status.code, 429 | 500 | 502..=504))
    }

    /// Whether the server answered with this reason, `AlreadyExists`.
    pub fn is_reason(&self, reason: &str) -> bool {
        self.status().is_some_and(|status| status.reason == reason)
    }
}

/// One request, before it is sent.
pub(crate) struct Call {
    pub(crate) verb: &'static str,
    pub(crate) what: String,
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) content_type: &'static str,
    pub(crate) body: Vec<u8>,
    /// Sending it twice does no harm, so every transient failure is retried.
    pub(crate) repeatable: bool,
    pub(crate) patience: Duration,
}

impl Call {
    pub(crate) fn get(what: impl Into<String>, path: String) -> Self {
        Self {
            verb: "read",
            what: what.into(),
            method: Method::GET,
            path,
            content_type: "application/json",
            body: Vec::new(),
            repeatable: true,
            patience: PATIENCE,
        }
    }

    pub(crate) fn write(
        verb: &'static str,
        what: String,
        method: Method,
        path: String,
        body: &Value,
    ) -> Self {
        Self {
            verb,
            what,
            method,
            path,
            content_type: "application/json",
            body: body.to_string().into_bytes(),
            repeatable: false,
            patience: PATIENCE,
        }
    }

    pub(crate) fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    pub(crate) fn repeatable(mut self) -> Self {
        self.repeatable = true;
        self
    }

    fn unknown(&self, why: impl Into<String>) -> ApiError {
        ApiError::Unknown { verb: self.verb, what: self.what.clone(), why: why.into() }
    }

    fn malformed(&self, why: impl Into<String>) -> ApiError {
        ApiError::Malformed { verb: self.verb, what: self.what.clone(), why: why.into() }
    }

    /// An answer that cannot be read says nothing about whether a write was carried out.
    fn unreadable(&self, why: impl Into<String>) -> ApiError {
        if self.repeatable { self.malformed(why) } else { self.unknown(why) }
    }
}

/// An answer with its body.
pub(crate) struct Answered {
    pub(crate) status: StatusCode,
    pub(crate) json: bool,
    pub(crate) body: Bytes,
}

/// A client that knows its clock.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) client: Client,
    pub(crate) clock: Clock,
    /// Whether the server has accepted these credentials once.
    admitted: Arc<AtomicBool>,
}

/// What to do about a failed attempt.
enum Next {
    Retry { after: Option<Duration>, error: ApiError },
    GiveUp(ApiError),
}

impl Api {
    pub(crate) fn new(client: Client, clock: Clock) -> Self {
        Self { client, clock, admitted: Arc::default() }
    }

    /// Sends a call until it succeeds, is refused, or its patience is over.
    pub(crate) async fn json(&self, call: &Call) -> Result<Value, ApiError> {
        let answered = self.raw(call).await?;
        serde_json::from_slice(&answered.body).map_err(|error| call.unreadable(error.to_string()))
    }

    /// As [`Api::json`], for answers that are text.
    pub(crate) async fn raw(&self, call: &Call) -> Result<Answered, ApiError> {
        let give_up_at = self.clock.now() + call.patience;
        let mut pause = BACKOFF.0;
        loop {
            let left = give_up_at.since(self.clock.now());
            match self.attempt(call, left.min(ATTEMPT)).await {
                Ok(answered) => return Ok(answered),
                Err(Next::GiveUp(error)) => return Err(error),
                Err(Next::Retry { after, error }) => {
                    // `Retry-After: 0` must not become a busy loop.
                    let wait = after.map_or(pause, |after| after.clamp(pause, RETRY_AFTER_MAX));
                    if self.clock.now() + wait >= give_up_at {
                        return Err(error);
                    }
                    tracing::debug!(%error, ?wait, "trying again");
                    tokio::time::sleep(wait).await;
                    pause = (pause * 2).min(BACKOFF.1);
                }
            }
        }
    }

    /// Sends a call once and returns whatever was answered, success or not.
    pub(crate) async fn once(&self, call: &Call) -> Result<Answered, ApiError> {
        match self.send(call).await {
            Ok((answered, _)) => Ok(answered),
            Err(Next::GiveUp(error) | Next::Retry { error, .. }) => Err(error),
        }
    }

    async fn attempt(&self, call: &Call, limit: Duration) -> Result<Answered, Next> {
        let answered = match tokio::time::timeout(limit, self.send(call)).await {
            Ok(answered) => answered?,
            Err(_) => {
                return Err(after_sending(call, call.unknown(format!("waited {} s", limit.as_secs()))));
            }
        };
        let (answered, retry_after) = answered;
        if answered.status.is_success() {
            self.admitted.store(true, Ordering::Relaxed);
            return Ok(answered);
        }
        let status = Box::new(status_of(&answered));
        let error = ApiError::Refused { verb: call.verb, what: call.what.clone(), status };
        Err(match answered.status.as_u16() {
            // Too many requests: refused before any effect, by definition of the API.
            429 => Next::Retry { after: retry_after, error },
            // Credentials that were good before expire and are renewed; nothing is done for who is not known.
            401 if self.admitted.load(Ordering::Relaxed) => Next::Retry { after: None, error },
            code @ (500 | 502 | 503 | 504) if call.repeatable => {
                tracing::debug!(code, "the API server has trouble");
                Next::Retry { after: retry_after, error }
            }
            // Each of them can be a time-out on the way to the store: the write may have been carried out.
            500 | 502..=504 => Next::GiveUp(call.unknown(error.to_string())),
            _ => Next::GiveUp(error),
        })
    }

    async fn send(&self, call: &Call) -> Result<(Answered, Option<Duration>), Next> {
        let request = http::Request::builder()
            .method(call.method.clone())
            .uri(&call.path)
            .header(header::CONTENT_TYPE, call.content_type)
            .header(header::ACCEPT, "application/json, */*")
            .body(Body::from(call.body.clone()))
            .map_err(|error| Next::GiveUp(call.malformed(error.to_string())))?;
        let response = self.client.send(request).await.map_err(|source| {
            if never_sent(&source) {
                let error = ApiError::Unreachable { verb: call.verb, what: call.what.clone(), source };
                if is_hopeless(&error) { Next::GiveUp(error) } else { Next::Retry { after: None, error } }
            } else {
                after_sending(call, call.unknown(chain(&source)))
            }
        })?;
        let status = response.status();
        let headers = response.headers();
        let retry_after = headers
            .get(header::RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.parse().ok())
            .map(Duration::from_secs);
        let json = headers
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| value.starts_with("application/json"));
        let body = Limited::new(response.into_body(), BODY_MAX)
            .collect()
            .await
            .map_err(|error| {
                if error.is::<LengthLimitError>() {
                    let why = format!("it is longer than {} MiB", BODY_MAX >> 20);
                    return Next::GiveUp(call.unreadable(why));
                }
                after_sending(call, call.unknown(error.to_string()))
            })?
            .to_bytes();
        Ok((Answered { status, json, body }, retry_after))
    }
}

fn after_sending(call: &Call, error: ApiError) -> Next {
    if call.repeatable { Next::Retry { after: None, error } } else { Next::GiveUp(error) }
}

/// Whether an error says that no byte of the request left: connecting, TLS, or making up credentials failed.
fn never_sent(error: &kube::Error) -> bool {
    match error {
        kube::Error::Auth(_)
        | kube::Error::BuildRequest(_)
        | kube::Error::HttpError(_)
        | kube::Error::RustlsTls(_)
        | kube::Error::TlsRequired => true,
        other => {
            let mut source: Option<&(dyn std::error::Error + 'static)> = Some(other);
            while let Some(error) = source {
                // Credentials are made up in a layer of their own, whose errors come wrapped.
                if error.is::<kube::client::AuthError>() {
                    return true;
                }
                // hyper-util's connect error is not nameable here; its text and an I/O refusal below it are stable.
                if let Some(io) = error.downcast_ref::<std::io::Error>()
                    && io.kind() == std::io::ErrorKind::ConnectionRefused
                {
                    return true;
                }
                if error.to_string().contains("(Connect)") {
                    return true;
                }
                source = error.source();
            }
            false
        }
    }
}

/// Whether trying again cannot help: certificates and credentials do not heal within a request's patience. Names do: a
/// laptop that changes its network, a resolver that restarts.
fn is_hopeless(error: &ApiError) -> bool {
    match error {
        ApiError::Unreachable {
            source: kube::Error::Auth(_) | kube::Error::RustlsTls(_) | kube::Error::TlsRequired,
            ..
        } => true,
        ApiError::Unreachable { source, .. } => is_auth(source) || chain(source).contains("certificate"),
        ApiError::Refused { .. } | ApiError::Unknown { .. } | ApiError::Malformed { .. } => false,
    }
}

fn is_auth(error: &(dyn std::error::Error + 'static)) -> bool {
    error.is::<kube::client::AuthError>() || error.source().is_some_and(is_auth)
}

/// An error with everything below it, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let next = error.to_string();
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        source = error.source();
    }
    text
}

/// The `Status` of a failed answer; made up from the HTTP status where a proxy answered in the server's place.
pub(crate) fn status_of(answered: &Answered) -> Status {
    if answered.json
        && let Ok(status) = serde_json::from_slice::<Status>(&answered.body)
        && (status.code != 0 || !status.reason.is_empty())
    {
        return status;
    }
    let words: String = String::from_utf8_lossy(&answered.body).chars().take(200).collect();
    Status::failure(words.trim(), answered.status.canonical_reason().unwrap_or_default())
        .with_code(answered.status.as_u16())
}
