//! Sets of one pod a node: `DaemonSet`.

use release_core::Readiness;
use serde_json::Value;

use crate::Snapshot;
use crate::json::{count, is_controlled_by, is_terminating, list, uid};
use crate::pod::{is_active, is_ready};
use crate::workload::{Short, Standing, Workload, is_observed};

const GENERATION: &str = "deprecated.daemonset.template.generation";

pub(crate) fn read<'a>(set: &'a Value, snapshot: &Snapshot<'a>) -> Workload<'a> {
    let status = &set["status"];
    match is_observed(set) {
        Some(true) => {}
        Some(false) => return Workload::at(Standing::Underway),
        None => return Workload::at(Standing::Unknown),
    }
    let desired = count(&status["desiredNumberScheduled"]);
    let updated = count(&status["updatedNumberScheduled"]);
    let complete = updated == desired
        && count(&status["currentNumberScheduled"]) >= desired
        && count(&status["numberAvailable"]) == desired
        && count(&status["numberUnavailable"]) == 0;
    let mut workload = Workload::at(if complete { Standing::Complete } else { Standing::Underway });

    let ours = |pod: &&Value| is_controlled_by(pod, uid(set));
    workload.pods = snapshot.pods.iter().copied().filter(|p| ours(p) && is_current(p, set)).collect();
    let ready = workload.pods.iter().filter(|p| is_active(p) && is_ready(p)).count();
    let ready = u32::try_from(ready).unwrap_or(u32::MAX).min(count(&status["numberReady"]));
    workload.readiness = Readiness { ready, updated, desired };
    let by = desired.saturating_sub(count(&status["currentNumberScheduled"]));
    if by > 0 {
        let room_ahead = snapshot.pods.iter().any(|p| ours(p) && is_terminating(p));
        workload.short = Some(Short { maker: set, kind: "DaemonSet", by, room_ahead });
    }
    workload
}

/// Whether the pod is of the present template. Its hash is in an object we do not watch, so: by the
/// template's generation, which every cluster still writes on both, or else by the images.
fn is_current(pod: &Value, set: &Value) -> bool {
    let of_set = &set["metadata"]["annotations"][GENERATION];
    let of_pod = &pod["metadata"]["labels"]["pod-template-generation"];
    if of_set.is_string() && of_pod.is_string() {
        return of_set == of_pod;
    }
    let wanted = || list(&set["spec"]["template"]["spec"]["containers"]);
    let has = |c: &Value| {
        list(&pod["spec"]["containers"]).any(|p| p["name"] == c["name"] && p["image"] == c["image"])
    };
    wanted().next().is_some() && wanted().all(has)
}
