//! What can go wrong, with its number in the list of all faults and its name in plans.

use serde::Deserialize;

use crate::apps::{PullError, Span};

/// What can go wrong in a cluster, and between its API server and clients.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum FaultKind {
    /// F1: a request is answered with an error of the server and not carried out.
    ApiError {
        /// The status code.
        status: u16,
    },
    /// F2: a request is carried out, and the connection is reset before the answer.
    AnswerLost,
    /// F3: a write is told that the object has another version by now.
    Conflict,
    /// F4: a request is told to come back later.
    TooManyRequests {
        /// When, in seconds.
        retry_after_seconds: u32,
    },
    /// F5: a read of a revision, or of a later one, is told that the server has not come so far.
    RevisionTooLarge,
    /// F6: answers take longer.
    SlowApi {
        /// By how much.
        by: Span,
    },
    /// F7: watches end before their timeout.
    WatchCloses {
        /// How long they run.
        after: Span,
    },
    /// F8: the connections of watches are reset.
    WatchResets {
        /// How long they run.
        after: Span,
    },
    /// F9: the revision a watch begins at is too old.
    WatchExpires,
    /// F10: the token of a list's next page is too old.
    ListExpires,
    /// F11: watches get no bookmarks, not even the one after their initial events.
    NoBookmarks,
    /// F11: the bookmark after the initial events of a watch comes late.
    LateInitialEnd {
        /// By how much.
        by: Span,
    },
    /// F12: a read from a cache is answered by another API server, whose cache is behind.
    StaleReads {
        /// How many such servers there are.
        #[serde(default = "two")]
        servers: u64,
        /// How far each is behind; drawn once for each server.
        by: Span,
        /// Whether reads that ask for no revision are answered from the cache, too, as by a server with a defect.
        #[serde(default)]
        unset_too: bool,
    },
    /// F13: the events of a watch come late, in their order.
    SlowWatch {
        /// By how much; drawn once for each watch.
        by: Span,
    },
    /// F14: a watch that goes on from a revision tells events from before it again.
    RepeatedEvents {
        /// How many.
        #[serde(default = "one")]
        events: usize,
    },
    /// F15: history is forgotten just before a list is continued, or a watch goes on from a revision.
    Compaction,
    /// F16: nobody listens, and watches that run are reset.
    Outage,
    /// F17: requests are not allowed: 401 or 403.
    Denied {
        /// The status code.
        status: u16,
    },
    /// F18: an admission webhook cannot be reached, and writes are refused because of it.
    WebhookDown,
    /// F18: an admission webhook denies writes.
    WebhookDenies,
    /// F18: an admission webhook changes what is written: an annotation, and a variable in new pods' containers.
    WebhookChanges,
    /// F19: discovery and `OpenAPI` documents cannot be had.
    DiscoveryFails,
    /// F19: a resource is not there, though discovery lists it: of custom kinds only, unless the target names one.
    KindMissing,
    /// F19: the webhook that converts custom kinds cannot be reached.
    ConversionFails,
    /// F20: a pod finds no node.
    NeverScheduled,
    /// F21: images cannot be pulled.
    PullFails {
        /// What the registry says.
        error: PullError,
    },
    /// F22: containers crash, every time.
    Crash {
        /// So long after their start.
        after: Span,
    },
    /// F23: containers are ready and not ready in turns.
    Flap {
        /// How long one turn is.
        turn: Span,
    },
    /// F24: pods are ready, but their answers are wrong or slow.
    BadAnswers {
        /// The part of answers that is wrong.
        error_rate: f64,
        /// The status code of those.
        #[serde(default = "bad_status")]
        status: u16,
        /// How much longer all answers take.
        #[serde(default)]
        slower: Span,
    },
    /// F25: a node is silent for a while.
    NodeLost {
        /// How long.
        lasts: Span,
    },
    /// F26: a node is cordoned and its pods are evicted; afterwards it takes pods again.
    Drain {
        /// How long it stays cordoned.
        lasts: Span,
    },
    /// F27: pods take their whole grace period to end.
    SlowStop,
    /// F27: pods have a finalizer nobody takes away for a while.
    StuckFinalizer {
        /// How long.
        lasts: Span,
    },
    /// F28: changes of endpoints reach clients late.
    EndpointLag {
        /// By how much.
        by: Span,
    },
    /// F29: somebody scales a Deployment in the middle of everything, as an autoscaler does.
    Scale {
        /// To so many replicas.
        to: u32,
    },
    /// F30: somebody edits an object: a variable of its first container, or an annotation of what has none.
    ForeignEdit,
    /// F30: somebody deletes an object.
    ForeignDelete,
    /// F30: somebody force-applies the same field and owns it from then on.
    ForeignApply,
    /// F31: the controllers and the scheduler do nothing for a while.
    ControllersPaused {
        /// How long.
        lasts: Span,
    },
    /// F32: pods of Jobs never end.
    JobHangs,
    /// F32: pods of Jobs fail.
    JobFails {
        /// So many of each Job.
        times: u32,
    },
    /// F33: somebody deletes the namespace.
    NamespaceEnds,
    /// F42: the clock of the API servers is wrong for a while; nobody else's is.
    ClockSkew {
        /// By how much.
        by: Span,
        /// Whether it is slow, not fast.
        #[serde(default)]
        behind: bool,
    },
}

fn bad_status() -> u16 {
    500
}

fn one() -> usize {
    1
}

fn two() -> u64 {
    2
}

impl FaultKind {
    /// Whether it happens to requests, not to the cluster.
    pub fn is_of_api(&self) -> bool {
        matches!(
            self,
            FaultKind::ApiError { .. }
                | FaultKind::AnswerLost
                | FaultKind::Conflict
                | FaultKind::TooManyRequests { .. }
                | FaultKind::RevisionTooLarge
                | FaultKind::SlowApi { .. }
                | FaultKind::WatchCloses { .. }
                | FaultKind::WatchResets { .. }
                | FaultKind::WatchExpires
                | FaultKind::ListExpires
                | FaultKind::NoBookmarks
                | FaultKind::LateInitialEnd { .. }
                | FaultKind::StaleReads { .. }
                | FaultKind::SlowWatch { .. }
                | FaultKind::RepeatedEvents { .. }
                | FaultKind::Compaction
                | FaultKind::Outage
                | FaultKind::Denied { .. }
                | FaultKind::DiscoveryFails
                | FaultKind::KindMissing
                | FaultKind::ConversionFails
        )
    }

    /// Whether it is an admission webhook's doing.
    pub fn is_of_webhook(&self) -> bool {
        matches!(self, FaultKind::WebhookDown | FaultKind::WebhookDenies | FaultKind::WebhookChanges)
    }

    /// Its number in the list of all faults.
    pub fn number(&self) -> &'static str {
        self.words().0
    }

    /// Its name in a plan.
    pub fn name(&self) -> &'static str {
        self.words().1
    }

    fn words(&self) -> (&'static str, &'static str) {
        match self {
            FaultKind::ApiError { .. } => ("F1", "api-error"),
            FaultKind::AnswerLost => ("F2", "answer-lost"),
            FaultKind::Conflict => ("F3", "conflict"),
            FaultKind::TooManyRequests { .. } => ("F4", "too-many-requests"),
            FaultKind::RevisionTooLarge => ("F5", "revision-too-large"),
            FaultKind::SlowApi { .. } => ("F6", "slow-api"),
            FaultKind::WatchCloses { .. } => ("F7", "watch-closes"),
            FaultKind::WatchResets { .. } => ("F8", "watch-resets"),
            FaultKind::WatchExpires => ("F9", "watch-expires"),
            FaultKind::ListExpires => ("F10", "list-expires"),
            FaultKind::NoBookmarks => ("F11", "no-bookmarks"),
            FaultKind::LateInitialEnd { .. } => ("F11", "late-initial-end"),
            FaultKind::StaleReads { .. } => ("F12", "stale-reads"),
            FaultKind::SlowWatch { .. } => ("F13", "slow-watch"),
            FaultKind::RepeatedEvents { .. } => ("F14", "repeated-events"),
            FaultKind::Compaction => ("F15", "compaction"),
            FaultKind::Outage => ("F16", "outage"),
            FaultKind::Denied { .. } => ("F17", "denied"),
            FaultKind::WebhookDown => ("F18", "webhook-down"),
            FaultKind::WebhookDenies => ("F18", "webhook-denies"),
            FaultKind::WebhookChanges => ("F18", "webhook-changes"),
            FaultKind::DiscoveryFails => ("F19", "discovery-fails"),
            FaultKind::KindMissing => ("F19", "kind-missing"),
            FaultKind::ConversionFails => ("F19", "conversion-fails"),
            FaultKind::NeverScheduled => ("F20", "never-scheduled"),
            FaultKind::PullFails { .. } => ("F21", "pull-fails"),
            FaultKind::Crash { .. } => ("F22", "crash"),
            FaultKind::Flap { .. } => ("F23", "flap"),
            FaultKind::BadAnswers { .. } => ("F24", "bad-answers"),
            FaultKind::NodeLost { .. } => ("F25", "node-lost"),
            FaultKind::Drain { .. } => ("F26", "drain"),
            FaultKind::SlowStop => ("F27", "slow-stop"),
            FaultKind::StuckFinalizer { .. } => ("F27", "stuck-finalizer"),
            FaultKind::EndpointLag { .. } => ("F28", "endpoint-lag"),
            FaultKind::Scale { .. } => ("F29", "scale"),
            FaultKind::ForeignEdit => ("F30", "foreign-edit"),
            FaultKind::ForeignDelete => ("F30", "foreign-delete"),
            FaultKind::ForeignApply => ("F30", "foreign-apply"),
            FaultKind::ControllersPaused { .. } => ("F31", "controllers-paused"),
            FaultKind::JobHangs => ("F32", "job-hangs"),
            FaultKind::JobFails { .. } => ("F32", "job-fails"),
            FaultKind::NamespaceEnds => ("F33", "namespace-ends"),
            FaultKind::ClockSkew { .. } => ("F42", "clock-skew"),
        }
    }
}
