//! A server with objects that were there before: nothing is admitted or judged again, and nobody is told.

use std::sync::Arc;

use super::{ApiServer, Seed};
use crate::faults::Faults;
use crate::kind::Kinds;
use crate::object::Object;
use crate::resource::{CUSTOM_RESOURCE_DEFINITIONS, Resource};
use crate::server::alike::Recent;
use crate::server::ids::Ids;
use crate::server::services::Addresses;
use crate::simulation::{Kept, SnapshotError};
use crate::store::Store;

impl ApiServer {
    /// Where the drawing of ids stands.
    pub(crate) fn ids(&self) -> u64 {
        self.ids.state()
    }

    /// A server as one with these objects was left.
    pub(crate) fn restore(
        seed: &Seed,
        ids: u64,
        revision: u64,
        objects: Vec<Kept>,
    ) -> Result<Self, SnapshotError> {
        let mut server = Self {
            store: Store::restored(seed.retention, revision),
            kinds: Kinds::of(&seed.profile),
            ids: Ids::new(ids),
            profile: seed.profile,
            addresses: Addresses::default(),
            recent: Recent::default(),
            faults: Faults::none(),
            notes: Vec::new(),
        };
        let definitions = objects.iter().filter(|kept| kept.resource() == CUSTOM_RESOURCE_DEFINITIONS);
        for definition in definitions {
            // One that says nothing sensible serves nothing; its objects are then refused by name.
            let _ = server.define(&definition.object);
        }
        for (index, kept) in objects.into_iter().enumerate() {
            let object = server.restored(kept, index)?;
            server.addresses.note(&object);
            server.store.restore(object);
        }
        Ok(server)
    }

    fn restored(&self, kept: Kept, index: usize) -> Result<Object, SnapshotError> {
        let resource = kept.resource();
        let Some(kind) = self.kinds.get(&resource).map(Arc::clone) else {
            return Err(SnapshotError::Kind { group: kept.group, plural: kept.plural });
        };
        let metadata = &kept.object["metadata"];
        let revision = metadata["resourceVersion"].as_str().and_then(|text| text.parse().ok());
        let Some(revision) = revision.filter(|_| metadata["name"].is_string()) else {
            return Err(SnapshotError::Object { index });
        };
        let mut object = Object::new(kind, kept.object);
        object.revision = revision;
        Ok(object)
    }
}

impl Kept {
    fn resource(&self) -> Resource {
        Resource::new(self.group.clone(), self.plural.clone())
    }
}
