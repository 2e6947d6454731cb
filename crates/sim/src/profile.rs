//! What differs between versions of Kubernetes, as data.

use crate::kind::Kind;

/// One version's ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "a table of independent facts")]
pub struct ApiProfile {
    /// As in `v1.36.0`.
    pub git_version: &'static str,
    /// As in `1`.
    pub major: &'static str,
    /// As in `36`.
    pub minor: &'static str,
    /// Namespaces carry their name as a label.
    pub namespace_name_label: bool,
    /// StatefulSets say what becomes of claims.
    pub claim_retention: bool,
    /// DaemonSets may surge.
    pub daemon_set_surge: bool,
    /// Jobs have completion modes, can be suspended, and use prefixed labels.
    pub job_modes: bool,
    /// Services have an internal traffic policy and IP families.
    pub internal_traffic_policy: bool,
    /// Resources whose generation is not counted yet.
    pub without_generation: &'static [&'static str],
    /// The request parameter `fieldValidation` is understood.
    pub field_validation: bool,
    /// Lists can be streamed by watches.
    pub watch_list: bool,
    /// Small types count as one value in server-side apply.
    pub atomic_types: bool,
    /// Maps in messages are written as JSON instead of Go.
    pub json_in_messages: bool,
    /// `managedFields` tell subresources apart.
    pub managed_subresources: bool,
    /// Resources that a PUT does not make yet, though it does later.
    pub not_made_by_update: &'static [&'static str],
    /// An object that is gone is answered with the revision of its deletion instead of that of its last state.
    pub deleted_at_revision: bool,
    /// Strategic merge patches clean what they bring of directives and nulls.
    pub clean_patches: bool,
    /// Statuses of Deployments and ReplicaSets count pods that are going.
    pub terminating_replicas: bool,
    /// Events of Deployments say from how many replicas a ReplicaSet was scaled.
    pub scaled_from: bool,
    /// Statuses of pods tell of their network, their generation and their resources.
    pub full_pod_status: bool,
    /// Versions of resources instead of those of the current profile: group, plural, versions.
    pub served: &'static [(&'static str, &'static str, &'static [&'static str])],
    /// Resources that are not there yet.
    pub missing: &'static [&'static str],
}

impl ApiProfile {
    /// A current Kubernetes.
    pub const CURRENT: Self = Self {
        git_version: "v1.36.0",
        major: "1",
        minor: "36",
        namespace_name_label: true,
        claim_retention: true,
        daemon_set_surge: true,
        job_modes: true,
        internal_traffic_policy: true,
        without_generation: &[],
        field_validation: true,
        watch_list: true,
        atomic_types: true,
        json_in_messages: true,
        managed_subresources: true,
        not_made_by_update: &[],
        deleted_at_revision: true,
        clean_patches: true,
        terminating_replicas: true,
        scaled_from: true,
        full_pod_status: true,
        served: &[],
        missing: &[],
    };

    /// Kubernetes 1.20, which the differential test runs for real.
    pub const V1_20: Self = Self {
        git_version: "v1.20.2",
        major: "1",
        minor: "20",
        namespace_name_label: false,
        claim_retention: false,
        daemon_set_surge: false,
        job_modes: false,
        internal_traffic_policy: false,
        without_generation: &["pods", "jobs", "cronjobs"],
        field_validation: false,
        watch_list: false,
        atomic_types: false,
        json_in_messages: false,
        managed_subresources: false,
        not_made_by_update: &["services"],
        deleted_at_revision: false,
        clean_patches: false,
        terminating_replicas: false,
        scaled_from: false,
        full_pod_status: false,
        served: &[
            ("batch", "cronjobs", &["v1beta1"]),
            ("policy", "poddisruptionbudgets", &["v1beta1"]),
            ("discovery.k8s.io", "endpointslices", &["v1beta1"]),
            ("autoscaling", "horizontalpodautoscalers", &["v1", "v2beta2"]),
        ],
        missing: &[
            "mutatingadmissionpolicies",
            "mutatingadmissionpolicybindings",
            "validatingadmissionpolicies",
            "validatingadmissionpolicybindings",
            "selfsubjectreviews",
            "ipaddresses",
            "servicecidrs",
            "csistoragecapacities",
            "volumeattributesclasses",
        ],
    };
}

impl ApiProfile {
    /// The group of a kind in messages from inside the server.
    pub(crate) fn internal_group(&self, kind: &Kind) -> String {
        let is_old_ingress = kind.resource.plural == "ingresses" && !self.field_validation;
        if is_old_ingress { "extensions".to_owned() } else { kind.resource.group.to_string() }
    }
}

impl Default for ApiProfile {
    fn default() -> Self {
        Self::CURRENT
    }
}
