//! Why one request, or a series of attempts at it, came to nothing: what pushing, pulling and listing have in common.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;

use crate::ConfirmError;

/// Why a registry did not do what it was asked. None of the texts holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The registry does not let us in.
    #[error("registry {registry} does not let {} {aim} `{repository}`{}", if *anonymous { "anybody without credentials" } else { "this user" }, Reasons(codes))]
    Unauthorized {
        /// The registry's host.
        registry: String,
        /// The repository's path.
        repository: String,
        /// What was tried: `push to`, `pull from`.
        aim: &'static str,
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
        /// Whether it ever answered.
        reached: bool,
        /// What the last attempt ended with.
        #[source]
        source: Attempt,
    },
    /// The registry wants to be asked again later than we wait.
    #[error(
        "registry {registry} wants {}s of rest before {what}; it is waited for {}s at most",
        wanted.as_secs(),
        longest.as_secs()
    )]
    Later {
        /// The registry's host.
        registry: String,
        /// What it was asked.
        what: String,
        /// How long it wants to be left alone: its `Retry-After`.
        wanted: Duration,
        /// How long there may be no progress at all.
        longest: Duration,
        /// What it answered.
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
    /// The registry sends us over a connection that others can read.
    #[error("registry {registry} asks for {what} at `{place}`, which is not secure")]
    Insecure {
        /// The registry's host.
        registry: String,
        /// What: `the upload`.
        what: &'static str,
        /// The host it names.
        place: String,
    },
    /// The registry sends us somewhere we do not follow: past TLS, into this machine, or on and on.
    #[error("registry {registry} leads to `{place}`, where we do not follow")]
    Redirect {
        /// The registry's host.
        registry: String,
        /// The place, without what could be a secret.
        place: String,
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
    /// An answer whose bytes are wrong.
    #[error("its bytes are not those it was asked for")]
    Damaged,
    /// An answer that ended before it was complete, and says that it did not.
    #[error("the answer was cut short after {at} bytes")]
    Short {
        /// How much there was.
        at: u64,
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
