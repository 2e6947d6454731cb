//! A stored object: an API object cut into its top-level sections, each shared. A write of the status shares spec
//! and metadata with the version before it, so that a long history of a pod costs little more than its statuses.

use std::borrow::Cow;
use std::ops::Index;
use std::sync::Arc;

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value, json};

use crate::kind::Kind;
use crate::resource::Resource;

/// What an absent field reads as.
static NULL: Value = Value::Null;

/// The names of sections nearly every object has; they cost no memory.
const COMMON: &[&str] = &[
    "metadata",
    "spec",
    "status",
    "data",
    "binaryData",
    "type",
    "immutable",
    "rules",
    "roleRef",
    "subjects",
    "secrets",
    "subsets",
    "endpoints",
    "ports",
    "addressType",
    "involvedObject",
    "reason",
    "message",
    "source",
    "firstTimestamp",
    "lastTimestamp",
    "count",
    "eventTime",
    "reportingComponent",
    "reportingInstance",
    "revision",
    "provisioner",
    "value",
    "webhooks",
    "automountServiceAccountToken",
    "imagePullSecrets",
];

/// One version of one object, immutable.
///
/// Reading is by section: `object["spec"]["replicas"]`, Null where there is nothing. The section `metadata` is
/// without `resourceVersion` and `managedFields`, which have methods of their own.
#[derive(Debug, Clone)]
pub struct Object {
    pub(crate) kind: Arc<Kind>,
    pub(crate) revision: u64,
    pub(crate) namespace: Arc<str>,
    pub(crate) name: Arc<str>,
    pub(crate) uid: Arc<str>,
    pub(crate) managed: Option<Arc<Value>>,
    sections: Vec<(Cow<'static, str>, Arc<Value>)>,
}

impl Object {
    /// Takes a whole object apart. What it says of its own revision is not believed.
    pub(crate) fn new(kind: Arc<Kind>, value: Value) -> Self {
        let Value::Object(mut map) = value else { unreachable!("objects are checked to be maps before") };
        let mut metadata = match map.remove("metadata") {
            Some(Value::Object(metadata)) => metadata,
            _ => Map::new(),
        };
        metadata.remove("resourceVersion");
        let managed =
            metadata.remove("managedFields").filter(|m| m.as_array().is_some_and(|m| !m.is_empty()));
        let text = |field: &str| Arc::from(metadata.get(field).and_then(Value::as_str).unwrap_or_default());
        let (namespace, name, uid) = (text("namespace"), text("name"), text("uid"));
        map.remove("apiVersion");
        map.remove("kind");
        map.insert("metadata".to_owned(), Value::Object(metadata));
        let mut sections: Vec<_> =
            map.into_iter().map(|(key, value)| (section_name(key), Arc::new(value))).collect();
        sections.sort_by(|a, b| a.0.cmp(&b.0));
        sections.shrink_to_fit();
        Self { kind, revision: 0, namespace, name, uid, managed: managed.map(Arc::new), sections }
    }

    /// What the object is.
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// The collection it lives in.
    pub fn resource(&self) -> &Resource {
        &self.kind.resource
    }

    /// Its namespace, empty for a cluster-scoped object.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its uid.
    pub fn uid(&self) -> &str {
        &self.uid
    }

    /// The revision that wrote this version: `metadata.resourceVersion` as a number.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// `metadata.generation`, zero where the kind has none.
    pub fn generation(&self) -> i64 {
        self["metadata"]["generation"].as_i64().unwrap_or(0)
    }

    /// `metadata.managedFields`, Null when nothing is tracked.
    pub fn managed_fields(&self) -> &Value {
        self.managed.as_deref().unwrap_or(&NULL)
    }

    /// A label's value.
    pub fn label(&self, key: &str) -> Option<&str> {
        self["metadata"]["labels"][key].as_str()
    }

    /// Whether somebody asked for its deletion.
    pub fn is_terminating(&self) -> bool {
        self["metadata"]["deletionTimestamp"].is_string()
    }

    /// The entries of `ownerReferences`.
    pub fn owners(&self) -> impl Iterator<Item = &Value> {
        self["metadata"]["ownerReferences"].as_array().into_iter().flatten()
    }

    /// The uid of the controlling owner.
    pub fn controller(&self) -> Option<&str> {
        self.owners().find(|o| o["controller"] == true)?["uid"].as_str()
    }

    /// A section, if the object has it.
    pub fn section(&self, name: &str) -> Option<&Arc<Value>> {
        self.sections.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// All sections in alphabetical order.
    pub fn sections(&self) -> impl Iterator<Item = (&str, &Arc<Value>)> {
        self.sections.iter().map(|(key, value)| (key.as_ref(), value))
    }

    /// The same object with another section; Null takes it away.
    pub(crate) fn with(&self, name: &str, value: Value) -> Self {
        let mut next = self.clone();
        let at = next.sections.iter().position(|(key, _)| key == name);
        match (at, value.is_null()) {
            (Some(at), true) => drop(next.sections.remove(at)),
            (Some(at), false) => next.sections[at].1 = Arc::new(value),
            (None, true) => {}
            (None, false) => {
                let at = next.sections.partition_point(|(key, _)| key.as_ref() < name);
                next.sections.insert(at, (section_name(name.to_owned()), Arc::new(value)));
            }
        }
        next
    }

    /// Takes over every section that is equal to one of `before`, so that both versions share it.
    pub(crate) fn share(&mut self, before: &Self) {
        for (key, value) in &mut self.sections {
            if let Some(old) = before.section(key).filter(|old| ***old == **value) {
                *value = Arc::clone(old);
            }
        }
        if self.managed == before.managed {
            self.managed.clone_from(&before.managed);
        }
        self.namespace = Arc::clone(&before.namespace);
        self.name = Arc::clone(&before.name);
        self.uid = Arc::clone(&before.uid);
    }

    /// Whether both say the same, whatever their revisions.
    pub(crate) fn says_the_same(&self, other: &Self) -> bool {
        self.managed == other.managed && self.sections_equal(other)
    }

    /// Whether both say the same, whatever their revisions and owners of fields.
    pub(crate) fn sections_equal(&self, other: &Self) -> bool {
        let same = |a: &Arc<Value>, b: &Arc<Value>| Arc::ptr_eq(a, b) || a == b;
        self.sections.len() == other.sections.len()
            && self.sections.iter().zip(&other.sections).all(|(a, b)| a.0 == b.0 && same(&a.1, &b.1))
    }

    /// The whole object, copied.
    pub fn to_value(&self) -> Value {
        let mut map = Map::new();
        map.insert("apiVersion".to_owned(), json!(self.kind.api_version()));
        map.insert("kind".to_owned(), json!(self.kind.kind));
        for (key, value) in &self.sections {
            map.insert(key.to_string(), (**value).clone());
        }
        if self.revision > 0 {
            map["metadata"]["resourceVersion"] = json!(self.revision.to_string());
        }
        if let Some(managed) = &self.managed {
            map["metadata"]["managedFields"] = (**managed).clone();
        }
        Value::Object(map)
    }
}

impl Index<&str> for Object {
    type Output = Value;

    fn index(&self, section: &str) -> &Value {
        self.section(section).map_or(&NULL, |value| value)
    }
}

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("kind", &self.kind.kind)?;
        map.serialize_entry("apiVersion", &self.kind.api_version())?;
        map.serialize_entry("metadata", &Metadata(self))?;
        for (key, value) in self.sections.iter().filter(|(key, _)| key != "metadata") {
            map.serialize_entry(key.as_ref(), &**value)?;
        }
        map.end()
    }
}

/// The metadata of an object with the two fields that are kept beside it.
pub(crate) struct Metadata<'a>(pub(crate) &'a Object);

impl Serialize for Metadata<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (key, value) in self.0["metadata"].as_object().into_iter().flatten() {
            map.serialize_entry(key, value)?;
        }
        if self.0.revision > 0 {
            map.serialize_entry("resourceVersion", &self.0.revision.to_string())?;
        }
        if let Some(managed) = &self.0.managed {
            map.serialize_entry("managedFields", &**managed)?;
        }
        map.end()
    }
}

fn section_name(name: String) -> Cow<'static, str> {
    match COMMON.iter().find(|common| **common == name) {
        Some(common) => Cow::Borrowed(common),
        None => Cow::Owned(name),
    }
}
