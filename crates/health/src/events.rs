//! The cluster's events, sorted to the objects they are about. Only reading: nothing is judged here.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use release_core::{Evidence, ObjectRef};
use serde_json::Value;

use crate::finding::MAX_MESSAGE;
use crate::json::{is_older, list, one_line, text};

/// Warnings about the cluster itself, which every pod gets there and none suffers from.
const NOISE: [&str; 2] = ["MissingClusterDNS", "DNSConfigForming"];

/// Events that are not warnings and yet say something about a failure or its end.
const TELLING: [&str; 4] = ["Killing", "BackOff", "TriggeredScaleUp", "Nominated"];

/// One event.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Event<'a> {
    value: &'a Value,
    pub(crate) reason: &'a str,
    pub(crate) message: &'a str,
    pub(crate) at: Option<&'a str>,
}

impl Event<'_> {
    /// Whether it is about this container of the pod.
    pub(crate) fn is_about(&self, container: &str) -> bool {
        let path = text(&self.value["involvedObject"]["fieldPath"]);
        path.split_once('{').and_then(|(_, rest)| rest.strip_suffix('}')) == Some(container)
    }

    /// Whether it belongs to the story of a failure.
    pub(crate) fn is_telling(&self) -> bool {
        !NOISE.contains(&self.reason) && (self.value["type"] == "Warning" || TELLING.contains(&self.reason))
    }

    pub(crate) fn evidence(&self, object: &ObjectRef) -> Evidence {
        Evidence {
            source: "event".to_owned(),
            object: object.clone(),
            reason: Some(self.reason.to_owned()),
            message: one_line(self.message, MAX_MESSAGE),
            at: self.at.map(str::to_owned),
        }
    }
}

/// Events by the uid of the object they are about, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Events<'a> {
    by_uid: HashMap<&'a str, Vec<Event<'a>>>,
}

impl<'a> Events<'a> {
    /// Keeps the events about the objects with these uids which are not older than `since`.
    pub(crate) fn about(uids: &HashSet<&str>, events: &[&'a Value], since: Option<Timestamp>) -> Self {
        let mut by_uid: HashMap<&'a str, Vec<Event<'a>>> = HashMap::new();
        for event in events {
            let uid = text(&event["involvedObject"]["uid"]);
            if uid.is_empty() || !uids.contains(uid) {
                continue;
            }
            let at = last_seen(event);
            if is_older(at, since) {
                continue;
            }
            by_uid.entry(uid).or_default().push(Event {
                value: event,
                reason: text(&event["reason"]),
                message: text(&event["message"]),
                at,
            });
        }
        for of_one in by_uid.values_mut() {
            // The texts are all UTC in RFC 3339, with or without a fraction; their order is that of time
            // down to the second, and the rest makes it independent of the order of input.
            of_one.sort_by_key(|e| (e.at.unwrap_or_default(), e.reason, e.message));
        }
        Self { by_uid }
    }

    /// The events about this object, oldest first.
    pub(crate) fn of(&self, uid: &str) -> &[Event<'a>] {
        self.by_uid.get(uid).map_or(&[], Vec::as_slice)
    }

    /// The newest event about this object that satisfies `wanted`.
    pub(crate) fn newest(&self, uid: &str, wanted: impl Fn(&Event<'a>) -> bool) -> Option<Event<'a>> {
        self.of(uid).iter().rev().find(|e| wanted(e)).copied()
    }
}

/// When it happened last. Which field says so depends on the age of the component that wrote it.
fn last_seen(event: &Value) -> Option<&str> {
    [
        &event["series"]["lastObservedTime"],
        &event["lastTimestamp"],
        &event["eventTime"],
        &event["metadata"]["creationTimestamp"],
    ]
    .into_iter()
    .find_map(Value::as_str)
}

/// The message of the event that a probe of this container failed, newest first.
pub(crate) fn probe_failure<'a>(
    events: &Events<'a>,
    pod_uid: &str,
    container: &str,
    probe: &str,
) -> Option<Event<'a>> {
    events
        .newest(pod_uid, |e| e.reason == "Unhealthy" && e.is_about(container) && e.message.starts_with(probe))
}

/// The entry of this container in a list of specs.
pub(crate) fn spec_of<'a>(specs: &'a Value, container: &str) -> Option<&'a Value> {
    list(specs).find(|c| c["name"] == container)
}
