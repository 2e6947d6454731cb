//! Refusals as the API server words them: a `Status` object of kind Failure.

use serde_json::{Map, Value, json};

use crate::resource::Resource;

/// One cause inside a refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// The machine-readable reason, as in `FieldValueRequired`.
    pub reason: String,
    /// The words.
    pub message: String,
    /// The field it is about, empty if none.
    pub field: String,
}

impl Cause {
    /// A cause.
    pub fn new(reason: &str, field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { reason: reason.to_owned(), message: message.into(), field: field.into() }
    }

    fn to_value(&self) -> Value {
        let mut map = Map::new();
        let fields = [("reason", &self.reason), ("message", &self.message), ("field", &self.field)];
        for (key, text) in fields.into_iter().filter(|(_, text)| !text.is_empty()) {
            map.insert(key.to_owned(), json!(text));
        }
        Value::Object(map)
    }
}

/// Why the API server refused a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Status {
    /// The HTTP status code.
    pub code: u16,
    /// The machine-readable reason, empty when unknown.
    pub reason: &'static str,
    /// The words.
    pub message: String,
    /// What it is about, and why.
    pub details: Box<Details>,
}

/// What a refusal is about, and why.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Details {
    /// The object's name, empty if it is not about one.
    pub name: String,
    /// The API group of what it is about.
    pub group: String,
    /// The resource or kind of what it is about.
    pub kind: String,
    /// The uid of the object, where it matters.
    pub uid: String,
    /// The causes.
    pub causes: Vec<Cause>,
    /// After how many seconds to ask again.
    pub retry_after_seconds: Option<u32>,
    /// A continue token that goes on where an expired list stopped.
    pub continue_token: String,
}

impl Status {
    /// A refusal without details.
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: Box::default() }
    }

    /// Says what it is about.
    #[must_use]
    pub fn about(mut self, resource: &Resource, name: &str) -> Self {
        self.details.group = resource.group.to_string();
        self.details.kind = resource.plural.to_string();
        name.clone_into(&mut self.details.name);
        self
    }

    /// Adds a cause.
    #[must_use]
    pub fn cause(mut self, cause: Cause) -> Self {
        self.details.causes.push(cause);
        self
    }

    /// 400.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// 404 for one object.
    pub fn not_found(resource: &Resource, name: &str) -> Self {
        Self::new(404, "NotFound", format!("{resource} \"{name}\" not found")).about(resource, name)
    }

    /// 404 for a path nobody serves.
    pub fn no_such_path() -> Self {
        let message = "the server could not find the requested resource";
        Self::new(404, "NotFound", message)
    }

    /// 409 for a name that is taken.
    pub fn already_exists(resource: &Resource, name: &str) -> Self {
        let message = format!("{resource} \"{name}\" already exists");
        Self::new(409, "AlreadyExists", message).about(resource, name)
    }

    /// 409 for a write based on another version.
    pub fn conflict(resource: &Resource, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {resource} \"{name}\": {why}");
        Self::new(409, "Conflict", message).about(resource, name)
    }

    /// 409 for a write based on an older version.
    pub fn modified(resource: &Resource, name: &str) -> Self {
        let why =
            "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(resource, name, why)
    }

    /// 403 by admission.
    pub fn forbidden(resource: &Resource, name: &str, why: &str) -> Self {
        let message = format!("{resource} \"{name}\" is forbidden: {why}");
        Self::new(403, "Forbidden", message).about(resource, name)
    }

    /// 422 for an object whose fields do not pass.
    pub fn invalid(group: &str, kind: &str, name: &str, causes: Vec<Cause>) -> Self {
        let what = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
        let mut lines: Vec<_> = causes.iter().map(|c| format!("{}: {}", c.field, c.message)).collect();
        lines.dedup();
        let list = match lines.len() {
            0 => String::new(),
            1 => format!(": {}", lines[0]),
            _ => format!(": [{}]", lines.join(", ")),
        };
        let mut status = Self::new(422, "Invalid", format!("{what} \"{name}\" is invalid{list}"));
        group.clone_into(&mut status.details.group);
        kind.clone_into(&mut status.details.kind);
        name.clone_into(&mut status.details.name);
        status.details.causes = causes;
        status
    }

    /// 410 for a revision that history no longer reaches.
    pub fn expired(asked: u64, oldest: u64) -> Self {
        Self::new(410, "Expired", format!("too old resource version: {asked} ({oldest})"))
    }

    /// 504 for a revision that is not there yet.
    pub fn too_large_revision(asked: u64, current: u64) -> Self {
        let message = format!("Timeout: Too large resource version: {asked}, current: {current}");
        let cause = Cause::new("ResourceVersionTooLarge", "", "Too large resource version");
        let mut status = Self::new(504, "Timeout", message).cause(cause);
        status.details.retry_after_seconds = Some(1);
        status
    }

    /// 500 for a resource version that is no number.
    pub(crate) fn bad_revision(text: &str) -> Self {
        let why = format!("strconv.ParseUint: parsing {text:?}: invalid syntax");
        Self::internal(format!("resourceVersion: Invalid value: {text:?}: {why}"))
    }

    /// 405.
    pub fn method_not_allowed() -> Self {
        Self::new(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
    }

    /// 500 without a known reason.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(500, "", message)
    }

    /// The object on the wire.
    pub fn to_value(&self) -> Value {
        let mut map = Map::new();
        for (key, text) in [("kind", "Status"), ("apiVersion", "v1"), ("status", "Failure")] {
            map.insert(key.to_owned(), json!(text));
        }
        let mut metadata = Map::new();
        if !self.details.continue_token.is_empty() {
            metadata.insert("continue".to_owned(), json!(self.details.continue_token));
        }
        map.insert("metadata".to_owned(), Value::Object(metadata));
        map.insert("message".to_owned(), json!(self.message));
        if !self.reason.is_empty() {
            map.insert("reason".to_owned(), json!(self.reason));
        }
        let details = self.details.to_map();
        if !details.is_empty() || matches!(self.reason, "NotFound" | "MethodNotAllowed" | "Invalid") {
            map.insert("details".to_owned(), Value::Object(details));
        }
        map.insert("code".to_owned(), json!(self.code));
        Value::Object(map)
    }
}

impl Details {
    fn to_map(&self) -> Map<String, Value> {
        let mut details = Map::new();
        let texts = [("name", &self.name), ("group", &self.group), ("kind", &self.kind), ("uid", &self.uid)];
        for (key, text) in texts.into_iter().filter(|(_, text)| !text.is_empty()) {
            details.insert(key.to_owned(), json!(text));
        }
        if !self.causes.is_empty() {
            details.insert("causes".to_owned(), self.causes.iter().map(Cause::to_value).collect());
        }
        if let Some(seconds) = self.retry_after_seconds {
            details.insert("retryAfterSeconds".to_owned(), json!(seconds));
        }
        details
    }
}
