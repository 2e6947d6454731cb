//! What the cluster measures: a table that whoever runs the simulation fills in.

use std::collections::BTreeMap;

/// What a pod uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Thousandths of a processor.
    pub cpu_millis: i64,
    /// Bytes.
    pub memory_bytes: i64,
}

/// The measurements of now.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    /// What single pods use, by namespace and name.
    pub pods: BTreeMap<(String, String), Usage>,
    /// What each pod of a workload uses, by namespace and the workload's name; for pods that are not listed.
    pub workloads: BTreeMap<(String, String), Usage>,
    /// Metrics by name, in thousandths: of each pod for a metric of type Pods, the value itself for Object and External.
    pub named: BTreeMap<(String, String), i64>,
}

impl Metrics {
    pub(super) fn usage(&self, namespace: &str, workload: &str, pod: &str) -> Option<Usage> {
        let key = |name: &str| (namespace.to_owned(), name.to_owned());
        self.pods.get(&key(pod)).or_else(|| self.workloads.get(&key(workload))).copied()
    }

    pub(super) fn value(&self, namespace: &str, name: &str) -> Option<i64> {
        self.named.get(&(namespace.to_owned(), name.to_owned())).copied()
    }
}
