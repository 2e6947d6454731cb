//! Lists of conditions in a status: one of each type, the latest written at the end.

use std::borrow::Cow;

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

/// The conditions of a status.
pub(crate) fn of(status: &Value) -> Vec<Value> {
    status["conditions"].as_array().cloned().unwrap_or_default()
}

pub(crate) fn find<'a>(conditions: &'a [Value], kind: &str) -> Option<&'a Value> {
    conditions.iter().find(|c| c["type"] == kind)
}

pub(crate) fn is_true(status: &Value, kind: &str) -> bool {
    super::read::items(&status["conditions"]).any(|c| c["type"] == kind && c["status"] == "True")
}

pub(crate) fn reason<'a>(conditions: &'a [Value], kind: &str) -> Option<&'a str> {
    find(conditions, kind).map(|c| text(&c["reason"]))
}

pub(crate) fn remove(conditions: &mut Vec<Value>, kind: &str) {
    conditions.retain(|c| c["type"] != kind);
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
