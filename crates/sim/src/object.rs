//! A stored object: an API object cut into its top-level sections, each shared. A write of the status shares spec
//! and metadata with the version before it, so that a long history of a pod costs little more than its statuses.

mod sections;

use std::any::Any;
use std::fmt;
use std::ops::Index;
use std::sync::{Arc, OnceLock};

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value, json};

use crate::kind::Kind;
use crate::node::PodStatus;
use crate::resource::Resource;
use crate::section::{Facts, Reading, Section};
use crate::ssa::{Managed, Owners};
pub(crate) use sections::Sections;

/// What an absent field reads as.
static NULL: Value = Value::Null;

/// One version of one object, immutable.
///
/// Reading is by section: `object["spec"]["replicas"]`, Null where there is nothing. The section `metadata` is
/// without `resourceVersion` and `managedFields`, which have methods of their own.
#[derive(Debug, Clone)]
pub struct Object {
    pub(crate) kind: Arc<Kind>,
    pub(crate) revision: u64,
    /// Where the store has its newest version; every next version has it from this one.
    pub(crate) place: Place,
    pub(crate) namespace: Arc<str>,
    pub(crate) name: Arc<str>,
    pub(crate) uid: Arc<str>,
    pub(crate) managed: Option<Arc<Owners>>,
    meta: Meta,
    content: Content,
}

/// A place among the objects of a resource; none for what was never stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Place(u32);

impl Place {
    const NONE: Self = Self(u32::MAX);

    pub(crate) fn of(index: usize) -> Self {
        u32::try_from(index).map_or(Self::NONE, Self)
    }

    pub(crate) fn index(self) -> Option<usize> {
        usize::try_from(self.0).ok().filter(|_| self != Self::NONE)
    }
}

/// What of the metadata is asked for all the time, read once.
#[derive(Debug, Clone, Default)]
struct Meta {
    is_terminating: bool,
    generation: i64,
    /// None: nobody owns it.
    family: Option<Arc<Family>>,
}

/// The owners of an object.
#[derive(Debug)]
struct Family {
    controller: Option<Controller>,
    uids: Vec<Arc<str>>,
}

/// The owner that controls an object.
#[derive(Debug, Clone)]
pub(crate) struct Controller {
    pub(crate) kind: Arc<str>,
    pub(crate) name: Arc<str>,
    pub(crate) uid: Arc<str>,
}

impl Meta {
    fn read(metadata: Option<&Section>) -> Self {
        let Some(metadata) = metadata else { return Self::default() };
        Self { family: Family::read(metadata), ..Self::default() }.read_marks(metadata)
    }

    /// The same owners, in metadata that are the same but for other fields.
    fn read_marks(self, metadata: &Section) -> Self {
        Self {
            is_terminating: metadata.field("deletionTimestamp").is_string(),
            generation: metadata.field("generation").as_i64().unwrap_or(0),
            ..self
        }
    }
}

impl Family {
    fn read(metadata: &Section) -> Option<Arc<Self>> {
        let owners = metadata.field("ownerReferences").as_array().filter(|owners| !owners.is_empty())?;
        let controller = owners.iter().find(|o| o["controller"] == true).map(|owner| {
            let text = |field: &str| Arc::from(owner[field].as_str().unwrap_or_default());
            Controller { kind: text("kind"), name: text("name"), uid: text("uid") }
        });
        let uids = owners.iter().filter_map(|owner| owner["uid"].as_str()).map(Arc::from).collect();
        Some(Arc::new(Self { controller, uids }))
    }
}

/// What an object says.
#[derive(Debug, Clone)]
enum Content {
    Sections(Sections),
    Facts(Arc<Lazy<dyn Whole>>),
}

/// Facts, and the sections they are made into when somebody reads them.
#[derive(Debug)]
struct Lazy<T: ?Sized> {
    made: OnceLock<Box<Sections>>,
    facts: T,
}

/// Facts that a whole object is made of, one that has no labels, no owners and no finalizers.
pub(crate) trait Whole: Any + fmt::Debug + Send + Sync {
    /// All its sections but for what every object has: name, namespace and uid.
    fn sections(&self) -> Map<String, Value>;
}

impl Object {
    /// An object of facts.
    pub(crate) fn of(
        kind: Arc<Kind>,
        (namespace, name, uid): (Arc<str>, Arc<str>, Arc<str>),
        facts: impl Whole,
    ) -> Self {
        let content = Content::Facts(Arc::new(Lazy { facts, made: OnceLock::new() }));
        Self {
            kind,
            revision: 0,
            place: Place::NONE,
            namespace,
            name,
            uid,
            managed: None,
            meta: Meta::default(),
            content,
        }
    }

    /// An object of these sections.
    pub(crate) fn of_sections(
        kind: Arc<Kind>,
        (namespace, name, uid): (Arc<str>, Arc<str>, Arc<str>),
        sections: Sections,
    ) -> Self {
        let meta = Meta::read(sections.get("metadata"));
        let content = Content::Sections(sections);
        Self { kind, revision: 0, place: Place::NONE, namespace, name, uid, managed: None, meta, content }
    }

    /// The facts the object is made of, if it is made of some of this type.
    pub(crate) fn whole<T: Whole>(&self) -> Option<&T> {
        match &self.content {
            Content::Sections(_) => None,
            Content::Facts(lazy) => (&lazy.facts as &dyn Any).downcast_ref(),
        }
    }

    /// The same object with other facts.
    pub(crate) fn with_facts(&self, facts: impl Whole) -> Self {
        let id = (Arc::clone(&self.namespace), Arc::clone(&self.name), Arc::clone(&self.uid));
        Self { revision: self.revision, place: self.place, ..Self::of(Arc::clone(&self.kind), id, facts) }
    }

    #[inline]
    fn all(&self) -> &Sections {
        match &self.content {
            Content::Sections(sections) => sections,
            Content::Facts(lazy) => lazy.made.get_or_init(|| Box::new(self.make(&lazy.facts))),
        }
    }

    fn all_mut(&mut self) -> &mut Sections {
        if let Content::Facts(_) = self.content {
            self.content = Content::Sections(self.all().clone());
        }
        match &mut self.content {
            Content::Sections(sections) => sections,
            Content::Facts(_) => unreachable!("they were just made sections"),
        }
    }

    fn make(&self, facts: &dyn Whole) -> Sections {
        let mut map = facts.sections();
        let metadata = map.entry("metadata").or_insert_with(|| json!({}));
        for (field, text) in [("name", &self.name), ("namespace", &self.namespace), ("uid", &self.uid)] {
            if !text.is_empty() {
                metadata[field] = json!(&**text);
            }
        }
        Sections::of(map)
    }

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
        let object = Self::of_sections(kind, (namespace, name, uid), Sections::of(map));
        Self { managed: managed.map(|json| Arc::new(Owners::read(json))), ..object }
    }

    /// What the object is.
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// The collection it lives in.
    #[inline]
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
    #[inline]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// `metadata.generation`, zero where the kind has none.
    #[inline]
    pub fn generation(&self) -> i64 {
        self.meta.generation
    }

    /// Who owns which field; None when nothing is tracked, or nothing that can be understood.
    pub(crate) fn owners_of_fields(&self) -> Option<&Managed> {
        self.managed.as_ref()?.managed()
    }

    /// The same object with other owners of its fields.
    pub(crate) fn owned(self, owners: Managed) -> Self {
        let managed = (!owners.is_empty()).then(|| Arc::new(Owners::of(owners)));
        Self { managed, ..self }
    }

    /// `metadata.managedFields`, Null when nothing is tracked.
    pub fn managed_fields(&self) -> &Value {
        self.managed.as_ref().map_or(&NULL, |owners| owners.json())
    }

    /// The labels, Null if there are none.
    #[inline]
    pub fn labels(&self) -> &Value {
        self.field("metadata", "labels")
    }

    /// Whether the labels are certainly the same as those of another object.
    #[inline]
    pub(crate) fn shares_labels(&self, other: &Self) -> bool {
        match (self.section("metadata"), other.section("metadata")) {
            (Some(a), Some(b)) => a.shares_field(b, "labels"),
            _ => false,
        }
    }

    /// A label's value.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels()[key].as_str()
    }

    /// Whether somebody asked for its deletion.
    #[inline]
    pub fn is_terminating(&self) -> bool {
        self.meta.is_terminating
    }

    /// `status.phase`, empty if there is none.
    #[inline]
    pub fn phase(&self) -> &str {
        match self.facts::<PodStatus>("status") {
            Some(status) => status.phase(),
            None => self.field("status", "phase").as_str().unwrap_or_default(),
        }
    }

    /// Whether its condition `Ready` is true.
    #[inline]
    pub fn is_ready(&self) -> bool {
        match self.facts::<PodStatus>("status") {
            Some(status) => status.is_ready(),
            None => self.condition("Ready").is_some_and(|c| c["status"] == "True"),
        }
    }

    /// The address of a pod that has one.
    #[inline]
    pub fn pod_ip(&self) -> Option<&str> {
        match self.facts::<PodStatus>("status") {
            Some(status) => status.ip().map(|ip| &**ip),
            None => self.field("status", "podIP").as_str(),
        }
    }

    /// Why containers of a pod wait.
    pub(crate) fn waiting_reasons(&self) -> Vec<&str> {
        if let Some(status) = self.facts::<PodStatus>("status") {
            return status.waiting_reasons().collect();
        }
        let containers = self["status"]["containerStatuses"].as_array().into_iter().flatten();
        containers.filter_map(|c| c["state"]["waiting"]["reason"].as_str()).collect()
    }

    /// A condition of its status.
    pub fn condition(&self, kind: &str) -> Option<&Value> {
        self.field("status", "conditions").as_array()?.iter().find(|c| c["type"] == kind)
    }

    /// The entries of `ownerReferences`.
    pub fn owners(&self) -> impl Iterator<Item = &Value> {
        self.field("metadata", "ownerReferences").as_array().into_iter().flatten()
    }

    /// Whether the entries of `ownerReferences` are the same.
    pub(crate) fn has_same_owners(&self, other: &Self) -> bool {
        match (&self.meta.family, &other.meta.family) {
            (None, None) => true,
            (Some(a), Some(b)) => Arc::ptr_eq(a, b) || self.owners().eq(other.owners()),
            _ => false,
        }
    }

    /// The uids in `ownerReferences`.
    #[inline]
    pub(crate) fn owner_uids(&self) -> &[Arc<str>] {
        self.meta.family.as_ref().map_or(&[], |family| &family.uids)
    }

    /// The uid of the controlling owner.
    #[inline]
    pub fn controller(&self) -> Option<&str> {
        self.controlled_by().map(|controller| &*controller.uid)
    }

    /// The controlling owner.
    #[inline]
    pub(crate) fn controlled_by(&self) -> Option<&Controller> {
        self.meta.family.as_ref()?.controller.as_ref()
    }

    /// A section, if the object has it.
    #[inline]
    pub fn section(&self, name: &str) -> Option<&Section> {
        self.all().get(name)
    }

    /// What a section says to somebody who asks often; nothing if the object has none.
    #[inline]
    pub(crate) fn reading<T: Reading>(&self, section: &str) -> Option<Arc<T>> {
        self.section(section).map(Section::reading)
    }

    /// All sections in alphabetical order.
    pub fn sections(&self) -> impl Iterator<Item = (&str, &Section)> {
        self.all().iter()
    }

    /// One field of a section, Null if it is not there. Cheaper than the whole section.
    #[inline]
    pub fn field(&self, section: &str, name: &str) -> &Value {
        if let (
            Content::Facts(_),
            "metadata",
            "deletionTimestamp" | "finalizers" | "labels" | "ownerReferences",
        ) = (&self.content, section, name)
        {
            return &NULL;
        }
        self.section(section).map_or(&NULL, |section| section.field(name))
    }

    /// Whether a section is certainly the same as that of another version.
    #[inline]
    pub(crate) fn shares(&self, other: &Self, name: &str) -> bool {
        match (&self.content, &other.content) {
            (Content::Sections(_), Content::Sections(_)) => match (self.section(name), other.section(name)) {
                (Some(a), Some(b)) => a.is(b),
                _ => false,
            },
            (Content::Facts(a), Content::Facts(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }

    /// The node a pod is on, empty for none.
    pub fn node_name(&self) -> &str {
        self.field("spec", "nodeName").as_str().unwrap_or_default()
    }

    /// The same object with other fields of one section; Null takes one away.
    pub(crate) fn with_fields(
        &self,
        section: &str,
        changes: impl IntoIterator<Item = (&'static str, Value)>,
    ) -> Self {
        let mut has_same_owners = self.section(section).is_some();
        let changes = changes.into_iter().inspect(|(name, _)| has_same_owners &= *name != "ownerReferences");
        let next_section = match self.section(section) {
            Some(known) => known.with(changes),
            None => Section::new(Value::Object(Map::new())).with(changes),
        };
        if section != "metadata" || !has_same_owners {
            return self.with_section(section, next_section);
        }
        let mut next = self.clone();
        next.meta = next.meta.read_marks(&next_section);
        next.all_mut().set(section, next_section);
        next
    }

    /// The same object by another name.
    pub(crate) fn named(&self, name: String, uid: String, created: String) -> Self {
        let (short_name, short_uid) = (Arc::from(name.as_str()), Arc::from(uid.as_str()));
        let marks = [("name", name), ("uid", uid), ("creationTimestamp", created)];
        let next = self.with_fields("metadata", marks.map(|(field, text)| (field, Value::String(text))));
        Self { name: short_name, uid: short_uid, ..next }
    }

    /// The facts a section is made of, if it is made of some of this type.
    #[inline]
    pub(crate) fn facts<T: Facts>(&self, name: &str) -> Option<&T> {
        self.section(name)?.facts()
    }

    /// The same object with another section; Null takes it away.
    pub(crate) fn with(&self, name: &str, value: Value) -> Self {
        if value.is_null() {
            let mut next = self.clone();
            next.all_mut().remove(name);
            next.meta = Meta::read(next.section("metadata"));
            return next;
        }
        self.with_section(name, Section::new(value))
    }

    /// The same object with another section.
    #[inline]
    pub(crate) fn with_section(&self, name: &str, section: Section) -> Self {
        self.clone().and_section(name, section)
    }

    /// This object with another section.
    pub(crate) fn and_section(mut self, name: &str, section: Section) -> Self {
        if name == "metadata" {
            self.meta = Meta::read(Some(&section));
        }
        self.all_mut().set(name, section);
        self
    }

    /// Takes over every section that is equal to one of `before`, so that both versions share it.
    pub(crate) fn share(&mut self, before: &Self) {
        for (key, value) in self.all_mut().iter_mut() {
            if let Some(old) = before.section(key).filter(|old| *old == value) {
                *value = old.clone();
            }
        }
        if self.managed == before.managed {
            self.managed.clone_from(&before.managed);
        }
        self.place = before.place;
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
        self.all() == other.all()
    }

    /// The whole object, copied.
    pub fn to_value(&self) -> Value {
        let mut value = self.to_value_of_nobody();
        if let Some(managed) = &self.managed {
            value["metadata"]["managedFields"] = managed.json().clone();
        }
        value
    }

    /// As [`Object::to_value`], but for who owns which field.
    pub(crate) fn to_value_of_nobody(&self) -> Value {
        let mut map = Map::new();
        map.insert("apiVersion".to_owned(), json!(self.kind.api_version()));
        map.insert("kind".to_owned(), json!(self.kind.kind));
        for (key, value) in self.sections() {
            map.insert(key.to_owned(), (**value).clone());
        }
        if self.revision > 0 {
            map["metadata"]["resourceVersion"] = json!(self.revision.to_string());
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
        for (key, value) in self.sections().filter(|(key, _)| *key != "metadata") {
            map.serialize_entry(key, &**value)?;
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
            map.serialize_entry("managedFields", managed.json())?;
        }
        map.end()
    }
}
