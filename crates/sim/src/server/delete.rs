//! The end of objects.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::update::is_finished;
use super::{ApiServer, By, DeleteOptions, Propagation};
use crate::kind::Kind;
use crate::object::Object;
use crate::profile::ApiProfile;
use crate::resource::{NAMESPACES, Resource};
use crate::status::Status;
use crate::time;

const ORPHAN: &str = "orphan";
const FOREGROUND: &str = "foregroundDeletion";

/// The namespaces the admission of a real server does not let go.
const IMMORTAL: [&str; 3] = ["default", "kube-system", "kube-public"];

impl ApiServer {
    /// Deletes an object, or marks it when something has to happen first: finalizers, the grace period of a pod, the
    /// contents of a namespace. What is returned is its last state; whether it is gone, [`crate::Store::get`] says.
    ///
    /// # Errors
    ///
    /// 404, 409 for preconditions.
    pub fn delete(
        &mut self,
        now: Timestamp,
        resource: &Resource,
        namespace: &str,
        name: &str,
        options: &DeleteOptions,
        by: &By,
    ) -> Result<Arc<Object>, Status> {
        let old = Arc::clone(self.get(resource, namespace, name)?);
        if *resource == NAMESPACES {
            if IMMORTAL.contains(&old.name()) {
                return Err(Status::forbidden(&NAMESPACES, old.name(), "this namespace may not be deleted"));
            }
            check_namespace(&old, options)?;
            return self.delete_namespace(now, &old, options, by);
        }
        check_preconditions(&self.profile, &old, options)?;
        let finalizers = finalizers_after(&old, options);
        let grace = grace_of(&old, options);
        if old.is_terminating() {
            let current = old.field("metadata", "deletionGracePeriodSeconds").as_i64().unwrap_or(0);
            let is_same = same_finalizers(&old, &finalizers);
            if grace >= current && is_same && !(current == 0 && finalizers.is_empty()) {
                return Ok(old);
            }
        }
        if grace == 0 && finalizers.is_empty() {
            if !old.is_terminating() && !is_pod(&old.kind) {
                return self.end(now, &old, by);
            }
            if is_pod(&old.kind) {
                // A pod is marked before it goes, even when it goes at once.
                let marks = [
                    ("deletionTimestamp", json!(time::seconds(self.clock(now)))),
                    ("deletionGracePeriodSeconds", json!(0)),
                ];
                let marked = self.commit(now, old.with_fields("metadata", marks), by);
                return self.end(now, &marked, by);
            }
            return self.end(
                now,
                &old.with_fields("metadata", [("deletionGracePeriodSeconds", json!(0))]),
                by,
            );
        }
        let mut marks = vec![("deletionGracePeriodSeconds", json!(grace))];
        let due = now + Duration::from_secs(u64::try_from(grace).unwrap_or(0));
        let is_first = !old.is_terminating();
        if is_first || is_pod(&old.kind) {
            marks.push(("deletionTimestamp", json!(time::seconds(self.clock(due)))));
        }
        if let Some(generation) = old.field("metadata", "generation").as_i64().filter(|_| is_first) {
            marks.push(("generation", json!(generation + 1)));
        }
        marks.push(("finalizers", if finalizers.is_empty() { Value::Null } else { json!(finalizers) }));
        let next = old.with_fields("metadata", marks);
        if is_finished(&next) {
            return self.end(now, &next, by);
        }
        Ok(self.commit(now, next, by))
    }

    /// Takes the finalizer of the namespace controller away, which says that nothing is in the namespace any more.
    ///
    /// # Errors
    ///
    /// 404.
    pub fn finalize_namespace(&mut self, now: Timestamp, name: &str) -> Result<Arc<Object>, Status> {
        let old = Arc::clone(self.get(&NAMESPACES, "", name)?);
        let mut spec = old["spec"].clone();
        if let Some(map) = spec.as_object_mut() {
            map.remove("finalizers");
        }
        let next = old.with("spec", spec);
        if is_finished(&next) {
            return self.end(now, &next, &By::nobody());
        }
        Ok(self.commit(now, next, &By::nobody()))
    }

    fn delete_namespace(
        &mut self,
        now: Timestamp,
        old: &Arc<Object>,
        options: &DeleteOptions,
        by: &By,
    ) -> Result<Arc<Object>, Status> {
        if old.is_terminating() {
            if is_finished(old) {
                return self.end(now, old, by);
            }
            return Ok(Arc::clone(old));
        }
        let mut metadata = old["metadata"].clone();
        metadata["deletionTimestamp"] = json!(time::seconds(self.clock(now)));
        let finalizers = finalizers_after(old, options);
        if !finalizers.is_empty() {
            metadata["finalizers"] = json!(finalizers);
        }
        let mut status = old["status"].clone();
        status["phase"] = json!("Terminating");
        Ok(self.commit(now, old.with("metadata", metadata).with("status", status), by))
    }

    fn end(&mut self, now: Timestamp, last: &Object, by: &By) -> Result<Arc<Object>, Status> {
        if by.dry_run {
            return Ok(Arc::new(last.clone()));
        }
        let (resource, name) = (last.resource().clone(), last.name().to_owned());
        self.remove(now, last.clone()).ok_or_else(|| Status::not_found(&resource, &name))
    }

    /// Takes an object out of the store, with everything the server itself keeps for it.
    pub(super) fn remove(&mut self, now: Timestamp, last: Object) -> Option<Arc<Object>> {
        let stored = Arc::clone(self.store.get(last.resource(), last.namespace(), last.name())?);
        let revision = stored.revision();
        // What was written last is what watchers are told, not what the last write would have made of it.
        let gone = self.store.remove(now, (*stored).clone())?;
        self.after_delete(now, &gone);
        let mut shown = last;
        shown.revision = if self.profile.deleted_at_revision { gone.revision() } else { revision };
        Some(Arc::new(shown))
    }
}

fn check_namespace(old: &Object, options: &DeleteOptions) -> Result<(), Status> {
    let current = old.revision().to_string();
    let wanted = &options.preconditions;
    let fields = [("UID", &wanted.uid, old.uid()), ("ResourceVersion", &wanted.resource_version, &*current)];
    for (field, wanted, found) in fields {
        if let Some(wanted) = wanted.as_deref().filter(|wanted| *wanted != found) {
            let why = format!(
                "Precondition failed: {field} in precondition: {wanted}, {field} in object meta: {found}"
            );
            return Err(Status::conflict(&NAMESPACES, old.name(), &why));
        }
    }
    Ok(())
}

fn is_pod(kind: &Kind) -> bool {
    kind.resource == crate::resource::PODS
}

pub(super) fn check_preconditions(
    profile: &ApiProfile,
    old: &Object,
    options: &DeleteOptions,
) -> Result<(), Status> {
    let wanted = &options.preconditions;
    // A real server names the kind here, not the resource.
    let kind = || Resource::new(profile.internal_group(&old.kind), old.kind().kind.clone());
    if let Some(uid) = wanted.uid.as_deref().filter(|uid| *uid != old.uid()) {
        let why = format!(
            "the UID in the precondition ({uid}) does not match the UID in record ({}). The object might have been deleted and then recreated",
            old.uid()
        );
        return Err(Status::conflict(&kind(), old.name(), &why));
    }
    if let Some(version) = wanted.resource_version.as_deref().filter(|v| **v != old.revision().to_string()) {
        let current = old.revision();
        let why = format!(
            "the ResourceVersion in the precondition ({version}) does not match the ResourceVersion in record ({current}). The object might have been modified"
        );
        return Err(Status::conflict(&kind(), old.name(), &why));
    }
    Ok(())
}

/// How many seconds the end of an object may take.
fn grace_of(old: &Object, options: &DeleteOptions) -> i64 {
    if !is_pod(&old.kind) {
        return 0;
    }
    let own = old.field("spec", "terminationGracePeriodSeconds").as_i64().unwrap_or(30);
    let grace = options.grace_period_seconds.unwrap_or(own);
    let is_over = matches!(old.phase(), "Succeeded" | "Failed");
    let is_placed = !old.node_name().is_empty();
    if !is_placed || is_over {
        return 0;
    }
    if grace < 0 { 1 } else { grace }
}

fn same_finalizers(old: &Object, finalizers: &[Value]) -> bool {
    let list = old.field("metadata", "finalizers").as_array().map_or(&[][..], Vec::as_slice);
    list.len() == finalizers.len() && list.iter().all(|f| finalizers.contains(f))
}

/// The finalizers after a deletion was asked for.
fn finalizers_after(old: &Object, options: &DeleteOptions) -> Vec<Value> {
    let mut finalizers = old.field("metadata", "finalizers").as_array().cloned().unwrap_or_default();
    let wanted = options.propagation.or_else(|| {
        let is_kept = |name: &str| finalizers.iter().any(|f| f == name);
        let is_old = matches!(&*old.kind.resource.plural, "jobs" | "replicationcontrollers");
        if is_kept(ORPHAN) {
            Some(Propagation::Orphan)
        } else if is_kept(FOREGROUND) {
            Some(Propagation::Foreground)
        } else {
            is_old.then_some(Propagation::Orphan)
        }
    });
    finalizers.retain(|f| f != ORPHAN && f != FOREGROUND);
    match wanted {
        Some(Propagation::Orphan) => finalizers.push(json!(ORPHAN)),
        Some(Propagation::Foreground) => finalizers.push(json!(FOREGROUND)),
        Some(Propagation::Background) | None => {}
    }
    finalizers
}
