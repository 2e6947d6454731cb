//! What it means when the API server refuses to create a controller's pods. Reads the messages of admission:
//! the controller hands them on in a condition or an event and there are no codes for them.

use release_core::CauseKind;

/// How long a refusal may last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Waiting cannot help.
    None,
    /// Something else may have to be created first.
    Settling,
    /// The rollout itself may be about to make room.
    Room,
    /// Whoever refuses may come to its senses.
    Outage,
}

/// Reads why pods could not be created.
pub(crate) fn read(message: &str) -> (CauseKind, Patience) {
    let text = message.to_lowercase();
    let says = |words: &str| text.contains(words);
    if says("exceeded quota") || says("failed quota") {
        // "failed quota: q: must specify limits.cpu" is mended by nobody's room.
        let patience = if says("exceeded quota") { Patience::Room } else { Patience::None };
        (CauseKind::Quota, patience)
    } else if says("error looking up service account") {
        (CauseKind::Admission, Patience::Settling)
    } else if says("failed calling webhook") || says("failed to call webhook") {
        (CauseKind::Admission, Patience::Outage)
    } else if says("is forbidden") || says("denied the request") || says("is invalid") {
        (CauseKind::Admission, Patience::None)
    } else {
        (CauseKind::Admission, Patience::Outage)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_that_can_pass_and_that_cannot() {
        use CauseKind::{Admission, Quota};
        for (message, kind, patience) in [
            (
                "pods \"web-1\" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1",
                Quota,
                Patience::Room,
            ),
            (
                "pods \"web-1\" is forbidden: failed quota: q: must specify limits.memory",
                Quota,
                Patience::None,
            ),
            (
                "pods \"web-1\" is forbidden: maximum memory usage per Container is 16Mi, but limit is 64Mi",
                Admission,
                Patience::None,
            ),
            (
                "pods \"web-1\" is forbidden: violates PodSecurity \"restricted:latest\": runAsNonRoot != true",
                Admission,
                Patience::None,
            ),
            (
                "admission webhook \"policy.example\" denied the request: no latest tag",
                Admission,
                Patience::None,
            ),
            (
                "Internal error occurred: failed calling webhook \"w\": connection refused",
                Admission,
                Patience::Outage,
            ),
            (
                "pods \"w-\" is forbidden: error looking up service account ns/x: serviceaccount \"x\" not found",
                Admission,
                Patience::Settling,
            ),
            ("Pod \"web-1\" is invalid: spec.containers[0].name: Required value", Admission, Patience::None),
            ("etcdserver: request timed out", Admission, Patience::Outage),
        ] {
            assert_eq!(read(message), (kind, patience), "{message}");
        }
    }
}
