//! What goes back to the client: an answer, or a refusal with the specification's error codes.

use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Response, StatusCode};
use serde_json::{Value, json};

use super::content::Content;

pub(super) const DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
pub(super) const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");

/// An answer, and how much of it arrives.
#[derive(Debug)]
pub struct Answer {
    /// The status, the headers and the whole body. `Content-Length` is always set.
    pub response: Response<Content>,
    /// After how many bytes of the body the connection breaks, if it does.
    pub breaks_after: Option<u64>,
}

impl Answer {
    /// The status.
    pub fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// The text of one header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }

    /// The body as far as it arrives.
    pub fn body(&self) -> Content {
        let body = self.response.body();
        self.breaks_after.map_or_else(|| body.clone(), |end| body.slice(0..end))
    }
}

impl From<Response<Content>> for Answer {
    fn from(response: Response<Content>) -> Self {
        Self { response, breaks_after: None }
    }
}

/// The connection was closed without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the connection was closed without an answer")]
pub struct Dropped;

/// An answer that is being put together.
pub(super) struct Draft(Response<Content>);

impl Draft {
    pub(super) fn new(status: StatusCode) -> Self {
        let mut response = Response::new(Content::default());
        *response.status_mut() = status;
        response.headers_mut().insert(API_VERSION, HeaderValue::from_static("registry/2.0"));
        // A 204 has no body, and must not say how long it is.
        if status != StatusCode::NO_CONTENT {
            response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        Self(response)
    }

    /// Sets a header. A value that no header can have is left out.
    pub(super) fn header(mut self, name: HeaderName, value: impl AsRef<str>) -> Self {
        if let Ok(value) = HeaderValue::from_str(value.as_ref()) {
            self.0.headers_mut().insert(name, value);
        }
        self
    }

    /// Sets a header to a number.
    pub(super) fn number(self, name: HeaderName, value: u64) -> Self {
        self.header(name, value.to_string())
    }

    pub(super) fn body(mut self, media_type: &str, body: impl Into<Content>) -> Response<Content> {
        let body = body.into();
        self = self.header(CONTENT_TYPE, media_type).number(CONTENT_LENGTH, body.len());
        self.0.map(|_| body)
    }

    pub(super) fn json(self, media_type: &str, body: &Value) -> Response<Content> {
        self.body(media_type, body.to_string().into_bytes())
    }

    pub(super) fn empty(self) -> Response<Content> {
        self.0
    }
}

/// The specification's error codes, with the two that registries have added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    BlobUnknown,
    BlobUploadInvalid,
    BlobUploadUnknown,
    DigestInvalid,
    ManifestBlobUnknown,
    ManifestInvalid,
    ManifestUnknown,
    NameInvalid,
    NameUnknown,
    SizeInvalid,
    TagInvalid,
    Unauthorized,
    Denied,
    Unsupported,
    TooManyRequests,
    PaginationNumberInvalid,
}

impl Code {
    fn text(self) -> (&'static str, &'static str) {
        match self {
            Self::BlobUnknown => ("BLOB_UNKNOWN", "this repository has no such blob"),
            Self::BlobUploadInvalid => ("BLOB_UPLOAD_INVALID", "this upload cannot go on"),
            Self::BlobUploadUnknown => ("BLOB_UPLOAD_UNKNOWN", "there is no such upload"),
            Self::DigestInvalid => ("DIGEST_INVALID", "the digest is not that of the content"),
            Self::ManifestBlobUnknown => ("MANIFEST_BLOB_UNKNOWN", "the manifest names what is not here"),
            Self::ManifestInvalid => ("MANIFEST_INVALID", "the manifest makes no sense"),
            Self::ManifestUnknown => ("MANIFEST_UNKNOWN", "this repository has no such manifest"),
            Self::NameInvalid => ("NAME_INVALID", "no repository can have this name"),
            Self::NameUnknown => ("NAME_UNKNOWN", "there is no such repository"),
            Self::SizeInvalid => ("SIZE_INVALID", "the length is not that of the content"),
            Self::TagInvalid => ("TAG_INVALID", "no tag can have this name"),
            Self::Unauthorized => ("UNAUTHORIZED", "who are you?"),
            Self::Denied => ("DENIED", "you may not do this"),
            Self::Unsupported => ("UNSUPPORTED", "this registry does not do this"),
            Self::TooManyRequests => ("TOOMANYREQUESTS", "too many requests"),
            Self::PaginationNumberInvalid => ("PAGINATION_NUMBER_INVALID", "n is not a number"),
        }
    }

    /// The status that usually goes with it.
    fn status(self) -> StatusCode {
        match self {
            Self::BlobUnknown
            | Self::BlobUploadUnknown
            | Self::ManifestUnknown
            | Self::ManifestBlobUnknown
            | Self::NameUnknown => StatusCode::NOT_FOUND,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Denied => StatusCode::FORBIDDEN,
            Self::Unsupported => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
            Self::BlobUploadInvalid
            | Self::DigestInvalid
            | Self::ManifestInvalid
            | Self::NameInvalid
            | Self::SizeInvalid
            | Self::TagInvalid
            | Self::PaginationNumberInvalid => StatusCode::BAD_REQUEST,
        }
    }
}

/// A request that is not done, and why.
#[derive(Debug)]
pub(super) struct Refusal(Box<Refused>);

#[derive(Debug)]
struct Refused {
    code: Code,
    status: StatusCode,
    message: Option<String>,
    details: Vec<Value>,
    headers: Vec<(HeaderName, String)>,
}

/// What every part of the registry gives back.
pub(super) type Reply = Result<Response<Content>, Refusal>;

impl Refusal {
    pub(super) fn new(code: Code) -> Self {
        Self(Box::new(Refused {
            code,
            status: code.status(),
            message: None,
            details: Vec::new(),
            headers: Vec::new(),
        }))
    }

    pub(super) fn status(mut self, status: StatusCode) -> Self {
        self.0.status = status;
        self
    }

    pub(super) fn says(mut self, message: impl Into<String>) -> Self {
        self.0.message = Some(message.into());
        self
    }

    /// Adds an error with this detail; several are as many errors.
    pub(super) fn detail(mut self, detail: Value) -> Self {
        self.0.details.push(detail);
        self
    }

    pub(super) fn header(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.0.headers.push((name, value.into()));
        self
    }

    pub(super) fn into_response(self) -> Response<Content> {
        let Refused { code, status, message, details, headers } = *self.0;
        let (code, usual) = code.text();
        let message = message.as_deref().unwrap_or(usual);
        let errors: Vec<Value> = if details.is_empty() {
            vec![json!({ "code": code, "message": message })]
        } else {
            let one = |detail: &Value| json!({ "code": code, "message": message, "detail": detail });
            details.iter().map(one).collect()
        };
        let draft =
            headers.into_iter().fold(Draft::new(status), |draft, (name, value)| draft.header(name, value));
        draft.json("application/json", &json!({ "errors": errors }))
    }
}

/// The text of a header, if it is there and is text.
pub(super) fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
