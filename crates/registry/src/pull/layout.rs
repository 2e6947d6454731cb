//! Where pulled images go: an [OCI image layout](https://github.com/opencontainers/image-spec/blob/main/image-layout.md).
//!
//! Every file appears whole or not at all, under a name that was checked. What is there already is believed only after its
//! bytes were hashed. A link is never followed: it could lead to any file of this machine. Nothing is synced to the disk:
//! after a power failure a blob may differ from its name, which the next pull and every push notice.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use release_core::Digest;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;
use tokio::sync::mpsc;

use super::error::PullError;
use super::platform::Platform;
use crate::document::{Descriptor, Document, platform_of};

/// The largest document of a layout that is read.
const MAX_DOCUMENT_BYTES: u64 = 4 * 1024 * 1024;

/// How long another process may write to the layout before we give up: as long as a large pull over a slow line.
const LOCK_PATIENCE: Duration = Duration::from_secs(30 * 60);

/// How often a lock is tried.
const LOCK_PAUSE: Duration = Duration::from_millis(100);

/// How much is read at a time to check a blob.
const PIECE_BYTES: usize = 256 * 1024;

/// The name people know an image of a layout by.
pub(super) const REF_NAME: &str = "org.opencontainers.image.ref.name";

const MARKER: &str = "oci-layout";

/// What blobs that are being written are called.
pub(super) const PARTIAL: &str = ".partial-";

/// A layout that is open for writing.
#[derive(Debug)]
pub(crate) struct Store {
    pub(super) dir: PathBuf,
    /// Whether a blob of the right size is right.
    believe: bool,
    /// Whether a blob came since it was opened.
    grown: AtomicBool,
    /// Holds the lock.
    _marker: File,
}

/// What the layout's index says about an image.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) descriptor: Descriptor,
    pub(crate) platform: Option<Platform>,
}

pub(super) fn failed(verb: &'static str, path: &Path) -> impl Fn(io::Error) -> PullError {
    let path = path.to_owned();
    move |source| PullError::File { verb, path: path.clone(), source }
}

impl Store {
    /// Opens the layout at `dir`, or makes one. Waits while another process writes to it.
    pub(crate) async fn open(dir: &Path, believe: bool) -> Result<Self, PullError> {
        let marker = dir.join(MARKER);
        if !marker.exists() {
            // Somebody may have made the layout meanwhile.
            if holds_others(dir) && !marker.exists() {
                return Err(PullError::Foreign { path: dir.to_owned() });
            }
            fs::create_dir_all(dir).map_err(failed("write", dir))?;
            mark(&marker)?;
        }
        let known: Option<Value> = serde_json::from_slice(&read(&marker)?).ok();
        let version = known.as_ref().and_then(|marker| marker["imageLayoutVersion"].as_str());
        if !version.is_some_and(|version| version.starts_with("1.")) {
            return Err(PullError::Form { path: marker, why: "its version is not 1" });
        }
        let file = File::open(&marker).map_err(failed("read", &marker))?;
        lock(&file, &marker).await?;
        let blobs = dir.join("blobs/sha256");
        fs::create_dir_all(&blobs).map_err(failed("write", &blobs))?;
        for folder in [dir.join("blobs"), blobs] {
            if !fs::symlink_metadata(&folder).map_err(failed("read", &folder))?.is_dir() {
                return Err(PullError::Form { path: folder, why: "it is no folder" });
            }
        }
        Ok(Self { dir: dir.to_owned(), believe, grown: AtomicBool::new(false), _marker: file })
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.dir.join("blobs/sha256").join(digest.hex())
    }

    /// Whether a blob came since it was opened.
    pub(crate) fn has_grown(&self) -> bool {
        self.grown.load(Ordering::Relaxed)
    }

    /// Whether the blob is there, with the right bytes, as far as they are looked at.
    pub(crate) async fn has(&self, blob: &Descriptor) -> bool {
        let (path, blob) = (self.path(&blob.digest), blob.clone());
        if self.believe {
            return fs::symlink_metadata(path).is_ok_and(|file| file.is_file() && file.len() == blob.size);
        }
        let checked = tokio::task::spawn_blocking(move || is_right(&path, &blob).unwrap_or(false));
        checked.await.unwrap_or(false)
    }

    /// A document that is there with the right bytes.
    pub(crate) fn document(&self, digest: &Digest) -> Option<Bytes> {
        let bytes = read(&self.path(digest)).ok()?;
        (Digest::from_sha256(Sha256::digest(&bytes).into()) == *digest).then(|| bytes.into())
    }

    /// Begins a blob.
    pub(crate) fn begin(&self) -> Result<Partial, PullError> {
        let blobs = self.dir.join("blobs/sha256");
        let file = partial(&blobs).map_err(failed("write", &blobs))?;
        Ok(Partial { file, at: 0, hash: Sha256::new() })
    }

    /// Gives a blob its name. Its bytes are those the name stands for.
    pub(crate) fn keep(&self, partial: Partial, digest: &Digest) -> Result<(), PullError> {
        debug_assert_eq!(partial.digest(), *digest);
        let path = self.path(digest);
        partial.file.persist(&path).map_err(|error| failed("write", &path)(error.error))?;
        self.grown.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Writes a document, whose bytes are those its digest stands for.
    pub(crate) fn put(&self, digest: &Digest, bytes: &[u8]) -> Result<(), PullError> {
        if self.document(digest).is_some() {
            return Ok(());
        }
        replace(&self.path(digest), bytes)
    }

    /// Whether an image's configuration is for this platform, or does not say.
    pub(crate) fn check_platform(
        &self,
        image: &Document,
        wanted: &Platform,
        name: &str,
    ) -> Result<(), PullError> {
        let Document::Image(image) = image else { return Ok(()) };
        match platform_of(&read(&self.path(&image.config.digest))?) {
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
        let path = self.dir.join("index.json");
        let mut index = match fs::symlink_metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => json!({}),
            _ => serde_json::from_slice(&read(&path)?).unwrap_or_default(),
        };
        let before = index.clone();
        let form = || PullError::Form { path: path.clone(), why: "it is no index" };
        let fields = index.as_object_mut().ok_or_else(form)?;
        change(fields.entry("manifests").or_insert_with(|| json!([])).as_array_mut().ok_or_else(form)?);
        fields.insert("schemaVersion".to_owned(), 2.into());
        fields.insert("mediaType".to_owned(), "application/vnd.oci.image.index.v1+json".into());
        if index == before { Ok(()) } else { replace(&path, index.to_string().as_bytes()) }
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
        cleared.map_err(failed("write", self.file.path()))?;
        (self.at, self.hash) = (0, Sha256::new());
        Ok(())
    }

    /// Writes what comes, until nothing more does. Blocks.
    pub(crate) fn drain(mut self, mut pieces: mpsc::Receiver<Bytes>) -> Result<Self, PullError> {
        while let Some(piece) = pieces.blocking_recv() {
            self.hash.update(&piece);
            self.file.write_all(&piece).map_err(failed("write", self.file.path()))?;
            self.at += piece.len() as u64;
        }
        Ok(self)
    }
}

/// Locks the layout. A file system without locks is used without them: every file still appears whole.
async fn lock(file: &File, path: &Path) -> Result<(), PullError> {
    let since = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(failed("lock", path)(error)),
            Err(TryLockError::WouldBlock) if since.elapsed() >= LOCK_PATIENCE => {
                return Err(PullError::Locked { path: path.to_owned() });
            }
            Err(TryLockError::WouldBlock) => tokio::time::sleep(LOCK_PAUSE).await,
        }
    }
}

/// Opens a plain file.
fn open(path: &Path) -> Result<File, PullError> {
    let unread = failed("read", path);
    if !fs::symlink_metadata(path).map_err(&unread)?.is_file() {
        return Err(PullError::Form { path: path.to_owned(), why: "it is no plain file" });
    }
    File::open(path).map_err(&unread)
}

/// Reads a document.
fn read(path: &Path) -> Result<Vec<u8>, PullError> {
    let mut bytes = Vec::new();
    open(path)?.take(MAX_DOCUMENT_BYTES + 1).read_to_end(&mut bytes).map_err(failed("read", path))?;
    if bytes.len() as u64 > MAX_DOCUMENT_BYTES {
        return Err(PullError::Form { path: path.to_owned(), why: "it has more than 4 MiB" });
    }
    Ok(bytes)
}

fn is_right(path: &Path, blob: &Descriptor) -> Result<bool, PullError> {
    let unread = failed("read", path);
    let mut file = open(path)?;
    if file.metadata().map_err(&unread)?.len() != blob.size {
        return Ok(false);
    }
    let (mut hash, mut piece) = (Sha256::new(), vec![0; PIECE_BYTES]);
    loop {
        match file.read(&mut piece).map_err(&unread)? {
            0 => return Ok(Digest::from_sha256(hash.finalize().into()) == blob.digest),
            n => hash.update(&piece[..n]),
        }
    }
}

/// Whether there is something in the folder that no writer of layouts has put there.
fn holds_others(dir: &Path) -> bool {
    let begun = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with(PARTIAL);
    fs::read_dir(dir).is_ok_and(|entries| entries.flatten().any(|entry| !begun(&entry)))
}

/// Makes the marker, unless somebody else has. It is never put in place of another: that one may be locked.
fn mark(path: &Path) -> Result<(), PullError> {
    let unwritten = failed("write", path);
    let mut file = partial(path.parent().unwrap_or(Path::new("."))).map_err(&unwritten)?;
    file.write_all(br#"{"imageLayoutVersion":"1.0.0"}"#).map_err(&unwritten)?;
    match file.persist_noclobber(path) {
        Err(error) if error.error.kind() != io::ErrorKind::AlreadyExists => Err(unwritten(error.error)),
        _ => Ok(()),
    }
}

/// Writes a file whole or not at all.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), PullError> {
    let unwritten = failed("write", path);
    let mut file = partial(path.parent().unwrap_or(Path::new("."))).map_err(&unwritten)?;
    file.write_all(bytes).map_err(&unwritten)?;
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

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// `release-image` makes layouts in the same way, and has the same test.
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
                        let store = runtime.unwrap().block_on(Store::open(&folder, false)).unwrap();
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
