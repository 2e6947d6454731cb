//! What makes pods, and what scales it.

use serde_json::{Value, json};

use super::{each, pod, set};
use crate::profile::ApiProfile;

/// Counts changes of a DaemonSet's template, for clients of long ago.
pub(crate) const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

pub(super) fn deployment(object: &mut Value) {
    let spec = &mut object["spec"];
    set(spec, "replicas", 1);
    set(spec, "revisionHistoryLimit", 10);
    set(spec, "progressDeadlineSeconds", 600);
    set(&mut spec["strategy"], "type", "RollingUpdate");
    if spec["strategy"]["type"] == "RollingUpdate" {
        set(&mut spec["strategy"]["rollingUpdate"], "maxUnavailable", "25%");
        set(&mut spec["strategy"]["rollingUpdate"], "maxSurge", "25%");
    }
    pod::template(&mut spec["template"]);
}

pub(super) fn replica_set(object: &mut Value) {
    set(&mut object["spec"], "replicas", 1);
    pod::template(&mut object["spec"]["template"]);
}

pub(super) fn stateful_set(object: &mut Value, profile: &ApiProfile) {
    let spec = &mut object["spec"];
    set(spec, "replicas", 1);
    set(spec, "podManagementPolicy", "OrderedReady");
    set(spec, "revisionHistoryLimit", 10);
    set(&mut spec["updateStrategy"], "type", "RollingUpdate");
    if spec["updateStrategy"]["type"] == "RollingUpdate" {
        set(&mut spec["updateStrategy"]["rollingUpdate"], "partition", 0);
    }
    if profile.claim_retention {
        let policy = &mut spec["persistentVolumeClaimRetentionPolicy"];
        set(policy, "whenDeleted", "Retain");
        set(policy, "whenScaled", "Retain");
    }
    for claim in spec.get_mut("volumeClaimTemplates").into_iter().flat_map(each) {
        set(claim, "apiVersion", "v1");
        set(claim, "kind", "PersistentVolumeClaim");
        super::claim(claim);
    }
    pod::template(&mut spec["template"]);
}

pub(super) fn daemon_set(object: &mut Value, profile: &ApiProfile) {
    set(&mut object["metadata"], "annotations", json!({}));
    set(&mut object["metadata"]["annotations"], TEMPLATE_GENERATION, "1");
    let spec = &mut object["spec"];
    set(spec, "revisionHistoryLimit", 10);
    set(&mut spec["updateStrategy"], "type", "RollingUpdate");
    if spec["updateStrategy"]["type"] == "RollingUpdate" {
        set(&mut spec["updateStrategy"]["rollingUpdate"], "maxUnavailable", 1);
        if profile.daemon_set_surge {
            set(&mut spec["updateStrategy"]["rollingUpdate"], "maxSurge", 0);
        }
    }
    pod::template(&mut spec["template"]);
}

pub(super) fn job(object: &mut Value, profile: &ApiProfile) {
    let labels = &object["spec"]["template"]["metadata"]["labels"];
    let has_some = |labels: &Value| labels.as_object().is_some_and(|l| !l.is_empty());
    if has_some(labels) && !has_some(&object["metadata"]["labels"]) {
        object["metadata"]["labels"] = labels.clone();
    }
    let spec = &mut object["spec"];
    if spec["completions"].is_null() && spec["parallelism"].is_null() {
        set(spec, "completions", 1);
    }
    set(spec, "parallelism", 1);
    set(spec, "backoffLimit", 6);
    if profile.job_modes {
        set(spec, "completionMode", "NonIndexed");
        set(spec, "suspend", false);
        set(spec, "manualSelector", false);
        let policy = if spec["podFailurePolicy"].is_object() { "Failed" } else { "TerminatingOrFailed" };
        set(spec, "podReplacementPolicy", policy);
    }
    if let Some(map) = spec.as_object_mut() {
        map.retain(|_, value| !value.is_null());
    }
    job_template(&mut spec["template"]);
}

/// The restart policy of a job's pods has no default that is allowed; it is told later.
fn job_template(template: &mut Value) {
    pod::template(template);
}

pub(super) fn cron_job(object: &mut Value) {
    let spec = &mut object["spec"];
    set(spec, "concurrencyPolicy", "Allow");
    set(spec, "suspend", false);
    set(spec, "successfulJobsHistoryLimit", 3);
    set(spec, "failedJobsHistoryLimit", 1);
    job_template(&mut spec["jobTemplate"]["spec"]["template"]);
}

pub(super) fn autoscaler(object: &mut Value) {
    let spec = &mut object["spec"];
    set(spec, "minReplicas", 1);
    if spec["metrics"].as_array().is_none_or(Vec::is_empty) {
        spec["metrics"] = json!([{"type": "Resource", "resource":
            {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}]);
    }
    if let Some(behavior) = spec.get_mut("behavior").filter(|b| b.is_object()) {
        let up = json!([{"type": "Pods", "value": 4, "periodSeconds": 15},
            {"type": "Percent", "value": 100, "periodSeconds": 15}]);
        set(&mut behavior["scaleUp"], "stabilizationWindowSeconds", 0);
        set(&mut behavior["scaleUp"], "selectPolicy", "Max");
        set(&mut behavior["scaleUp"], "policies", up);
        let down = json!([{"type": "Percent", "value": 100, "periodSeconds": 15}]);
        set(&mut behavior["scaleDown"], "selectPolicy", "Max");
        set(&mut behavior["scaleDown"], "policies", down);
    }
}
