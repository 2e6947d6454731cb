//! How many nodes there are and how fast they are.

use serde::Deserialize;

use crate::apps::Span;

/// The nodes of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NodeConfig {
    /// How many; they are called `node1`, `node2` and so on.
    pub count: u32,
    /// The processors of each.
    pub cpu: u32,
    /// The memory of each in MiB.
    pub memory_mib: u64,
    /// How many pods each takes.
    pub pods: u32,
    /// From seeing a pod until its network is there.
    pub sandbox: Span,
    /// From making a container until its process runs.
    pub start: Span,
    /// Whether images are on every node from the start.
    pub images_present: bool,
    /// Whether kubelets write events; they cost about as much as the statuses.
    pub events: bool,
    /// The labels of every node besides its name, processor and system.
    pub labels: std::collections::BTreeMap<String, String>,
}

impl Default for NodeConfig {
    fn default() -> Self {
        let between = |least: u64, most: u64| Span {
            least: std::time::Duration::from_millis(least),
            most: std::time::Duration::from_millis(most),
        };
        Self {
            count: 1,
            cpu: 8,
            memory_mib: 32 * 1024,
            pods: 110,
            sandbox: between(800, 1600),
            start: between(300, 900),
            images_present: false,
            events: true,
            labels: std::collections::BTreeMap::new(),
        }
    }
}
