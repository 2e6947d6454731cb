//! Lists of conditions in a status: one of each type, the latest written at the end.

use std::borrow::{Borrow, Cow};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::read::text;
use crate::time;

/// What is said of one condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claim<'a> {
    pub(crate) kind: &'static str,
    pub(crate) status: &'static str,
    pub(crate) reason: &'a str,
    pub(crate) message: Cow<'a, str>,
}

impl<'a> Claim<'a> {
    pub(crate) fn new(
        kind: &'static str,
        status: &'static str,
        reason: &'a str,
        message: impl Into<Cow<'a, str>>,
    ) -> Self {
        Self { kind, status, reason, message: message.into() }
    }
}

/// A condition as lists hold it: JSON, or JSON that is shared.
pub(crate) trait Condition: Borrow<Value> + From<Value> {}

impl<T: Borrow<Value> + From<Value>> Condition for T {}

/// The conditions of a status.
pub(crate) fn of(status: &Value) -> Vec<Value> {
    status["conditions"].as_array().cloned().unwrap_or_default()
}

pub(crate) fn find<'a>(conditions: &'a [impl Borrow<Value>], kind: &str) -> Option<&'a Value> {
    conditions.iter().map(Borrow::borrow).find(|c| c["type"] == kind)
}

pub(crate) fn is_true(status: &Value, kind: &str) -> bool {
    super::read::items(&status["conditions"]).any(|c| c["type"] == kind && c["status"] == "True")
}

pub(crate) fn reason<'a>(conditions: &'a [impl Borrow<Value>], kind: &str) -> Option<&'a str> {
    find(conditions, kind).map(|c| text(&c["reason"]))
}

pub(crate) fn remove(conditions: &mut Vec<impl Borrow<Value>>, kind: &str) {
    conditions.retain(|c| c.borrow()["type"] != kind);
}

/// A condition with `lastUpdateTime`, as Deployments have. The same status and reason: nothing changes.
pub(crate) fn set_updated(conditions: &mut Vec<impl Condition>, now: Timestamp, claim: &Claim<'_>) {
    let old = find(conditions, claim.kind);
    if old.is_some_and(|c| c["status"] == claim.status && c["reason"] == claim.reason) {
        return;
    }
    refresh(conditions, now, claim);
}

/// As [`set_updated`], but `lastUpdateTime` becomes now in any case.
pub(crate) fn refresh(conditions: &mut Vec<impl Condition>, now: Timestamp, claim: &Claim<'_>) {
    let at = json!(time::seconds(now));
    let since = find(conditions, claim.kind)
        .filter(|c| c["status"] == claim.status)
        .map_or_else(|| at.clone(), |c| c["lastTransitionTime"].clone());
    remove(conditions, claim.kind);
    let next = json!({
        "type": claim.kind,
        "status": claim.status,
        "reason": claim.reason,
        "message": claim.message,
        "lastTransitionTime": since,
        "lastUpdateTime": at,
    });
    conditions.push(next.into());
}

/// A condition of the usual shape at its place; `lastTransitionTime` changes with the status.
pub(crate) fn set(conditions: &mut Vec<Value>, now: Timestamp, claim: &Claim<'_>) {
    let mut next = json!({
        "type": claim.kind,
        "status": claim.status,
        "reason": claim.reason,
        "message": claim.message,
        "lastTransitionTime": time::seconds(now),
    });
    match conditions.iter_mut().find(|c| c["type"] == claim.kind) {
        Some(old) => {
            if old["status"] == claim.status {
                next["lastTransitionTime"] = old["lastTransitionTime"].take();
            }
            *old = next;
        }
        None => conditions.push(next),
    }
}
