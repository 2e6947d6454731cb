//! A namespace and a name: what work queues hold.

use std::sync::Arc;

use crate::object::Object;

/// Which object of a resource.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) namespace: Arc<str>,
    pub(crate) name: Arc<str>,
}

impl Key {
    pub(crate) fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: Arc::from(namespace), name: Arc::from(name) }
    }

    pub(crate) fn of(object: &Object) -> Self {
        Self { namespace: Arc::clone(&object.namespace), name: Arc::clone(&object.name) }
    }

    /// The controlling owner of an object, if it is of this kind.
    pub(crate) fn of_controller(object: &Object, kind: &str) -> Option<Self> {
        let owner = object.controlled_by().filter(|owner| *owner.kind == *kind)?;
        Some(Self { namespace: Arc::clone(&object.namespace), name: Arc::clone(&owner.name) })
    }
}
