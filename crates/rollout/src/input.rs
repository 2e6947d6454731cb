//! What happens to the machine.

use release_core::{Assessment, Cause, ObjectRef, ServiceName, Verdict};

use crate::{EffectId, Version};

/// One thing that happened. Every input is legal at any time; a late, repeated or stale one changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Start. A machine that has started ignores it.
    Begin,
    /// An effect was performed, or was not.
    Replied {
        /// Which.
        id: EffectId,
        /// How it went.
        outcome: Outcome,
    },
    /// A workload was looked at.
    Assessed {
        /// The service it belongs to.
        service: ServiceName,
        /// The workload.
        object: ObjectRef,
        /// Which version of it was looked at.
        version: Version,
        /// What was found.
        assessment: Assessment,
    },
    /// Somebody wants the release undone.
    Abort {
        /// Who or what, for the record.
        why: String,
    },
    /// The time of `wake_at` has come.
    Woke,
}

/// How an effect went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was done.
    Ok(Answer),
    /// It was not done and doing it again would not help.
    Refused(Cause),
    /// Nobody knows whether it was done: the connection died after the request was sent.
    Unknown {
        /// What is known.
        why: String,
    },
}

/// What the shell has to say about an effect it performed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The object is as the version wants it.
    Applied,
    /// Reading back showed that it is not.
    NotApplied,
    /// The object is gone or going.
    Deleted,
    /// A check came to a verdict.
    Checked(Verdict),
    /// What could be saved was saved.
    Captured,
}
