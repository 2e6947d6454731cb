//! What a workload's own status says, kind by kind, and which pods are of the version being released.
//!
//! A status counts only for the generation its controller has observed. Pods of older versions are nobody's
//! business here, however badly they do.

use release_core::Readiness;
use serde_json::Value;

use crate::finding::Finding;
use crate::{Graces, Snapshot};
use crate::{daemon_set, deployment, job, other, stateful_set};

/// How far the workload is by its own account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It says nothing, or nobody knows how to read it.
    Unknown,
    /// Its controller is at it, or has not got to it.
    Underway,
    /// Its generation is observed, complete and available.
    Complete,
}

/// A workload and its current pods.
#[derive(Debug, Clone)]
pub(crate) struct Workload<'a> {
    pub(crate) standing: Standing,
    pub(crate) readiness: Readiness,
    /// The pods of the version being released.
    pub(crate) pods: Vec<&'a Value>,
    /// Whether the pods are meant to end.
    pub(crate) runs_to_completion: bool,
    /// The object that creates the pods, when it wants more of them than there are.
    pub(crate) short: Option<Short<'a>>,
    /// What its own conditions say is wrong.
    pub(crate) findings: Vec<Finding>,
}

/// A controller that has fewer pods than it wants.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Short<'a> {
    pub(crate) maker: &'a Value,
    /// The kind of `maker`, for objects that do not carry their own.
    pub(crate) kind: &'static str,
    /// How many pods are missing.
    pub(crate) by: u32,
    /// Whether pods of this workload are leaving, or about to, which makes room for the missing ones.
    pub(crate) room_ahead: bool,
}

impl<'a> Workload<'a> {
    /// Reads `workload`, an object of `kind`.
    pub(crate) fn read(kind: &str, workload: &'a Value, snapshot: &Snapshot<'a>, graces: &Graces) -> Self {
        match kind {
            "Deployment" => deployment::read(workload, snapshot, graces),
            "StatefulSet" => stateful_set::read(workload, snapshot),
            "DaemonSet" => daemon_set::read(workload, snapshot),
            "Job" => job::read(workload, snapshot),
            "Pod" => other::read_pod(workload),
            _ => other::read(kind, workload),
        }
    }

    /// Nothing known but how far it is.
    pub(crate) fn at(standing: Standing) -> Self {
        Self {
            standing,
            readiness: Readiness::default(),
            pods: Vec::new(),
            runs_to_completion: false,
            short: None,
            findings: Vec::new(),
        }
    }
}

/// Whether the controller has seen the present generation.
///
/// `None` when it has not written a status at all, or the object has no generation to compare with.
pub(crate) fn is_observed(workload: &Value) -> Option<bool> {
    let generation = workload["metadata"]["generation"].as_i64()?;
    let observed = workload["status"]["observedGeneration"].as_i64()?;
    Some(observed >= generation)
}

/// How many replicas the spec wants; Kubernetes' default is 1.
pub(crate) fn wanted(workload: &Value) -> u32 {
    match &workload["spec"]["replicas"] {
        Value::Null => 1,
        replicas => crate::json::count(replicas),
    }
}
