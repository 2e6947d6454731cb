//! Which collection of objects is meant: a group and a plural, as in `deployments.apps`. No versions: all versions
//! of a resource are views of the same objects.

use std::borrow::Cow;
use std::fmt;

/// The name of a collection of objects.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Resource {
    /// The API group, empty for the core group.
    pub group: Cow<'static, str>,
    /// The plural in lower case, as in paths.
    pub plural: Cow<'static, str>,
}

impl Resource {
    /// A built-in resource.
    pub const fn fixed(group: &'static str, plural: &'static str) -> Self {
        Self { group: Cow::Borrowed(group), plural: Cow::Borrowed(plural) }
    }

    /// A resource known only at run time.
    pub fn new(group: impl Into<String>, plural: impl Into<String>) -> Self {
        Self { group: Cow::Owned(group.into()), plural: Cow::Owned(plural.into()) }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.plural)?;
        if self.group.is_empty() { Ok(()) } else { write!(f, ".{}", self.group) }
    }
}

macro_rules! resources {
    ($($name:ident = $group:literal $plural:literal;)*) => {
        $(
            #[doc = concat!("`", $plural, "` of the group `", $group, "`.")]
            pub const $name: Resource = Resource::fixed($group, $plural);
        )*
    };
}

resources! {
    NAMESPACES = "" "namespaces";
    NODES = "" "nodes";
    PODS = "" "pods";
    SERVICES = "" "services";
    ENDPOINTS = "" "endpoints";
    CONFIG_MAPS = "" "configmaps";
    SECRETS = "" "secrets";
    SERVICE_ACCOUNTS = "" "serviceaccounts";
    EVENTS = "" "events";
    RESOURCE_QUOTAS = "" "resourcequotas";
    LIMIT_RANGES = "" "limitranges";
    PERSISTENT_VOLUME_CLAIMS = "" "persistentvolumeclaims";
    PERSISTENT_VOLUMES = "" "persistentvolumes";
    DEPLOYMENTS = "apps" "deployments";
    REPLICA_SETS = "apps" "replicasets";
    STATEFUL_SETS = "apps" "statefulsets";
    DAEMON_SETS = "apps" "daemonsets";
    CONTROLLER_REVISIONS = "apps" "controllerrevisions";
    JOBS = "batch" "jobs";
    CRON_JOBS = "batch" "cronjobs";
    HORIZONTAL_POD_AUTOSCALERS = "autoscaling" "horizontalpodautoscalers";
    POD_DISRUPTION_BUDGETS = "policy" "poddisruptionbudgets";
    ENDPOINT_SLICES = "discovery.k8s.io" "endpointslices";
    INGRESSES = "networking.k8s.io" "ingresses";
    LEASES = "coordination.k8s.io" "leases";
    PRIORITY_CLASSES = "scheduling.k8s.io" "priorityclasses";
    STORAGE_CLASSES = "storage.k8s.io" "storageclasses";
    CUSTOM_RESOURCE_DEFINITIONS = "apiextensions.k8s.io" "customresourcedefinitions";
}
