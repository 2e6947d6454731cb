//! The kinds that are served: what each is called, where it lives, in which versions, and what can be done to it.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use serde_json::Value;

use crate::profile::ApiProfile;
use crate::resource::Resource;
use crate::schema::{Shape, builtin};

/// One version of a kind as clients see it.
#[derive(Debug, Clone)]
pub struct Served {
    /// As in `v1`.
    pub version: String,
    /// What an object of this version looks like.
    pub shape: Shape,
    /// The CRD's columns for tables, empty for built-in kinds.
    pub columns: Vec<Value>,
}

/// The paths of the replica counts behind a `scale` subresource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScalePaths {
    /// As in `.spec.replicas`.
    pub spec: String,
    /// As in `.status.replicas`.
    pub status: String,
    /// As in `.status.selector`; empty for the built-in kinds, whose selector is in the spec.
    pub selector: String,
}

/// One kind.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "a table of independent facts")]
pub struct Kind {
    /// Where its objects live.
    pub resource: Resource,
    /// As in `Deployment`.
    pub kind: String,
    /// As in `deployment`.
    pub singular: String,
    /// As in `deploy`.
    pub short_names: Vec<String>,
    /// As in `all`.
    pub categories: Vec<String>,
    /// Whether objects live in namespaces.
    pub namespaced: bool,
    /// The version objects are stored in; one of `served` or a version no longer served.
    pub version: String,
    /// The shape of stored objects.
    pub shape: Shape,
    /// The versions it is served in, the preferred one first.
    pub served: Vec<Served>,
    /// Whether `status` is written through a subresource of its own.
    pub has_status: bool,
    /// The `scale` subresource, if there is one.
    pub scale: Option<ScalePaths>,
    /// Whether `metadata.generation` counts changes.
    pub has_generation: bool,
    /// Whether it comes from a CustomResourceDefinition.
    pub custom: bool,
    /// Whether it is only an answer to a question, and never stored.
    pub review: bool,
}

impl Kind {
    /// `group/version` of stored objects, or the version alone in the core group.
    pub fn api_version(&self) -> String {
        self.api_version_of(&self.version)
    }

    /// `group/version` of one version.
    pub fn api_version_of(&self, version: &str) -> String {
        let group = &self.resource.group;
        if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
    }

    /// The version as served, if it is.
    pub fn served(&self, version: &str) -> Option<&Served> {
        self.served.iter().find(|s| s.version == version)
    }
}

/// All kinds, by resource.
#[derive(Debug, Clone)]
pub struct Kinds {
    kinds: BTreeMap<Resource, Arc<Kind>>,
}

impl Kinds {
    /// The built-in kinds of a current Kubernetes.
    pub fn builtin() -> Self {
        static KINDS: LazyLock<Kinds> = LazyLock::new(|| Kinds { kinds: read_builtin() });
        KINDS.clone()
    }

    /// The built-in kinds of one version of Kubernetes.
    pub(crate) fn of(profile: &ApiProfile) -> Self {
        let mut kinds = Self::builtin();
        if !profile.missing.is_empty() {
            kinds.kinds.retain(|resource, _| !profile.missing.contains(&&*resource.plural));
        }
        if !profile.atomic_types {
            for kind in kinds.kinds.values_mut().map(Arc::make_mut) {
                kind.shape = kind.shape.granular();
                for served in &mut kind.served {
                    served.shape = served.shape.granular();
                }
            }
        }
        for (group, plural, versions) in profile.served {
            let resource = Resource::fixed(group, plural);
            let Some(kind) = kinds.kinds.get_mut(&resource).map(Arc::make_mut) else { continue };
            let shape = |version: &str| {
                let found = kind.served.iter().find(|s| s.version == version);
                found.map_or_else(|| kind.shape.clone(), |s| s.shape.clone())
            };
            let served = versions.iter().map(|&version| Served {
                version: version.to_owned(),
                shape: shape(version),
                columns: Vec::new(),
            });
            kind.served = served.collect();
        }
        kinds
    }

    /// The kind of a resource.
    pub fn get(&self, resource: &Resource) -> Option<&Arc<Kind>> {
        self.kinds.get(resource)
    }

    /// The kind with that `apiVersion` and `kind`, if it is served so.
    pub fn find(&self, api_version: &str, kind: &str) -> Option<&Arc<Kind>> {
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
        self.iter().find(|k| k.resource.group == group && k.kind == kind && k.served(version).is_some())
    }

    /// All of them, sorted by resource.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Kind>> {
        self.kinds.values()
    }

    pub(crate) fn insert(&mut self, kind: Arc<Kind>) {
        self.kinds.insert(kind.resource.clone(), kind);
    }

    pub(crate) fn remove(&mut self, resource: &Resource) {
        self.kinds.remove(resource);
    }
}

/// Short names and categories of the built-in kinds that have any.
const NAMES: &[(&str, &[&str], &[&str])] = &[
    ("configmaps", &["cm"], &[]),
    ("endpoints", &["ep"], &[]),
    ("events", &["ev"], &[]),
    ("limitranges", &["limits"], &[]),
    ("namespaces", &["ns"], &[]),
    ("nodes", &["no"], &[]),
    ("persistentvolumeclaims", &["pvc"], &[]),
    ("persistentvolumes", &["pv"], &[]),
    ("pods", &["po"], &["all"]),
    ("replicationcontrollers", &["rc"], &["all"]),
    ("resourcequotas", &["quota"], &[]),
    ("serviceaccounts", &["sa"], &[]),
    ("services", &["svc"], &["all"]),
    ("mutatingwebhookconfigurations", &[], &["api-extensions"]),
    ("validatingwebhookconfigurations", &[], &["api-extensions"]),
    ("mutatingadmissionpolicies", &[], &["api-extensions"]),
    ("mutatingadmissionpolicybindings", &[], &["api-extensions"]),
    ("validatingadmissionpolicies", &[], &["api-extensions"]),
    ("validatingadmissionpolicybindings", &[], &["api-extensions"]),
    ("customresourcedefinitions", &["crd", "crds"], &["api-extensions"]),
    ("apiservices", &[], &["api-extensions"]),
    ("daemonsets", &["ds"], &["all"]),
    ("deployments", &["deploy"], &["all"]),
    ("replicasets", &["rs"], &["all"]),
    ("statefulsets", &["sts"], &["all"]),
    ("horizontalpodautoscalers", &["hpa"], &["all"]),
    ("cronjobs", &["cj"], &["all"]),
    ("jobs", &[], &["all"]),
    ("ingresses", &["ing"], &[]),
    ("ipaddresses", &["ip"], &[]),
    ("networkpolicies", &["netpol"], &[]),
    ("poddisruptionbudgets", &["pdb"], &[]),
    ("priorityclasses", &["pc"], &[]),
    ("storageclasses", &["sc"], &[]),
    ("volumeattributesclasses", &["vac"], &[]),
];

/// The kinds whose status has a subresource.
const WITH_STATUS: &[&str] = &[
    "namespaces",
    "nodes",
    "persistentvolumeclaims",
    "persistentvolumes",
    "pods",
    "replicationcontrollers",
    "resourcequotas",
    "services",
    "customresourcedefinitions",
    "apiservices",
    "daemonsets",
    "deployments",
    "replicasets",
    "statefulsets",
    "horizontalpodautoscalers",
    "cronjobs",
    "jobs",
    "ingresses",
    "poddisruptionbudgets",
    "volumeattachments",
    "servicecidrs",
    "validatingadmissionpolicies",
];

/// The kinds whose generation counts changes of the spec.
const WITH_GENERATION: &[&str] = &[
    "pods",
    "customresourcedefinitions",
    "daemonsets",
    "deployments",
    "replicasets",
    "statefulsets",
    "replicationcontrollers",
    "cronjobs",
    "jobs",
    "ingresses",
    "networkpolicies",
    "poddisruptionbudgets",
    "ingressclasses",
    "mutatingwebhookconfigurations",
    "validatingwebhookconfigurations",
    "endpointslices",
    "validatingadmissionpolicies",
    "validatingadmissionpolicybindings",
    "priorityclasses",
];

/// Generations that exist only as the constant 1 of their creation are the same as the others here.
const WITH_SCALE: &[&str] = &["deployments", "replicasets", "statefulsets", "replicationcontrollers"];

/// Answers to questions.
const REVIEWS: &[&str] = &[
    "bindings",
    "selfsubjectreviews",
    "tokenreviews",
    "localsubjectaccessreviews",
    "selfsubjectaccessreviews",
    "selfsubjectrulesreviews",
    "subjectaccessreviews",
];

fn read_builtin() -> BTreeMap<Resource, Arc<Kind>> {
    let mut kinds: BTreeMap<Resource, Kind> = BTreeMap::new();
    for line in builtin::kinds() {
        let resource = Resource::fixed(line.group, line.plural);
        let served = Served {
            version: line.version.to_owned(),
            shape: Shape::Builtin(line.shape),
            columns: Vec::new(),
        };
        if let Some(kind) = kinds.get_mut(&resource) {
            // Later lines are newer versions: preferred, and the one stored.
            kind.version.clone_from(&served.version);
            kind.shape = served.shape.clone();
            kind.served.insert(0, served);
            continue;
        }
        let plural = line.plural;
        let names = NAMES.iter().find(|(name, ..)| *name == plural);
        let list = |of: Option<&[&str]>| of.into_iter().flatten().map(|&s| s.to_owned()).collect();
        let scale = WITH_SCALE.contains(&plural).then(|| ScalePaths {
            spec: ".spec.replicas".to_owned(),
            status: ".status.replicas".to_owned(),
            selector: String::new(),
        });
        let kind = Kind {
            resource: resource.clone(),
            kind: line.kind.to_owned(),
            singular: line.kind.to_lowercase(),
            short_names: list(names.map(|n| n.1)),
            categories: list(names.map(|n| n.2)),
            namespaced: line.namespaced,
            version: served.version.clone(),
            shape: served.shape.clone(),
            served: vec![served],
            has_status: WITH_STATUS.contains(&plural),
            scale,
            has_generation: WITH_GENERATION.contains(&plural),
            custom: false,
            review: REVIEWS.contains(&plural),
        };
        kinds.insert(resource, kind);
    }
    kinds.into_iter().map(|(resource, kind)| (resource, Arc::new(kind))).collect()
}
