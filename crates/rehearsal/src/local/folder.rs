//! The folder in which everything is kept: one command at a time, and every file whole or not there.

use std::error::Error;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::LocalError;

/// The cluster.
pub(super) const CLUSTER: &str = "cluster.json";
/// What images do, as somebody wrote it.
pub(super) const SCRIPTS: &str = "apps.yaml";
/// The registry.
pub(super) const REGISTRY: &str = "registry";

const LOCK: &str = "lock";

/// A folder that is ours until this is dropped.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// Held for its lock.
    _lock: File,
}

impl Folder {
    pub(super) fn open(path: &Path) -> Result<Self, LocalError> {
        fs::create_dir_all(path).map_err(|source| failed("make", path, source))?;
        let file = path.join(LOCK);
        let lock = File::create(&file).map_err(|source| failed("make", &file, source))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(LocalError::Busy { folder: path.to_owned() }),
            Err(TryLockError::Error(source)) => Err(failed("lock", &file, source)),
        }
    }

    pub(super) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Removes everything in it but the lock.
    pub(super) fn clear(&self) -> Result<(), LocalError> {
        for name in [CLUSTER, SCRIPTS, REGISTRY] {
            let path = self.join(name);
            let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            match removed {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(failed("remove", &path, source));
                }
                _ => {}
            }
        }
        Ok(())
    }

    pub(super) fn read(&self, name: &str) -> Result<Option<String>, LocalError> {
        let path = self.join(name);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(failed("read", &path, source)),
        }
    }

    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> Result<(), LocalError> {
        write(&self.join(name), bytes)
    }

    pub(super) fn damaged(&self, name: &str, why: impl Error + Send + Sync + 'static) -> LocalError {
        LocalError::Damaged { path: self.join(name), source: Box::new(why) }
    }
}

/// Writes a file so that it is there as a whole, or as it was before.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), LocalError> {
    let new = path.with_extension("new");
    let written = File::create(&new).and_then(|mut file| file.write_all(bytes));
    let done = written.and_then(|()| fs::rename(&new, path));
    done.map_err(|source| failed("write", path, source))
}

pub(super) fn failed(verb: &'static str, path: &Path, source: io::Error) -> LocalError {
    LocalError::File { verb, path: path.to_owned(), source }
}
