//! The objects of one resource, and the revisions that touched it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, OnceLock};

use foldhash::HashMap;

use crate::object::{Object, Place};

#[derive(Debug, Clone, Default)]
pub(super) struct Shard {
    /// The newest version of each object; the next one is put where the last one was, without a search.
    objects: Vec<Option<Arc<Object>>>,
    /// Places in `objects` that hold none.
    free: Vec<Place>,
    /// By namespace.
    spaces: BTreeMap<Arc<str>, Space>,
    revisions: VecDeque<u64>,
    /// The newest of them, also when it is forgotten; 0 for none.
    last: u64,
}

/// Where the objects of one namespace are: found by name at once, and listed by name.
#[derive(Debug, Clone, Default)]
struct Space {
    /// Never iterated in its own order, so that it does not matter.
    places: HashMap<Arc<str>, Place>,
    /// The places by name, when somebody has asked for them since the last coming or going.
    order: OnceLock<Vec<Place>>,
}

impl Space {
    fn in_order(&self) -> &[Place] {
        self.order.get_or_init(|| {
            let mut named: Vec<_> = self.places.iter().collect();
            named.sort_unstable_by_key(|(name, _)| *name);
            named.into_iter().map(|(_, place)| *place).collect()
        })
    }
}

impl Shard {
    pub(super) fn get(&self, namespace: &str, name: &str) -> Option<&Arc<Object>> {
        self.at(self.place(namespace, name)?)
    }

    /// The newest version of an object of which another one is known.
    pub(super) fn current(&self, known: &Object) -> Option<&Arc<Object>> {
        let found = self.at(self.place_of(known)?)?;
        (found.uid == known.uid).then_some(found)
    }

    /// What is at a place.
    #[inline]
    pub(super) fn at(&self, place: Place) -> Option<&Arc<Object>> {
        self.objects.get(place.index()?)?.as_ref()
    }

    fn place(&self, namespace: &str, name: &str) -> Option<Place> {
        self.spaces.get(namespace)?.places.get(name).copied()
    }

    /// Where the object of this name is.
    fn place_of(&self, object: &Object) -> Option<Place> {
        let is_it = |found: &Arc<Object>| {
            Arc::ptr_eq(&found.name, &object.name) && Arc::ptr_eq(&found.namespace, &object.namespace)
        };
        match self.at(object.place) {
            Some(found) if is_it(found) => Some(object.place),
            _ => self.place(&object.namespace, &object.name),
        }
    }

    pub(super) fn iter(&self, namespace: Option<&str>) -> impl Iterator<Item = &Arc<Object>> {
        let one = namespace.and_then(|namespace| self.spaces.get(namespace));
        let all = namespace.is_none().then(|| self.spaces.values());
        let spaces = one.into_iter().chain(all.into_iter().flatten());
        spaces.flat_map(Space::in_order).filter_map(|place| self.at(*place))
    }

    pub(super) fn count(&self, namespace: Option<&str>) -> usize {
        match namespace {
            Some(namespace) => self.spaces.get(namespace).map_or(0, |space| space.places.len()),
            None => self.spaces.values().map(|space| space.places.len()).sum(),
        }
    }

    /// Puts an object that was there before; its revision is one of those that are forgotten.
    pub(super) fn restore(&mut self, object: Object) -> Arc<Object> {
        self.last = self.last.max(object.revision);
        self.put(object).0
    }

    /// Puts an object; what is returned is it, and the version before it.
    pub(super) fn put(&mut self, mut object: Object) -> (Arc<Object>, Option<Arc<Object>>) {
        object.place = self.place_of(&object).unwrap_or_else(|| self.make_place(&object));
        let place = object.place;
        let object = Arc::new(object);
        let slot = place.index().and_then(|index| self.objects.get_mut(index));
        let before = slot.and_then(|slot| slot.replace(Arc::clone(&object)));
        (object, before)
    }

    fn make_place(&mut self, object: &Object) -> Place {
        let place = self.free.pop().unwrap_or_else(|| {
            self.objects.push(None);
            Place::of(self.objects.len() - 1)
        });
        if !self.spaces.contains_key(&object.namespace) {
            self.spaces.insert(Arc::clone(&object.namespace), Space::default());
        }
        if let Some(space) = self.spaces.get_mut(&object.namespace) {
            space.places.insert(Arc::clone(&object.name), place);
            space.order.take();
        }
        place
    }

    pub(super) fn remove(&mut self, namespace: &str, name: &str) -> Option<Arc<Object>> {
        let space = self.spaces.get_mut(namespace)?;
        let place = space.places.remove(name)?;
        space.order.take();
        if space.places.is_empty() {
            self.spaces.remove(namespace);
        }
        self.free.push(place);
        self.objects.get_mut(place.index()?)?.take()
    }

    pub(super) fn note(&mut self, revision: u64) {
        self.revisions.push_back(revision);
        self.last = revision;
    }

    /// The revision of the last write here; 0 if there never was one.
    #[inline]
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// Whether anything was ever written here.
    pub(super) fn is_used(&self) -> bool {
        self.last > 0
    }

    pub(super) fn after(&self, revision: u64) -> impl Iterator<Item = u64> {
        // Who asks has seen all but the last few.
        let unseen = self.revisions.iter().rev().take_while(|last| **last > revision).count();
        let from = self.revisions.len() - unseen;
        (from..self.revisions.len()).map(|at| self.revisions[at])
    }

    /// Forgets the revisions up to one that history forgot.
    pub(super) fn forget(&mut self, compacted: u64) {
        while self.revisions.front().is_some_and(|r| *r <= compacted) {
            self.revisions.pop_front();
        }
    }
}
