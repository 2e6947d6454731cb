//! Who names whom as an owner, and who has which uid.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::Value;

use crate::object::Object;
use crate::resource::Resource;

type Reference = (Resource, Arc<str>, Arc<str>);

#[derive(Debug, Clone, Default)]
pub(super) struct Owners {
    /// As `uids`, only iterated in the order of the uids.
    owned: HashMap<Arc<str>, BTreeSet<Reference>>,
    /// Never iterated, so that its order does not matter.
    uids: HashMap<Arc<str>, Reference>,
    terminating: BTreeSet<Reference>,
}

impl Owners {
    pub(super) fn of(&self, uid: &str) -> impl Iterator<Item = &Reference> {
        self.owned.get(uid).into_iter().flatten()
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

    pub(super) fn update(&mut self, before: Option<&Object>, after: Option<&Object>) {
        match (before, after) {
            (Some(before), _) if before.is_terminating() && after.is_none() => {
                self.terminating.remove(&reference(before));
            }
            (before, Some(after))
                if after.is_terminating() && !before.is_some_and(Object::is_terminating) =>
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
            && (old.shares(new, "metadata")
                || old.field("metadata", "ownerReferences") == new.field("metadata", "ownerReferences"))
        {
            return;
        }
        for (object, uid) in before.into_iter().flat_map(named) {
            if let Some(owned) = self.owned.get_mut(uid) {
                owned.remove(&reference(object));
                if owned.is_empty() {
                    self.owned.remove(uid);
                }
            }
        }
        for (object, uid) in after.into_iter().flat_map(named) {
            match self.owned.get_mut(uid) {
                Some(owned) => drop(owned.insert(reference(object))),
                None => drop(self.owned.insert(uid.into(), BTreeSet::from([reference(object)]))),
            }
        }
    }
}

fn named(object: &Object) -> impl Iterator<Item = (&Object, &str)> {
    object.owners().filter_map(|o| o.get("uid").and_then(Value::as_str)).map(move |uid| (object, uid))
}

fn reference(object: &Object) -> Reference {
    (object.resource().clone(), Arc::clone(&object.namespace), Arc::clone(&object.name))
}
