//! Why an image was not pushed.

use std::io;
use std::path::PathBuf;

use release_core::Digest;

use crate::request::RequestError;

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
    /// The list of what is about an image, which clients keep where registries do not, loses what is written into it.
    #[error("registry {registry} does not keep `{tag}`, the list of what is about an image")]
    Unlisted {
        /// The registry's host.
        registry: String,
        /// The list's tag.
        tag: String,
    },
    /// The registry did not do what it was asked.
    #[error(transparent)]
    Request(#[from] RequestError),
}
