//! What is stored, and everything that was written lately: one revision counter for all, one history.
//!
//! Nothing is judged here: admission, defaults and conflicts are the business of [`crate::ApiServer`]. Reading costs
//! nothing but a look-up; objects are shared, never copied.

mod history;
mod owners;
mod shard;
mod shards;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

pub use history::{Change, Compacted, Retention, What};

use crate::object::{Object, Place};
use crate::resource::{Resource, Resources};
use history::History;
use owners::Owners;
use shard::Shard;
use shards::Shards;

/// All objects of one cluster and their recent history.
#[derive(Debug, Clone)]
pub struct Store {
    revision: u64,
    shards: Shards,
    history: History,
    owners: Owners,
}

impl Store {
    /// An empty store that remembers changes for as long as `retention` says.
    pub fn new(retention: Retention) -> Self {
        Self {
            revision: 1,
            shards: Shards::default(),
            history: History::new(retention),
            owners: Owners::default(),
        }
    }

    /// An empty store whose past is forgotten up to `revision`; what was there is put back with [`Store::restore`].
    pub(crate) fn restored(retention: Retention, revision: u64) -> Self {
        Self { revision, history: History::after_revision(retention, revision), ..Self::new(retention) }
    }

    /// Puts back an object as it was, at its own revision.
    pub(crate) fn restore(&mut self, object: Object) {
        let object = self.shards.make(&object.kind.resource).restore(object);
        self.owners.update(None, Some(&object));
    }

    /// The revision of the last write.
    #[inline]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The newest revision history no longer reaches.
    pub fn compacted(&self) -> u64 {
        self.history.compacted()
    }

    /// The revision of the last write not later than this; the oldest that is remembered if all were later.
    pub fn revision_at(&self, time: Timestamp) -> u64 {
        self.history.at(time)
    }

    /// One object; `namespace` is empty for cluster-scoped ones.
    pub fn get(&self, resource: &Resource, namespace: &str, name: &str) -> Option<&Arc<Object>> {
        self.shards.get(resource)?.get(namespace, name)
    }

    /// The newest version of an object of which another one is known; None if it is gone.
    #[inline]
    pub(crate) fn current(&self, known: &Object) -> Option<&Arc<Object>> {
        self.shards.get(known.resource())?.current(known)
    }

    /// What is at a place now.
    #[inline]
    pub(crate) fn in_place(&self, resource: &Resource, place: Place) -> Option<&Arc<Object>> {
        self.shards.get(resource)?.at(place)
    }

    /// The objects of a resource by namespace and name, of one namespace or of all.
    pub fn list(&self, resource: &Resource, namespace: Option<&str>) -> impl Iterator<Item = &Arc<Object>> {
        self.shards.get(resource).into_iter().flat_map(move |shard| shard.iter(namespace))
    }

    /// How many objects of a resource there are.
    pub fn count(&self, resource: &Resource, namespace: Option<&str>) -> usize {
        self.shards.get(resource).map_or(0, |shard| shard.count(namespace))
    }

    /// The revision of the last write to a resource; 0 if there never was one.
    #[inline]
    pub(crate) fn last_change(&self, resource: &Resource) -> u64 {
        self.shards.get(resource).map_or(0, Shard::last)
    }

    /// The objects that name this uid as an owner, by resource, namespace and name.
    pub fn owned_by(&self, uid: &str) -> impl Iterator<Item = &Arc<Object>> {
        self.owners.of(uid).filter_map(|(resource, place)| self.shards.get(resource)?.at(place))
    }

    /// The uids that are named as owners by somebody.
    pub fn owner_uids(&self) -> impl Iterator<Item = &str> {
        self.owners.uids()
    }

    /// The objects whose deletion was asked for, by resource, namespace and name.
    pub fn terminating(&self) -> impl Iterator<Item = &Arc<Object>> {
        let references = self.owners.terminating();
        references.filter_map(|(resource, namespace, name)| self.get(resource, namespace, name))
    }

    /// The object with that uid.
    pub fn by_uid(&self, uid: &str) -> Option<&Arc<Object>> {
        let (resource, namespace, name) = self.owners.find(uid)?;
        self.get(resource, namespace, name)
    }

    /// The resources that have objects, or had some.
    pub fn resources(&self) -> impl Iterator<Item = &Resource> {
        self.shards.resources()
    }

    /// The changes of one resource after `revision`, in order.
    ///
    /// # Errors
    ///
    /// When history no longer reaches back so far.
    pub fn changes(
        &self,
        resource: &Resource,
        revision: u64,
    ) -> Result<impl Iterator<Item = &Change>, Compacted> {
        self.history.check(revision)?;
        let revisions = self.shards.get(resource).map(|shard| shard.after(revision));
        Ok(revisions.into_iter().flatten().filter_map(|revision| self.history.get(revision)))
    }

    /// The changes of all resources after `revision`, in order.
    ///
    /// # Errors
    ///
    /// When history no longer reaches back so far.
    pub fn all_changes(&self, revision: u64) -> Result<impl Iterator<Item = &Change>, Compacted> {
        self.history.check(revision)?;
        Ok(self.history.after(revision))
    }

    /// The resources that were written to after `revision`; all of them when history no longer reaches back so far.
    pub(crate) fn touched(&self, revision: u64) -> Resources {
        self.all_changes(revision).map_or(Resources::ALL, |changes| {
            changes.fold(Resources::default(), |touched, change| touched.with(change.object.resource()))
        })
    }

    /// One object as it was at a revision.
    ///
    /// # Errors
    ///
    /// When history no longer reaches back so far.
    pub fn get_at(
        &self,
        resource: &Resource,
        namespace: &str,
        name: &str,
        revision: u64,
    ) -> Result<Option<&Arc<Object>>, Compacted> {
        let is_it = |change: &&Change| change.object.name() == name && change.object.namespace() == namespace;
        let now = self.get(resource, namespace, name);
        if revision >= self.revision {
            return Ok(now);
        }
        Ok(self.changes(resource, revision)?.find(is_it).map_or(now, |change| change.before.as_ref()))
    }

    /// The objects of a resource as they were at a revision, by namespace and name.
    ///
    /// # Errors
    ///
    /// When history no longer reaches back so far.
    pub fn at(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        revision: u64,
    ) -> Result<Vec<Arc<Object>>, Compacted> {
        if revision >= self.revision {
            return Ok(self.list(resource, namespace).cloned().collect());
        }
        let mut objects: BTreeMap<(Arc<str>, Arc<str>), Arc<Object>> = self
            .list(resource, namespace)
            .map(|o| ((Arc::clone(&o.namespace), Arc::clone(&o.name)), Arc::clone(o)))
            .collect();
        let changes: Vec<_> = self.changes(resource, revision)?.collect();
        for change in changes.into_iter().rev() {
            let of = &change.object;
            if namespace.is_some_and(|namespace| namespace != of.namespace()) {
                continue;
            }
            let key = (Arc::clone(&of.namespace), Arc::clone(&of.name));
            match &change.before {
                Some(before) => drop(objects.insert(key, Arc::clone(before))),
                None => drop(objects.remove(&key)),
            }
        }
        Ok(objects.into_values().collect())
    }

    /// Writes an object that was checked, whether it was there before or not.
    pub(crate) fn put(&mut self, now: Timestamp, mut object: Object) -> Arc<Object> {
        self.revision += 1;
        object.revision = self.revision;
        let shard = self.shards.make(&object.kind.resource);
        let (object, before) = shard.put(object);
        shard.note(self.revision);
        let what = if before.is_some() { What::Modified } else { What::Added };
        self.owners.update(before.as_ref(), Some(&object));
        self.record(Change { at: now, what, object: Arc::clone(&object), before });
        object
    }

    /// Takes an object away. What is returned, and told to watchers, is its last state at the revision of its end.
    pub(crate) fn remove(&mut self, now: Timestamp, mut last: Object) -> Option<Arc<Object>> {
        let shard = self.shards.get_mut(&last.kind.resource)?;
        let before = shard.remove(&last.namespace, &last.name)?;
        self.revision += 1;
        shard.note(self.revision);
        last.revision = self.revision;
        let last = Arc::new(last);
        self.owners.update(Some(&before), None);
        self.record(Change { at: now, what: What::Deleted, object: Arc::clone(&last), before: Some(before) });
        Some(last)
    }

    /// Counts the revision up without a change anybody can see, as writes of other people would.
    pub fn skip(&mut self) {
        self.revision += 1;
        self.history.push_nothing();
    }

    /// Forgets what is older than the retention allows, or everything up to now.
    pub fn compact(&mut self, now: Timestamp, everything: bool) {
        let shards = &mut self.shards;
        self.history.compact(now, everything, |change| {
            if let Some(shard) = shards.get_mut(change.object.resource()) {
                shard.forget(change.revision());
            }
        });
    }

    fn record(&mut self, change: Change) {
        let now = change.at;
        self.history.push(self.revision, change);
        if self.history.is_due() {
            self.compact(now, false);
        }
    }
}
