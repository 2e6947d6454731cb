//! A namespace and a name: what work queues hold.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::object::Object;

/// Which object of a resource; by namespace, then by name.
#[derive(Debug, Clone, Eq)]
pub(crate) struct Key {
    pub(crate) namespace: Arc<str>,
    pub(crate) name: Arc<str>,
}

/// Most keys share their texts with the objects they are of.
fn is_same(a: &Arc<str>, b: &Arc<str>) -> bool {
    Arc::ptr_eq(a, b) || a == b
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        is_same(&self.name, &other.name) && is_same(&self.namespace, &other.namespace)
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        let by = |a: &Arc<str>, b: &Arc<str>| if Arc::ptr_eq(a, b) { Ordering::Equal } else { a.cmp(b) };
        by(&self.namespace, &other.namespace).then_with(|| by(&self.name, &other.name))
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Namespaces are few: names tell keys apart.
impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
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
