//! Patches of objects.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::managed::ignored;
use super::update::check_version;
use super::{ApiServer, By, Part, Patch};
use crate::kind::Kind;
use crate::object::Object;
use crate::patch::{json_patch, merge_patch, strategic_patch};
use crate::resource::Resource;
use crate::schema::check;
use crate::ssa::{Managed, Manager, Operation, Writing};
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
        apply_patch(&kind, self.profile.clean_patches, &mut body, patch)?;
        Self::check_patched(&kind, &old, &mut body)?;
        check_uid(&kind, &old, &mut body, by)?;
        self.write(now, &old, body, part, None, by)
    }

    /// What a patch must not change, and what only a patched object shows.
    fn check_patched(kind: &Kind, old: &Object, body: &mut Value) -> Result<(), Status> {
        if !body.is_object() {
            return Err(unprocessable());
        }
        let sent = body["metadata"]["name"].as_str().unwrap_or_default();
        if sent != old.name() {
            let name = old.name();
            return Err(Status::bad_request(format!(
                "the name of the object ({sent}) does not match the name on the URL ({name})"
            )));
        }
        let patched = body.to_string();
        let findings = check::conform(&kind.shape, body);
        match findings.mistyped {
            Some(why) => Err(mistyped_patch(&patched, &why)),
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
            ignored: ignored(&self.profile, kind, part.subresource()),
            now: self.clock(now),
            names_failures: self.profile.field_validation,
            modern: self.profile.atomic_types,
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
        let version = Self::managed_version(&kind);
        let manager = self.applier(part, by);
        let live = old.to_value_of_nobody();
        let writing = self.writing(now, &kind, part, &manager, &version);
        let mut owners = Self::owners_for_apply(old, &writing, &live);
        let config = without_version(config);
        let applied = writing.apply(&live, &config.0, &mut owners, force)?;
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
        check_uid(&kind, old, &mut body, by)?;
        self.write(now, old, body, part, Some(owners), by)
    }

    /// The owners of an object; of one that has none, somebody from before owns everything.
    fn owners_for_apply(old: &Object, writing: &Writing<'_>, live: &Value) -> Managed {
        let mut owners = old.owners_of_fields().cloned().unwrap_or_default();
        if owners.is_empty() {
            let before = Manager::new("before-first-apply", Operation::Update, writing.api_version, "");
            let earlier = Writing { manager: &before, ..*writing };
            // What cannot be read has no owners; the apply itself will say why.
            let _ = earlier.update(&check::least(&old.kind.shape), live, &mut owners);
        }
        owners
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
        let version = Self::managed_version(kind);
        let manager = self.applier(Part::Main, by);
        let writing = self.writing(now, kind, Part::Main, &manager, &version);
        let mut owners = Managed::default();
        let live = check::least(&kind.shape);
        let applied = writing.apply(&live, config, &mut owners, true)?;
        let mut body = applied.object.unwrap_or(live);
        body["metadata"]["name"] = json!(name);
        // Services had a creation of their own, which looks at it.
        if kind.resource != crate::resource::SERVICES
            && let Some(metadata) = body["metadata"].as_object_mut()
        {
            metadata.remove("resourceVersion");
        }
        let findings = check::conform(&kind.shape, &mut body);
        if let Some(why) = findings.mistyped {
            return Err(Status::internal(format!("unable to convert to typed: {why}")));
        }
        self.make(now, &kind.resource.clone(), namespace, body, Some(owners), by)
    }
}

/// A patch is no update of another object of the same name: its uid is a field like others.
fn check_uid(kind: &Kind, old: &Object, body: &mut Value, by: &By) -> Result<(), Status> {
    let uid = body["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
    if uid.is_empty() || uid == old.uid() {
        return Ok(());
    }
    body["metadata"]["uid"] = json!(old.uid());
    check_version(kind, old, body, by.dry_run)?;
    let cause = Cause::new(
        "FieldValueInvalid",
        "metadata.uid",
        format!("Invalid value: {uid:?}: field is immutable"),
    );
    Err(Status::invalid(&kind.resource.group, &kind.kind, old.name(), vec![cause]))
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

fn apply_patch(kind: &Kind, clean: bool, body: &mut Value, patch: &Patch) -> Result<(), Status> {
    match patch {
        Patch::Json(patch) => json_patch(body, patch, clean).map_err(|_| unprocessable()),
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
            *body = strategic_patch(kind.shape.root(), body, patch, clean).map_err(Status::bad_request)?;
            Ok(())
        }
        Patch::Apply { .. } => Ok(()),
    }
}

/// 422 for a patch that does not fit the object.
fn unprocessable() -> Status {
    Status::new(422, "Invalid", "the server rejected our request due to an error in our request")
}

fn mistyped_patch(patched: &str, why: &str) -> Status {
    let cause = Cause::new("FieldValueInvalid", "patch", format!("Invalid value: {patched:?}: {why}"));
    Status::invalid("", "", "", vec![cause])
}
