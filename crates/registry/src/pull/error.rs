//! Why an image was not pulled.

use std::path::PathBuf;

use release_core::Digest;
use release_layout::LayoutError;

use crate::request::RequestError;

/// Why an image was not pulled. The layout does not name it then. None of the texts holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// The registry did not do what it was asked.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The registry answered, and has no such image or blob.
    #[error("registry {registry} has no {what}")]
    NotFound {
        /// The registry's host.
        registry: String,
        /// What was asked for.
        what: String,
    },
    /// What the registry sends is not what its digest stands for, however often it is asked.
    #[error("registry {registry} was asked for {expected} and sends {found}")]
    OtherDigest {
        /// The registry's host.
        registry: String,
        /// What was asked for.
        expected: Digest,
        /// What the bytes are.
        found: Digest,
    },
    /// A blob has more bytes than its descriptor says, or fewer.
    #[error("registry {registry} sends {found} bytes of {digest}, which should have {expected}")]
    OtherSize {
        /// The registry's host.
        registry: String,
        /// The blob.
        digest: Digest,
        /// What its descriptor says.
        expected: u64,
        /// How many came, or would have come.
        found: u64,
    },
    /// A manifest, an index or what they name cannot be used.
    #[error("{digest} cannot be pulled: {why}")]
    Unsound {
        /// The manifest, index or blob.
        digest: Digest,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The image is larger than was allowed.
    #[error("{digest} has more than {most} {what}")]
    TooMuch {
        /// The manifest, index or blob that exceeds the limit.
        digest: Digest,
        /// Of what: `layers`, `bytes`.
        what: &'static str,
        /// The limit.
        most: u64,
    },
    /// A manifest or an index is larger than was allowed.
    #[error("registry {registry} sends a manifest of more than {most} bytes")]
    LargeManifest {
        /// The registry's host.
        registry: String,
        /// The limit.
        most: u64,
    },
    /// There is no image for the platform that was asked for.
    #[error("image `{image}` is not for {wanted}, but for {}", if available.is_empty() { "no platform it names".to_owned() } else { available.join(", ") })]
    NoPlatform {
        /// The image.
        image: String,
        /// What was asked for.
        wanted: String,
        /// What there is.
        available: Vec<String>,
    },
    /// The layout cannot be used.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// Another process writes to the layout, and does not end.
    #[error("`{}` is locked by another process", path.display())]
    Locked {
        /// The file that is locked.
        path: PathBuf,
    },
}
