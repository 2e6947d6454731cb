//! Writing: one process at a time, every file whole or not at all.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use release_core::Digest;
use tempfile::NamedTempFile;

use crate::error::{LayoutError, unread, unwritten};
use crate::{MARKER, PARTIAL, blob, blobs, check, index};

/// A layout that is there, and that others may be writing to.
#[derive(Debug)]
pub struct Unlocked {
    dir: PathBuf,
    marker: File,
}

/// What came of an attempt to lock a layout.
#[derive(Debug)]
pub enum TryLock {
    /// It is ours.
    Locked(Folder),
    /// Another process writes to it.
    Busy(Unlocked),
}

/// A layout that is open for writing. Others wait until it is dropped.
#[derive(Debug)]
pub struct Folder {
    dir: PathBuf,
    /// Holds the lock.
    _marker: File,
}

impl Unlocked {
    /// The layout in `dir`, which is made if there is none.
    ///
    /// # Errors
    /// When the folder holds something else, says another version, or cannot be written.
    pub fn at(dir: &Path) -> Result<Self, LayoutError> {
        let marker = dir.join(MARKER);
        if !marker.exists() {
            // Somebody may have made the layout meanwhile.
            if holds_others(dir) && !marker.exists() {
                return Err(LayoutError::Foreign { path: dir.to_owned() });
            }
            fs::create_dir_all(dir).map_err(unwritten(dir))?;
            mark(&marker)?;
        }
        check(dir)?;
        let file = File::open(&marker).map_err(unread(&marker))?;
        Ok(Self { dir: dir.to_owned(), marker: file })
    }

    /// Locks it. Blocks while another process writes to it.
    ///
    /// # Errors
    /// When it cannot be locked, or its folders are none.
    pub fn lock(self) -> Result<Folder, LayoutError> {
        match self.marker.lock() {
            Err(error) if !is_unsupported(&error) => Err(unwritten(&self.path())(error)),
            _ => self.locked(),
        }
    }

    /// Locks it, unless another process writes to it.
    ///
    /// # Errors
    /// When it cannot be locked, or its folders are none.
    pub fn try_lock(self) -> Result<TryLock, LayoutError> {
        match self.marker.try_lock() {
            Err(TryLockError::WouldBlock) => Ok(TryLock::Busy(self)),
            Err(TryLockError::Error(error)) if !is_unsupported(&error) => Err(unwritten(&self.path())(error)),
            _ => self.locked().map(TryLock::Locked),
        }
    }

    /// The file that is locked.
    pub fn path(&self) -> PathBuf {
        self.dir.join(MARKER)
    }

    fn locked(self) -> Result<Folder, LayoutError> {
        let all = blobs(&self.dir);
        fs::create_dir_all(&all).map_err(unwritten(&all))?;
        for folder in [self.dir.join("blobs"), all] {
            if !fs::symlink_metadata(&folder).map_err(unread(&folder))?.is_dir() {
                return Err(LayoutError::Form { path: folder, why: "it is no folder" });
            }
        }
        let folder = Folder { dir: self.dir, _marker: self.marker };
        folder.clear()?;
        Ok(folder)
    }
}

/// A file system without locks is used without them: two writers at once are rare, and every file still appears whole.
fn is_unsupported(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Unsupported
}

impl Folder {
    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where the blob of this digest is, or would be.
    pub fn blob(&self, digest: &Digest) -> PathBuf {
        blob(&self.dir, digest)
    }

    /// Begins a blob whose name is known when it is complete. Dropped, it leaves nothing behind.
    ///
    /// # Errors
    /// When there is no place for it.
    pub fn begin(&self) -> Result<NamedTempFile, LayoutError> {
        let blobs = blobs(&self.dir);
        partial(&blobs).map_err(unwritten(&blobs))
    }

    /// Gives a blob its name, in place of what may be there. Whether its bytes are those the name stands for is the caller's
    /// to know.
    ///
    /// # Errors
    /// When it cannot be put there; it is gone then.
    pub fn keep(&self, blob: NamedTempFile, digest: &Digest) -> Result<(), LayoutError> {
        let path = self.blob(digest);
        blob.persist(&path).map_err(|error| unwritten(&path)(error.error))?;
        Ok(())
    }

    /// Writes a small blob, whose bytes are those the digest stands for.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put(&self, digest: &Digest, bytes: &[u8]) -> Result<(), LayoutError> {
        replace(&self.blob(digest), bytes)
    }

    /// Writes the index.
    ///
    /// # Errors
    /// When it cannot be written; the one before is still there then.
    pub fn put_index(&self, bytes: &[u8]) -> Result<(), LayoutError> {
        replace(&index(&self.dir), bytes)
    }

    /// Removes what runs that were killed left behind. Nobody else writes blobs now.
    fn clear(&self) -> Result<(), LayoutError> {
        self.sweep(|_| true).map(|_| ())
    }

    /// Removes the blobs that are not `needed`, and what runs that were killed left behind. Other files stay. Returns how many
    /// bytes are gone.
    ///
    /// # Errors
    /// When the folder cannot be read, or a file not be removed.
    pub fn sweep(&self, needed: impl Fn(&Digest) -> bool) -> Result<u64, LayoutError> {
        let blobs = blobs(&self.dir);
        let mut freed = 0;
        for entry in fs::read_dir(&blobs).map_err(unread(&blobs))?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let known = format!("sha256:{name}").parse::<Digest>().ok();
            let ours = known.is_some() || name.starts_with(PARTIAL);
            if ours && known.is_none_or(|digest| !needed(&digest)) {
                freed += entry.metadata().map_or(0, |metadata| metadata.len());
                fs::remove_file(entry.path()).map_err(unwritten(&entry.path()))?;
            }
        }
        Ok(freed)
    }
}

/// Whether there is something in the folder that no writer of layouts has put there.
fn holds_others(dir: &Path) -> bool {
    let begun = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with(PARTIAL);
    fs::read_dir(dir).is_ok_and(|entries| entries.flatten().any(|entry| !begun(&entry)))
}

/// Makes the marker, unless somebody else has. It is never put in place of another: that one may be locked.
fn mark(path: &Path) -> Result<(), LayoutError> {
    match written(path, br#"{"imageLayoutVersion":"1.0.0"}"#)?.persist_noclobber(path) {
        Err(error) if error.error.kind() != io::ErrorKind::AlreadyExists => Err(unwritten(path)(error.error)),
        _ => Ok(()),
    }
}

/// Writes a file whole or not at all.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), LayoutError> {
    written(path, bytes)?.persist(path).map_err(|error| unwritten(path)(error.error))?;
    Ok(())
}

/// Bytes beside the place they are for.
fn written(path: &Path, bytes: &[u8]) -> Result<NamedTempFile, LayoutError> {
    let mut file = partial(path.parent().unwrap_or(Path::new("."))).map_err(unwritten(path))?;
    file.write_all(bytes).map_err(unwritten(path))?;
    Ok(file)
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
mod tests;
