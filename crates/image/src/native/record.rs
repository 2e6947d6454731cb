//! What builds write down for later builds: a folder of records, each a file that stands for itself.
//!
//! A record is a hint and never the truth: one that is missing, damaged, of another version or about something else costs time
//! and changes nothing. So nothing here fails, and nothing is locked: files appear whole, and the last writer wins.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use release_core::Digest;
pub(crate) use release_layout::digest;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use super::layout;
use super::stamp::Stamp;

/// Counts up whenever records, cuts or headers become something else.
const FORMAT: u32 = 2;

/// The largest record that is kept: a layer of some 30 GiB, or a base of 300,000 files.
const MAX_RECORD_BYTES: u64 = 32 * 1024 * 1024;

/// How much all records may have together, and how many there may be. Those that were not used for the longest time go first.
const MAX_RECORDS_BYTES: u64 = 256 * 1024 * 1024;
const MAX_RECORDS: usize = 1000;

const ENDING: &str = "record";
const PARTIAL: &str = ".partial-";

/// The folder of records.
#[derive(Debug, Clone)]
pub(crate) struct Records {
    dir: PathBuf,
    /// Whether what is there is believed. It is written in any case.
    believe: bool,
}

#[derive(Serialize, Deserialize)]
struct Envelope<T> {
    format: u32,
    /// What it is about; the file's name is a hash of it.
    about: String,
    record: T,
}

impl Records {
    pub(crate) fn new(dir: &Path, believe: bool) -> Self {
        Self { dir: dir.to_owned(), believe }
    }

    /// What is known about something.
    pub(crate) fn get<T: DeserializeOwned>(&self, about: &str) -> Option<T> {
        if !self.believe {
            return None;
        }
        let file = File::options().read(true).write(true).open(self.path(about)).ok()?;
        let mut text = String::new();
        (&file).take(MAX_RECORD_BYTES + 1).read_to_string(&mut text).ok()?;
        let (body, sum) = text.split_once('\n')?;
        if digest(body.as_bytes()).as_str() != sum.trim_end() {
            return None;
        }
        let envelope: Envelope<T> = serde_json::from_str(body).ok()?;
        // That it was used, for those who look for what was not.
        let _ = file.set_modified(SystemTime::now());
        (envelope.format == FORMAT && envelope.about == about).then_some(envelope.record)
    }

    /// Writes down what is known about something.
    pub(crate) fn put<T: Serialize>(&self, about: &str, record: T) {
        // What cannot be written will be found out again.
        let _ = self.try_put(about, record);
    }

    fn try_put<T: Serialize>(&self, about: &str, record: T) -> std::io::Result<()> {
        let envelope = Envelope { format: FORMAT, about: about.to_owned(), record };
        let body = serde_json::to_string(&envelope)?;
        if body.len() as u64 >= MAX_RECORD_BYTES {
            return Ok(());
        }
        fs::create_dir_all(&self.dir)?;
        let mut file: NamedTempFile = tempfile::Builder::new().prefix(PARTIAL).tempfile_in(&self.dir)?;
        writeln!(file, "{body}\n{}", digest(body.as_bytes()))?;
        file.persist(self.path(about)).map_err(|error| error.error)?;
        self.sweep()
    }

    fn path(&self, about: &str) -> PathBuf {
        self.dir.join(digest(about.as_bytes()).hex()).with_extension(ENDING)
    }

    /// Removes what was not used for the longest time, down to the limits.
    fn sweep(&self) -> std::io::Result<()> {
        let mut all = Vec::new();
        for entry in fs::read_dir(&self.dir)?.flatten() {
            let path = entry.path();
            let ours = path.extension().is_some_and(|ending| ending == ENDING)
                || entry.file_name().to_string_lossy().starts_with(PARTIAL);
            if let Ok(metadata) = entry.metadata()
                && ours
            {
                all.push((metadata.modified()?, metadata.len(), path));
            }
        }
        all.sort_unstable_by(|a, b| b.cmp(a));
        let mut bytes = 0;
        for (count, (_, size, path)) in all.into_iter().enumerate() {
            bytes += size;
            if count >= MAX_RECORDS || bytes > MAX_RECORDS_BYTES {
                // Another run may have been faster.
                let _ = fs::remove_file(path);
            }
        }
        Ok(())
    }
}

/// A blob of a layout as it was left. As long as it looks the same, it is the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    stamp: Stamp,
    /// Which start of the machine it was. What was written is not synced to the disk, so after another start it is looked at.
    boot: Option<String>,
}

impl Kept {
    /// The blob at `path`, which was written or checked just now.
    pub(crate) fn new(path: &Path, digest: Digest, size: u64) -> Option<Self> {
        let metadata = fs::symlink_metadata(path).ok().filter(|metadata| metadata.len() == size)?;
        Some(Self { digest, size, stamp: Stamp::of(&metadata), boot: boot() })
    }

    /// Whether the file at `path` has the blob's bytes. One that was touched since, or that another start of the machine left,
    /// is read; others are believed.
    pub(crate) fn is_at(&self, path: &Path) -> bool {
        let Ok(metadata) = fs::symlink_metadata(path) else { return false };
        if !metadata.is_file() || metadata.len() != self.size {
            return false;
        }
        let untouched = Stamp::of(&metadata) == self.stamp && self.boot.is_some() && self.boot == boot();
        untouched || layout::hash(path).is_ok_and(|(found, _)| found == self.digest)
    }
}

/// A name for this start of the machine, where the system has one.
fn boot() -> Option<String> {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_record_comes_back_unless_anything_about_it_is_wrong() {
        let dir = tempfile::tempdir().unwrap();
        let records = Records::new(&dir.path().join("new"), true);
        records.put("a", vec![1, 2]);
        assert_eq!(records.get("a"), Some(vec![1, 2]));
        assert_eq!(records.get::<Vec<u8>>("b"), None);
        assert_eq!(Records { believe: false, ..records.clone() }.get::<Vec<u8>>("a"), None);
        let path = records.path("a");
        let good = fs::read(&path).unwrap();
        for at in 0..good.len() - 1 {
            let mut bad = good.clone();
            bad[at] ^= 4;
            fs::write(&path, &bad).unwrap();
            assert_eq!(records.get::<Vec<u8>>("a"), None, "byte {at}");
            fs::write(&path, &good[..at]).unwrap();
            assert_eq!(records.get::<Vec<u8>>("a"), None, "cut at {at}");
        }
        fs::copy(&path, records.path("b")).unwrap();
        fs::write(records.path("b"), &good).unwrap();
        assert_eq!(records.get::<Vec<u8>>("b"), None, "it is about something else");
    }

    #[test]
    fn what_was_not_used_for_long_goes_first() {
        let dir = tempfile::tempdir().unwrap();
        let records = Records::new(dir.path(), true);
        let day = Duration::from_secs(24 * 60 * 60);
        for n in 0..MAX_RECORDS {
            fs::write(dir.path().join(format!("{n}.{ENDING}")), "").unwrap();
        }
        fs::write(dir.path().join("of others"), "").unwrap();
        records.put("old", 1);
        let old = File::options().write(true).open(records.path("old")).unwrap();
        old.set_modified(SystemTime::now() - day).unwrap();
        assert_eq!(records.get("old"), Some(1), "and was used just now");
        old.set_modified(SystemTime::now() - day).unwrap();
        records.put("new", 2);
        assert_eq!((records.get("old"), records.get("new")), (None::<i32>, Some(2)));
        assert!(dir.path().join("of others").exists());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), MAX_RECORDS + 1);
    }

    #[test]
    fn a_blob_that_was_touched_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("blob");
        fs::write(&path, "the bytes").unwrap();
        let mut kept = Kept::new(&path, digest(b"the bytes"), 9).unwrap();
        assert!(kept.is_at(&path));
        fs::write(&path, "the bytes").unwrap();
        assert!(kept.is_at(&path), "touched, and the same");
        kept = Kept::new(&path, kept.digest, 9).unwrap();
        std::thread::sleep(Duration::from_millis(20));
        fs::write(&path, "The bytes").unwrap();
        assert!(!kept.is_at(&path), "touched, and another");
        kept = Kept::new(&path, kept.digest, 9).unwrap();
        assert_eq!(kept.is_at(&path), kept.boot.is_some(), "believed, as long as the machine runs");
        kept.boot = Some("another start".to_owned());
        assert!(!kept.is_at(&path), "looked at, after another start");
        fs::remove_file(&path).unwrap();
        assert!(!kept.is_at(&path));
    }
}
