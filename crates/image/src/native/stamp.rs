//! What a file system says about a file without opening it, and when that is enough to know that it is the same file.
//!
//! Equal stamps mean equal content, but for the moment in which the stamp was taken: a file that is written twice within one
//! tick of the file system's clock has one stamp and two contents. So a stamp that is not older than the look itself is not
//! *settled* and proves nothing the next time (git calls such entries racy). Setting the time of modification back does not
//! help anybody: it changes the time of change, which no program can set.

use std::fs::Metadata;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// How much older than the look a stamp has to be. File systems count in steps of up to 2 s (FAT), and the clock of a file
/// server may be a little behind ours.
pub(crate) const SETTLED_AFTER: Duration = Duration::from_secs(2);

/// A file's identity and times.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    pub(crate) size: u64,
    /// When its content changed last, in nanoseconds since 1970. Times beyond the year 2262 are never settled.
    pub(crate) modified: i64,
    /// When anything about it changed last, in nanoseconds since 1970; nobody can set it.
    pub(crate) changed: i64,
    pub(crate) inode: u64,
    pub(crate) device: u64,
}

impl Stamp {
    /// Of a file that was looked at.
    #[cfg(unix)]
    pub(crate) fn of(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        let nanos = |seconds: i64, nanos: i64| seconds.saturating_mul(1_000_000_000).saturating_add(nanos);
        Self {
            size: metadata.len(),
            modified: nanos(metadata.mtime(), metadata.mtime_nsec()),
            changed: nanos(metadata.ctime(), metadata.ctime_nsec()),
            inode: metadata.ino(),
            device: metadata.dev(),
        }
    }

    /// Where there is neither a time of change nor an identity, nothing is ever settled.
    #[cfg(not(unix))]
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self { size: metadata.len(), modified: 0, changed: i64::MAX, inode: 0, device: 0 }
    }

    /// Whether an equal stamp will mean equal content from now on, when the look began at `look`.
    pub(crate) fn is_settled(&self, look: SystemTime) -> bool {
        let since = look.checked_sub(SETTLED_AFTER).and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let Some(since) = since.and_then(|since| i64::try_from(since.as_nanos()).ok()) else {
            return false;
        };
        self.modified.max(self.changed) < since
    }

    /// All of it as bytes, for a hash.
    pub(crate) fn bytes(&self) -> [u8; 40] {
        let mut bytes = [0; 40];
        bytes[..8].copy_from_slice(&self.size.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.modified.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.changed.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.inode.to_le_bytes());
        bytes[32..].copy_from_slice(&self.device.to_le_bytes());
        bytes
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_stamp_is_settled_once_it_is_older_than_the_look() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let stamp = Stamp::of(&file.as_file().metadata().unwrap());
        let now = SystemTime::now();
        assert!(!stamp.is_settled(now));
        assert!(!stamp.is_settled(now + SETTLED_AFTER / 2));
        assert!(stamp.is_settled(now + SETTLED_AFTER * 2));
        assert!(!stamp.is_settled(UNIX_EPOCH), "a clock that is far behind settles nothing");
    }

    #[test]
    fn a_time_that_is_set_back_shows() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let look = || Stamp::of(&fs::metadata(file.path()).unwrap());
        let old = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        file.as_file().set_modified(old).unwrap();
        let before = look();
        std::thread::sleep(Duration::from_millis(20));
        fs::write(file.path(), "x").unwrap();
        fs::write(file.path(), "").unwrap();
        file.as_file().set_modified(old).unwrap();
        let after = look();
        assert_eq!(before.modified, after.modified);
        assert_ne!(before, after);
        assert!(!after.is_settled(SystemTime::now()), "and is not settled, old as it looks");
    }
}
