//! Ownership of fields around a write.

use jiff::Timestamp;
use serde_json::Value;

use super::ApiServer;
use crate::kind::Kind;
use crate::profile::ApiProfile;
use crate::ssa::{Managed, Manager, Operation, Writing};

impl ApiServer {
    /// Notes in `owners` what a write changed, as an update by `manager`.
    #[expect(clippy::too_many_arguments, reason = "what a write is made of")]
    pub(super) fn track(
        &self,
        now: Timestamp,
        kind: &Kind,
        subresource: &str,
        manager: &str,
        old: &Value,
        new: &Value,
        owners: &mut Managed,
    ) {
        let api_version = Self::managed_version(kind);
        let subresource_name = self.managed_subresource(subresource);
        let manager = Manager::new(manager, Operation::Update, &api_version, subresource_name);
        let writing = Writing {
            node: kind.shape.root(),
            manager: &manager,
            api_version: &api_version,
            ignored: ignored(&self.profile, kind, subresource),
            now: self.clock(now),
            names_failures: self.profile.field_validation,
            modern: self.profile.atomic_types,
        };
        // What cannot be compared (a list without its keys) is refused later, or from then on nobody's.
        if writing.update(old, new, owners).is_err() {
            *owners = Managed::default();
        }
    }

    /// The version that is written down; the stored one may not be served.
    pub(super) fn managed_version(kind: &Kind) -> String {
        if kind.served(&kind.version).is_some() {
            return kind.api_version();
        }
        kind.served.first().map_or_else(|| kind.api_version(), |s| kind.api_version_of(&s.version))
    }

    pub(super) fn managed_subresource<'s>(&self, subresource: &'s str) -> &'s str {
        if self.profile.managed_subresources { subresource } else { "" }
    }
}

/// The fields an endpoint does not write.
pub(super) fn ignored(profile: &ApiProfile, kind: &Kind, subresource: &str) -> &'static [&'static str] {
    match subresource {
        _ if !profile.managed_subresources => &[],
        "status" => &["spec"],
        _ if kind.has_status => &["status"],
        _ => &[],
    }
}
