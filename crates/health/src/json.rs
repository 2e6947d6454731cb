//! Reading Kubernetes objects as JSON values, without trusting their shape: what is missing or of the
//! wrong type is absent, never a panic. Nothing is judged here.

use jiff::Timestamp;
use release_core::ObjectRef;
use serde_json::Value;

/// One entry of `status.conditions`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Condition<'a> {
    pub(crate) kind: &'a str,
    pub(crate) status: &'a str,
    pub(crate) reason: &'a str,
    pub(crate) message: &'a str,
    /// When it was last touched: `lastUpdateTime` where the kind has it, else `lastTransitionTime`.
    pub(crate) at: Option<&'a str>,
    /// When its status last changed.
    pub(crate) changed_at: Option<&'a str>,
}

impl Condition<'_> {
    pub(crate) fn is_true(&self) -> bool {
        self.status == "True"
    }

    pub(crate) fn is_false(&self) -> bool {
        self.status == "False"
    }
}

/// The condition of that type, if the object has it.
pub(crate) fn condition<'a>(object: &'a Value, kind: &str) -> Option<Condition<'a>> {
    let found = object["status"]["conditions"].as_array()?.iter().find(|c| c["type"] == kind)?;
    let changed_at = found["lastTransitionTime"].as_str();
    Some(Condition {
        kind: text(&found["type"]),
        status: text(&found["status"]),
        reason: text(&found["reason"]),
        message: text(&found["message"]),
        at: found["lastUpdateTime"].as_str().or(changed_at),
        changed_at,
    })
}

/// The text, empty when there is none.
pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The count, zero when there is none: Kubernetes leaves zeros out.
pub(crate) fn count(value: &Value) -> u32 {
    value.as_u64().and_then(|n| u32::try_from(n).ok()).unwrap_or(0)
}

/// The entries of a list, none when there is no list.
pub(crate) fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

pub(crate) fn name(object: &Value) -> &str {
    text(&object["metadata"]["name"])
}

pub(crate) fn uid(object: &Value) -> &str {
    text(&object["metadata"]["uid"])
}

/// Whether somebody asked for the object's deletion.
pub(crate) fn is_terminating(object: &Value) -> bool {
    object["metadata"]["deletionTimestamp"].is_string()
}

/// Whether the object's controlling owner is the one with this uid.
pub(crate) fn is_controlled_by(object: &Value, owner: &str) -> bool {
    !owner.is_empty()
        && list(&object["metadata"]["ownerReferences"]).any(|r| r["controller"] == true && r["uid"] == owner)
}

/// The object's name as a value. Items of a typed list carry no kind of their own, so it is passed.
pub(crate) fn object_ref(object: &Value, api_version: &str, kind: &str) -> ObjectRef {
    ObjectRef {
        api_version: object["apiVersion"].as_str().unwrap_or(api_version).to_owned(),
        kind: object["kind"].as_str().unwrap_or(kind).to_owned(),
        namespace: object["metadata"]["namespace"].as_str().map(str::to_owned),
        name: name(object).to_owned(),
    }
}

/// Whether `at` is a moment before `since`, in whole seconds. What has no readable time is not old.
pub(crate) fn is_older(at: Option<&str>, since: Option<Timestamp>) -> bool {
    let (Some(at), Some(since)) = (at.and_then(|at| at.parse::<Timestamp>().ok()), since) else {
        return false;
    };
    at.as_second() < since.as_second()
}

/// The text as one line of at most `max` characters.
pub(crate) fn one_line(text: &str, max: usize) -> String {
    let mut line = String::with_capacity(text.len().min(max + 4));
    for (length, c) in text.trim().chars().enumerate() {
        if length == max {
            line.push('…');
            break;
        }
        line.push(if c.is_control() { ' ' } else { c });
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_between_characters() {
        assert_eq!(one_line(" a\nb ", 10), "a b");
        assert_eq!(one_line("ééé", 2), "éé…");
        assert_eq!(one_line("éé", 2), "éé");
    }

    #[test]
    fn age_is_compared_in_whole_seconds() {
        let since = Some("2026-11-23T09:00:00.9Z".parse().unwrap());
        assert!(!is_older(Some("2026-11-23T09:00:00Z"), since));
        assert!(is_older(Some("2026-11-23T08:59:59.99Z"), since));
        assert!(!is_older(Some("yesterday"), since) && !is_older(None, since));
    }
}
