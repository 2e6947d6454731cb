//! What it means when an image cannot be pulled: reads the texts of containerd, CRI-O and the Docker Engine.
//!
//! The kubelet hands the runtime's words through and has no codes for them, so this is about words. What
//! is not recognised counts as something that may pass.

use release_core::CauseKind;

/// What a pull error means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PullError {
    pub(crate) kind: CauseKind,
    /// Whether another attempt can be different.
    pub(crate) may_pass: bool,
    /// It in a few words; empty when the runtime's own words are the best there are.
    pub(crate) words: &'static str,
}

/// The way to the registry is the problem, or the registry itself: says nothing about the image.
const ON_THE_WAY: [&str; 17] = [
    "dial tcp",
    "i/o timeout",
    "connection refused",
    "connection reset",
    "no such host",
    "server misbehaving",
    "tls handshake",
    "x509:",
    "deadline exceeded",
    "unexpected eof",
    "too many requests",
    "toomanyrequests",
    "500 internal server error",
    "502 bad gateway",
    "503 service unavailable",
    "504 gateway",
    "failed open: content at",
];

/// The image exists and not for this machine.
const PLATFORM: [&str; 3] =
    ["no match for platform", "no matching manifest", "does not match the specified platform"];

/// The registry knows neither us nor whether it would tell us. Docker says "pull access denied … repository
/// does not exist or may require …" for a missing repository on a registry that hides what is private;
/// either way nobody gets in by waiting.
const REFUSED: [&str; 9] = [
    "401 unauthorized",
    "403 forbidden",
    "unauthorized:",
    "authentication required",
    "authorization failed",
    "no basic auth credentials",
    "insufficient_scope",
    "access denied",
    "access forbidden",
];

/// The registry answered, and has no such thing.
const ABSENT: [&str; 6] =
    ["manifest unknown", "name unknown", "manifest_unknown", "name_unknown", "not found", "404"];

/// Reads `message`, a pull error about `image`.
pub(crate) fn read(message: &str, image: &str) -> PullError {
    // The name of the image could hold any of the words.
    let without_name = if image.is_empty() { message.to_owned() } else { message.replace(image, "") };
    let text = without_name.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|w| text.contains(w));
    let error = |kind, may_pass, words| PullError { kind, may_pass, words };

    if text.contains("invalid reference format") || text.contains("couldn't parse image") {
        error(CauseKind::ImageNameInvalid, false, "the name is malformed")
    } else if says(&ON_THE_WAY) {
        error(CauseKind::ImagePull, true, "")
    } else if says(&PLATFORM) {
        error(CauseKind::ImagePull, false, "it does not exist for the node's platform")
    } else if says(&REFUSED) {
        error(CauseKind::ImageUnauthorized, false, "the registry refused access")
    } else if says(&ABSENT) {
        error(CauseKind::ImageNotFound, false, "not found")
    } else {
        error(CauseKind::ImagePull, true, "")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(message: &str, kind: CauseKind, may_pass: bool) {
        let read = read(message, "127.0.0.1:5000/not-found:401");
        assert_eq!((read.kind, read.may_pass), (kind, may_pass), "{message}");
    }

    #[test]
    fn the_docker_engine_as_kubelet_1_20_hands_it_on() {
        use CauseKind::{ImageNotFound, ImagePull, ImageUnauthorized};
        let engine = "rpc error: code = Unknown desc = Error response from daemon:";
        for (words, kind, may_pass) in [
            (
                "manifest for 127.0.0.1:5000/x@sha256:ab not found: manifest unknown: manifest unknown",
                ImageNotFound,
                false,
            ),
            ("repository 127.0.0.1:5000/nothere not found: name unknown", ImageNotFound, false),
            (
                "Get http://127.0.0.1:5000/v2/: dial tcp 127.0.0.1:5000: connect: connection refused",
                ImagePull,
                true,
            ),
            ("Get https://r.example.com/v2/: dial tcp: lookup r.example.com: no such host", ImagePull, true),
            (
                "Get https://r.example.com/v2/x/manifests/v1: no basic auth credentials",
                ImageUnauthorized,
                false,
            ),
            ("unauthorized: authentication required", ImageUnauthorized, false),
            (
                "pull access denied for x, repository does not exist or may require 'docker login': denied: requested access to the resource is denied",
                ImageUnauthorized,
                false,
            ),
            ("toomanyrequests: You have reached your pull rate limit.", ImagePull, true),
            ("no matching manifest for linux/arm64/v8 in the manifest list entries", ImagePull, false),
            ("received unexpected HTTP status: 503 Service Unavailable", ImagePull, true),
        ] {
            check(&format!("{engine} {words}"), kind, may_pass);
        }
    }

    #[test]
    fn containerd() {
        use CauseKind::{ImageNameInvalid, ImageNotFound, ImagePull, ImageUnauthorized};
        let image = "127.0.0.1:5000/not-found:401";
        let resolve =
            format!("failed to pull and unpack image \"{image}\": failed to resolve reference \"{image}\":");
        for (words, kind, may_pass) in [
            (format!("{resolve} {image}: not found"), ImageNotFound, false),
            (
                format!(
                    "{resolve} failed to do request: Head \"https://x/v2/\": dial tcp 10.0.0.1:443: i/o timeout"
                ),
                ImagePull,
                true,
            ),
            (
                format!(
                    "{resolve} pulling from host x failed with status code [manifests v1]: 401 Unauthorized"
                ),
                ImageUnauthorized,
                false,
            ),
            (
                format!(
                    "{resolve} unexpected status from HEAD request to https://x: 503 Service Unavailable"
                ),
                ImagePull,
                true,
            ),
            (
                format!(
                    "failed to pull and unpack image \"{image}\": no match for platform in manifest: not found"
                ),
                ImagePull,
                false,
            ),
            (
                format!(
                    "failed to copy: httpReadSeeker: failed open: content at https://x/v2/{image} not found: not found"
                ),
                ImagePull,
                true,
            ),
            (format!("couldn't parse image name \"{image}\""), ImageNameInvalid, false),
            (format!("Back-off pulling image \"{image}\""), ImagePull, true),
        ] {
            check(&words, kind, may_pass);
        }
    }
}
