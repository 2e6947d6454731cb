//! Pods that are wanted and cannot be created.

use release_core::CauseKind;

use crate::finding::{Finding, MAX_WORDS};
use crate::json::{Condition, condition, is_older, object_ref, one_line, uid};
use crate::pod::Look;
use crate::refusal::{self, Patience};
use crate::workload::Short;

/// Why the pods are not there, if their creation was refused.
pub(crate) fn refused(look: &Look<'_>, short: &Short<'_>) -> Option<Finding> {
    let event = look
        .events
        .newest(uid(short.maker), |e| matches!(e.reason, "FailedCreate" | "SuccessfulCreate"))
        .filter(|e| e.reason == "FailedCreate");
    let failing = condition(short.maker, "ReplicaFailure").filter(Condition::is_true);
    let message = match (failing, event) {
        // A ReplicaSet takes the condition back; its events stay although the pods came.
        (Some(failing), event) if !is_older(failing.at, look.since) || event.is_some() => failing.message,
        (None, Some(event)) if short.kind != "ReplicaSet" => event.message,
        _ => return None,
    };
    let (kind, mut patience) = refusal::read(message);
    if patience == Patience::Room && !short.room_ahead {
        patience = Patience::None;
    }
    let object = object_ref(short.maker, "apps/v1", short.kind);
    let why = one_line(essence(message, kind), MAX_WORDS);
    let mut finding = Finding::on(short.maker, object, kind, format!("cannot be created: {why}"));
    finding.absent = short.by;
    if let Some(failing) = failing {
        finding = finding.condition(&failing);
    }
    Some(finding.patience(patience, look.graces))
}

/// The message without the name of a pod nobody has ever seen.
fn essence(message: &str, kind: CauseKind) -> &str {
    let message = message.strip_prefix("Error creating: ").unwrap_or(message);
    match message.split_once(" is forbidden: ") {
        Some((_, why)) if matches!(kind, CauseKind::Quota | CauseKind::Admission) => why,
        _ => message,
    }
}
