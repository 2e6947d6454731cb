//! HTTP without a network: one request in, one answer or the start of a watch out. Pure; `now` is a parameter.
//!
//! Everything that is asked over HTTP goes through [`respond`]. What only a node can answer (logs, proxied requests) is
//! asked of the [`Model`].

mod body;
mod convert;
mod discovery;
mod list;
mod objects;
mod openapi;
mod patching;
mod path;
mod protobuf;
mod query;
mod render;
mod replica;
mod review;
mod scale;
mod subresource;
mod table;
mod watch;

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use jiff::Timestamp;
use serde_json::Value;

pub(crate) use replica::WAITS_FOR_CACHE;
pub use replica::{Behind, Replica};
pub use subresource::{LogQuery, Proxied, ProxyTarget};
pub use watch::Watch;

use crate::faults::Meddling;
use crate::server::ApiServer;
use crate::status::Status;

/// The largest body that is read: what a real API server takes.
pub const MAX_BODY: usize = 3 * 1024 * 1024;

/// What stands behind the API: the server, and perhaps controllers and nodes.
pub trait Model: Send + 'static {
    /// The API server.
    fn server(&self) -> &ApiServer;

    /// The API server, for writing.
    fn server_mut(&mut self) -> &mut ApiServer;

    /// Lets everything happen that happens until `now`, and says when something happens next.
    fn advance(&mut self, now: Timestamp) -> Option<Timestamp> {
        let _ = now;
        None
    }

    /// What faults do to a request that arrives now.
    fn meddle(&mut self, now: Timestamp, parts: &http::request::Parts) -> Meddling {
        let _ = (now, parts);
        Meddling::default()
    }

    /// A request was carried out.
    fn answered(&mut self, now: Timestamp) {
        let _ = now;
    }

    /// What a container wrote.
    ///
    /// # Errors
    ///
    /// When there is no such container, or nothing that could run it.
    fn log(&mut self, now: Timestamp, query: &LogQuery) -> Result<Bytes, Status> {
        let _ = now;
        let message = format!("pod {} does not have a host assigned", query.pod);
        Err(Status::bad_request(message))
    }

    /// A request to a pod or service, through the API server's proxy.
    ///
    /// # Errors
    ///
    /// When nothing is there that could answer.
    fn proxy(
        &mut self,
        now: Timestamp,
        target: &ProxyTarget,
        request: http::Request<Bytes>,
    ) -> Result<Proxied, Status> {
        let _ = (now, request);
        let message = format!("no endpoints available for service {:?}", target.name);
        Err(Status::new(503, "ServiceUnavailable", message))
    }
}

impl Model for ApiServer {
    fn server(&self) -> &ApiServer {
        self
    }

    fn server_mut(&mut self) -> &mut ApiServer {
        self
    }
}

/// One request.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// As in `GET`.
    pub method: &'a Method,
    /// The path without the query, as it was sent.
    pub path: &'a str,
    /// The query without its question mark.
    pub query: &'a str,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The body.
    pub body: &'a Bytes,
}

/// One whole answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status code.
    pub status: StatusCode,
    /// As in `application/json`.
    pub content_type: &'static str,
    /// The texts of `Warning` headers, as they stand there.
    pub warnings: Vec<String>,
    /// The number of a `Retry-After` header.
    pub retry_after_seconds: Option<u32>,
    /// Other headers, of a proxied answer.
    pub headers: HeaderMap,
    /// How long the answer takes to arrive; only proxied ones and those that wait for a cache take time.
    pub after: Duration,
    /// The body.
    pub body: Bytes,
}

/// What becomes of a request.
#[derive(Debug)]
pub enum Reply {
    /// An answer.
    Answer(Answer),
    /// A stream of events.
    Watch(Box<Watch>),
}

impl Answer {
    pub(crate) fn json(code: u16, body: Vec<u8>) -> Self {
        Self {
            status: StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            content_type: "application/json",
            warnings: Vec::new(),
            retry_after_seconds: None,
            headers: HeaderMap::new(),
            after: Duration::ZERO,
            body: Bytes::from(body),
        }
    }

    pub(crate) fn value(code: u16, value: &Value) -> Self {
        Self::json(code, value.to_string().into_bytes())
    }

    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self { content_type: "text/plain", ..Self::json(200, text.into().into_bytes()) }
    }
}

impl From<Status> for Answer {
    fn from(status: Status) -> Self {
        let mut answer = Self::value(status.code, &status.to_value());
        answer.retry_after_seconds = status.details.retry_after_seconds;
        answer
    }
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Self {
        Reply::Answer(answer)
    }
}

/// Carries a request out at once. What is written is written when this returns, whoever waits for the answer.
pub fn respond<M: Model + ?Sized>(model: &mut M, now: Timestamp, request: Request<'_>) -> Reply {
    respond_as(model, now, request, Replica::default())
}

/// As [`respond`], by one of several API servers.
pub fn respond_as<M: Model + ?Sized>(
    model: &mut M,
    now: Timestamp,
    request: Request<'_>,
    replica: Replica,
) -> Reply {
    match route(model, now, request, replica) {
        Ok(reply) => reply,
        Err(status) => Answer::from(status).into(),
    }
}

fn route<M: Model + ?Sized>(
    model: &mut M,
    now: Timestamp,
    request: Request<'_>,
    replica: Replica,
) -> Result<Reply, Status> {
    if request.body.len() > MAX_BODY {
        return Err(too_large());
    }
    let path = request.path.trim_end_matches('/');
    let parts: Vec<String> = path.split('/').skip(1).map(query::decode).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    match parts[..] {
        ["healthz" | "livez" | "readyz", ..] => Ok(Answer::text("ok").into()),
        ["version"] => Ok(discovery::version(model.server().profile()).into()),
        ["openapi", "v2"] => Ok(openapi::v2(model.server(), request.headers).into()),
        ["openapi", "v3"] => Ok(openapi::v3_index(model.server()).into()),
        ["openapi", "v3", "api", version] => openapi::v3(model.server(), "", version).map(Reply::from),
        ["openapi", "v3", "apis", group, version] => {
            openapi::v3(model.server(), group, version).map(Reply::from)
        }
        ["api"] => Ok(discovery::core(model.server(), request.headers).into()),
        ["apis"] => Ok(discovery::groups(model.server(), request.headers).into()),
        ["api", version, ..] if !is_served(model.server(), "", version) => Ok(page_not_found().into()),
        ["apis", group, ref rest @ ..]
            if !is_served(model.server(), group, rest.first().copied().unwrap_or_default()) =>
        {
            Ok(page_not_found().into())
        }
        ["apis", group] => discovery::group(model.server(), group).map(Reply::from),
        ["api", version] => discovery::resources(model.server(), "", version).map(Reply::from),
        ["apis", group, version] => discovery::resources(model.server(), group, version).map(Reply::from),
        ["api", version, ref rest @ ..] => objects::serve(model, now, request, replica, ("", version, rest)),
        ["apis", group, version, ref rest @ ..] => {
            objects::serve(model, now, request, replica, (group, version, rest))
        }
        [""] | [] => Ok(discovery::paths(model.server()).into()),
        _ => Ok(Answer { status: StatusCode::NOT_FOUND, ..discovery::paths(model.server()) }.into()),
    }
}

/// What is said to who sends more than [`MAX_BODY`].
pub(crate) fn too_large() -> Status {
    Status::new(413, "RequestEntityTooLarge", format!("Request entity too large: limit is {MAX_BODY}"))
}

/// What is said where nothing at all is served.
fn page_not_found() -> Answer {
    Answer { status: StatusCode::NOT_FOUND, ..Answer::text("404 page not found\n") }
}

/// Whether a group is served in that version.
fn is_served(server: &ApiServer, group: &str, version: &str) -> bool {
    server
        .kinds()
        .iter()
        .any(|k| k.resource.group == group && (version.is_empty() || k.served(version).is_some()))
}
