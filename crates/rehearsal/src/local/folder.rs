//! The folder in which everything is kept: one command at a time, and every file whole or not there.

use std::error::Error;
use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::LocalError;

/// The cluster.
pub(super) const CLUSTER: &str = "cluster.json";
/// What images do, as somebody wrote it.
pub(super) const SCRIPTS: &str = "apps.yaml";
/// The registry.
pub(super) const REGISTRY: &str = "registry";

const LOCK: &str = "lock";

/// The most of a lock file that is read.
const LOCK_MAX: u64 = 4096;

/// Who works in a folder: what the lock file says. One that died holds no lock, whatever is written there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Worker {
    /// What it does: `release deploy`.
    pub command: String,
    /// The number of its process.
    pub process: u32,
    /// When it began.
    pub since: Timestamp,
}

impl fmt::Display for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { command, process, since } = self;
        write!(f, "`{command}` (process {process}, since {since:.0})")
    }
}

/// A folder that is ours until this is dropped, or one that is looked at.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// Held for its lock; none when somebody else has it.
    lock: Option<File>,
}

impl Folder {
    pub(super) fn open(path: &Path, command: &str) -> Result<Self, LocalError> {
        fs::create_dir_all(path).map_err(|source| failed("make", path, source))?;
        let file = path.join(LOCK);
        // What another one has written there stays until the lock is ours.
        let opened = File::options().read(true).write(true).create(true).truncate(false).open(&file);
        let mut lock = opened.map_err(|source| failed("make", &file, source))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(LocalError::Busy { folder: path.to_owned(), worker: worker(lock) });
            }
            Err(TryLockError::Error(source)) => return Err(failed("lock", &file, source)),
        }
        let own =
            Worker { command: command.to_owned(), process: std::process::id(), since: Timestamp::now() };
        let text = serde_json::to_vec(&own).unwrap_or_default();
        let written = lock.set_len(0).and_then(|()| lock.write_all(&text));
        written.map_err(|source| failed("write", &file, source))?;
        Ok(Self { path: path.to_owned(), lock: Some(lock) })
    }

    /// The folder as it was left, while somebody else works in it.
    pub(super) fn look(path: &Path) -> Self {
        Self { path: path.to_owned(), lock: None }
    }

    /// Whether nobody else works in it.
    pub(super) fn is_ours(&self) -> bool {
        self.lock.is_some()
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

/// Who has written into a lock file. It may be between locking and writing, and then nobody has.
fn worker(lock: File) -> Option<Worker> {
    let mut text = String::new();
    lock.take(LOCK_MAX).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
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
