//! Paths of objects.

use std::sync::Arc;

use crate::kind::{Kind, Served};
use crate::resource::{EVENTS, Resource};
use crate::server::ApiServer;
use crate::status::Status;

/// What a path names.
#[derive(Debug)]
pub(super) struct Place {
    /// The kind as it is served there.
    pub(super) kind: Arc<Kind>,
    /// The version in the path.
    pub(super) version: String,
    /// The collection in the store; only `events.k8s.io` has another.
    pub(super) resource: Resource,
    /// The kind as it is stored.
    pub(super) stored: Arc<Kind>,
    /// Empty for cluster-scoped kinds and for all namespaces.
    pub(super) namespace: String,
    pub(super) name: Option<String>,
    pub(super) subresource: String,
    /// What follows a proxy.
    pub(super) rest: Vec<String>,
}

impl Place {
    pub(super) fn read(
        server: &ApiServer,
        group: &str,
        version: &str,
        parts: &[&str],
    ) -> Result<Self, Status> {
        let (namespace, parts) = match parts {
            // A namespace is an object too.
            ["namespaces", _] | ["namespaces", _, "status" | "finalize"] if group.is_empty() => ("", parts),
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (*namespace, rest),
            _ => ("", parts),
        };
        let (plural, rest) = parts.split_first().ok_or_else(Status::no_such_path)?;
        let resource = Resource::new(group, *plural);
        let kind = server.kinds().get(&resource).ok_or_else(Status::no_such_path)?;
        if kind.served(version).is_none() || (!namespace.is_empty() && !kind.namespaced) {
            return Err(Status::no_such_path());
        }
        let (resource, stored) = if group == "events.k8s.io" && *plural == "events" {
            (EVENTS.clone(), server.kinds().get(&EVENTS).ok_or_else(Status::no_such_path)?)
        } else {
            (resource, kind)
        };
        if rest.len() > 2 && rest[1] != "proxy" {
            return Err(Status::no_such_path());
        }
        let texts = |parts: &[&str]| parts.iter().map(|p| (*p).to_owned()).collect();
        Ok(Self {
            kind: Arc::clone(kind),
            version: version.to_owned(),
            resource,
            stored: Arc::clone(stored),
            namespace: namespace.to_owned(),
            name: rest.first().map(|name| (*name).to_owned()),
            subresource: rest.get(1).map_or(String::new(), |s| (*s).to_owned()),
            rest: rest.get(2..).map(texts).unwrap_or_default(),
        })
    }

    /// The namespace, None for all or none.
    pub(super) fn scope(&self) -> Option<&str> {
        (!self.namespace.is_empty()).then_some(self.namespace.as_str())
    }

    pub(super) fn api_version(&self) -> String {
        self.kind.api_version_of(&self.version)
    }

    pub(super) fn served(&self) -> Option<&Served> {
        self.kind.served(&self.version)
    }

    /// Whether objects have to be converted on their way in and out.
    pub(super) fn is_view(&self) -> bool {
        self.kind.resource != self.stored.resource || self.version != self.stored.version
    }

    pub(super) fn is_events(&self) -> bool {
        self.kind.resource.group == "events.k8s.io"
    }
}
