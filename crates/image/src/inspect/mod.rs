//! Looking into images: their layers, their files, what two of them differ in, what one carries for nothing.
//!
//! ```text
//!  blob ─► unpack (limits) ─► archive ─► LayerContents ─┐
//!                                          a layer each ─┼─► Contents ─► changes, wasted bytes, package databases
//!  blob ─► …                                            ─┘
//! ```
//!
//! Blobs come from wherever the caller has them: a layout on disk, or a registry. Nothing is unpacked to disk, and nothing of
//! what is read is trusted.

mod archive;
#[cfg(test)]
mod attacks;
mod changes;
mod layer;
mod manifest;
mod stack;
mod stored;

pub use archive::{ArchiveError, EntryKind};
pub use changes::{Change, Difference, changes};
pub use layer::{LayerContents, LayerEntry, LayerError, Wanted};
pub use manifest::{ImageIndex, ImageManifest, Listed, ManifestError};
pub use stack::{Contents, Wasted};
pub use stored::{Stored, StoredError, StoredImage};
