//! A request whose body is still coming, and what will be done with it.

use bytes::BytesMut;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderMap, Method, Response};
use release_core::MonoTime;

use super::answer::{Answer, Dropped, text};
use super::content::Content;
use super::digest::Digest;
use super::route::{Params, Reference};

/// What the head of a request leads to.
#[derive(Debug)]
pub enum Begun {
    /// The answer; whatever the body is, nobody reads it.
    Answered(Answer),
    /// The connection closes.
    Dropped(Dropped),
    /// The body is wanted: hand it to [`Registry::piece`](super::Registry::piece), then call
    /// [`Registry::finish`](super::Registry::finish), or [`Registry::abandon`](super::Registry::abandon) if the client is gone.
    Wants(Exchange),
}

/// A request whose body is still coming.
#[derive(Debug)]
pub struct Exchange {
    pub(super) about: About,
    pub(super) plan: Plan,
    pub(super) received: u64,
    pub(super) breaks_at: Option<u64>,
    /// The answer, if it is clear before the body has ended.
    pub(super) decided: Option<Box<Response<Content>>>,
}

impl Exchange {
    /// Whether the answer is clear whatever else comes.
    pub fn is_decided(&self) -> bool {
        self.decided.is_some()
    }
}

/// What the trace and the faults need to know of a request.
#[derive(Debug, Clone)]
pub(super) struct About {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) credentials: bool,
    pub(super) repository: String,
    pub(super) reference: String,
}

/// What will be done with a body.
#[derive(Debug)]
pub(super) enum Plan {
    /// It belongs to an upload.
    Append(Append),
    /// It is a manifest.
    Manifest(ManifestPush),
    /// It is a form for the token service.
    Token { body: BytesMut },
    /// Nothing: the connection broke.
    Nothing,
}

/// Bytes for an upload.
#[derive(Debug)]
pub(super) struct Append {
    pub(super) repository: String,
    pub(super) id: String,
    /// How many bytes were announced.
    pub(super) announced: Option<u64>,
    /// Whether they are forgotten instead.
    pub(super) forgets: bool,
    /// The digest of the blob, if this ends the upload.
    pub(super) closes: Option<Digest>,
    /// The address to answer with.
    pub(super) base: String,
}

/// A manifest that arrives.
#[derive(Debug)]
pub(super) struct ManifestPush {
    pub(super) repository: String,
    pub(super) reference: Reference,
    pub(super) tags: Vec<String>,
    pub(super) media_type: Option<String>,
    pub(super) body: BytesMut,
    pub(super) base: String,
}

/// The head of a request, as the parts of the registry see it.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) method: &'a Method,
    pub(super) path: &'a str,
    pub(super) headers: &'a HeaderMap,
    pub(super) params: Params,
    pub(super) now: MonoTime,
    /// `http://HOST`, as the client calls us.
    pub(super) base: String,
}

impl<'a> Call<'a> {
    pub(super) fn new(head: &'a Parts, now: MonoTime) -> Self {
        let host = head.uri.authority().map(http::uri::Authority::as_str);
        let host = host.or_else(|| text(&head.headers, &HOST)).unwrap_or("localhost");
        Self {
            method: &head.method,
            path: head.uri.path(),
            headers: &head.headers,
            params: Params::parse(head.uri.query().unwrap_or_default().as_bytes()),
            now,
            base: format!("http://{host}"),
        }
    }

    pub(super) fn length(&self) -> Option<u64> {
        text(self.headers, &CONTENT_LENGTH)?.parse().ok()
    }

    /// Whether there is a body with anything in it, as far as the head tells.
    pub(super) fn has_body(&self) -> bool {
        self.length().map_or_else(|| self.headers.contains_key(TRANSFER_ENCODING), |length| length > 0)
    }

    /// The scheme (in small letters) and the rest of `Authorization`.
    pub(super) fn authorization(&self) -> Option<(String, &str)> {
        let (scheme, rest) = text(self.headers, &AUTHORIZATION)?.split_once(' ')?;
        Some((scheme.to_ascii_lowercase(), rest.trim()))
    }
}
