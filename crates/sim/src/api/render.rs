//! Objects and lists on their way out: whole, as metadata only, or as tables.

use std::sync::Arc;

use http::HeaderMap;
use jiff::Timestamp;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Value, json};

use super::path::Place;
use super::{Answer, convert, table};
use crate::object::{Metadata, Object};

/// The form in which somebody wants objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Whole,
    Metadata,
    Table,
}

impl Form {
    /// The first form of an `Accept` header that there is. What cannot be given (protobuf) falls back to JSON.
    pub(super) fn read(headers: &HeaderMap) -> Self {
        let accept = headers.get(http::header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or_default();
        for part in accept.split(',') {
            let mut words = part.split(';').map(str::trim);
            let kind = words.next().unwrap_or_default();
            if kind.contains("protobuf") || kind.contains("cbor") {
                continue;
            }
            let form = words.find_map(|w| w.strip_prefix("as="));
            return match form {
                Some("Table") => Form::Table,
                Some("PartialObjectMetadata" | "PartialObjectMetadataList") => Form::Metadata,
                _ => Form::Whole,
            };
        }
        Form::Whole
    }
}

/// An object inside an answer.
pub(super) struct Item<'a> {
    pub(super) object: &'a Object,
    pub(super) place: &'a Place,
    /// Whether it says what kind it is; items of lists of built-in kinds do not.
    pub(super) typed: bool,
    pub(super) form: Form,
}

impl Serialize for Item<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.form == Form::Metadata {
            let mut map = serializer.serialize_map(None)?;
            map.serialize_entry("kind", "PartialObjectMetadata")?;
            map.serialize_entry("apiVersion", "meta.k8s.io/v1")?;
            map.serialize_entry("metadata", &Metadata(self.object))?;
            return map.end();
        }
        if self.place.is_view() {
            let mut value = self.object.to_value();
            convert::from_stored(self.place, &mut value);
            if let (false, Some(map)) = (self.typed, value.as_object_mut()) {
                map.remove("apiVersion");
                map.remove("kind");
            }
            return value.serialize(serializer);
        }
        if self.typed {
            return self.object.serialize(serializer);
        }
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("metadata", &Metadata(self.object))?;
        for (key, value) in self.object.sections().filter(|(key, _)| *key != "metadata") {
            map.serialize_entry(key, &**value)?;
        }
        map.end()
    }
}

/// One object as an answer.
pub(super) fn object(place: &Place, form: Form, now: Timestamp, code: u16, object: &Object) -> Answer {
    if form == Form::Table {
        let table = table::table(place, now, std::slice::from_ref(&object), &json!({}), true, true);
        return Answer::value(code, &table);
    }
    let item = Item { object, place, typed: true, form };
    Answer::json(code, serde_json::to_vec(&item).unwrap_or_default())
}

/// A list as an answer.
pub(super) struct List<'a> {
    pub(super) place: &'a Place,
    pub(super) form: Form,
    pub(super) metadata: Value,
    pub(super) items: &'a [Arc<Object>],
}

impl Serialize for List<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(4))?;
        if self.form == Form::Metadata {
            map.serialize_entry("kind", "PartialObjectMetadataList")?;
            map.serialize_entry("apiVersion", "meta.k8s.io/v1")?;
        } else {
            map.serialize_entry("kind", &format!("{}List", self.place.kind.kind))?;
            map.serialize_entry("apiVersion", &self.place.api_version())?;
        }
        map.serialize_entry("metadata", &self.metadata)?;
        map.serialize_entry("items", &Items(self))?;
        map.end()
    }
}

struct Items<'a>(&'a List<'a>);

impl Serialize for Items<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let List { place, form, items, .. } = self.0;
        serializer.collect_seq(items.iter().map(|object| Item {
            object,
            place,
            typed: place.kind.custom,
            form: *form,
        }))
    }
}
