//! What happens to dependents when their owners go.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{ApiServer, By, DeleteOptions, Propagation};
use crate::object::Object;

impl ApiServer {
    /// One round of the garbage collector: deletes what lost its last owner, moves objects on that wait for their
    /// dependents, frees dependents that are to stay. Returns how many objects it wrote; call it until that is zero.
    pub fn collect_garbage(&mut self, now: Timestamp) -> usize {
        let lost: Vec<Arc<Object>> = self
            .store
            .owner_uids()
            .filter(|uid| self.store.by_uid(uid).is_none())
            .flat_map(|uid| self.store.owned_by(uid))
            .filter(|o| !o.is_terminating() && o.owners().all(|owner| self.owner(owner).is_none()))
            .cloned()
            .collect();
        let waiting: Vec<Arc<Object>> = self
            .store
            .owner_uids()
            .filter_map(|uid| self.store.by_uid(uid))
            .filter(|o| o.is_terminating())
            .cloned()
            .collect();
        let before = self.store.revision();
        for object in lost {
            let options =
                DeleteOptions { propagation: Some(Propagation::Background), ..DeleteOptions::default() };
            let (resource, namespace, name) = (object.resource(), object.namespace(), object.name());
            // Somebody may have been quicker in the same round.
            let _ = self.delete(now, resource, namespace, name, &options, &By::nobody());
        }
        for object in waiting {
            self.attend(now, &object);
        }
        self.finish_childless(now);
        usize::try_from(self.store.revision() - before).unwrap_or(usize::MAX)
    }

    fn owner(&self, reference: &Value) -> Option<&Arc<Object>> {
        self.store.by_uid(reference["uid"].as_str()?)
    }

    /// An owner that is to go before or without its dependents.
    fn attend(&mut self, now: Timestamp, owner: &Arc<Object>) {
        let dependents: Vec<Arc<Object>> = self.store.owned_by(owner.uid()).cloned().collect();
        if has_finalizer(owner, "orphan") {
            for dependent in dependents {
                let uid = json!(owner.uid());
                self.change_metadata(now, &dependent, |metadata| {
                    if let Some(owners) = metadata["ownerReferences"].as_array_mut() {
                        owners.retain(|o| o["uid"] != uid);
                    }
                });
            }
            self.drop_finalizer(now, owner, "orphan");
        } else if has_finalizer(owner, "foregroundDeletion") {
            let blocks =
                |o: &Object| o.owners().any(|r| r["uid"] == owner.uid() && r["blockOwnerDeletion"] == true);
            for dependent in dependents.iter().filter(|d| !d.is_terminating()) {
                let policy = Some(Propagation::Foreground);
                let options = DeleteOptions { propagation: policy, ..DeleteOptions::default() };
                let (resource, namespace, name) =
                    (dependent.resource(), dependent.namespace(), dependent.name());
                let _ = self.delete(now, resource, namespace, name, &options, &By::nobody());
            }
            if !self.store.owned_by(owner.uid()).any(|o| blocks(o)) {
                self.drop_finalizer(now, owner, "foregroundDeletion");
            }
        }
    }

    /// Objects that wait for dependents and have none.
    fn finish_childless(&mut self, now: Timestamp) {
        let waits = |o: &Object| has_finalizer(o, "orphan") || has_finalizer(o, "foregroundDeletion");
        let childless: Vec<_> = self
            .store
            .terminating()
            .filter(|o| waits(o) && self.store.owned_by(o.uid()).next().is_none())
            .cloned()
            .collect();
        for object in childless {
            self.drop_finalizer(now, &object, "orphan");
            self.drop_finalizer(now, &object, "foregroundDeletion");
        }
    }

    fn drop_finalizer(&mut self, now: Timestamp, object: &Object, finalizer: &str) {
        self.change_metadata(now, object, |metadata| {
            if let Some(finalizers) = metadata["finalizers"].as_array_mut() {
                finalizers.retain(|f| f != finalizer);
            }
        });
    }

    fn change_metadata(&mut self, now: Timestamp, object: &Object, change: impl FnOnce(&mut Value)) {
        let (resource, namespace, name) = (object.resource(), object.namespace(), object.name());
        let _ =
            self.edit(now, resource, namespace, name, &By::nobody(), |body| change(&mut body["metadata"]));
    }
}

fn has_finalizer(object: &Object, name: &str) -> bool {
    object["metadata"]["finalizers"].as_array().is_some_and(|list| list.iter().any(|f| f == name))
}
