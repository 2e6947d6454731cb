//! Where in the store's history a controller is.

use std::sync::Arc;

use crate::object::Object;
use crate::resource::Resource;
use crate::store::{Store, What};

/// One thing that happened, or an object found by listing.
#[derive(Clone, Copy)]
pub(crate) struct News<'a> {
    pub(crate) what: What,
    pub(crate) object: &'a Arc<Object>,
    pub(crate) before: Option<&'a Arc<Object>>,
}

impl News<'_> {
    /// Whether a section is another one than before.
    pub(crate) fn changed(&self, section: &str) -> bool {
        let Some(before) = self.before.filter(|_| self.what == What::Modified) else { return true };
        match (before.section(section), self.object.section(section)) {
            (Some(old), Some(new)) => old != new,
            (None, None) => false,
            _ => true,
        }
    }

    /// Whether it is a new version that differs in its status at most.
    pub(crate) fn is_only_status(&self) -> bool {
        !self.changed("metadata") && !self.changed("spec")
    }
}

/// Whether there never was an object of a resource. What a controller remembers follows from these; it need not look at anything
/// before there is one, and sees everything that is there then.
pub(crate) fn never_had(store: &Store, resource: &Resource) -> bool {
    store.last_change(resource) == 0
}

/// The revision up to which everything was seen; none before the first look.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cursor {
    seen: Option<u64>,
}

impl Cursor {
    /// Whether history was compacted before it was seen: whoever remembers objects has to forget them.
    pub(crate) fn is_lost(&self, store: &Store) -> bool {
        self.seen.is_some_and(|seen| seen < store.compacted())
    }

    /// Whether there is nothing to see.
    #[inline]
    pub(crate) fn is_current(&self, store: &Store) -> bool {
        self.seen == Some(store.revision())
    }

    /// Whether nothing has happened to a resource that was not seen.
    #[inline]
    pub(crate) fn has_seen(&self, store: &Store, resource: &Resource) -> bool {
        self.seen.is_some_and(|seen| seen >= store.compacted() && store.last_change(resource) <= seen)
    }

    /// As a look that shows nothing, because nothing that is looked for has happened; none before the first look.
    #[inline]
    pub(crate) fn pass_over(&mut self, store: &Store) {
        if self.seen.is_some() {
            self.skip(store);
        }
    }

    /// Passes over what happened.
    #[inline]
    pub(crate) fn skip(&mut self, store: &Store) {
        self.seen = Some(store.revision());
    }

    /// Shows what happened to these resources since the last look; everything there is at the first one.
    pub(crate) fn look(&mut self, store: &Store, resources: &[&Resource], mut see: impl FnMut(News<'_>)) {
        if self.is_current(store) {
            return;
        }
        for resource in resources {
            // Most of the time nothing has happened to most resources.
            if self.has_seen(store, resource) {
                continue;
            }
            match self.seen.map(|seen| store.changes(resource, seen)) {
                Some(Ok(changes)) => {
                    for change in changes {
                        see(News {
                            what: change.what,
                            object: &change.object,
                            before: change.before.as_ref(),
                        });
                    }
                }
                Some(Err(_)) | None => {
                    for object in store.list(resource, None) {
                        see(News { what: What::Added, object, before: None });
                    }
                }
            }
        }
        self.seen = Some(store.revision());
    }

    /// As [`Cursor::look`], for all resources.
    pub(crate) fn look_at_all(&mut self, store: &Store, mut see: impl FnMut(News<'_>)) {
        if self.is_current(store) {
            return;
        }
        if let Some(Ok(changes)) = self.seen.map(|seen| store.all_changes(seen)) {
            for change in changes {
                let (what, object, before) = (change.what, &change.object, change.before.as_ref());
                see(News { what, object, before });
            }
        } else {
            for object in store.resources().flat_map(|resource| store.list(resource, None)) {
                see(News { what: What::Added, object, before: None });
            }
        }
        self.seen = Some(store.revision());
    }
}
