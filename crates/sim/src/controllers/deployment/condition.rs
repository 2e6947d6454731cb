//! The conditions of a Deployment: facts where this controller said them, JSON where somebody else did.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::controllers::conditions as json_conditions;
use crate::controllers::read::{moment, text};
use crate::time::Second;

/// What is said of one condition, but for the words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) kind: &'static str,
    pub(super) status: &'static str,
    pub(super) reason: &'static str,
}

/// One condition.
#[derive(Debug, Clone)]
pub(super) enum Condition {
    Said { claim: Claim, message: Arc<str>, since: Since, updated: Second },
    Read(Arc<Value>),
}

/// When a condition got its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Since {
    At(Second),
    /// As somebody else wrote it.
    Read(Arc<Value>),
}

impl Since {
    fn to_value(&self) -> Value {
        match self {
            Self::At(second) => json!(second.text()),
            Self::Read(value) => (**value).clone(),
        }
    }
}

impl Condition {
    fn kind(&self) -> &str {
        match self {
            Self::Said { claim, .. } => claim.kind,
            Self::Read(value) => text(&value["type"]),
        }
    }

    fn status(&self) -> &str {
        match self {
            Self::Said { claim, .. } => claim.status,
            Self::Read(value) => text(&value["status"]),
        }
    }

    pub(super) fn reason(&self) -> &str {
        match self {
            Self::Said { claim, .. } => claim.reason,
            Self::Read(value) => text(&value["reason"]),
        }
    }

    /// When it was said last.
    pub(super) fn updated(&self) -> Option<Timestamp> {
        match self {
            Self::Said { updated, .. } => Some(updated.at()),
            Self::Read(value) => moment(&value["lastUpdateTime"]),
        }
    }

    fn since(&self) -> Since {
        match self {
            Self::Said { since, .. } => since.clone(),
            Self::Read(value) => Since::Read(Arc::new(value["lastTransitionTime"].clone())),
        }
    }

    fn to_value(&self) -> Value {
        match self {
            Self::Said { claim, message, since, updated } => json!({
                "type": claim.kind,
                "status": claim.status,
                "reason": claim.reason,
                "message": &**message,
                "lastTransitionTime": since.to_value(),
                "lastUpdateTime": updated.text(),
            }),
            Self::Read(value) => (**value).clone(),
        }
    }
}

impl PartialEq for Condition {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Said { claim, message, since, updated },
                Self::Said { claim: claim2, message: message2, since: since2, updated: updated2 },
            ) if std::mem::discriminant(since) == std::mem::discriminant(since2) => {
                (claim, updated, since, message) == (claim2, updated2, since2, message2)
            }
            (Self::Read(a), Self::Read(b)) => a == b,
            _ => self.to_value() == other.to_value(),
        }
    }
}

/// All conditions of a Deployment: one of each type, the latest said at the end.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Conditions(Vec<Condition>);

impl Conditions {
    /// Those of a status that is JSON.
    pub(super) fn read(status: &Value) -> Self {
        Self(json_conditions::of(status).into_iter().map(|value| Condition::Read(Arc::new(value))).collect())
    }

    pub(super) fn to_values(&self) -> Vec<Value> {
        self.0.iter().map(Condition::to_value).collect()
    }

    pub(super) fn find(&self, kind: &str) -> Option<&Condition> {
        self.0.iter().find(|condition| condition.kind() == kind)
    }

    pub(super) fn reason(&self, kind: &str) -> Option<&str> {
        self.find(kind).map(Condition::reason)
    }

    pub(super) fn remove(&mut self, kind: &str) {
        self.0.retain(|condition| condition.kind() != kind);
    }

    /// Says something in other words than these. The same status and reason: nothing changes.
    pub(super) fn set(&mut self, now: Timestamp, claim: Claim, message: impl FnOnce() -> String) {
        let old = self.find(claim.kind);
        if !old.is_some_and(|old| old.status() == claim.status && old.reason() == claim.reason) {
            self.refresh(now, claim, message);
        }
    }

    /// As [`Conditions::set`], but it is said anew in any case.
    pub(super) fn refresh(&mut self, now: Timestamp, claim: Claim, message: impl FnOnce() -> String) {
        let updated = Second::of(now);
        let old = self.find(claim.kind).filter(|old| old.status() == claim.status);
        let since = old.map_or(Since::At(updated), Condition::since);
        self.remove(claim.kind);
        self.0.push(Condition::Said { claim, message: message().into(), since, updated });
    }

    /// Takes over what a ReplicaSet says of itself. The same status and reason: nothing changes.
    pub(super) fn pass_on(&mut self, kind: &str, found: &Value) {
        let old = self.find(kind);
        if old.is_some_and(|old| old.status() == found["status"] && old.reason() == found["reason"]) {
            return;
        }
        let mut next = found.clone();
        next["lastUpdateTime"] = found["lastTransitionTime"].clone();
        self.remove(kind);
        self.0.push(Condition::Read(Arc::new(next)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn conditions_that_say_the_same_are_equal_whoever_wrote_them() {
        let claim = Claim { kind: "Available", status: "True", reason: "Enough" };
        let mut said = Conditions::default();
        said.set(at(5), claim, || "words".to_owned());
        let mut read = Conditions::read(&json!({"conditions": said.to_values()}));
        assert_eq!(said, read);
        for list in [&mut said, &mut read] {
            list.set(at(7), claim, || "other words".to_owned());
            assert_eq!(list.find("Available").and_then(Condition::updated), Some(at(5)));
            list.refresh(at(7), claim, || "other words".to_owned());
        }
        assert_eq!(said, read);
        let value = &read.to_values()[0];
        assert_eq!(value["lastTransitionTime"], "1970-01-01T00:00:05Z");
        assert_eq!(
            (&value["lastUpdateTime"], &value["message"]),
            (&json!("1970-01-01T00:00:07Z"), &json!("other words"))
        );
        read.refresh(at(7), Claim { status: "False", ..claim }, String::new);
        assert_ne!(said, read);
    }
}
