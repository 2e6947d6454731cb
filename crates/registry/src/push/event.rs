//! What happens during a push.

use release_core::{Digest, PinnedImage, Repository};

/// One fact about a push. [`PushEvent::Progress`] is for a display and may be dropped; the others say all there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PushEvent {
    /// The registry had the blob already.
    BlobExists {
        /// Which.
        digest: Digest,
        /// Its size.
        size: u64,
    },
    /// The registry took the blob over from another of its repositories.
    BlobMounted {
        /// Which.
        digest: Digest,
        /// Where it was.
        from: Repository,
    },
    /// Some of a blob is on its way.
    Progress {
        /// Which.
        digest: Digest,
        /// Bytes of it that were handed to the network.
        sent: u64,
        /// Bytes in all.
        total: u64,
    },
    /// An upload was interrupted and goes on.
    BlobResumed {
        /// Which.
        digest: Digest,
        /// From where: 0 when the registry had kept nothing.
        at: u64,
    },
    /// The registry has the blob now.
    BlobUploaded {
        /// Which.
        digest: Digest,
        /// Its size.
        size: u64,
    },
    /// The registry had the manifest already, under this name, and with it everything it needs.
    ManifestExists {
        /// The tag, or the digest.
        reference: String,
    },
    /// The registry has the manifest under this name now.
    ManifestPushed {
        /// The tag, or the digest.
        reference: String,
    },
    /// The registry says something people should know.
    Warning {
        /// Its words, at most 4096 bytes of them.
        message: String,
    },
    /// The registry was asked for exactly this digest and has it.
    Confirmed {
        /// Which.
        reference: PinnedImage,
    },
}
