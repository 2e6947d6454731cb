//! One request of a script, in words that mean the same to both servers.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One request. Texts may contain `{ns}`, the script's namespace, and the placeholders of the memory of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    /// As in `GET`; `WATCH` reads the events of a second.
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// The content type of the body, JSON if empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub content_type: String,
    /// Who asks: the client's name.
    pub agent: String,
    /// What is sent.
    #[serde(default, skip_serializing_if = "Body::is_nothing")]
    pub body: Body,
}

/// What a request carries.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Body {
    /// Nothing.
    #[default]
    Nothing,
    /// A value.
    Value(Value),
    /// The object at this path as the server last showed it, with some fields set, or removed where the value is null.
    Last {
        /// The path of the object, as it stands in requests.
        object: String,
        /// JSON pointers and what is put there.
        edits: Vec<(String, Value)>,
    },
}

impl Body {
    /// Whether a value has this field.
    pub(super) fn says(&self, field: &str) -> bool {
        matches!(self, Body::Value(value) if value.get(field).is_some())
    }

    fn is_nothing(&self) -> bool {
        *self == Body::Nothing
    }
}

impl Operation {
    /// Whether it reads events.
    pub fn is_watch(&self) -> bool {
        self.method == "WATCH"
    }
}
