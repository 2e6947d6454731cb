//! The objects of one resource, and the revisions that touched it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::object::Object;

#[derive(Debug, Clone, Default)]
pub(super) struct Shard {
    /// By namespace, then by name.
    objects: BTreeMap<Arc<str>, BTreeMap<Arc<str>, Arc<Object>>>,
    revisions: VecDeque<u64>,
    /// The newest of them, also when it is forgotten; 0 for none.
    last: u64,
}

impl Shard {
    pub(super) fn get(&self, namespace: &str, name: &str) -> Option<&Arc<Object>> {
        self.objects.get(namespace)?.get(name)
    }

    pub(super) fn iter(&self, namespace: Option<&str>) -> impl Iterator<Item = &Arc<Object>> {
        let one = namespace.and_then(|namespace| self.objects.get(namespace));
        let all = namespace.is_none().then(|| self.objects.values());
        one.into_iter().chain(all.into_iter().flatten()).flat_map(BTreeMap::values)
    }

    pub(super) fn count(&self, namespace: Option<&str>) -> usize {
        match namespace {
            Some(namespace) => self.objects.get(namespace).map_or(0, BTreeMap::len),
            None => self.objects.values().map(BTreeMap::len).sum(),
        }
    }

    pub(super) fn put(&mut self, object: Arc<Object>) -> Option<Arc<Object>> {
        if !self.objects.contains_key(&object.namespace) {
            self.objects.insert(Arc::clone(&object.namespace), BTreeMap::new());
        }
        let names = self.objects.get_mut(&object.namespace)?;
        names.insert(Arc::clone(&object.name), object)
    }

    pub(super) fn remove(&mut self, namespace: &str, name: &str) -> Option<Arc<Object>> {
        let names = self.objects.get_mut(namespace)?;
        let object = names.remove(name);
        if names.is_empty() {
            self.objects.remove(namespace);
        }
        object
    }

    pub(super) fn note(&mut self, revision: u64) {
        self.revisions.push_back(revision);
        self.last = revision;
    }

    /// The revision of the last write here; 0 if there never was one.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// Whether anything was ever written here.
    pub(super) fn is_used(&self) -> bool {
        self.last > 0
    }

    pub(super) fn after(&self, revision: u64) -> impl Iterator<Item = u64> {
        let from = if self.last <= revision {
            self.revisions.len()
        } else {
            self.revisions.partition_point(|r| *r <= revision)
        };
        self.revisions.range(from..).copied()
    }

    pub(super) fn forget(&mut self, compacted: u64) {
        while self.revisions.front().is_some_and(|r| *r <= compacted) {
            self.revisions.pop_front();
        }
    }
}
