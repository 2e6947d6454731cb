//! The garbage collector: what has lost its owners goes, owners that wait for their dependents go last, and
//! dependents that are to stay are set free.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use super::cursor::Cursor;
use super::key::Key;
use super::queue::{Outcome, Queue};
use super::read::{items, text};
use super::write;
use crate::actor::Actor;
use crate::controllers::turns::Watcher;
use crate::object::Object;
use crate::resource::{Resource, Resources};
use crate::server::{ApiServer, By, DeleteOptions, Preconditions, Propagation};
use crate::store::What;

const FOREGROUND: &str = "foregroundDeletion";
const ORPHAN: &str = "orphan";

/// The garbage collector.
#[derive(Debug, Clone, Default)]
pub struct GarbageCollector {
    cursor: Cursor,
    queue: Queue<(Resource, Key)>,
}

impl Actor for GarbageCollector {
    fn act(&mut self, server: &mut ApiServer, now: Timestamp) -> Option<Timestamp> {
        self.watch(server);
        while let Some(item) = self.queue.pop(now) {
            let found = server.store().get(&item.0, &item.1.namespace, &item.1.name).cloned();
            let outcome = found.map_or(Outcome::Done, |object| self.attend(server, now, &object));
            self.queue.settle(item, now, outcome);
        }
        self.queue.next_at()
    }
}

impl Watcher for GarbageCollector {
    fn watched(&self) -> Resources {
        Resources::ALL
    }

    fn cursor(&mut self) -> &mut Cursor {
        &mut self.cursor
    }
}

impl GarbageCollector {
    fn watch(&mut self, server: &ApiServer) {
        let store = server.store();
        let Self { cursor, queue } = self;
        cursor.look_at_all(store, |news| {
            if news.what == What::Deleted {
                store.owned_by(news.object.uid()).for_each(|dependent| queue.add(item(dependent)));
                for owner in news.object.owners() {
                    if let Some(owner) = find(server, news.object, owner).filter(|o| o.is_terminating()) {
                        queue.add(item(owner));
                    }
                }
                return;
            }
            if !news.object.is_terminating() && news.object.owner_uids().is_empty() {
                return;
            }
            let is_same = news.before.is_some_and(|before| {
                before.shares(news.object, "metadata")
                    || !news.object.is_terminating() && before.has_same_owners(news.object)
            });
            let waits =
                news.object.is_terminating() && !news.object.field("metadata", "finalizers").is_null();
            if !is_same && (waits || !news.object.owner_uids().is_empty()) {
                queue.add(item(news.object));
            }
        });
    }

    fn attend(&mut self, server: &mut ApiServer, now: Timestamp, object: &Arc<Object>) -> Outcome {
        if object.is_terminating() {
            if has_finalizer(object, ORPHAN) {
                return free_dependents(server, now, object);
            }
            if has_finalizer(object, FOREGROUND) {
                return self.wait_for_dependents(server, now, object);
            }
            return Outcome::Done;
        }
        judge(server, now, object)
    }

    /// The owner goes when nothing is left that blocks it.
    fn wait_for_dependents(&mut self, server: &mut ApiServer, now: Timestamp, owner: &Object) -> Outcome {
        let mut blocked = false;
        for dependent in server.store().owned_by(owner.uid()) {
            let blocks = |r: &Value| r["uid"] == owner.uid() && r["blockOwnerDeletion"] == true;
            if dependent.owners().any(blocks) {
                blocked = true;
            }
            if !dependent.is_terminating() {
                self.queue.add(item(dependent));
            }
        }
        if blocked { Outcome::Done } else { drop_finalizer(server, now, owner, FOREGROUND) }
    }
}

/// Deletes an object without owners, or forgets the owners that are gone.
fn judge(server: &mut ApiServer, now: Timestamp, object: &Arc<Object>) -> Outcome {
    let (mut solid, mut gone, mut waiting) = (0, Vec::new(), Vec::new());
    for reference in object.owners() {
        let uid = text(&reference["uid"]);
        match find(server, object, reference) {
            None => gone.push(uid),
            Some(owner) if owner.is_terminating() && has_finalizer(owner, FOREGROUND) => waiting.push(uid),
            Some(_) => solid += 1,
        }
    }
    if solid > 0 {
        gone.append(&mut waiting);
        if !gone.is_empty() {
            write::release(server, now, &gone, object);
        }
        return Outcome::Done;
    }
    if gone.is_empty() && waiting.is_empty() {
        return Outcome::Done;
    }
    let has_dependents = server.store().owned_by(object.uid()).next().is_some();
    let propagation = if has_finalizer(object, ORPHAN) {
        Propagation::Orphan
    } else if has_finalizer(object, FOREGROUND) || (!waiting.is_empty() && has_dependents) {
        Propagation::Foreground
    } else {
        Propagation::Background
    };
    let options = DeleteOptions {
        propagation: Some(propagation),
        preconditions: Preconditions { uid: Some(object.uid().to_owned()), resource_version: None },
        grace_period_seconds: None,
    };
    let (resource, namespace, name) = (object.resource().clone(), object.namespace(), object.name());
    match server.delete(now, &resource, namespace, name, &options, &By::nobody()) {
        Err(why) if why.code != 404 => Outcome::Failed,
        _ => Outcome::Done,
    }
}

fn free_dependents(server: &mut ApiServer, now: Timestamp, owner: &Object) -> Outcome {
    let dependents: Vec<Arc<Object>> = server.store().owned_by(owner.uid()).cloned().collect();
    for dependent in dependents {
        write::release(server, now, &[owner.uid()], &dependent);
    }
    drop_finalizer(server, now, owner, ORPHAN)
}

fn drop_finalizer(server: &mut ApiServer, now: Timestamp, object: &Object, finalizer: &str) -> Outcome {
    let (resource, namespace, name) = (object.resource(), object.namespace(), object.name());
    let written = server.edit(now, resource, namespace, name, &By::nobody(), |body| {
        if let Some(list) = body["metadata"]["finalizers"].as_array_mut() {
            list.retain(|f| f != finalizer);
        }
    });
    if written.is_ok() { Outcome::Done } else { Outcome::Failed }
}

fn has_finalizer(object: &Object, name: &str) -> bool {
    items(object.field("metadata", "finalizers")).any(|f| f == name)
}

fn item(object: &Object) -> (Resource, Key) {
    (object.resource().clone(), Key::of(object))
}

/// The object an owner reference means: same uid, in the same namespace or in none.
fn find<'a>(server: &'a ApiServer, object: &Object, reference: &Value) -> Option<&'a Arc<Object>> {
    let found = server.store().by_uid(text(&reference["uid"]))?;
    let is_near = found.namespace().is_empty() || found.namespace() == object.namespace();
    (is_near && reference["name"] == found.name()).then_some(found)
}
