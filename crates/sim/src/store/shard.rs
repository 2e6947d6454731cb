//! The objects of one resource, and the revisions that touched it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use foldhash::HashMap;

use crate::object::Object;

#[derive(Debug, Clone, Default)]
pub(super) struct Shard {
    /// By namespace.
    spaces: BTreeMap<Arc<str>, Space>,
    revisions: VecDeque<u64>,
    /// The newest of them, also when it is forgotten; 0 for none.
    last: u64,
}

/// The objects of one namespace: found by name at once, and listed by name.
#[derive(Debug, Clone, Default)]
struct Space {
    objects: Vec<Option<Arc<Object>>>,
    /// Places in `objects` that hold none.
    free: Vec<usize>,
    /// Never iterated, so that its order does not matter.
    places: HashMap<Arc<str>, usize>,
    order: BTreeMap<Arc<str>, usize>,
}

impl Space {
    fn get(&self, name: &str) -> Option<&Arc<Object>> {
        self.objects.get(*self.places.get(name)?)?.as_ref()
    }

    fn iter(&self) -> impl Iterator<Item = &Arc<Object>> {
        self.order.values().filter_map(|place| self.objects.get(*place)?.as_ref())
    }

    fn put(&mut self, object: Arc<Object>) -> Option<Arc<Object>> {
        if let Some(place) = self.places.get(&object.name) {
            return self.objects[*place].replace(object);
        }
        let name = Arc::clone(&object.name);
        let place = self.free.pop().unwrap_or_else(|| {
            self.objects.push(None);
            self.objects.len() - 1
        });
        self.objects[place] = Some(object);
        self.places.insert(Arc::clone(&name), place);
        self.order.insert(name, place);
        None
    }

    fn remove(&mut self, name: &str) -> Option<Arc<Object>> {
        let place = self.places.remove(name)?;
        self.order.remove(name);
        self.free.push(place);
        self.objects[place].take()
    }
}

impl Shard {
    pub(super) fn get(&self, namespace: &str, name: &str) -> Option<&Arc<Object>> {
        self.spaces.get(namespace)?.get(name)
    }

    pub(super) fn iter(&self, namespace: Option<&str>) -> impl Iterator<Item = &Arc<Object>> {
        let one = namespace.and_then(|namespace| self.spaces.get(namespace));
        let all = namespace.is_none().then(|| self.spaces.values());
        one.into_iter().chain(all.into_iter().flatten()).flat_map(Space::iter)
    }

    pub(super) fn count(&self, namespace: Option<&str>) -> usize {
        match namespace {
            Some(namespace) => self.spaces.get(namespace).map_or(0, |space| space.order.len()),
            None => self.spaces.values().map(|space| space.order.len()).sum(),
        }
    }

    /// Puts an object that was there before; its revision is one of those that are forgotten.
    pub(super) fn restore(&mut self, object: Arc<Object>) {
        self.last = self.last.max(object.revision);
        self.put(object);
    }

    pub(super) fn put(&mut self, object: Arc<Object>) -> Option<Arc<Object>> {
        match self.spaces.get_mut(&object.namespace) {
            Some(space) => space.put(object),
            None => self.spaces.entry(Arc::clone(&object.namespace)).or_default().put(object),
        }
    }

    pub(super) fn remove(&mut self, namespace: &str, name: &str) -> Option<Arc<Object>> {
        let space = self.spaces.get_mut(namespace)?;
        let object = space.remove(name);
        if space.order.is_empty() {
            self.spaces.remove(namespace);
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
        // Who asks has seen all but the last few.
        let newer = self.revisions.iter().rev().take_while(|r| **r > revision).count();
        self.revisions.range(self.revisions.len() - newer..).copied()
    }

    pub(super) fn forget(&mut self, compacted: u64) {
        while self.revisions.front().is_some_and(|r| *r <= compacted) {
            self.revisions.pop_front();
        }
    }
}
