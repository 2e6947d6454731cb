//! Patches of objects.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::managed::ignored;
use super::{ApiServer, By, Part, Patch};
use crate::kind::Kind;
use crate::object::Object;
use crate::patch::{json_patch, merge_patch, strategic_patch};
use crate::resource::Resource;
use crate::schema::check;
use crate::ssa::{self, Managed, Manager, Operation, Owned, Writing};
use crate::status::{Cause, Status};

impl ApiServer {
    /// Patches an object, or its status if `subresource` is `status`. An apply makes what is not there.
    ///
    /// # Errors
    ///
    /// 404, 409 (for an apply with a cause for each field), 422, 403, 400.
    #[expect(clippy::too_many_arguments, reason = "the parts of a path")]
    pub fn patch(
        &mut self,
        now: Timestamp,
        resource: &Resource,
        namespace: &str,
        name: &str,
        subresource: &str,
        patch: &Patch,
        by: &By,
    ) -> Result<Arc<Object>, Status> {
        let part = if subresource == "status" { Part::Status } else { Part::Main };
        let kind = self.kind(resource)?;
        let old = self.store.get(resource, namespace, name).cloned();
        if let Patch::Apply { config, force } = patch {
            return match old {
                Some(old) => self.apply(now, &old, part, config, *force, by),
                None if part == Part::Main => self.apply_new(now, &kind, namespace, name, config, by),
                None => Err(Status::not_found(resource, name)),
            };
        }
        let old = old.ok_or_else(|| Status::not_found(resource, name))?;
        let mut body = old.to_value();
        apply_patch(&kind, &mut body, patch)?;
        self.check_patched(&kind, &old, &mut body)?;
        self.write(now, &old, body, part, None, by)
    }

    /// What a patch must not change, and what only a patched object shows.
    pub(crate) fn check_patched(&self, kind: &Kind, old: &Object, body: &mut Value) -> Result<(), Status> {
        if !body.is_object() {
            return Err(unprocessable());
        }
        let sent = body["metadata"]["name"].as_str().unwrap_or_default();
        if sent != old.name() {
            let message = format!("Invalid value: {sent:?}: field is immutable");
            let cause = Cause::new("FieldValueInvalid", "metadata.name", message);
            return Err(Status::invalid(&kind.resource.group, &kind.kind, old.name(), vec![cause]));
        }
        let findings = check::conform(&kind.shape, body);
        match findings.mistyped {
            Some(why) => Err(mistyped_patch(kind, &why)),
            None => Ok(()),
        }
    }

    fn writing<'w>(
        &self,
        now: Timestamp,
        kind: &'w Kind,
        part: Part,
        manager: &'w Manager,
        version: &'w str,
    ) -> Writing<'w> {
        Writing {
            node: kind.shape.root(),
            manager,
            api_version: version,
            ignored: ignored(kind, part.subresource()),
            now,
        }
    }

    fn applier(&self, part: Part, by: &By) -> Manager {
        let name = by.manager.as_deref().unwrap_or("unknown");
        Manager::new(name, Operation::Apply, "", self.managed_subresource(part.subresource()))
    }

    fn apply(
        &mut self,
        now: Timestamp,
        old: &Arc<Object>,
        part: Part,
        config: &Value,
        force: bool,
        by: &By,
    ) -> Result<Arc<Object>, Status> {
        let kind = Arc::clone(&old.kind);
        check_config(&kind, config)?;
        let version = self.managed_version(&kind);
        let manager = self.applier(part, by);
        let live = {
            let mut live = old.to_value();
            if let Some(metadata) = live["metadata"].as_object_mut() {
                metadata.remove("managedFields");
            }
            live
        };
        let writing = self.writing(now, &kind, part, &manager, &version);
        let mut managed = self.owners_for_apply(old, &writing, &live);
        let config = without_version(config);
        let applied = writing.apply(&live, &config.0, &mut managed, force)?;
        let mut body = match applied.object {
            Some(object) => object,
            None => live,
        };
        if let Some(mut version) = config.1 {
            body["metadata"]["resourceVersion"] = version.take();
        }
        let findings = check::conform(&kind.shape, &mut body);
        if let Some(why) = findings.mistyped {
            return Err(Status::internal(format!("unable to convert to typed: {why}")));
        }
        self.write(now, old, body, part, Some(managed), by)
    }

    /// The owners of an object; of one that has none, somebody from before owns everything.
    fn owners_for_apply(&self, old: &Object, writing: &Writing<'_>, live: &Value) -> Managed {
        let mut managed = Managed::decode(old.managed_fields()).unwrap_or_default();
        if managed.is_empty()
            && let Ok(set) = ssa::everything(writing, live)
        {
            let before = Manager::new("before-first-apply", Operation::Update, writing.api_version, "");
            let time = Some(crate::time::seconds(writing.now));
            managed.insert(before, Owned { set, api_version: writing.api_version.to_owned(), time });
        }
        managed
    }

    fn apply_new(
        &mut self,
        now: Timestamp,
        kind: &Arc<Kind>,
        namespace: &str,
        name: &str,
        config: &Value,
        by: &By,
    ) -> Result<Arc<Object>, Status> {
        check_config(kind, config)?;
        if config["metadata"]["uid"].as_str().is_some_and(|uid| !uid.is_empty()) {
            let why = format!(
                "uid mismatch: the provided object specified uid {}, and no existing object was found",
                config["metadata"]["uid"].as_str().unwrap_or_default()
            );
            return Err(Status::conflict(&kind.resource, name, &why));
        }
        let version = self.managed_version(kind);
        let manager = self.applier(Part::Main, by);
        let writing = self.writing(now, kind, Part::Main, &manager, &version);
        let mut managed = Managed::default();
        let live = check::least(&kind.shape);
        let applied = writing.apply(&live, config, &mut managed, true)?;
        let mut body = applied.object.unwrap_or(live);
        body["metadata"]["name"] = json!(name);
        let findings = check::conform(&kind.shape, &mut body);
        if let Some(why) = findings.mistyped {
            return Err(Status::internal(format!("unable to convert to typed: {why}")));
        }
        self.make(now, &kind.resource.clone(), namespace, body, Some(managed), by)
    }
}

/// What every configuration must be.
fn check_config(kind: &Kind, config: &Value) -> Result<(), Status> {
    if !config["metadata"]["managedFields"].is_null() && config["metadata"]["managedFields"] != json!([]) {
        return Err(Status::bad_request("metadata.managedFields must be nil"));
    }
    let _ = kind;
    Ok(())
}

/// A configuration without its resource version, and that.
fn without_version(config: &Value) -> (Value, Option<Value>) {
    let mut config = config.clone();
    let version = config["metadata"].as_object_mut().and_then(|m| m.remove("resourceVersion"));
    (config, version)
}

fn apply_patch(kind: &Kind, body: &mut Value, patch: &Patch) -> Result<(), Status> {
    match patch {
        Patch::Json(patch) => json_patch(body, patch).map_err(|_| unprocessable()),
        Patch::Merge(patch) => {
            merge_patch(body, patch);
            Ok(())
        }
        Patch::Strategic(_) if kind.custom => Err(Status::new(
            415,
            "UnsupportedMediaType",
            "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml",
        )),
        Patch::Strategic(patch) => {
            *body = strategic_patch(kind.shape.root(), body, patch).map_err(Status::bad_request)?;
            Ok(())
        }
        Patch::Apply { .. } => Ok(()),
    }
}

/// 422 for a patch that does not fit the object.
fn unprocessable() -> Status {
    Status::new(422, "Invalid", "the server rejected our request due to an error in our request")
}

fn mistyped_patch(kind: &Kind, why: &str) -> Status {
    let _ = kind;
    Status::bad_request(why)
}
