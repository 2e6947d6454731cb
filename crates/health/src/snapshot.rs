//! What is asked about and what is seen of it. Only values: nothing is judged here.

use jiff::Timestamp;
use release_core::ObjectRef;
use serde_json::Value;

use crate::json::{list, text};

/// What is seen at one moment of one workload and of what may belong to it.
///
/// The lists may be in any order and may hold objects of other workloads: what belongs is found by
/// following the uids of controlling owners and of involved objects, never by names or labels.
/// Deleted objects must not be in it; terminating ones (with a `deletionTimestamp`) may.
#[derive(Debug, Clone, Default)]
pub struct Snapshot<'a> {
    /// The workload itself, `None` when it is not (or not yet, or no longer) there.
    pub workload: Option<&'a Value>,
    /// ReplicaSets, old and new. Only needed for Deployments.
    pub replica_sets: Vec<&'a Value>,
    /// Pods.
    pub pods: Vec<&'a Value>,
    /// Events (`v1`), of the workload, its ReplicaSets and its pods.
    pub events: Vec<&'a Value>,
}

/// Whose health is asked for, and what is too old to count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The workload.
    pub object: ObjectRef,
    /// The generation the API server answered to our write. A workload below it is not judged at all.
    pub min_generation: Option<i64>,
    /// Events, conditions and container exits the cluster dates before this moment are not held against
    /// the workload: they belong to an earlier rollout. Compared in whole seconds, as the cluster writes
    /// them, and always with the cluster's timestamps: take it from the API server's answer.
    pub since: Option<Timestamp>,
    /// The uid the API server answered to our write. An object of the same name with another uid is
    /// somebody else's.
    pub uid: Option<String>,
    /// The images the API server answered to our write, as [`images`] finds them. A workload with others runs what
    /// somebody else wants. Empty: they are not compared.
    pub images: Vec<String>,
}

impl Target {
    /// `object`, whatever its generation, uid, images and past.
    pub fn new(object: ObjectRef) -> Self {
        Self { object, min_generation: None, since: None, uid: None, images: Vec::new() }
    }
}

/// The images of a workload's pod template, those of containers that run before the others first.
pub fn images(workload: &Value) -> Vec<String> {
    let spec = &workload["spec"]["template"]["spec"];
    let containers = ["initContainers", "containers"].into_iter().flat_map(|field| list(&spec[field]));
    containers.map(|container| text(&container["image"]).to_owned()).collect()
}

impl<'a> Snapshot<'a> {
    /// The pods of the version the workload is moving to; none while its controller has not looked at it yet.
    pub fn current_pods(&self) -> Vec<&'a Value> {
        let Some(workload) = self.workload else { return Vec::new() };
        let kind = text(&workload["kind"]);
        crate::workload::Workload::read(kind, workload, self, &crate::Graces::default()).pods
    }
}
