//! Writing objects that are there.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{ApiServer, By};
use crate::kind::Kind;
use crate::object::Object;
use crate::resource::{NAMESPACES, Resource};
use crate::section::{Facts, Section};
use crate::ssa::Managed;
use crate::status::{Cause, Status};
use crate::{defaults, validate};

/// Which part of an object a write is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// Everything but the status.
    Main,
    /// The status.
    Status,
    /// The replicas, through `scale`.
    Scale,
}

impl Part {
    pub(super) fn subresource(self) -> &'static str {
        match self {
            Part::Main => "",
            Part::Status => "status",
            Part::Scale => "scale",
        }
    }
}

/// What only the server writes.
const FIXED: &[&str] = &[
    "name",
    "namespace",
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "generateName",
    "selfLink",
];

impl ApiServer {
    /// Replaces everything but the status. A `resourceVersion` in the body must be the current one.
    ///
    /// # Errors
    ///
    /// 404, 409, 422, 403.
    pub fn update(
        &mut self,
        now: Timestamp,
        resource: &Resource,
        namespace: &str,
        name: &str,
        body: Value,
        by: &By,
    ) -> Result<Arc<Object>, Status> {
        let old = Arc::clone(self.get(resource, namespace, name)?);
        self.write(now, &old, body, Part::Main, None, by)
    }

    /// Replaces the status and nothing else, without a look at versions: the quick way for controllers in the same
    /// process, which cannot be late. Equal to what is there: nothing is written.
    ///
    /// A tracked writer goes the long way of HTTP requests.
    ///
    /// # Errors
    ///
    /// 404.
    pub fn update_status(
        &mut self,
        now: Timestamp,
        resource: &Resource,
        namespace: &str,
        name: &str,
        status: Value,
        by: &By,
    ) -> Result<Arc<Object>, Status> {
        let old = Arc::clone(self.get(resource, namespace, name)?);
        if by.manager.is_some() {
            let mut body = old.to_value();
            body["status"] = status;
            return self.write(now, &old, body, Part::Status, None, by);
        }
        if old["status"] == status {
            return Ok(old);
        }
        Ok(self.commit(now, old.with("status", status), by))
    }

    /// As [`ApiServer::update_status`] by nobody, with facts, which nobody has to make JSON of before it is asked for. None: the
    /// object is gone.
    pub(crate) fn update_status_facts<T: Facts + PartialEq>(
        &mut self,
        now: Timestamp,
        known: &Object,
        status: T,
    ) -> Option<Arc<Object>> {
        let old = self.store.current(known)?;
        let is_same = old.section("status").is_some_and(|known| known.says(&status));
        if is_same {
            return Some(Arc::clone(old));
        }
        let next = old.with_section("status", Section::of(status));
        Some(self.store.put(now, next))
    }

    /// Reads, lets `change` change, and writes everything but the status. What is changed does not say who owns its fields.
    ///
    /// # Errors
    ///
    /// As [`ApiServer::update`].
    pub fn edit(
        &mut self,
        now: Timestamp,
        resource: &Resource,
        namespace: &str,
        name: &str,
        by: &By,
        change: impl FnOnce(&mut Value),
    ) -> Result<Arc<Object>, Status> {
        let mut body = self.get(resource, namespace, name)?.to_value_of_nobody();
        change(&mut body);
        self.update(now, resource, namespace, name, body, by)
    }

    /// Writes one part of an object. `applied` are the owners after an apply; other writes are tracked here.
    pub(crate) fn write(
        &mut self,
        now: Timestamp,
        old: &Arc<Object>,
        mut body: Value,
        part: Part,
        applied: Option<Managed>,
        by: &By,
    ) -> Result<Arc<Object>, Status> {
        let kind = Arc::clone(&old.kind);
        check_version(&kind, old, &body, by.dry_run)?;
        let before = old.to_value_of_nobody();
        let sent = super::map_mut(&mut body, "metadata").remove("managedFields").unwrap_or_default();
        keep_identity(&kind, &before, &mut body);
        // Who sent what the endpoint does not write owned it all the same, before endpoints said what they write.
        let whole = (!self.profile.managed_subresources && part != Part::Scale).then(|| {
            let mut whole = body.clone();
            defaults::fill(&kind, &self.profile, &mut whole);
            whole
        });
        keep_other_part(&kind, part, &before, &mut body);
        defaults::fill(&kind, &self.profile, &mut body);
        let owners = match (applied, by.manager.as_deref()) {
            (Some(owners), _) => owners,
            (None, None) => owners_before(old, &sent, part),
            (None, Some(manager)) => {
                let mut owners = owners_before(old, &sent, part);
                // Of what has no owners, nobody becomes one before the next apply.
                if !owners.is_empty() && (part != Part::Scale || self.profile.managed_subresources) {
                    let new = whole.as_ref().unwrap_or(&body);
                    self.track(now, &kind, part.subresource(), manager, &before, new, &mut owners);
                }
                owners
            }
        };
        // Stored, an empty list is none.
        if body["rules"] == json!([])
            && let Some(map) = body.as_object_mut()
        {
            map.remove("rules");
        }
        if part == Part::Main {
            self.ask_webhooks(now, "update", &kind.resource, &mut body)?;
        }
        let addresses = by.dry_run.then(|| self.addresses.clone());
        self.admit_update(&kind, &before, &mut body);
        if let Some(addresses) = addresses {
            self.addresses.restore(addresses);
        }
        if part != Part::Status {
            count_generation(&kind, &before, &mut body);
        }
        if part == Part::Status && !kind.custom {
            validate::update_status(&kind, &self.profile, &before, &body)?;
        } else {
            validate::update(&kind, &self.profile, &before, &body)?;
        }
        let mut next = Object::new(kind, body).owned(owners);
        next.share(old);
        if next.says_the_same(old) || (next.sections_equal(old) && only_times_differ(&next, old)) {
            return Ok(Arc::clone(old));
        }
        next.revision = old.revision;
        self.store_or_finish(now, next, by)
    }

    /// Stores the object, or ends it if it only waited for its last finalizer.
    fn store_or_finish(&mut self, now: Timestamp, next: Object, by: &By) -> Result<Arc<Object>, Status> {
        if by.dry_run {
            return Ok(Arc::new(next));
        }
        if is_finished(&next) {
            let name = next.name().to_owned();
            let resource = next.resource().clone();
            return self.remove(now, next).ok_or_else(|| Status::not_found(&resource, &name));
        }
        self.after_update(&next)?;
        Ok(self.commit(now, next, by))
    }
}

/// Whether nothing keeps a terminating object any more.
pub(super) fn is_finished(object: &Object) -> bool {
    let has = |list: &Value| list.as_array().is_some_and(|l| !l.is_empty());
    object.is_terminating()
        && object.field("metadata", "deletionGracePeriodSeconds").as_i64().unwrap_or(0) == 0
        && !has(object.field("metadata", "finalizers"))
        && !(*object.resource() == NAMESPACES && has(object.field("spec", "finalizers")))
}

/// 409 for a write that means another object of the same name.
pub(crate) fn other_uid(
    kind: &Kind,
    namespace: &str,
    name: &str,
    sent: &str,
    found: &str,
    is_tried: bool,
) -> Status {
    let group = match &*kind.resource.plural {
        _ if kind.custom => format!("{}/{}", kind.resource.group, kind.resource.plural),
        "services" => "services/specs".to_owned(),
        "ingresses" => "ingress".to_owned(),
        "nodes" => "minions".to_owned(),
        "replicationcontrollers" => "controllers".to_owned(),
        plural => plural.to_owned(),
    };
    let place = if kind.namespaced { format!("{namespace}/{name}") } else { name.to_owned() };
    // Who only tries has not joined the key yet.
    let root = if is_tried { "" } else { "/registry" };
    let why = format!(
        "StorageError: invalid object, Code: 4, Key: {root}/{group}/{place}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: {sent}, UID in object meta: {found}"
    );
    Status::conflict(&kind.resource, name, &why)
}

pub(super) fn check_version(kind: &Kind, old: &Object, body: &Value, is_tried: bool) -> Result<(), Status> {
    let metadata = &body["metadata"];
    let uid = metadata["uid"].as_str().unwrap_or_default();
    if !uid.is_empty() && uid != old.uid() {
        return Err(other_uid(kind, old.namespace(), old.name(), uid, old.uid(), is_tried));
    }
    let version = metadata["resourceVersion"].as_str().unwrap_or_default();
    if !version.is_empty() && version != "0" {
        let Ok(version) = version.parse::<u64>() else {
            let cause = Cause::new(
                "FieldValueInvalid",
                "metadata.resourceVersion",
                format!("Invalid value: {version:?}: strconv.ParseUint: parsing {version:?}: invalid syntax"),
            );
            return Err(Status::invalid(&kind.resource.group, &kind.kind, old.name(), vec![cause]));
        };
        if version != old.revision() {
            return Err(Status::modified(&kind.resource, old.name()));
        }
    }
    Ok(())
}

fn keep_identity(kind: &Kind, before: &Value, body: &mut Value) {
    body["apiVersion"] = json!(kind.api_version());
    body["kind"] = json!(kind.kind);
    for field in FIXED {
        let value = &before["metadata"][field];
        let metadata = super::map_mut(body, "metadata");
        if value.is_null() {
            metadata.remove(*field);
        } else {
            metadata.insert((*field).to_owned(), value.clone());
        }
    }
}

/// Takes from `before` what the endpoint does not write.
fn keep_other_part(kind: &Kind, part: Part, before: &Value, body: &mut Value) {
    let put = |body: &mut Value, field: &str, value: Option<&Value>| {
        let Some(map) = body.as_object_mut() else { return };
        match value {
            Some(value) => drop(map.insert(field.to_owned(), value.clone())),
            None => drop(map.remove(field)),
        }
    };
    match part {
        Part::Main | Part::Scale => {
            if kind.has_status {
                put(body, "status", before.get("status"));
            }
            // Only `finalize` writes them.
            if kind.resource == NAMESPACES {
                put(body, "spec", before.get("spec"));
            }
        }
        Part::Status => {
            let status = body["status"].take();
            let annotations = body["metadata"]["annotations"].take();
            let labels = body["metadata"]["labels"].take();
            *body = before.clone();
            put(body, "status", Some(&status).filter(|s| !s.is_null()));
            if !kind.custom {
                let metadata = &mut body["metadata"];
                put(metadata, "annotations", Some(&annotations).filter(|a| !a.is_null()));
                if kind.resource.plural != "deployments" {
                    put(metadata, "labels", Some(&labels).filter(|l| !l.is_null()));
                }
            }
            put(&mut body["metadata"], "managedFields", None);
        }
    }
}

/// The owners a write starts from: those it was sent with, if it was and may say so.
fn owners_before(old: &Object, sent: &Value, part: Part) -> Managed {
    let stored = || old.owners_of_fields().cloned().unwrap_or_default();
    if part != Part::Main {
        return stored();
    }
    match sent.as_array() {
        Some(list) if list.is_empty() || (list.len() == 1 && list[0] == json!({})) => Managed::default(),
        Some(_) => Managed::decode(sent).filter(|m| !m.is_empty()).unwrap_or_else(stored),
        None => stored(),
    }
}

/// Counts a change of what somebody wants.
fn count_generation(kind: &Kind, before: &Value, body: &mut Value) {
    let generation = before["metadata"]["generation"].as_i64();
    let Some(generation) = generation.filter(|_| kind.has_generation) else { return };
    let differs = |field: &str| before.get(field) != body.get(field);
    let keys = before.as_object().into_iter().chain(body.as_object()).flat_map(|m| m.keys());
    let mut wanted = keys.filter(|key| {
        let is_meta = matches!(key.as_str(), "metadata" | "apiVersion" | "kind");
        !is_meta && (key.as_str() != "status" || !kind.has_status)
    });
    let is_deployment = kind.resource.plural == "deployments" && kind.resource.group == "apps";
    let annotated = is_deployment && before["metadata"]["annotations"] != body["metadata"]["annotations"];
    if wanted.any(|key| differs(key)) || annotated {
        body["metadata"]["generation"] = json!(generation + 1);
    }
    if kind.resource.plural == "daemonsets" && before["spec"]["template"] != body["spec"]["template"] {
        let count = &mut body["metadata"]["annotations"][defaults::TEMPLATE_GENERATION];
        let last = count.as_str().and_then(|n| n.parse::<u64>().ok()).unwrap_or(1);
        *count = json!((last + 1).to_string());
    }
}

/// Whether owners are the same but for the times at which they wrote.
fn only_times_differ(a: &Object, b: &Object) -> bool {
    let timeless = |o: &Object| {
        let mut owners = o.managed_fields().clone();
        for entry in owners.as_array_mut().into_iter().flatten() {
            entry["time"] = Value::Null;
        }
        owners
    };
    timeless(a) == timeless(b)
}
