//! A request, as far as faults look at it.

use http::Method;

use super::Fault;
use crate::apps::glob;

/// What is asked for, read from the path and the query alone.
pub(super) struct Asked<'a> {
    pub(super) verb: &'static str,
    pub(super) path: &'a str,
    /// The API group; empty for the core group and for what belongs to none.
    pub(super) group: &'a str,
    /// The plural; empty for documents of discovery and the like.
    pub(super) resource: &'a str,
    pub(super) namespace: &'a str,
    pub(super) name: &'a str,
    /// The revision a read names.
    pub(super) revision: &'a str,
    pub(super) is_apply: bool,
    pub(super) continues: bool,
}

impl<'a> Asked<'a> {
    pub(super) fn of(parts: &'a http::request::Parts) -> Self {
        let path = parts.uri.path();
        let query = parts.uri.query().unwrap_or_default();
        let text = |key: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.find(|(name, _)| *name == key).map_or("", |(_, value)| value)
        };
        let group = path.strip_prefix("/apis/").and_then(|rest| rest.split('/').next()).unwrap_or_default();
        let mut rest = path.split('/').skip(if path.starts_with("/apis/") { 4 } else { 3 });
        let (mut namespace, mut resource, mut name) = ("", "", "");
        match rest.next() {
            Some("namespaces") => {
                namespace = rest.next().unwrap_or_default();
                resource = rest.next().unwrap_or("namespaces");
                name = if resource == "namespaces" { namespace } else { rest.next().unwrap_or_default() };
            }
            Some(plural) => {
                resource = plural;
                name = rest.next().unwrap_or_default();
            }
            None => {}
        }
        let verb = match parts.method {
            Method::POST => "create",
            Method::PUT => "update",
            Method::PATCH => "patch",
            Method::DELETE => "delete",
            _ if matches!(text("watch"), "true" | "1") => "watch",
            _ if name.is_empty() && !resource.is_empty() => "list",
            _ => "get",
        };
        let content = parts.headers.get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        Self {
            verb,
            path,
            group,
            resource,
            namespace,
            name,
            revision: text("resourceVersion"),
            is_apply: content.is_some_and(|content| content.starts_with("application/apply-patch")),
            continues: !text("continue").is_empty(),
        }
    }

    /// Whether it is among those a fault happens to.
    pub(super) fn fits(&self, fault: &Fault) -> bool {
        let fits = |pattern: &Option<String>, text: &str| pattern.as_deref().is_none_or(|p| glob(p, text));
        fits(&fault.target.verb, self.verb)
            && fits(&fault.target.namespace, self.namespace)
            && fits(&fault.target.name, self.name)
            && fits(&fault.target.resource, self.resource)
    }

    /// Whether it asks what there is to ask for.
    pub(super) fn is_discovery(&self) -> bool {
        self.resource.is_empty() && ["/api", "/openapi"].iter().any(|root| self.path.starts_with(root))
    }

    /// Whether it is about objects of kinds that a definition brought.
    pub(super) fn is_custom(&self) -> bool {
        !self.resource.is_empty() && self.group.contains('.') && !self.group.ends_with(".k8s.io")
    }

    /// Whether it reads objects.
    pub(super) fn is_read(&self) -> bool {
        !self.resource.is_empty() && matches!(self.verb, "get" | "list" | "watch")
    }

    /// Whether it reads from a revision on that it names.
    pub(super) fn names_revision(&self) -> bool {
        self.is_read() && !matches!(self.revision, "" | "0")
    }
}
