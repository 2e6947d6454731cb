//! Jobs. A Job's pods may fail and be tried again: only the Job itself says when it is over.

use release_core::{CauseKind, Readiness};
use serde_json::Value;

use crate::Snapshot;
use crate::finding::Finding;
use crate::json::{condition, count, is_controlled_by, list, object_ref, text, uid};
use crate::workload::{Short, Standing, Workload};

pub(crate) fn read<'a>(job: &'a Value, snapshot: &Snapshot<'a>) -> Workload<'a> {
    let status = &job["status"];
    let desired = match &job["spec"]["completions"] {
        Value::Null => 1,
        completions => count(completions),
    };
    let (active, succeeded) = (count(&status["active"]), count(&status["succeeded"]));
    let has = |kind: &str| condition(job, kind).is_some_and(|c| c.is_true());
    let pods: Vec<&Value> = snapshot.pods.iter().copied().filter(|p| is_controlled_by(p, uid(job))).collect();

    let mut workload = Workload::at(if has("Complete") {
        Standing::Complete
    } else if status["startTime"].is_string() || has("Suspended") {
        Standing::Underway
    } else {
        Standing::Unknown
    });
    workload.runs_to_completion = true;
    workload.readiness = Readiness { ready: succeeded, updated: active.saturating_add(succeeded), desired };
    if workload.standing == Standing::Complete {
        return workload;
    }
    workload.findings.extend(failure(job, &pods));
    let none_yet = active == 0 && succeeded == 0 && count(&status["failed"]) == 0;
    if none_yet && !has("Suspended") {
        workload.short = Some(Short { maker: job, kind: "Job", by: desired.max(1), room_ahead: false });
    }
    workload.pods = pods;
    workload
}

/// That it failed, or that attempts of it did.
fn failure(job: &Value, pods: &[&Value]) -> Option<Finding> {
    let object = object_ref(job, "batch/v1", "Job");
    let mut failed: Vec<&Value> = pods.iter().copied().filter(|p| p["status"]["phase"] == "Failed").collect();
    failed.sort_by_key(|p| (text(&p["metadata"]["creationTimestamp"]), crate::json::name(p)));
    let exits = failed.last().and_then(|pod| exit(pod));
    let exit = exits.map_or(String::new(), |(container, code)| {
        format!(": container {container} exited with code {code}")
    });
    let attempts = count(&job["status"]["failed"]).max(u32::try_from(failed.len()).unwrap_or(u32::MAX));
    let attempts = if attempts == 1 { "1 attempt".to_owned() } else { format!("{attempts} attempts") };
    let over = ["Failed", "FailureTarget"]
        .iter()
        .find_map(|kind| condition(job, kind).filter(crate::json::Condition::is_true));
    if let Some(over) = over {
        let words = format!("{object} failed after {attempts}{exit} ({})", over.reason);
        return Some(Finding::on(job, object, CauseKind::JobFailed, words).condition(&over));
    }
    if failed.is_empty() {
        return None;
    }
    let words = format!("{object} tries again after {attempts}{exit}");
    Some(Finding::on(job, object, CauseKind::JobFailed, words).transient())
}

/// Which container of a failed pod failed it, and how.
fn exit(pod: &Value) -> Option<(&str, i64)> {
    ["initContainerStatuses", "containerStatuses"].into_iter().find_map(|statuses| {
        list(&pod["status"][statuses]).find_map(|c| {
            let code = c["state"]["terminated"]["exitCode"].as_i64().filter(|code| *code != 0)?;
            Some((text(&c["name"]), code))
        })
    })
}

/// What a rule about pods means for a Job's pod: it may crash, and it need not become ready.
pub(crate) fn soften(finding: Finding) -> Option<Finding> {
    match finding.kind {
        CauseKind::NeverReady | CauseKind::Flapping => None,
        CauseKind::CrashLoop | CauseKind::OomKilled | CauseKind::StartupProbe => {
            Some(Finding { kind: CauseKind::JobFailed, ..finding }.transient())
        }
        _ => Some(finding),
    }
}
