//! What the machine asks for.

use std::fmt;

use release_core::{ObjectRef, ServiceName};
use serde::{Deserialize, Serialize};

/// The identity of an effect. A reply carries it back.
///
/// `fence` is the generation of the lock under which it was asked for, `seq` counts within the release. A reply
/// with an identity nobody is waiting for changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EffectId {
    /// Generation of the lock.
    pub fence: u64,
    /// Position in this release.
    pub seq: u64,
}

/// One thing the machine asks the shell to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Effect {
    /// Its identity.
    pub id: EffectId,
    /// The service it is done for.
    pub service: ServiceName,
    /// What to do.
    pub kind: EffectKind,
}

/// The vocabulary of effects, the same for every strategy. All of them may be performed again after a crash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "camelCase", tag = "do")]
pub enum EffectKind {
    /// Apply the object's body of that version (server-side apply). Answer: [`crate::Answer::Applied`].
    Apply {
        /// The object.
        object: ObjectRef,
        /// Whose body.
        version: Version,
    },
    /// Find out whether an apply whose outcome is unknown took place. Answer: [`crate::Answer::Applied`] or
    /// [`crate::Answer::NotApplied`].
    ReadBack {
        /// The object.
        object: ObjectRef,
        /// Whose body is looked for.
        version: Version,
    },
    /// Delete the object; one that does not exist counts as deleted. Answer: [`crate::Answer::Deleted`].
    Delete {
        /// The object.
        object: ObjectRef,
    },
    /// Ask the version's running pods. Answer: [`crate::Answer::Checked`].
    Check {
        /// The check's name.
        name: String,
        /// Which version is asked.
        version: Version,
    },
    /// Save events and log tails of what failed, before a rollback destroys them. Answer: [`crate::Answer::Captured`].
    Capture {
        /// The workload that failed.
        object: ObjectRef,
    },
}

/// Whose body of an object, whose pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Version {
    /// What is being released.
    New,
    /// What a rollback returns to.
    Previous,
}

impl fmt::Display for EffectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.fence, self.seq)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::New => "new",
            Self::Previous => "previous",
        })
    }
}
