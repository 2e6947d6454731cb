//! The folder of an [OCI image layout](https://github.com/opencontainers/image-spec/blob/main/image-layout.md): blobs named after their
//! bytes, an index, a marker.
//!
//! ```text
//!  Unlocked::at(dir) ──lock, try_lock──► Folder ──begin──► a file beside its place ──keep──► a blob
//!                                           └──replace──► index.json
//! ```
//!
//! * Every file appears whole or not at all, under a name that was checked.
//! * One process writes at a time; reading needs no lock.
//! * A link is never followed: it could lead to any file of this machine.
//! * Nothing is synced to the disk. After a power failure a blob may differ from its name, so whoever uses one looks at its bytes.
//!
//! What manifests and indexes say, which images are kept, and how long a lock is waited for is the business of whoever writes. To
//! embed it:
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! use std::io::Write as _;
//!
//! let folder = release_layout::Unlocked::at(&dir.path().join("layout"))?.lock()?;
//! let mut file = folder.begin()?;
//! file.write_all(b"{}")?;
//! let digest = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a".parse()?;
//! folder.keep(file, &digest)?;
//! assert_eq!(release_layout::read(&folder.blob(&digest))?, b"{}");
//! # Ok(())
//! # }
//! ```

mod error;
mod folder;
mod read;

pub use error::LayoutError;
pub use folder::{Folder, TryLock, Unlocked};
pub use read::{MAX_DOCUMENT_BYTES, check, digest, hash, open, read};

use std::path::{Path, PathBuf};

use release_core::Digest;

/// The annotation people know an image of a layout by, as the
/// [specification](https://github.com/opencontainers/image-spec/blob/main/annotations.md) names it.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// What files that are being written are called, up to their random end. Whoever sweeps a layout under its lock may remove them:
/// they belong to runs that were killed.
pub const PARTIAL: &str = ".partial-";

/// The file that says that a folder is a layout. It is what is locked.
const MARKER: &str = "oci-layout";

/// Where the blobs of the layout at `dir` are.
pub fn blobs(dir: &Path) -> PathBuf {
    dir.join("blobs/sha256")
}

/// Where a blob is in the layout at `dir`, or would be.
pub fn blob(dir: &Path, digest: &Digest) -> PathBuf {
    blobs(dir).join(digest.hex())
}

/// Where the index of the layout at `dir` is.
pub fn index(dir: &Path) -> PathBuf {
    dir.join("index.json")
}
