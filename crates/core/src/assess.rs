//! How well something is, and why not: the words in which health talks to rollout.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{MonoTime, ObjectRef};

/// What is known about one workload at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assessment {
    /// The conclusion.
    pub status: Status,
    /// Why it is not well, or what may become a reason if it lasts. `None` when nothing looks wrong.
    pub cause: Option<Cause>,
    /// How many replicas are where, for people to watch.
    pub readiness: Readiness,
    /// When to look again even if nothing is observed until then, because a grace period or a probe budget ends.
    pub revisit_at: Option<MonoTime>,
}

/// The conclusion of an [`Assessment`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Our generation is observed, complete and available.
    Ready,
    /// On its way; nothing decided. A cause, if there is one, is a suspicion with a grace period.
    Progressing,
    /// It will not become well by waiting, or its grace is over.
    Failed,
    /// There is not enough to go by (object or controller not seen yet). Never to be read as well.
    Unknown,
}

/// Replica counts of the version being released, as the workload's controller reports them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Readiness {
    /// Replicas of the new version that are ready.
    pub ready: u32,
    /// Replicas of the new version that exist.
    pub updated: u32,
    /// Replicas wanted.
    pub desired: u32,
}

/// Why a workload is not well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cause {
    /// The root cause in a word.
    pub kind: CauseKind,
    /// Whether waiting can help.
    pub certainty: Certainty,
    /// The object that shows it: the pod, the ReplicaSet, the Job.
    pub object: ObjectRef,
    /// One line for people, with numbers: `2 of 3 pods cannot pull registry/web@sha256:…: not found`.
    pub summary: String,
    /// What was seen, oldest first, in the cluster's own words.
    #[serde(default)]
    pub evidence: Vec<Evidence>,
}

/// One thing that was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    /// Where it was seen: an event, a condition, a container state.
    pub source: String,
    /// The object it was seen on.
    pub object: ObjectRef,
    /// The machine-readable reason the cluster gave, `ErrImagePull`, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The cluster's own message, cut to a bounded length.
    pub message: String,
    /// When the cluster says it was (RFC 3339), if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
}

/// Whether waiting can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Certainty {
    /// Nothing is wrong yet: it is within the time its own probes give it. Not worth a warning, and the best explanation
    /// there is when a deadline comes first.
    Early,
    /// Looks bad and usually becomes good by itself.
    Transient,
    /// Probably not going to become good; decided when its grace period is over.
    Likely,
    /// Waiting cannot help.
    Terminal,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $word:literal;)*) => {
        /// The root causes this project can tell apart.
        ///
        /// The words are part of the machine-readable output.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum CauseKind {
            $($(#[$doc])* $name,)*
        }

        impl CauseKind {
            /// Every kind, in the order of definition.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The word used in output.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                }
            }
        }
    };
}

kinds! {
    /// The registry has no such image or no such repository.
    ImageNotFound = "image-not-found";
    /// The registry did not let the node in.
    ImageUnauthorized = "image-unauthorized";
    /// The reference is malformed.
    ImageNameInvalid = "image-name-invalid";
    /// The image cannot be pulled for another reason (network, corrupt, wrong platform).
    ImagePull = "image-pull";
    /// A container starts and ends, again and again.
    CrashLoop = "crash-loop";
    /// A container was killed for using more memory than its limit.
    OomKilled = "oom-killed";
    /// A ConfigMap or Secret, or a key of one, does not exist.
    MissingConfig = "missing-config";
    /// The container runtime cannot start the command.
    CannotStart = "cannot-start";
    /// Containers run but the readiness probe has never succeeded within its budget.
    NeverReady = "never-ready";
    /// The startup or liveness probe fails and the container is killed for it.
    StartupProbe = "startup-probe";
    /// Readiness comes and goes.
    Flapping = "flapping";
    /// No node takes the pod.
    Unschedulable = "unschedulable";
    /// A quota forbids the pods.
    Quota = "quota";
    /// Admission refuses the pods: limits, webhooks, policies, a missing service account.
    Admission = "admission";
    /// A volume cannot be found, bound or mounted.
    Volume = "volume";
    /// A Job ran out of retries.
    JobFailed = "job-failed";
    /// The controller's own progress deadline passed.
    ProgressDeadline = "progress-deadline";
    /// The release's own deadline passed.
    Deadline = "deadline";
    /// A verification check found the new version bad.
    CheckFailed = "check-failed";
    /// The API server refused one of our writes.
    Refused = "refused";
    /// The outcome of a write stayed unknown, or the API server stayed unreachable, until the deadline.
    Unreachable = "unreachable";
    /// Someone else deleted or replaced an object of this release while it ran.
    Interference = "interference";
    /// Another service of the same release failed.
    Sibling = "sibling";
    /// A person or a signal asked for it.
    Aborted = "aborted";
}

impl fmt::Display for CauseKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a check of a running version found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "verdict")]
pub enum Verdict {
    /// The version answered as it should.
    Good {
        /// How long the answer took.
        latency: Duration,
    },
    /// The version answered, and not as it should.
    Bad {
        /// What was wrong, naming the check, the pod and the difference.
        why: String,
    },
    /// Nothing was learned about the version: it was not asked, or something before it answered.
    NotEnough {
        /// What stood in the way.
        why: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_in_output_and_in_records_are_the_same() {
        for kind in CauseKind::ALL {
            let stored = serde_json::to_value(kind).unwrap();

            assert_eq!(stored, kind.as_str());
        }
    }
}
