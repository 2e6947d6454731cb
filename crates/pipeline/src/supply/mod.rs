//! Who signed an image, what is said about it, and whether that is enough.
//!
//! ```text
//!  pushed image ─► examine (what is there already, by our key) ─► sign what is missing ─► attach
//!  any image ────► examine (what is there, by trusted keys) ────► Policy::judge ────────► released, or not
//! ```
//!
//! Everything that is fetched goes through an image layout in a temporary folder, is checked against its digest, and is only
//! believed once a key has signed it.

mod attach;
mod documents;
mod examine;
mod policy;
mod run;
#[cfg(test)]
mod tests;
mod verifier;

use std::collections::BTreeSet;
use std::io;

use release_image::{Kind, LayoutError, LockfileError, SigningKey, StoredError};
use release_registry::{PullError, PushError};

pub(crate) use attach::Target;
pub use examine::{Examined, Form, Proof, Rejected, examine};
pub use policy::{NamedKey, Policy, Unmet};
pub use run::{Builder, Sources};
pub use verifier::{Claim, Fetched, Verifier, VerifyError};

/// What is signed and said when an image is pushed.
#[derive(Debug, Clone)]
pub struct Attest {
    /// The key that signs.
    pub key: SigningKey,
    /// What is said besides.
    pub said: BTreeSet<Kind>,
    /// Who builds.
    pub builder: Builder,
    /// What the project is built from.
    pub sources: Option<Sources>,
}

/// Why an image could not be signed, described or examined.
#[derive(Debug, thiserror::Error)]
pub enum SupplyError {
    /// A file of the project cannot be read.
    #[error("cannot read `{path}`")]
    File {
        /// The file.
        path: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A lock file is none.
    #[error("`{path}` cannot be used for the SBOM")]
    Lockfile {
        /// The file.
        path: String,
        /// What is wrong with it.
        #[source]
        source: LockfileError,
    },
    /// There is no place for temporary files.
    #[error("cannot make a temporary folder")]
    Scratch(#[source] io::Error),
    /// The layout cannot be written.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The image's own parts cannot be read.
    #[error("the image cannot be read")]
    Stored {
        /// What is wrong with it.
        #[source]
        source: Box<StoredError>,
    },
    /// The registry does not send an image, or what is attached to one.
    #[error("not everything could be fetched")]
    Fetch {
        /// The reason.
        #[source]
        source: Box<PullError>,
    },
    /// The registry does not list what is attached to the image.
    #[error("what is attached to the image cannot be listed")]
    List {
        /// The reason.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The registry does not take what is to be attached.
    #[error("{what} of the image was not attached")]
    Attach {
        /// Which: `signature`, `sbom`, `provenance`.
        what: &'static str,
        /// The reason.
        #[source]
        source: Box<PushError>,
    },
    /// More is attached to the image than anybody looks through.
    #[error("more than {limit} things are attached to the image")]
    TooMany {
        /// The limit.
        limit: usize,
    },
}

impl From<StoredError> for SupplyError {
    fn from(source: StoredError) -> Self {
        Self::Stored { source: Box::new(source) }
    }
}

impl From<PullError> for SupplyError {
    fn from(source: PullError) -> Self {
        Self::Fetch { source: Box::new(source) }
    }
}
