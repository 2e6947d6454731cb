//! Why an image was not pushed.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use release_core::Digest;
use serde::Deserialize;

use crate::ConfirmError;

/// Why an image was not pushed. Nobody can see an image that is not there as a whole. None of the texts holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// A file of the layout is missing or cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file of the layout is not what its name stands for.
    #[error("`{}` is damaged: {why}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The registry does not let us in.
    #[error("registry {registry} does not let {} push to `{repository}`{}", if *anonymous { "anybody without credentials" } else { "this user" }, Reasons(codes))]
    Unauthorized {
        /// The registry's host.
        registry: String,
        /// The repository's path.
        repository: String,
        /// Whether no credentials were given.
        anonymous: bool,
        /// The registry's own reasons.
        codes: Vec<RegistryCode>,
    },
    /// The registry refuses something, and would refuse it again.
    #[error("registry {registry} refused {what} with status {status}{}", Reasons(codes))]
    Refused {
        /// The registry's host.
        registry: String,
        /// What was refused.
        what: String,
        /// The HTTP status.
        status: u16,
        /// The registry's own reasons.
        codes: Vec<RegistryCode>,
    },
    /// The registry failed for so long that we gave up.
    #[error("registry {registry} failed at {what}: no progress in {}s", after.as_secs())]
    GaveUp {
        /// The registry's host.
        registry: String,
        /// What it was asked.
        what: String,
        /// How long there was no progress.
        after: Duration,
        /// What the last attempt ended with.
        #[source]
        source: Attempt,
    },
    /// A part of an answer cannot be understood.
    #[error("registry {registry} sent {what} that cannot be understood")]
    Malformed {
        /// The registry's host.
        registry: String,
        /// Which part.
        what: &'static str,
    },
    /// The registry wants the bytes sent over a connection that others can read.
    #[error("registry {registry} asks for the upload at `{place}`, which is not secure")]
    Insecure {
        /// The registry's host.
        registry: String,
        /// The host it names.
        place: String,
    },
    /// The registry stored something else than what was sent.
    #[error("registry {registry} was sent {expected} and says that it has {found}")]
    OtherDigest {
        /// The registry's host.
        registry: String,
        /// What was sent.
        expected: Digest,
        /// What it says.
        found: Digest,
    },
    /// No token could be had, or the image could not be confirmed.
    #[error(transparent)]
    Confirm(#[from] ConfirmError),
}

/// What one attempt ended with.
#[derive(Debug, thiserror::Error)]
pub enum Attempt {
    /// No answer.
    #[error("the connection failed")]
    Connection(#[source] reqwest::Error),
    /// Nothing moved.
    #[error("nothing moved for {}s", _0.as_secs())]
    Stalled(Duration),
    /// An answer that may be another one later.
    #[error("it answered with status {status}{}", Reasons(codes))]
    Status {
        /// The HTTP status.
        status: u16,
        /// The registry's own reasons.
        codes: Vec<RegistryCode>,
    },
}

/// A reason in the registry's own words, by the
/// [specification](https://github.com/opencontainers/distribution-spec/blob/main/spec.md#error-codes).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct RegistryCode {
    /// `BLOB_UPLOAD_INVALID`, `DENIED`, `TOOMANYREQUESTS`.
    pub code: String,
    /// The sentence for people.
    #[serde(default)]
    pub message: String,
}

/// The reasons behind a status, for people.
struct Reasons<'a>(&'a [RegistryCode]);

impl fmt::Display for Reasons<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, reason) in self.0.iter().enumerate() {
            f.write_str(if index == 0 { ": " } else { ", " })?;
            f.write_str(&reason.code)?;
            if !reason.message.is_empty() {
                write!(f, " ({})", reason.message)?;
            }
        }
        Ok(())
    }
}
