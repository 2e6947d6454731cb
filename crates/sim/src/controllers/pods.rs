//! What controllers ask about pods.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::read::{items, moment};
use crate::node::PodStatus;
use crate::object::Object;
use crate::resource::PODS;
use crate::store::Store;

/// Whether a pod counts as available.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Availability {
    /// It is not ready.
    No,
    /// It is ready, and will be available then if it stays so.
    At(Timestamp),
    /// It has been ready for long enough.
    Yes,
}

pub(crate) fn condition<'a>(pod: &'a Object, kind: &str) -> Option<&'a Value> {
    pod.condition(kind)
}

pub(crate) fn phase(pod: &Object) -> &str {
    pod.phase()
}

/// Whether all its containers have ended for good.
pub(crate) fn is_finished(pod: &Object) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}

/// Whether it is there to stay.
pub(crate) fn is_active(pod: &Object) -> bool {
    !is_finished(pod) && !pod.is_terminating()
}

pub(crate) fn is_ready(pod: &Object) -> bool {
    pod.is_ready()
}

pub(crate) fn ready_since(pod: &Object) -> Option<Timestamp> {
    match pod.facts::<PodStatus>("status") {
        Some(status) => status.ready_since(),
        None => moment(&condition(pod, "Ready")?["lastTransitionTime"]),
    }
}

/// Ready for at least so many seconds.
pub(crate) fn availability(pod: &Object, min_ready_seconds: i64, now: Timestamp) -> Availability {
    if !is_ready(pod) {
        return Availability::No;
    }
    let wait = Duration::from_secs(min_ready_seconds.max(0).unsigned_abs());
    if wait.is_zero() {
        return Availability::Yes;
    }
    match ready_since(pod).map(|since| since + wait) {
        Some(at) if at > now => Availability::At(at),
        Some(_) => Availability::Yes,
        None => Availability::No,
    }
}

/// The pods an owner controls, by name.
pub(crate) fn controlled_by<'a>(store: &'a Store, uid: &'a str) -> impl Iterator<Item = &'a Arc<Object>> {
    store.owned_by(uid).filter(move |o| *o.resource() == PODS && o.controller() == Some(uid))
}

/// How often containers of the pod were started again, at most.
pub(crate) fn restarts(pod: &Object) -> i64 {
    if let Some(status) = pod.facts::<PodStatus>("status") {
        return status.restarts();
    }
    let all = ["initContainerStatuses", "containerStatuses"];
    let counts = all.iter().flat_map(|list| items(&pod["status"][*list]));
    counts.filter_map(|c| c["restartCount"].as_i64()).max().unwrap_or(0)
}
