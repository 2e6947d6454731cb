//! What is served: groups, versions, resources, verbs; the old way and in one piece.

use std::collections::BTreeMap;

use http::HeaderMap;
use serde_json::{Value, json};

use super::Answer;
use crate::kind::Kind;
use crate::profile::ApiProfile;
use crate::server::ApiServer;
use crate::status::Status;

const VERBS: &[&str] = &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

/// The order in which groups are told.
const GROUPS: &[&str] = &[
    "",
    "apiregistration.k8s.io",
    "events.k8s.io",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "networking.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "storage.k8s.io",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "scheduling.k8s.io",
    "coordination.k8s.io",
    "node.k8s.io",
    "discovery.k8s.io",
    "apps",
];

pub(super) fn version(profile: &ApiProfile) -> Answer {
    Answer::value(
        200,
        &json!({"major": profile.major, "minor": profile.minor, "gitVersion": profile.git_version,
            "gitCommit": "", "gitTreeState": "clean", "buildDate": "1970-01-01T00:00:00Z",
            "goVersion": "", "compiler": "", "platform": "linux/amd64"}),
    )
}

/// The kinds by group, each group's versions in order of preference.
fn by_group(server: &ApiServer) -> Vec<(String, Vec<String>)> {
    let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for kind in server.kinds().iter() {
        let versions = groups.entry(kind.resource.group.to_string()).or_default();
        for served in &kind.served {
            if !versions.contains(&served.version) {
                versions.push(served.version.clone());
            }
        }
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    let rank = |group: &str| GROUPS.iter().position(|g| *g == group).unwrap_or(GROUPS.len());
    groups.sort_by(|a, b| (rank(&a.0), &a.0).cmp(&(rank(&b.0), &b.0)));
    groups
}

/// Whether somebody wants everything in one piece, and in which version of that.
fn aggregated(headers: &HeaderMap) -> Option<&'static str> {
    let accept = headers.get(http::header::ACCEPT)?.to_str().ok()?;
    let first = accept.split(',').find(|part| part.contains("as=APIGroupDiscoveryList"))?;
    Some(if first.contains("v=v2beta1") { "v2beta1" } else { "v2" })
}

fn in_one_piece(server: &ApiServer, version: &str, is_core: bool) -> Answer {
    let groups: Vec<Value> = by_group(server)
        .iter()
        .filter(|(group, _)| group.is_empty() == is_core)
        .map(|(group, versions)| {
            let versions: Vec<Value> = versions
                .iter()
                .map(|v| json!({"version": v, "resources": pieces(server, group, v), "freshness": "Current"}))
                .collect();
            let metadata = if group.is_empty() { json!({}) } else { json!({"name": group}) };
            json!({"metadata": metadata, "versions": versions})
        })
        .collect();
    let mut answer = Answer::value(
        200,
        &json!({"kind": "APIGroupDiscoveryList", "apiVersion": format!("apidiscovery.k8s.io/{version}"),
            "metadata": {}, "items": groups}),
    );
    answer.content_type = if version == "v2" {
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    } else {
        "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList"
    };
    answer
}

fn pieces(server: &ApiServer, group: &str, version: &str) -> Vec<Value> {
    let kinds = server.kinds().iter().filter(|k| k.resource.group == group && k.served(version).is_some());
    kinds
        .map(|kind| {
            let gvk = |kind: &str| json!({"group": group, "version": version, "kind": kind});
            let subresources: Vec<Value> = subresources(kind)
                .into_iter()
                .map(|(name, group, version_of, of, verbs)| {
                    let response = match version_of {
                        "" => gvk(&of),
                        version => json!({"group": group, "version": version, "kind": of}),
                    };
                    json!({"subresource": name, "responseKind": response, "verbs": verbs})
                })
                .collect();
            let mut piece = json!({
                "resource": kind.resource.plural,
                "responseKind": gvk(&kind.kind),
                "scope": if kind.namespaced { "Namespaced" } else { "Cluster" },
                "singularResource": kind.singular,
                "verbs": verbs(kind),
            });
            for (field, list) in [("shortNames", &kind.short_names), ("categories", &kind.categories)] {
                if !list.is_empty() {
                    piece[field] = json!(list);
                }
            }
            if !subresources.is_empty() {
                piece["subresources"] = json!(subresources);
            }
            piece
        })
        .collect()
}

fn verbs(kind: &Kind) -> &'static [&'static str] {
    if kind.review { &["create"] } else { VERBS }
}

/// Name, group and version and kind of what it speaks (empty for the kind's own), verbs.
type Subresource = (&'static str, &'static str, &'static str, String, &'static [&'static str]);

fn subresources(kind: &Kind) -> Vec<Subresource> {
    const WRITTEN: &[&str] = &["get", "patch", "update"];
    const ACTION: &[&str] = &["create"];
    const PROXIED: &[&str] = &["create", "delete", "get", "patch", "update"];
    let mut out: Vec<Subresource> = Vec::new();
    let own = || kind.kind.clone();
    match &*kind.resource.plural {
        "pods" if kind.resource.group.is_empty() => {
            out.push(("binding", "", "v1", "Binding".to_owned(), ACTION));
            out.push(("eviction", "policy", "v1", "Eviction".to_owned(), ACTION));
            out.push(("log", "", "", own(), &["get"]));
            out.push(("proxy", "", "v1", "PodProxyOptions".to_owned(), PROXIED));
        }
        "services" if kind.resource.group.is_empty() => {
            out.push(("proxy", "", "v1", "ServiceProxyOptions".to_owned(), PROXIED));
        }
        "namespaces" => out.push(("finalize", "", "", own(), &["update"])),
        "serviceaccounts" => {
            out.push(("token", "authentication.k8s.io", "v1", "TokenRequest".to_owned(), ACTION));
        }
        _ => {}
    }
    if kind.scale.is_some() {
        out.push(("scale", "autoscaling", "v1", "Scale".to_owned(), WRITTEN));
    }
    if kind.has_status {
        out.push(("status", "", "", own(), WRITTEN));
    }
    out
}

pub(super) fn core(server: &ApiServer, headers: &HeaderMap) -> Answer {
    if let Some(version) = aggregated(headers) {
        return in_one_piece(server, version, true);
    }
    Answer::value(
        200,
        &json!({"kind": "APIVersions", "versions": ["v1"],
            "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": "10.0.0.1:6443"}]}),
    )
}

fn group_value(group: &str, versions: &[String]) -> Value {
    let list: Vec<Value> =
        versions.iter().map(|v| json!({"groupVersion": format!("{group}/{v}"), "version": v})).collect();
    json!({"name": group, "versions": list, "preferredVersion": list.first()})
}

pub(super) fn groups(server: &ApiServer, headers: &HeaderMap) -> Answer {
    if let Some(version) = aggregated(headers) {
        return in_one_piece(server, version, false);
    }
    let groups: Vec<Value> = by_group(server)
        .iter()
        .filter(|(group, _)| !group.is_empty())
        .map(|(group, versions)| group_value(group, versions))
        .collect();
    Answer::value(200, &json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}))
}

pub(super) fn group(server: &ApiServer, group: &str) -> Result<Answer, Status> {
    let groups = by_group(server);
    let found = groups.iter().find(|(name, _)| name == group).ok_or_else(Status::no_such_path)?;
    let mut value = group_value(group, &found.1);
    value["kind"] = json!("APIGroup");
    value["apiVersion"] = json!("v1");
    Ok(Answer::value(200, &value))
}

pub(super) fn resources(server: &ApiServer, group: &str, version: &str) -> Result<Answer, Status> {
    let kinds: Vec<_> =
        server.kinds().iter().filter(|k| k.resource.group == group && k.served(version).is_some()).collect();
    if kinds.is_empty() {
        return Err(Status::no_such_path());
    }
    let mut resources = Vec::new();
    for kind in kinds {
        let plural = &kind.resource.plural;
        let mut resource = json!({"name": plural, "singularName": singular(server, kind), "namespaced": kind.namespaced,
            "kind": kind.kind, "verbs": verbs(kind)});
        for (field, list) in [("shortNames", &kind.short_names), ("categories", &kind.categories)] {
            if !list.is_empty() {
                resource[field] = json!(list);
            }
        }
        resources.push(resource);
        for (name, group, version, of, verbs) in subresources(kind) {
            let mut resource = json!({"name": format!("{plural}/{name}"), "singularName": "",
                "namespaced": kind.namespaced, "kind": of, "verbs": verbs});
            if !version.is_empty() && !group.is_empty() {
                resource["group"] = json!(group);
                resource["version"] = json!(version);
            }
            resources.push(resource);
        }
    }
    let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    let mut list = json!({"kind": "APIResourceList", "groupVersion": group_version, "resources": resources});
    if !group.is_empty() {
        list["apiVersion"] = json!("v1");
    }
    Ok(Answer::value(200, &list))
}

/// Old versions did not say.
fn singular<'k>(server: &ApiServer, kind: &'k Kind) -> &'k str {
    if server.profile().field_validation || kind.custom { &kind.singular } else { "" }
}

pub(super) fn paths(server: &ApiServer) -> Answer {
    let mut paths = vec!["/api".to_owned(), "/api/v1".to_owned(), "/apis".to_owned()];
    for (group, versions) in by_group(server).into_iter().filter(|(group, _)| !group.is_empty()) {
        paths.push(format!("/apis/{group}"));
        paths.extend(versions.iter().map(|v| format!("/apis/{group}/{v}")));
    }
    for path in ["/healthz", "/livez", "/openapi/v2", "/openapi/v3", "/readyz", "/version"] {
        paths.push(path.to_owned());
    }
    paths.sort();
    Answer::value(200, &json!({"paths": paths}))
}
