//! What happens during a pull.

use release_core::{Digest, PinnedImage};

/// One fact about a pull. [`PullEvent::Progress`] is for a display and may be dropped; the others say all there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PullEvent {
    /// The layout had the blob already, and its bytes are right.
    BlobExists {
        /// Which.
        digest: Digest,
        /// Its size.
        size: u64,
    },
    /// Some of a blob has arrived.
    Progress {
        /// Which.
        digest: Digest,
        /// Bytes of it that are here.
        received: u64,
        /// Bytes in all.
        total: u64,
    },
    /// A download was interrupted and goes on.
    BlobResumed {
        /// Which.
        digest: Digest,
        /// From where: 0 when nothing of it could be used.
        at: u64,
    },
    /// The layout has the blob now.
    BlobPulled {
        /// Which.
        digest: Digest,
        /// Its size.
        size: u64,
    },
    /// The registry says something people should know.
    Warning {
        /// Its words, at most 4096 bytes of them.
        message: String,
    },
    /// Everything is there, and the layout's index names it.
    Pulled {
        /// What the reference stands for.
        reference: PinnedImage,
    },
}
