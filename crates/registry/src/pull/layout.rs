//! Where pulled images go: an [OCI image layout](https://github.com/opencontainers/image-spec/blob/main/image-layout.md).
//!
//! What is there already is believed only after its bytes were hashed. How the folder is read and written is the business of
//! [`release_layout`].

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use release_core::{Digest, Platform};
use release_layout::{Folder, LayoutError, REF_NAME, TryLock, Unlocked, read};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;
use tokio::sync::mpsc;

use super::Cache;
use super::error::PullError;
use crate::document::{Descriptor, Document, platform_of};

/// How long another process may write to the layout before we give up: as long as a large pull over a slow line.
const LOCK_PATIENCE: Duration = Duration::from_secs(30 * 60);

/// How often a lock is tried.
const LOCK_PAUSE: Duration = Duration::from_millis(100);

/// A layout that is open for writing.
#[derive(Debug)]
pub(crate) struct Store {
    pub(super) folder: Folder,
    /// Whether a blob of the right size is right.
    believe: bool,
    /// Whether it is a cache: an index that is damaged is one of nothing then, and what it named is pulled again.
    is_cache: bool,
    /// Whether a blob came since it was opened.
    grown: AtomicBool,
}

/// What the layout's index says about an image.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) descriptor: Descriptor,
    pub(crate) platform: Option<Platform>,
}

fn unwritten(path: &Path) -> impl Fn(io::Error) -> PullError {
    let path = path.to_owned();
    move |source| LayoutError::Write { path: path.clone(), source }.into()
}

impl Store {
    /// Opens the layout at `dir`, or makes one. Waits while another process writes to it.
    pub(crate) async fn open(dir: &Path, cache: Option<Cache>) -> Result<Self, PullError> {
        let folder = lock(Unlocked::at(dir)?).await?;
        let believe = cache.is_some_and(|cache| cache.believe);
        Ok(Self { folder, believe, is_cache: cache.is_some(), grown: AtomicBool::new(false) })
    }

    /// Whether a blob came since it was opened.
    pub(crate) fn has_grown(&self) -> bool {
        self.grown.load(Ordering::Relaxed)
    }

    /// Whether the blob is there, with the right bytes, as far as they are looked at.
    pub(crate) async fn has(&self, blob: &Descriptor) -> bool {
        let (path, blob) = (self.folder.blob(&blob.digest), blob.clone());
        if self.believe {
            return fs::symlink_metadata(path).is_ok_and(|file| file.is_file() && file.len() == blob.size);
        }
        let checked = tokio::task::spawn_blocking(move || is_right(&path, &blob).unwrap_or(false));
        checked.await.unwrap_or(false)
    }

    /// A document that is there with the right bytes.
    pub(crate) fn document(&self, digest: &Digest) -> Option<Bytes> {
        let bytes = read(&self.folder.blob(digest)).ok()?;
        (release_layout::digest(&bytes) == *digest).then(|| bytes.into())
    }

    /// Begins a blob.
    pub(crate) fn begin(&self) -> Result<Partial, PullError> {
        Ok(Partial { file: self.folder.begin()?, at: 0, hash: Sha256::new() })
    }

    /// Gives a blob its name. Its bytes are those the name stands for.
    pub(crate) fn keep(&self, partial: Partial, digest: &Digest) -> Result<(), PullError> {
        debug_assert_eq!(partial.digest(), *digest);
        self.folder.keep(partial.file, digest)?;
        self.grown.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Writes a document, whose bytes are those its digest stands for.
    pub(crate) fn put(&self, digest: &Digest, bytes: &[u8]) -> Result<(), PullError> {
        if self.document(digest).is_some() {
            return Ok(());
        }
        Ok(self.folder.put(digest, bytes)?)
    }

    /// Whether an image's configuration is for this platform, or does not say.
    pub(crate) fn check_platform(
        &self,
        image: &Document,
        wanted: &Platform,
        name: &str,
    ) -> Result<(), PullError> {
        let Document::Image(image) = image else { return Ok(()) };
        match platform_of(&read(&self.folder.blob(&image.config.digest))?) {
            Some(found) if wanted.os != found.os || wanted.architecture != found.architecture => {
                Err(PullError::NoPlatform {
                    image: name.to_owned(),
                    wanted: wanted.to_string(),
                    available: vec![found.to_string()],
                })
            }
            _ => Ok(()),
        }
    }

    /// Changes the images of the index. What else is in it stays.
    pub(super) fn edit(&self, change: impl FnOnce(&mut Vec<Value>)) -> Result<(), PullError> {
        let path = release_layout::index(self.folder.dir());
        let read = || -> Result<Value, LayoutError> {
            let bytes = match read(&path) {
                Err(LayoutError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                    return Ok(json!({"manifests": []}));
                }
                bytes => bytes?,
            };
            let mut index: Value = serde_json::from_slice(&bytes).unwrap_or_default();
            if let Some(fields) = index.as_object_mut() {
                fields.entry("manifests").or_insert_with(|| json!([]));
            }
            let sound = index["manifests"].is_array();
            sound
                .then_some(index)
                .ok_or_else(|| LayoutError::Form { path: path.clone(), why: "it is no index" })
        };
        let mut index = match read() {
            Err(LayoutError::Form { .. }) if self.is_cache => json!({"manifests": []}),
            other => other?,
        };
        let before = index.clone();
        change(index["manifests"].as_array_mut().unwrap_or(&mut Vec::new()));
        let Some(fields) = index.as_object_mut() else { return Ok(()) };
        fields.insert("schemaVersion".to_owned(), 2.into());
        fields.insert("mediaType".to_owned(), "application/vnd.oci.image.index.v1+json".into());
        if index == before { Ok(()) } else { Ok(self.folder.put_index(index.to_string().as_bytes())?) }
    }

    /// Puts the image into the index, in place of the one of that name and platform, and behind all others.
    pub(crate) fn name(&self, entry: &Entry) -> Result<(), PullError> {
        let platform = entry.platform.as_ref().map(|platform| {
            let mut value = json!({ "architecture": platform.architecture, "os": platform.os });
            if let Some(variant) = &platform.variant {
                value["variant"] = variant.as_str().into();
            }
            value
        });
        let mut item = json!({
            "mediaType": entry.descriptor.media_type,
            "digest": entry.descriptor.digest,
            "size": entry.descriptor.size,
            "annotations": { REF_NAME: entry.name },
        });
        if let Some(platform) = &platform {
            item["platform"] = platform.clone();
        }
        self.edit(|manifests| {
            manifests.retain(|other| {
                other["annotations"][REF_NAME] != entry.name.as_str()
                    || other.get("platform") != platform.as_ref()
            });
            manifests.push(item);
        })
    }
}

/// A blob that is on its way to the disk. It is removed when nobody keeps it.
#[derive(Debug)]
pub(crate) struct Partial {
    file: NamedTempFile,
    /// How much of it is here.
    pub(crate) at: u64,
    hash: Sha256,
}

impl Partial {
    /// The digest of what is here.
    pub(crate) fn digest(&self) -> Digest {
        Digest::from_sha256(self.hash.clone().finalize().into())
    }

    /// Forgets what is here.
    pub(crate) fn clear(&mut self) -> Result<(), PullError> {
        use std::io::Seek as _;
        let file = self.file.as_file_mut();
        let cleared = file.set_len(0).and_then(|()| file.rewind());
        cleared.map_err(unwritten(self.file.path()))?;
        (self.at, self.hash) = (0, Sha256::new());
        Ok(())
    }

    /// Writes what comes, until nothing more does. Blocks.
    pub(crate) fn drain(mut self, mut pieces: mpsc::Receiver<Bytes>) -> Result<Self, PullError> {
        while let Some(piece) = pieces.blocking_recv() {
            self.hash.update(&piece);
            self.file.write_all(&piece).map_err(unwritten(self.file.path()))?;
            self.at += piece.len() as u64;
        }
        Ok(self)
    }
}

/// Locks the layout, as soon as nobody else writes to it.
async fn lock(mut layout: Unlocked) -> Result<Folder, PullError> {
    let since = Instant::now();
    loop {
        match layout.try_lock()? {
            TryLock::Locked(folder) => return Ok(folder),
            TryLock::Busy(busy) if since.elapsed() >= LOCK_PATIENCE => {
                return Err(PullError::Locked { path: busy.path() });
            }
            TryLock::Busy(busy) => layout = busy,
        }
        tokio::time::sleep(LOCK_PAUSE).await;
    }
}

/// Whether the file has the blob's bytes.
fn is_right(path: &Path, blob: &Descriptor) -> Result<bool, LayoutError> {
    let there = fs::symlink_metadata(path).is_ok_and(|file| file.len() == blob.size);
    Ok(there && release_layout::hash(path)?.0 == blob.digest)
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// The lock is tested where it is; here is the waiting.
    #[test]
    fn a_layout_that_many_open_at_once_has_one_writer_at_a_time() {
        for round in 0..10 {
            let dir = tempfile::tempdir().unwrap();
            let folder = dir.path().join("layout");
            let (start, writers) = (Barrier::new(4), AtomicUsize::new(0));
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
                        start.wait();
                        let store = runtime.unwrap().block_on(Store::open(&folder, None)).unwrap();
                        assert_eq!(writers.fetch_add(1, Ordering::SeqCst), 0, "round {round}");
                        std::thread::yield_now();
                        writers.fetch_sub(1, Ordering::SeqCst);
                        drop(store);
                    });
                }
            });
        }
    }
}
