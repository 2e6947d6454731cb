//! Deployments, and which of their ReplicaSets is the current one.

use release_core::{CauseKind, Readiness};
use serde_json::Value;

use crate::finding::Finding;
use crate::json::{condition, count, is_controlled_by, is_terminating, name, object_ref, text, uid};
use crate::pod::{is_active, is_ready};
use crate::workload::{Short, Standing, Workload, is_observed, wanted};
use crate::{Graces, Snapshot};

const REVISION: &str = "deployment.kubernetes.io/revision";
const HASH: &str = "pod-template-hash";

pub(crate) fn read<'a>(deployment: &'a Value, snapshot: &Snapshot<'a>, graces: &Graces) -> Workload<'a> {
    let desired = wanted(deployment);
    let status = &deployment["status"];
    let mut workload = Workload::at(Standing::Underway);
    workload.readiness.desired = desired;
    match is_observed(deployment) {
        Some(true) => {}
        observed => {
            if observed.is_none() {
                workload.standing = Standing::Unknown;
            }
            workload.findings.extend(no_replica_set(deployment, graces));
            return workload;
        }
    }

    let owned: Vec<&Value> =
        snapshot.replica_sets.iter().copied().filter(|rs| is_controlled_by(rs, uid(deployment))).collect();
    let current = current(deployment, &owned);
    let (updated, total) = (count(&status["updatedReplicas"]), count(&status["replicas"]));
    workload.readiness = Readiness {
        ready: match current {
            Some(rs) => count(&rs["status"]["readyReplicas"]),
            None if updated == total => count(&status["readyReplicas"]),
            None => 0,
        },
        updated,
        desired,
    };
    let complete = updated == desired && total == desired && count(&status["availableReplicas"]) == desired;
    if complete && count(&status["unavailableReplicas"]) == 0 {
        workload.standing = Standing::Complete;
    } else {
        workload.findings.extend(no_progress(deployment, workload.readiness));
        workload.findings.extend(no_replica_set(deployment, graces));
    }
    let Some(current) = current else {
        // Its pods cannot be told from older ones until it is seen.
        return workload;
    };
    workload.pods = snapshot.pods.iter().copied().filter(|p| is_controlled_by(p, uid(current))).collect();
    let by = wanted(current).saturating_sub(count(&current["status"]["replicas"]));
    if by > 0 {
        let room_ahead = room_ahead(deployment, current, &owned, snapshot);
        workload.short = Some(Short { maker: current, kind: "ReplicaSet", by, room_ahead });
    }
    workload
}

/// The ReplicaSet the Deployment is moving to, if it is in sight.
///
/// By the revision the controller wrote on both; before that is seen on a ReplicaSet that is being reused,
/// by the template, which the controller too compares without the hash it adds. The oldest equal one wins.
fn current<'a>(deployment: &Value, owned: &[&'a Value]) -> Option<&'a Value> {
    let revision = &deployment["metadata"]["annotations"][REVISION];
    let oldest = |rs: &&Value| (text(&rs["metadata"]["creationTimestamp"]).to_owned(), name(rs).to_owned());
    let same_revision =
        |rs: &&Value| revision.is_string() && rs["metadata"]["annotations"][REVISION] == *revision;
    let template = &deployment["spec"]["template"];
    let same_template = |rs: &&Value| is_same_template(template, &rs["spec"]["template"]);

    let marked = owned.iter().copied().filter(same_revision).min_by_key(oldest);
    marked.or_else(|| owned.iter().copied().filter(same_template).min_by_key(oldest))
}

fn is_same_template(ours: &Value, theirs: &Value) -> bool {
    let (Some(ours), Some(theirs)) = (ours.as_object(), theirs.as_object()) else {
        return false;
    };
    let mut theirs = theirs.clone();
    let labels = theirs.get_mut("metadata").and_then(|m| m.get_mut("labels")).and_then(Value::as_object_mut);
    let of_ours = ours.get("metadata").map_or(&Value::Null, |m| &m["labels"][HASH]);
    if let Some(labels) = labels
        && of_ours.is_null()
    {
        labels.remove(HASH);
    }
    *ours == theirs
}

/// The controller could not even create the ReplicaSet. It says so without observing the generation.
fn no_replica_set(deployment: &Value, graces: &Graces) -> Option<Finding> {
    let progressing = condition(deployment, "Progressing").filter(|c| c.reason == "ReplicaSetCreateError")?;
    let object = object_ref(deployment, "apps/v1", "Deployment");
    let (kind, patience) = crate::refusal::read(progressing.message);
    let words = format!("{object} cannot get a ReplicaSet: {}", progressing.message);
    let finding = Finding::on(deployment, object, kind, words).condition(&progressing);
    Some(finding.patience(patience, graces))
}

fn no_progress(deployment: &Value, readiness: Readiness) -> Option<Finding> {
    let stalled = condition(deployment, "Progressing")
        .filter(|c| c.is_false() && c.reason == "ProgressDeadlineExceeded")?;
    let object = object_ref(deployment, "apps/v1", "Deployment");
    let words = format!(
        "{object} made no progress within {} s: {} of {} new pods are ready",
        deployment["spec"]["progressDeadlineSeconds"].as_u64().unwrap_or(600),
        readiness.ready,
        readiness.desired,
    );
    Some(Finding::on(deployment, object, CauseKind::ProgressDeadline, words).condition(&stalled))
}

/// Whether old pods of this Deployment are leaving or will leave although the new ones do not come.
fn room_ahead(deployment: &Value, current: &Value, owned: &[&Value], snapshot: &Snapshot<'_>) -> bool {
    let of_ours = |pod: &Value| owned.iter().any(|rs| is_controlled_by(pod, uid(rs)));
    if snapshot.pods.iter().filter(|p| is_terminating(p)).any(|p| of_ours(p)) {
        return true;
    }
    let old = || owned.iter().filter(|rs| uid(rs) != uid(current));
    let is_leaving = |rs: &&&Value| count(&rs["status"]["replicas"]) > wanted(rs);
    if old().any(|rs| is_leaving(&rs)) {
        return true;
    }
    if old().all(|rs| count(&rs["status"]["replicas"]) == 0) {
        return false;
    }
    let on_the_way = |pod: &&&Value| is_controlled_by(pod, uid(current)) && is_active(pod) && !is_ready(pod);
    may_go_without_replacement(deployment) || snapshot.pods.iter().any(|p| on_the_way(&p))
}

/// Whether the strategy removes old pods before new ones are available.
fn may_go_without_replacement(deployment: &Value) -> bool {
    let strategy = &deployment["spec"]["strategy"];
    if strategy["type"] == "Recreate" {
        return true;
    }
    let replicas = u64::from(wanted(deployment));
    // Kubernetes rounds surge up and unavailability down, and lets one go when both come to nothing.
    let of = |value: &Value, up: u64| match value {
        Value::String(percent) => {
            let percent = percent.trim_end_matches('%').parse::<u64>().unwrap_or(25).min(1000);
            (replicas * percent + up) / 100
        }
        Value::Null => (replicas * 25 + up) / 100,
        number => number.as_u64().unwrap_or(0),
    };
    let rolling = &strategy["rollingUpdate"];
    of(&rolling["maxUnavailable"], 0) > 0 || of(&rolling["maxSurge"], 99) == 0
}
