//! Which collection of objects is meant: a group and a plural, as in `deployments.apps`. No versions: all versions
//! of a resource are views of the same objects.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

/// The name of a collection of objects.
#[derive(Debug, Clone)]
pub struct Resource {
    /// The API group, empty for the core group.
    pub group: Cow<'static, str>,
    /// The plural in lower case, as in paths.
    pub plural: Cow<'static, str>,
    /// Its place among those with a name here; None: it has none. Follows from the other two.
    place: Option<u8>,
}

impl Resource {
    /// A built-in resource.
    pub const fn fixed(group: &'static str, plural: &'static str) -> Self {
        Self { group: Cow::Borrowed(group), plural: Cow::Borrowed(plural), place: place(group, plural) }
    }

    /// A resource known only at run time.
    pub fn new(group: impl Into<String>, plural: impl Into<String>) -> Self {
        let (group, plural) = (group.into(), plural.into());
        let place = place(&group, &plural);
        Self { group: Cow::Owned(group), plural: Cow::Owned(plural), place }
    }

    /// Its place among the resources that have a name here, below [`NAMED`]; None for all others.
    pub(crate) fn place(&self) -> Option<usize> {
        self.place.map(usize::from)
    }
}

impl PartialEq for Resource {
    fn eq(&self, other: &Self) -> bool {
        match (self.place, other.place) {
            (None, None) => self.group == other.group && self.plural == other.plural,
            (a, b) => a == b,
        }
    }
}

impl Eq for Resource {}

impl PartialOrd for Resource {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// By group, then by plural.
impl Ord for Resource {
    fn cmp(&self, other: &Self) -> Ordering {
        if self.place.is_some() && self.place == other.place {
            return Ordering::Equal;
        }
        (&self.group, &self.plural).cmp(&(&other.group, &other.plural))
    }
}

impl Hash for Resource {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.group, &self.plural).hash(state);
    }
}

/// A set of resources; those without a name here count as one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Resources(u64);

impl Resources {
    pub(crate) const ALL: Self = Self(u64::MAX);

    pub(crate) const fn of(all: &[&Resource]) -> Self {
        let (mut set, mut at) = (Self(0), 0);
        while at < all.len() {
            set = set.with(all[at]);
            at += 1;
        }
        set
    }

    pub(crate) const fn with(self, resource: &Resource) -> Self {
        // There are fewer with a name than the others' place.
        const OTHERS: u8 = 63;
        const { assert!(NAMED <= OTHERS as usize) };
        let place = match resource.place {
            Some(place) => place,
            None => OTHERS,
        };
        Self(self.0 | 1 << place)
    }

    pub(crate) fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// Looked up when a resource is named, so that comparing two of them is comparing two numbers.
const fn place(group: &str, plural: &str) -> Option<u8> {
    let mut at = 0;
    while at < NAMES.len() {
        if same(NAMES[at].1, plural) && same(NAMES[at].0, group) {
            #[expect(clippy::cast_possible_truncation, reason = "there are a few dozen")]
            return Some(at as u8);
        }
        at += 1;
    }
    None
}

/// Whether two texts are the same; `==` is not there for constants.
const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let mut at = 0;
    while at < a.len() {
        if a[at] != b[at] {
            return false;
        }
        at += 1;
    }
    true
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.plural)?;
        if self.group.is_empty() { Ok(()) } else { write!(f, ".{}", self.group) }
    }
}

/// How many resources have a name here.
pub(crate) const NAMED: usize = NAMES.len();

macro_rules! resources {
    ($($name:ident = $group:literal $plural:literal;)*) => {
        /// The resources with a name here, as group and plural.
        const NAMES: &[(&str, &str)] = &[$(($group, $plural),)*];

        $(
            #[doc = concat!("`", $plural, "` of the group `", $group, "`.")]
            pub static $name: Resource = Resource::fixed($group, $plural);
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
