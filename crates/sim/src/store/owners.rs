//! Who names whom as an owner, and who has which uid.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::object::{Object, Place};
use crate::resource::Resource;
use foldhash::HashMap;

type Reference = (Resource, Arc<str>, Arc<str>);

#[derive(Debug, Clone, Default)]
pub(super) struct Owners {
    /// As `uids`, only iterated in the order of the uids. Where each is, so that a new version changes nothing here.
    owned: HashMap<Arc<str>, BTreeMap<Reference, Place>>,
    /// Never iterated, so that its order does not matter.
    uids: HashMap<Arc<str>, Reference>,
    terminating: BTreeSet<Reference>,
}

impl Owners {
    /// Their resources and places.
    pub(super) fn of(&self, uid: &str) -> impl Iterator<Item = (&Resource, Place)> {
        self.owned.get(uid).into_iter().flatten().map(|((resource, ..), place)| (resource, *place))
    }

    pub(super) fn uids(&self) -> impl Iterator<Item = &str> {
        let sorted: BTreeSet<&str> = self.owned.keys().map(|uid| &**uid).collect();
        sorted.into_iter()
    }

    pub(super) fn terminating(&self) -> impl Iterator<Item = &Reference> {
        self.terminating.iter()
    }

    pub(super) fn find(&self, uid: &str) -> Option<&Reference> {
        self.uids.get(uid)
    }

    pub(super) fn update(&mut self, before: Option<&Arc<Object>>, after: Option<&Arc<Object>>) {
        match (before, after) {
            (Some(before), _) if before.is_terminating() && after.is_none() => {
                self.terminating.remove(&reference(before));
            }
            (before, Some(after))
                if after.is_terminating() && !before.is_some_and(|before| before.is_terminating()) =>
            {
                self.terminating.insert(reference(after));
            }
            _ => {}
        }
        match (before, after) {
            (Some(before), None) => drop(self.uids.remove(&before.uid)),
            (None, Some(after)) => drop(self.uids.insert(Arc::clone(&after.uid), reference(after))),
            _ => {}
        }
        if let (Some(old), Some(new)) = (before, after)
            && old.owner_uids() == new.owner_uids()
        {
            return;
        }
        if let Some(object) = before {
            for uid in object.owner_uids() {
                let Some(owned) = self.owned.get_mut(uid) else { continue };
                owned.remove(&reference(object));
                if owned.is_empty() {
                    self.owned.remove(uid);
                }
            }
        }
        if let Some(object) = after {
            for uid in object.owner_uids() {
                let owned = self.owned.entry(Arc::clone(uid)).or_default();
                owned.insert(reference(object), object.place);
            }
        }
    }
}

fn reference(object: &Object) -> Reference {
    (object.resource().clone(), Arc::clone(&object.namespace), Arc::clone(&object.name))
}
