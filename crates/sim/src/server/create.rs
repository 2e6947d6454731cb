//! Making objects.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{ApiServer, By, map_mut};
use crate::kind::Kind;
use crate::object::Object;
use crate::resource::{NAMESPACES, Resource};
use crate::schema::check;
use crate::ssa::Managed;
use crate::status::{Cause, Status};
use crate::{defaults, time, validate};

/// How long the part of a generated name before the suffix may be.
const MAX_GENERATED_BASE: usize = 58;

impl ApiServer {
    /// Makes an object of the stored version: names it, gives it its defaults, admits it, checks it, stores it.
    ///
    /// # Errors
    ///
    /// In the words of a real API server: 403, 409 `AlreadyExists`, 422, 404 for a namespace that is not there.
    pub fn create(
        &mut self,
        now: Timestamp,
        resource: &Resource,
        namespace: &str,
        mut body: Value,
        by: &By,
    ) -> Result<Arc<Object>, Status> {
        if let Some(made) = self.create_again(now, resource, namespace, &mut body, by) {
            return Ok(made);
        }
        self.make(now, resource, namespace, body, None, by)
    }

    /// As [`ApiServer::create`]; `applied` are the owners when an apply makes the object.
    pub(super) fn make(
        &mut self,
        now: Timestamp,
        resource: &Resource,
        namespace: &str,
        mut body: Value,
        applied: Option<Managed>,
        by: &By,
    ) -> Result<Arc<Object>, Status> {
        let kind = self.kind(resource)?;
        if kind.namespaced && namespace.is_empty() {
            return Err(Status::bad_request("an empty namespace may not be set during creation"));
        }
        if body["metadata"]["resourceVersion"].as_str().is_some_and(|rv| !rv.is_empty()) {
            return Err(Status::internal("resourceVersion should not be set on objects to be created"));
        }
        let sent_status = body["status"].take();
        self.prepare_create(now, &kind, namespace, &mut body);
        let owners = if applied.is_some() || by.manager.is_none() {
            applied
        } else {
            let mut sent = body.clone();
            // Who sent a status, owned what was not stored, before endpoints said what they write.
            if !self.profile.managed_subresources && !sent_status.is_null() {
                sent["status"] = sent_status;
            }
            defaults::fill(&kind, &self.profile, &mut sent);
            self.track_create(now, &kind, &sent, by)
        };
        defaults::fill(&kind, &self.profile, &mut body);
        // Stored, an empty list is none.
        if body["rules"] == json!([])
            && let Some(map) = body.as_object_mut()
        {
            map.remove("rules");
        }
        let name = name_of(&body);
        self.check_namespace(&kind, namespace, &name)?;
        self.ask_webhooks(now, "create", resource, &mut body)?;
        self.admit_create(now, &kind, &mut body, by.dry_run)?;
        validate::create(&kind, &self.profile, &body)?;
        self.check_quota(now, &kind, &body, by)?;
        if self.store.get(resource, namespace, &name).is_some() {
            let mut status = Status::already_exists(resource, &name);
            if self.store.get(resource, namespace, &name).is_some_and(|o| o.is_terminating()) {
                status.message = format!("object is being deleted: {}", status.message);
            }
            return Err(status);
        }
        if !by.dry_run {
            self.after_create(&kind, &mut body, now)?;
        }
        let object = Object::new(kind, body).owned(owners.unwrap_or_default());
        Ok(self.commit(now, object, by))
    }

    /// What the server alone decides about a new object.
    pub(super) fn prepare_create(&mut self, now: Timestamp, kind: &Kind, namespace: &str, body: &mut Value) {
        body["apiVersion"] = json!(kind.api_version());
        body["kind"] = json!(kind.kind);
        if kind.has_status
            && let Some(map) = body.as_object_mut()
        {
            map.remove("status");
        }
        let uid = self.ids.uid();
        let has_generation =
            kind.has_generation && !self.profile.without_generation.contains(&&*kind.resource.plural);
        let metadata = map_mut(body, "metadata");
        for field in [
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "selfLink",
            "generation",
            "managedFields",
            "resourceVersion",
        ] {
            metadata.remove(field);
        }
        if kind.namespaced {
            metadata.insert("namespace".to_owned(), json!(namespace));
        } else {
            metadata.remove("namespace");
        }
        if has_generation {
            metadata.insert("generation".to_owned(), json!(1));
        }
        metadata.insert("uid".to_owned(), json!(uid));
        metadata.insert("creationTimestamp".to_owned(), json!(time::seconds(self.clock(now))));
        self.generate_name(metadata);
    }

    fn generate_name(&mut self, metadata: &mut Map<String, Value>) {
        let has_name = metadata.get("name").and_then(Value::as_str).is_some_and(|name| !name.is_empty());
        if has_name {
            return;
        }
        let Some(base) = metadata.get("generateName").and_then(Value::as_str) else { return };
        if !base.is_empty() {
            let name = self.name_after(base);
            metadata.insert("name".to_owned(), json!(name));
        }
    }

    /// A generated name.
    pub(super) fn name_after(&mut self, base: &str) -> String {
        let base: String = base.chars().take(MAX_GENERATED_BASE).collect();
        format!("{base}{}", self.ids.suffix())
    }

    /// Nothing is made in a namespace that is not there or is about to go.
    pub(super) fn check_namespace(&self, kind: &Kind, namespace: &str, name: &str) -> Result<(), Status> {
        if !kind.namespaced {
            return Ok(());
        }
        let Some(found) = self.store.get(&NAMESPACES, "", namespace) else {
            return Err(Status::not_found(&NAMESPACES, namespace));
        };
        if found.is_terminating() {
            let why = format!(
                "unable to create new content in namespace {namespace} because it is being terminated"
            );
            let message = format!("namespace {namespace} is being terminated");
            return Err(Status::forbidden(&kind.resource, name, &why).cause(Cause::new(
                "NamespaceTerminating",
                "metadata.namespace",
                message,
            )));
        }
        Ok(())
    }

    /// Who owns the fields of a new object.
    fn track_create(&self, now: Timestamp, kind: &Kind, body: &Value, by: &By) -> Option<Managed> {
        let manager = by.manager.as_deref()?;
        let mut owners = Managed::default();
        let least = check::least(&kind.shape);
        self.track(now, kind, "", manager, &least, body, &mut owners);
        Some(owners)
    }
}

pub(super) fn name_of(body: &Value) -> String {
    body["metadata"]["name"].as_str().unwrap_or_default().to_owned()
}
