//! Everything that rolls nothing out. What cannot be read is unknown, never well.

use release_core::{CauseKind, Readiness};
use serde_json::Value;

use crate::finding::Finding;
use crate::json::{condition, list, object_ref, text};
use crate::workload::{Standing, Workload, is_observed};

/// Kinds that are what they are once they exist.
const PLAIN: [&str; 20] = [
    "ConfigMap",
    "Secret",
    "Service",
    "ServiceAccount",
    "Role",
    "RoleBinding",
    "ClusterRole",
    "ClusterRoleBinding",
    "NetworkPolicy",
    "PodDisruptionBudget",
    "HorizontalPodAutoscaler",
    "Ingress",
    "IngressClass",
    "LimitRange",
    "ResourceQuota",
    "PriorityClass",
    "StorageClass",
    "CronJob",
    "Lease",
    "EndpointSlice",
];

/// Condition types that say the whole object is well.
const WELL: [&str; 4] = ["Ready", "Available", "Established", "Programmed"];

pub(crate) fn read<'a>(kind: &str, object: &'a Value) -> Workload<'a> {
    match kind {
        "Namespace" => Workload::at(match text(&object["status"]["phase"]) {
            "Active" => Standing::Complete,
            "Terminating" => Standing::Underway,
            _ => Standing::Unknown,
        }),
        "PersistentVolumeClaim" => claim(object),
        _ if PLAIN.contains(&kind) => Workload::at(Standing::Complete),
        _ => Workload::at(by_conditions(object)),
    }
}

fn claim(claim: &Value) -> Workload<'_> {
    let mut workload = Workload::at(match text(&claim["status"]["phase"]) {
        "Bound" => Standing::Complete,
        // It may well wait for its first pod.
        "Pending" | "Lost" => Standing::Underway,
        _ => Standing::Unknown,
    });
    if claim["status"]["phase"] == "Lost" {
        let object = object_ref(claim, "v1", "PersistentVolumeClaim");
        let words = format!("{object} lost its volume");
        workload.findings.push(Finding::on(claim, object, CauseKind::Volume, words));
    }
    workload
}

/// By the conventions for conditions, where a controller keeps to them.
fn by_conditions(object: &Value) -> Standing {
    let present = object["metadata"]["generation"].as_i64();
    if is_observed(object) == Some(false) {
        return Standing::Underway;
    }
    let entry = |kind: &str| list(&object["status"]["conditions"]).find(|c| c["type"] == kind);
    let stalled = |kind: &str| condition(object, kind).is_some_and(|c| c.is_true());
    if stalled("Stalled") || stalled("Reconciling") {
        return Standing::Underway;
    }
    let told: Vec<&Value> = WELL.iter().filter_map(|kind| entry(kind)).collect();
    let is_present = |c: &&Value| match (c["observedGeneration"].as_i64(), present) {
        (Some(seen), Some(present)) => seen >= present,
        _ => true,
    };
    if told.is_empty() {
        Standing::Unknown
    } else if told.iter().all(|c| c["status"] == "True" && is_present(c)) {
        Standing::Complete
    } else {
        Standing::Underway
    }
}

/// A pod on its own.
pub(crate) fn read_pod(pod: &Value) -> Workload<'_> {
    let phase = text(&pod["status"]["phase"]);
    let ready = crate::pod::is_active(pod) && crate::pod::is_ready(pod);
    let mut workload = Workload::at(if ready || phase == "Succeeded" {
        Standing::Complete
    } else if phase.is_empty() {
        Standing::Unknown
    } else {
        Standing::Underway
    });
    workload.readiness = Readiness { ready: u32::from(ready), updated: 1, desired: 1 };
    workload.pods = vec![pod];
    if phase == "Failed" {
        let reason = text(&pod["status"]["reason"]);
        let words = format!("{} is over: {reason}", object_ref(pod, "v1", "Pod"));
        workload.findings.push(Finding::on(pod, object_ref(pod, "v1", "Pod"), CauseKind::CrashLoop, words));
    }
    workload
}
