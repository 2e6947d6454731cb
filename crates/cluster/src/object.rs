//! Objects, one at a time: read, apply, try, delete.

use http::Method;
use release_core::{Cause, CauseKind, Certainty, Evidence, ObjectRef};
use serde_json::{Value, json};

use crate::api::{Api, ApiError, Call};
use crate::kind;

/// The name under which this project owns fields in server-side apply.
pub const FIELD_MANAGER: &str = "release";

/// Whether fields another manager owns are taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Conflicts {
    /// A conflict is an error that names the other manager.
    #[default]
    Refuse,
    /// Ownership is taken.
    Force,
}

/// Whether a write is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Write,
    DryRun,
}

impl Api {
    /// The object, or `None` when there is none.
    pub(crate) async fn get(&self, object: &ObjectRef) -> Result<Option<Value>, ApiError> {
        found(self.json(&Call::get(object.to_string(), kind::path(object))).await)
    }

    /// Objects of a kind with these labels.
    pub(crate) async fn list(
        &self,
        api_version: &str,
        kind: &str,
        namespace: &str,
        labels: &str,
    ) -> Result<Vec<Value>, ApiError> {
        let path = kind::collection(api_version, kind, Some(namespace));
        let labels: String = url_encode(labels);
        let what = format!("{} in namespace {namespace}", kind::plural(kind));
        let mut list = self.json(&Call::get(what, format!("{path}?labelSelector={labels}"))).await?;
        Ok(match list["items"].take() {
            Value::Array(items) => items,
            _ => Vec::new(),
        })
    }

    /// Server-side apply. The answer is the object as the server has it now (or would have it).
    pub(crate) async fn apply(
        &self,
        object: &ObjectRef,
        body: &Value,
        mode: Mode,
        conflicts: Conflicts,
    ) -> Result<Value, ApiError> {
        let force = conflicts == Conflicts::Force;
        let dry = if mode == Mode::DryRun { "&dryRun=All" } else { "" };
        let path = format!("{}?fieldManager={FIELD_MANAGER}&force={force}{dry}", kind::path(object));
        let mut call = Call::write("apply", object.to_string(), Method::PATCH, path, body);
        call.content_type = "application/apply-patch+yaml";
        if mode == Mode::DryRun {
            call = call.repeatable();
        }
        self.json(&call).await
    }

    /// Creates an object that must not exist yet.
    pub(crate) async fn create(&self, object: &ObjectRef, body: &Value) -> Result<Value, ApiError> {
        let path = kind::collection(&object.api_version, &object.kind, object.namespace.as_deref());
        let path = format!("{path}?fieldManager={FIELD_MANAGER}");
        self.json(&Call::write("create", object.to_string(), Method::POST, path, body)).await
    }

    /// Replaces an object whose `resourceVersion` must still be the one in `body`.
    pub(crate) async fn replace(&self, object: &ObjectRef, body: &Value) -> Result<Value, ApiError> {
        let path = format!("{}?fieldManager={FIELD_MANAGER}", kind::path(object));
        self.json(&Call::write("update", object.to_string(), Method::PUT, path, body)).await
    }

    /// Deletes an object and, in the background, what it owns. `false` when there was none.
    pub(crate) async fn delete(&self, object: &ObjectRef) -> Result<bool, ApiError> {
        let body = json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"});
        let call =
            Call::write("delete", object.to_string(), Method::DELETE, kind::path(object), &body).repeatable();
        Ok(found(self.json(&call).await)?.is_some())
    }
}

/// An answer that may be "there is none".
fn found(answer: Result<Value, ApiError>) -> Result<Option<Value>, ApiError> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_code(404) && error.is_reason("NotFound") => Ok(None),
        Err(error) => Err(error),
    }
}

fn url_encode(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(byte as char);
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

/// Whether the live object has everything `applied` (the answer to a dry run of an apply) would have: then applying
/// changes nothing. Bookkeeping of the server and status do not count.
pub(crate) fn same_content(live: &Value, applied: &Value) -> bool {
    fn content(object: &Value) -> Value {
        let mut object = object.clone();
        if let Some(map) = object.as_object_mut() {
            map.remove("status");
        }
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            for key in
                ["managedFields", "resourceVersion", "generation", "creationTimestamp", "uid", "selfLink"]
            {
                metadata.remove(key);
            }
        }
        object
    }
    content(live) == content(applied)
}

/// What the API server says when not itself but admission refuses. Its codes and reasons are the same for both.
const ADMISSION: &[&str] =
    &["admission webhook", "failed calling webhook", "ValidatingAdmissionPolicy", "violates PodSecurity"];

/// A refusal of the API server as a cause: what was refused, and the server's words.
pub(crate) fn refusal(object: &ObjectRef, error: &ApiError) -> Cause {
    let kind = match error {
        ApiError::Refused { status, .. } => {
            let message = status.message.as_str();
            if message.contains("exceeded quota") {
                CauseKind::Quota
            } else if ADMISSION.iter().any(|words| message.contains(words)) {
                CauseKind::Admission
            } else {
                CauseKind::Refused
            }
        }
        ApiError::Unreachable { .. } | ApiError::Unknown { .. } => CauseKind::Unreachable,
        ApiError::Malformed { .. } => CauseKind::Refused,
    };
    let evidence = Evidence {
        source: "API server".to_owned(),
        object: object.clone(),
        reason: error.status().map(|status| status.reason.clone()).filter(|reason| !reason.is_empty()),
        message: error.status().map_or_else(|| error.to_string(), |status| status.message.clone()),
        at: None,
    };
    Cause {
        kind,
        certainty: Certainty::Terminal,
        object: object.clone(),
        summary: crate::api::chain(error),
        evidence: vec![evidence],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bookkeeping_is_not_content() {
        let live = json!({"metadata": {"name": "a", "resourceVersion": "5", "generation": 2, "managedFields": [1]},
            "spec": {"replicas": 3}, "status": {"replicas": 3}});
        let same = json!({"metadata": {"name": "a", "resourceVersion": "6", "generation": 3}, "spec": {"replicas": 3}});
        let other = json!({"metadata": {"name": "a"}, "spec": {"replicas": 4}});
        assert!(same_content(&live, &same));
        assert!(!same_content(&live, &other));
    }
}
