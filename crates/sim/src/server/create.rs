//! Making objects.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{ApiServer, By, map_mut};
use crate::kind::Kind;
use crate::object::Object;
use crate::resource::{NAMESPACES, Resource};
use crate::status::{Cause, Status};
use crate::time;

/// How long the part of a generated name before the suffix may be.
const MAX_GENERATED_BASE: usize = 58;

impl ApiServer {
    /// Makes an object of the stored version: names it, admits it, gives it its defaults, checks it, stores it.
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
        let kind = self.kind(resource)?;
        if body["metadata"]["resourceVersion"].as_str().is_some_and(|rv| !rv.is_empty()) {
            return Err(Status::internal("resourceVersion should not be set on objects to be created"));
        }
        self.prepare_create(now, &kind, namespace, &mut body);
        self.check_namespace(&kind, namespace, &name_of(&body))?;
        let name = name_of(&body);
        if self.store.get(resource, namespace, &name).is_some() {
            return Err(Status::already_exists(resource, &name));
        }
        let object = Object::new(kind, body);
        Ok(self.commit(now, object, by))
    }

    /// What the server alone decides about a new object.
    fn prepare_create(&mut self, now: Timestamp, kind: &Kind, namespace: &str, body: &mut Value) {
        body["apiVersion"] = json!(kind.api_version());
        body["kind"] = json!(kind.kind);
        if kind.has_status
            && let Some(map) = body.as_object_mut()
        {
            map.remove("status");
        }
        let uid = self.ids.uid();
        let metadata = map_mut(body, "metadata");
        for field in ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "generation"] {
            metadata.remove(field);
        }
        if kind.namespaced {
            metadata.insert("namespace".to_owned(), json!(namespace));
        } else {
            metadata.remove("namespace");
        }
        if kind.has_generation {
            metadata.insert("generation".to_owned(), json!(1));
        }
        metadata.insert("uid".to_owned(), json!(uid));
        metadata.insert("creationTimestamp".to_owned(), json!(time::seconds(now)));
        self.generate_name(metadata);
    }

    fn generate_name(&mut self, metadata: &mut Map<String, Value>) {
        let has_name = metadata.get("name").and_then(Value::as_str).is_some_and(|name| !name.is_empty());
        if has_name {
            return;
        }
        let Some(base) = metadata.get("generateName").and_then(Value::as_str) else { return };
        let base: String = base.chars().take(MAX_GENERATED_BASE).collect();
        if !base.is_empty() {
            let name = format!("{base}{}", self.ids.suffix());
            metadata.insert("name".to_owned(), json!(name));
        }
    }

    /// Nothing is made in a namespace that is not there or is about to go.
    fn check_namespace(&self, kind: &Kind, namespace: &str, name: &str) -> Result<(), Status> {
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
}

pub(super) fn name_of(body: &Value) -> String {
    body["metadata"]["name"].as_str().unwrap_or_default().to_owned()
}
