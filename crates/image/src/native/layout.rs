//! An [OCI image layout](https://github.com/opencontainers/image-spec/blob/main/image-layout.md): a folder of blobs with
//! an index of the images in it.
//!
//! Every file appears whole or not at all. A layout that is open for writing is locked: a second writer waits. Nothing is
//! synced to the disk: after a power failure a blob may differ from its name, which the next build and every push notice.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use release_core::Digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use super::blob::Blob;
use super::json;
use super::{Format, NativeImage, Platform};

/// The largest document that is read: the distribution specification asks registries for 4 MiB.
pub(crate) const MAX_DOCUMENT_BYTES: u64 = 4 * 1024 * 1024;

/// The name people know an image of a layout by.
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// The whole reference, which engines give an image when they load a layout.
const IMAGE_NAME: &str = "io.containerd.image.name";

const MARKER: &str = "oci-layout";

/// What blobs that are being written are called. Those of a run that was killed are swept.
const PARTIAL: &str = ".partial-";

/// An image layout that is open for writing. Others wait until it is dropped.
#[derive(Debug)]
pub struct Layout {
    dir: PathBuf,
    /// Holds the lock.
    _marker: File,
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

/// Why a layout cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// The folder has other things in it.
    #[error("`{}` is not empty and no image layout", path.display())]
    Foreign {
        /// The folder.
        path: PathBuf,
    },
    /// A file of the layout cannot be written.
    #[error("cannot write `{}`", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file of the layout cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file of the layout is not what the specification says.
    #[error("`{}` is not part of an image layout: {why}", path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: &'static str,
    },
    /// A blob's bytes are not those it is named after.
    #[error("`{}` does not have the bytes its name stands for", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
    },
}

/// The index, as far as it is read; what else is in it is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
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

impl Layout {
    /// Opens the layout in `dir` for writing, or makes one. Waits while another process writes.
    ///
    /// # Errors
    /// When the folder holds something else, or cannot be written.
    pub fn create(dir: &Path) -> Result<Self, LayoutError> {
        let unwritten = |path: &Path| {
            let path = path.to_owned();
            move |source| LayoutError::Write { path, source }
        };
        let marker = dir.join(MARKER);
        if !marker.exists() {
            // Somebody may have made the layout meanwhile.
            if holds_others(dir) && !marker.exists() {
                return Err(LayoutError::Foreign { path: dir.to_owned() });
            }
            fs::create_dir_all(dir).map_err(unwritten(dir))?;
            mark(&marker)?;
        }
        check_marker(&marker)?;
        let file = File::open(&marker).map_err(unwritten(&marker))?;
        // A file system without locks is used without them: two writers at once are rare, and do not harm blobs.
        match file.lock() {
            Err(error) if error.kind() != io::ErrorKind::Unsupported => {
                return Err(unwritten(&marker)(error));
            }
            _ => {}
        }
        let blobs = dir.join("blobs/sha256");
        fs::create_dir_all(&blobs).map_err(unwritten(&blobs))?;
        let layout = Self { dir: dir.to_owned(), _marker: file };
        if !layout.index_path().exists() {
            layout.write_index(&Index { manifests: Vec::new(), other: BTreeMap::new() })?;
        }
        Ok(layout)
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where the blob of this digest is, or would be.
    pub fn blob(&self, digest: &Digest) -> PathBuf {
        blob(&self.dir, digest)
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
        reference: Option<&str>,
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
        reference: Option<&str>,
    ) -> Result<(), LayoutError> {
        self.name_descriptor(index, None, name, reference)
    }

    fn name_descriptor(
        &self,
        descriptor: &Descriptor,
        platform: Option<Value>,
        name: &str,
        reference: Option<&str>,
    ) -> Result<(), LayoutError> {
        let mut index = index(&self.dir)?;
        index.manifests.retain(|item| item.annotations.get(REF_NAME).is_none_or(|other| other != name));
        let mut annotations = BTreeMap::from([(REF_NAME.to_owned(), name.to_owned())]);
        annotations.extend(reference.map(|reference| (IMAGE_NAME.to_owned(), reference.to_owned())));
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
        let mut open: Vec<Digest> =
            index(&self.dir)?.manifests.into_iter().map(|item| item.descriptor.digest).collect();
        while let Some(digest) = open.pop() {
            let document: Value = parse(&self.dir, &digest)?;
            let list = |key: &str| document[key].as_array().cloned().unwrap_or_default();
            let digest_of = |value: &Value| value["digest"].as_str().and_then(|text| text.parse().ok());
            needed.extend(list("layers").iter().chain([&document["config"]]).filter_map(digest_of));
            open.extend(list("manifests").iter().filter_map(digest_of).filter(|d| !needed.contains(d)));
            needed.insert(digest);
        }
        let blobs = self.dir.join("blobs/sha256");
        let mut freed = 0;
        let entries =
            fs::read_dir(&blobs).map_err(|source| LayoutError::Read { path: blobs.clone(), source })?;
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let known = format!("sha256:{name}").parse::<Digest>().ok();
            let ours = known.is_some() || name.starts_with(PARTIAL);
            if ours && known.is_none_or(|digest| !needed.contains(&digest)) {
                freed += entry.metadata().map_or(0, |metadata| metadata.len());
                let path = entry.path();
                fs::remove_file(&path).map_err(|source| LayoutError::Write { path, source })?;
            }
        }
        Ok(freed)
    }

    /// Begins a blob whose name is known when it is complete.
    pub(crate) fn start(&self) -> Result<Blob<'_>, LayoutError> {
        let blobs = self.dir.join("blobs/sha256");
        let file = partial(&blobs).map_err(|source| LayoutError::Write { path: blobs, source })?;
        Ok(Blob::new(self, file))
    }

    /// Writes a blob that is small enough to be in memory.
    pub(crate) fn put(&self, media_type: &str, bytes: &[u8]) -> Result<Descriptor, LayoutError> {
        let digest = Digest::from_sha256(Sha256::digest(bytes).into());
        let mut blob = self.start()?;
        blob.write_all(bytes).map_err(|source| self.unwritten(source))?;
        blob.keep(&digest)?;
        Ok(Descriptor { media_type: media_type.to_owned(), digest, size: bytes.len() as u64 })
    }

    /// An error of writing a blob that has no name yet.
    pub(crate) fn unwritten(&self, source: io::Error) -> LayoutError {
        LayoutError::Write { path: self.dir.join("blobs/sha256"), source }
    }

    fn index_path(&self) -> PathBuf {
        self.dir.join("index.json")
    }

    fn write_index(&self, index: &Index) -> Result<(), LayoutError> {
        let mut index = index.clone();
        index.other.insert("schemaVersion".to_owned(), 2.into());
        index.other.insert("mediaType".to_owned(), json::INDEX.into());
        let value = serde_json::to_value(&index).unwrap_or_default();
        replace(&self.index_path(), &json::canonical(&value))
    }
}

/// Where a blob is in the layout at `dir`.
pub(crate) fn blob(dir: &Path, digest: &Digest) -> PathBuf {
    dir.join("blobs/sha256").join(digest.hex())
}

/// The index of the layout at `dir`.
pub(crate) fn index(dir: &Path) -> Result<Index, LayoutError> {
    let path = dir.join("index.json");
    let bytes = read(&path)?;
    serde_json::from_slice(&bytes).map_err(|_| LayoutError::Form { path, why: "it is no index" })
}

/// Checks that `dir` says it is a layout of a version we know.
pub(crate) fn check(dir: &Path) -> Result<(), LayoutError> {
    check_marker(&dir.join(MARKER))
}

/// A document among the blobs of the layout at `dir`.
pub(crate) fn parse<T: serde::de::DeserializeOwned>(dir: &Path, digest: &Digest) -> Result<T, LayoutError> {
    let path = blob(dir, digest);
    let bytes = read(&path)?;
    if Digest::from_sha256(Sha256::digest(&bytes).into()) != *digest {
        return Err(LayoutError::Corrupt { path });
    }
    serde_json::from_slice(&bytes).map_err(|_| LayoutError::Form { path, why: "it is no JSON of its kind" })
}

/// Opens a file of a layout. A link is refused: it could lead to any file of this machine.
pub(crate) fn open(path: &Path) -> Result<File, LayoutError> {
    let unread = |source| LayoutError::Read { path: path.to_owned(), source };
    if !fs::symlink_metadata(path).map_err(unread)?.is_file() {
        return Err(LayoutError::Form { path: path.to_owned(), why: "it is no plain file" });
    }
    File::open(path).map_err(unread)
}

/// The digest and size of what is in a file of a layout.
pub(crate) fn hash(path: &Path) -> Result<(Digest, u64), LayoutError> {
    let mut file = open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    let mut size = 0;
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok((Digest::from_sha256(hash.finalize().into()), size)),
            Ok(n) => {
                hash.update(&buffer[..n]);
                size += n as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => return Err(LayoutError::Read { path: path.to_owned(), source }),
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, LayoutError> {
    let mut bytes = Vec::new();
    let mut file = open(path)?.take(MAX_DOCUMENT_BYTES + 1);
    file.read_to_end(&mut bytes).map_err(|source| LayoutError::Read { path: path.to_owned(), source })?;
    if bytes.len() as u64 > MAX_DOCUMENT_BYTES {
        return Err(LayoutError::Form { path: path.to_owned(), why: "it has more than 4 MiB" });
    }
    Ok(bytes)
}

fn check_marker(path: &Path) -> Result<(), LayoutError> {
    let form = |why| LayoutError::Form { path: path.to_owned(), why };
    let marker: Value = serde_json::from_slice(&read(path)?).map_err(|_| form("it is no JSON"))?;
    match marker["imageLayoutVersion"].as_str() {
        Some(version) if version.starts_with("1.") => Ok(()),
        _ => Err(form("its version is not 1")),
    }
}

/// Whether there is something in the folder that no writer of layouts has put there.
fn holds_others(dir: &Path) -> bool {
    let begun = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with(PARTIAL);
    fs::read_dir(dir).is_ok_and(|entries| entries.flatten().any(|entry| !begun(&entry)))
}

/// Makes the marker, unless somebody else has. It is never put in place of another: that one may be locked.
fn mark(path: &Path) -> Result<(), LayoutError> {
    let unwritten = |source| LayoutError::Write { path: path.to_owned(), source };
    let mut file = partial(path.parent().unwrap_or(Path::new("."))).map_err(unwritten)?;
    file.write_all(br#"{"imageLayoutVersion":"1.0.0"}"#).map_err(unwritten)?;
    match file.persist_noclobber(path) {
        Err(error) if error.error.kind() != io::ErrorKind::AlreadyExists => Err(unwritten(error.error)),
        _ => Ok(()),
    }
}

/// Writes a file whole or not at all.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), LayoutError> {
    let unwritten = |source| LayoutError::Write { path: path.to_owned(), source };
    let mut file = partial(path.parent().unwrap_or(Path::new("."))).map_err(unwritten)?;
    file.write_all(bytes).map_err(unwritten)?;
    file.persist(path).map_err(|error| unwritten(error.error))?;
    Ok(())
}

/// A file beside its place. Unlike other temporary files it can be read by everybody who may read the folder.
fn partial(folder: &Path) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(PARTIAL);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        builder.permissions(fs::Permissions::from_mode(0o644));
    }
    builder.tempfile_in(folder)
}
