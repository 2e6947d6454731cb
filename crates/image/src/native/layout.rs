//! An [OCI image layout](https://github.com/opencontainers/image-spec/blob/main/image-layout.md): a folder of blobs with
//! an index of the images in it.
//!
//! Every file appears whole or not at all. A layout that is open for writing is locked: a second writer waits. Nothing is
//! synced to the disk: after a power failure a blob may differ from its name, which the next build and every push notice.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use release_core::{Digest, ImageRef, Platform};
pub use release_layout::LayoutError;
use release_layout::{Folder, REF_NAME, TryLock, Unlocked, read};
pub(crate) use release_layout::{MAX_DOCUMENT_BYTES, blob, check, hash, open};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::blob::Blob;
use super::json;
use super::{Format, NativeImage};

/// The whole reference, which engines give an image when they load a layout.
const IMAGE_NAME: &str = "io.containerd.image.name";

/// An image layout that is open for writing. Others wait until it is dropped.
#[derive(Debug)]
pub struct Layout {
    pub(super) folder: Folder,
}

/// What names a blob: its kind, its digest, its size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// The kind of content.
    pub media_type: String,
    /// Its name.
    pub digest: Digest,
    /// How many bytes it has.
    pub size: u64,
}

/// The index, as far as it is read; what else is in it is kept.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Index {
    pub(crate) manifests: Vec<Item>,
    #[serde(flatten)]
    other: BTreeMap<String, Value>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Item {
    #[serde(flatten)]
    pub(crate) descriptor: Descriptor,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) platform: Option<Value>,
    #[serde(flatten)]
    other: BTreeMap<String, Value>,
}

/// The most images that are listed for people.
const MAX_LISTED: usize = 20;

impl Index {
    /// The images for people who have to choose: what they are called, what they are for, and their digests.
    pub(crate) fn names(&self) -> Vec<String> {
        let all = self.manifests.iter();
        let mut names: Vec<String> = all.take(MAX_LISTED).map(Item::name).collect();
        if let more @ 1.. = self.manifests.len().saturating_sub(MAX_LISTED) {
            names.push(format!("{more} more"));
        }
        names
    }
}

impl Item {
    fn name(&self) -> String {
        let name = self.annotations.get(IMAGE_NAME).or_else(|| self.annotations.get(REF_NAME));
        let name = name.map(|name| format!("`{name}` ")).unwrap_or_default();
        let of = |key: &str| self.platform.as_ref()?.get(key)?.as_str();
        let platform = of("os").zip(of("architecture"));
        let platform =
            platform.map(|(os, architecture)| format!("for {os}/{architecture} ")).unwrap_or_default();
        format!("{name}{platform}{}", self.descriptor.digest)
    }
}

/// The images there are, behind how many were found.
pub(crate) struct Available<'a>(pub(crate) &'a [String]);

impl fmt::Display for Available<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, "; it has {}", self.0.join(", ")) }
    }
}

impl Layout {
    /// Opens the layout in `dir` for writing, or makes one. Waits while another process writes.
    ///
    /// # Errors
    /// When the folder holds something else, or cannot be written.
    pub fn create(dir: &Path) -> Result<Self, LayoutError> {
        Self::create_or_wait(dir, || {})
    }

    /// As [`Layout::create`]; `waits` is called once if another process writes.
    ///
    /// # Errors
    /// When the folder holds something else, or cannot be written.
    pub fn create_or_wait(dir: &Path, waits: impl FnOnce()) -> Result<Self, LayoutError> {
        let folder = match Unlocked::at(dir)?.try_lock()? {
            TryLock::Locked(folder) => folder,
            TryLock::Busy(busy) => {
                waits();
                busy.lock()?
            }
        };
        let layout = Self { folder };
        if !release_layout::index(layout.dir()).exists() {
            layout.write_index(&Index::default())?;
        }
        Ok(layout)
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        self.folder.dir()
    }

    /// Where the blob of this digest is, or would be.
    pub fn blob(&self, digest: &Digest) -> PathBuf {
        self.folder.blob(digest)
    }

    /// Puts the image into the index as `name`, in place of the one of that name. `reference` is what engines call it when
    /// they load the layout.
    ///
    /// # Errors
    /// When the index cannot be read or written.
    pub fn name(
        &self,
        image: &NativeImage,
        platform: &Platform,
        name: &str,
        reference: Option<&ImageRef>,
    ) -> Result<(), LayoutError> {
        self.name_descriptor(&image.manifest, Some(json::platform(platform)), name, reference)
    }

    /// Makes an index of images that are the same for several platforms. Nothing refers to it until [`Layout::name_index`] is
    /// called.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn index(
        &self,
        images: &[(Descriptor, Platform)],
        format: Format,
    ) -> Result<Descriptor, LayoutError> {
        self.put(format.name(json::INDEX), &json::index(format, images))
    }

    /// Puts an index into the layout's own, as [`Layout::name`] does with an image.
    ///
    /// # Errors
    /// When the layout's index cannot be read or written.
    pub fn name_index(
        &self,
        index: &Descriptor,
        name: &str,
        reference: Option<&ImageRef>,
    ) -> Result<(), LayoutError> {
        self.name_descriptor(index, None, name, reference)
    }

    fn name_descriptor(
        &self,
        descriptor: &Descriptor,
        platform: Option<Value>,
        name: &str,
        reference: Option<&ImageRef>,
    ) -> Result<(), LayoutError> {
        let mut index = index(self.dir())?;
        index.manifests.retain(|item| item.annotations.get(REF_NAME).is_none_or(|other| other != name));
        let mut annotations = BTreeMap::from([(REF_NAME.to_owned(), name.to_owned())]);
        annotations.extend(reference.map(|reference| (IMAGE_NAME.to_owned(), reference.to_string())));
        index.manifests.push(Item {
            descriptor: descriptor.clone(),
            annotations,
            platform,
            other: BTreeMap::new(),
        });
        self.write_index(&index)
    }

    /// Removes the blobs no image of the index needs, and what runs that were killed left behind. Returns how many bytes.
    ///
    /// # Errors
    /// When an image cannot be read, and then nothing was removed; or a file cannot be removed.
    pub fn sweep(&self) -> Result<u64, LayoutError> {
        let mut needed = BTreeSet::new();
        for item in index(self.dir())?.manifests {
            self.parts(item.descriptor.digest, &mut needed)?;
        }
        self.folder.sweep(|digest| needed.contains(digest))
    }

    /// Adds what an image, or an index of images, is made of to `parts`. Reads its documents.
    fn parts(&self, digest: Digest, parts: &mut BTreeSet<Digest>) -> Result<(), LayoutError> {
        let mut open = vec![digest];
        while let Some(digest) = open.pop() {
            let document: Value = parse(self.dir(), &digest)?;
            let list = |key: &str| document[key].as_array().cloned().unwrap_or_default();
            let digest_of = |value: &Value| value["digest"].as_str().and_then(|text| text.parse().ok());
            parts.extend(list("layers").iter().chain([&document["config"]]).filter_map(digest_of));
            open.extend(list("manifests").iter().filter_map(digest_of).filter(|d| !parts.contains(d)));
            parts.insert(digest);
        }
        Ok(())
    }

    /// Forgets the images whose documents are damaged or gone, and all of them when the index is none. For a layout that is a
    /// cache, where they are made again. Returns whether there were any.
    ///
    /// # Errors
    /// When a file cannot be read for another reason, or the index not be written.
    pub fn forget_damaged(&self) -> Result<bool, LayoutError> {
        let mut index = match index(self.dir()) {
            Err(LayoutError::Form { .. }) => {
                self.write_index(&Index::default())?;
                return Ok(true);
            }
            other => other?,
        };
        let (all, mut kept) = (index.manifests.len(), Vec::new());
        for item in index.manifests {
            match self.parts(item.descriptor.digest.clone(), &mut BTreeSet::new()) {
                Ok(()) => kept.push(item),
                Err(LayoutError::Form { .. } | LayoutError::Corrupt { .. }) => {}
                Err(LayoutError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        let damaged = kept.len() < all;
        index.manifests = kept;
        if damaged {
            self.write_index(&index)?;
        }
        Ok(damaged)
    }

    /// Begins a blob whose name is known when it is complete.
    pub(crate) fn start(&self) -> Result<Blob<'_>, LayoutError> {
        Ok(Blob::new(self, self.folder.begin()?))
    }

    /// Writes a blob that is small enough to be in memory.
    pub(crate) fn put(&self, media_type: &str, bytes: &[u8]) -> Result<Descriptor, LayoutError> {
        let digest = release_layout::digest(bytes);
        let mut blob = self.start()?;
        blob.write_all(bytes).map_err(|source| self.unwritten(source))?;
        blob.keep(&digest)?;
        Ok(Descriptor { media_type: media_type.to_owned(), digest, size: bytes.len() as u64 })
    }

    /// An error of writing a blob that has no name yet.
    pub(crate) fn unwritten(&self, source: io::Error) -> LayoutError {
        LayoutError::Write { path: release_layout::blobs(self.dir()), source }
    }

    fn write_index(&self, index: &Index) -> Result<(), LayoutError> {
        let mut index = index.clone();
        index.other.insert("schemaVersion".to_owned(), 2.into());
        index.other.insert("mediaType".to_owned(), json::INDEX.into());
        let value = serde_json::to_value(&index).unwrap_or_default();
        self.folder.put_index(&json::canonical(&value))
    }
}

/// The index of the layout at `dir`.
pub(crate) fn index(dir: &Path) -> Result<Index, LayoutError> {
    let path = release_layout::index(dir);
    let bytes = read(&path)?;
    serde_json::from_slice(&bytes).map_err(|_| LayoutError::Form { path, why: "it is no index" })
}

/// A document among the blobs of the layout at `dir`.
pub(crate) fn parse<T: serde::de::DeserializeOwned>(dir: &Path, digest: &Digest) -> Result<T, LayoutError> {
    let path = blob(dir, digest);
    let bytes = read(&path)?;
    if release_layout::digest(&bytes) != *digest {
        return Err(LayoutError::Corrupt { path });
    }
    serde_json::from_slice(&bytes).map_err(|_| LayoutError::Form { path, why: "it is no JSON of its kind" })
}
