//! StatefulSets.

use release_core::Readiness;
use serde_json::Value;

use crate::Snapshot;
use crate::json::{count, is_controlled_by, is_terminating, text, uid};
use crate::workload::{Short, Standing, Workload, is_observed, wanted};

const REVISION: &str = "controller-revision-hash";

pub(crate) fn read<'a>(set: &'a Value, snapshot: &Snapshot<'a>) -> Workload<'a> {
    let desired = wanted(set);
    let status = &set["status"];
    let mut workload = Workload::at(Standing::Underway);
    workload.readiness.desired = desired;
    match is_observed(set) {
        Some(true) => {}
        Some(false) => return workload,
        None => return Workload { standing: Standing::Unknown, ..workload },
    }
    let rolls = set["spec"]["updateStrategy"]["type"] != "OnDelete";
    let partition = count(&set["spec"]["updateStrategy"]["rollingUpdate"]["partition"]).min(desired);
    // Clusters before 1.22 do not count available ones; without minReadySeconds ready is the same.
    let available = match &status["availableReplicas"] {
        Value::Null => count(&status["readyReplicas"]),
        available => count(available),
    };
    let (updated, total) = (count(&status["updatedReplicas"]), count(&status["replicas"]));
    let arrived = !rolls || partition > 0 || status["currentRevision"] == status["updateRevision"];
    let ready = count(&status["readyReplicas"]);
    let complete = total == desired && available == desired && ready == desired;
    if complete && updated >= desired - partition && arrived {
        workload.standing = Standing::Complete;
    }

    let revision = text(&status["updateRevision"]);
    let ours = |pod: &&Value| is_controlled_by(pod, uid(set));
    workload.pods = snapshot
        .pods
        .iter()
        .copied()
        .filter(|p| ours(p) && !revision.is_empty() && p["metadata"]["labels"][REVISION] == revision)
        .collect();
    let is_ready = |pod: &&&Value| crate::pod::is_active(pod) && crate::pod::is_ready(pod);
    let seen_ready = u32::try_from(workload.pods.iter().filter(is_ready).count()).unwrap_or(u32::MAX);
    workload.readiness = Readiness { ready: seen_ready.min(ready), updated, desired };
    let by = desired.saturating_sub(total);
    if by > 0 {
        let room_ahead = snapshot.pods.iter().any(|p| ours(p) && is_terminating(p));
        workload.short = Some(Short { maker: set, kind: "StatefulSet", by, room_ahead });
    }
    workload
}
