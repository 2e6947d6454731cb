//! The kinds scripts are about.

/// A kind.
#[derive(Debug)]
pub(super) struct Sort {
    pub(super) plural: &'static str,
    pub(super) kind: &'static str,
    pub(super) version: &'static str,
    pub(super) has_status: bool,
    pub(super) has_scale: bool,
    /// Where a pod's template is, as a JSON pointer; None if it has none.
    pub(super) template: Option<&'static str>,
}

const fn sort(plural: &'static str, kind: &'static str, version: &'static str) -> Sort {
    Sort { plural, kind, version, has_status: false, has_scale: false, template: None }
}

const fn workload(plural: &'static str, kind: &'static str, version: &'static str, has_scale: bool) -> Sort {
    Sort { has_status: true, has_scale, template: Some("/spec/template"), ..sort(plural, kind, version) }
}

/// All of them.
pub(super) const SORTS: &[Sort] = &[
    sort("configmaps", "ConfigMap", "v1"),
    sort("secrets", "Secret", "v1"),
    Sort { has_status: true, ..sort("services", "Service", "v1") },
    sort("serviceaccounts", "ServiceAccount", "v1"),
    Sort { has_status: true, template: Some(""), ..sort("pods", "Pod", "v1") },
    Sort { template: Some("/template"), ..sort("podtemplates", "PodTemplate", "v1") },
    workload("deployments", "Deployment", "apps/v1", true),
    workload("replicasets", "ReplicaSet", "apps/v1", true),
    workload("statefulsets", "StatefulSet", "apps/v1", true),
    workload("jobs", "Job", "batch/v1", false),
    Sort { has_status: true, ..sort("ingresses", "Ingress", "networking.k8s.io/v1") },
    sort("roles", "Role", "rbac.authorization.k8s.io/v1"),
    sort("leases", "Lease", "coordination.k8s.io/v1"),
    Sort { has_status: true, ..sort("namespaces", "Namespace", "v1") },
];

impl Sort {
    /// The path of the collection.
    pub(super) fn path(&self) -> String {
        let root = if self.version == "v1" { "/api" } else { "/apis" };
        let namespace = if self.is_cluster() { "" } else { "/namespaces/{ns}" };
        format!("{root}/{}{namespace}/{}", self.version, self.plural)
    }

    /// The path of an object.
    pub(super) fn object(&self, name: &str) -> String {
        format!("{}/{name}", self.path())
    }

    /// Whether it lives outside namespaces.
    pub(super) fn is_cluster(&self) -> bool {
        self.plural == "namespaces"
    }
}
