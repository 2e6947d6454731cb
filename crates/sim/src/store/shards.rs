//! The shards of a store by their resources: those with a name in [`crate::resource`] by their place, without a search.

use std::collections::{BTreeMap, BTreeSet};

use super::shard::Shard;
use crate::resource::{NAMED, Resource};

#[derive(Debug, Clone)]
pub(super) struct Shards {
    named: Vec<Shard>,
    others: BTreeMap<Resource, Shard>,
    /// The resources that have objects, or had some.
    known: BTreeSet<Resource>,
}

impl Default for Shards {
    fn default() -> Self {
        Self { named: vec![Shard::default(); NAMED], others: BTreeMap::new(), known: BTreeSet::new() }
    }
}

impl Shards {
    #[inline]
    pub(super) fn get(&self, resource: &Resource) -> Option<&Shard> {
        match resource.place() {
            Some(place) => self.named.get(place),
            None => self.others.get(resource),
        }
    }

    pub(super) fn get_mut(&mut self, resource: &Resource) -> Option<&mut Shard> {
        match resource.place() {
            Some(place) => self.named.get_mut(place),
            None => self.others.get_mut(resource),
        }
    }

    /// The shard of a resource, made if there is none.
    pub(super) fn make(&mut self, resource: &Resource) -> &mut Shard {
        if let Some(place) = resource.place() {
            let shard = &mut self.named[place];
            if !shard.is_used() {
                self.known.insert(resource.clone());
            }
            return shard;
        }
        if !self.others.contains_key(resource) {
            self.known.insert(resource.clone());
        }
        self.others.entry(resource.clone()).or_default()
    }

    pub(super) fn resources(&self) -> impl Iterator<Item = &Resource> {
        self.known.iter()
    }
}
