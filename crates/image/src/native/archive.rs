//! Entries as a tar stream: [ustar](https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html), with a pax
//! header in front of the entries whose names do not fit.
//!
//! Written here, not by a library, because every byte is part of an image's digest: owners are 0 without names, modes are
//! 0755 or 0644, every entry carries the same time, and a pax header always has the same name and nothing but the path.

use std::fs::File;
use std::io::{self, Read as _, Write};
use std::path::Path;

use super::error::NativeError;
use super::plan::{Entry, Kind};
use super::unread;

const RECORD: usize = 512;

/// The largest file whose size fits into a plain header. Larger ones would need a pax size, which readers disagree about.
pub(crate) const MAX_FILE_BYTES: u64 = 0o77_777_777_777;

/// How much of a file is read at a time.
const PIECE_BYTES: usize = 128 * 1024;

/// The name of every pax header. Only programs that do not know pax ever see it.
const PAX_NAME: &str = "PaxHeaders/entry";

/// Why an archive ended early.
#[derive(Debug)]
pub(crate) enum Halt {
    /// Something cannot be read or put into an archive.
    Because(NativeError),
    /// Whoever takes the bytes is gone, and knows why.
    Gone,
}

impl From<NativeError> for Halt {
    fn from(error: NativeError) -> Self {
        Self::Because(error)
    }
}

/// Writes the whole archive. Files are read as they come.
pub(crate) fn write(
    root: &Path,
    entries: &[Entry],
    mtime: u64,
    cancelled: &dyn Fn() -> bool,
    to: &mut dyn Write,
) -> Result<(), Halt> {
    let gone = |_: io::Error| Halt::Gone;
    let mut buffer = vec![0; PIECE_BYTES];
    for entry in entries {
        if cancelled() {
            return Err(NativeError::Cancelled.into());
        }
        let Kind::File { .. } = entry.kind else {
            to.write_all(&headers(entry, 0, mtime)).map_err(gone)?;
            continue;
        };
        let path = root.join(&entry.disk);
        let mut file = File::open(&path).map_err(unread(&path))?;
        // The size of the opened file: its name may stand for another one by now.
        let metadata = file.metadata().map_err(unread(&path))?;
        if !metadata.is_file() {
            return Err(NativeError::Changed { path }.into());
        }
        let size = metadata.len();
        if size > MAX_FILE_BYTES {
            return Err(NativeError::TooLarge { path, size, limit: MAX_FILE_BYTES }.into());
        }
        to.write_all(&headers(entry, size, mtime)).map_err(gone)?;
        let mut left = size;
        while left > 0 {
            if cancelled() {
                return Err(NativeError::Cancelled.into());
            }
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(PIECE_BYTES);
            let n = match file.read(&mut buffer[..most]) {
                Ok(0) => return Err(NativeError::Changed { path }.into()),
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => return Err(NativeError::Read { path, source }.into()),
            };
            to.write_all(&buffer[..n]).map_err(gone)?;
            left -= n as u64;
        }
        to.write_all(padding(size)).map_err(gone)?;
    }
    to.write_all(&[0; 2 * RECORD]).map_err(gone)
}

/// What stands in front of an entry's content.
fn headers(entry: &Entry, size: u64, mtime: u64) -> Vec<u8> {
    let (name, flag, mode, link) = match &entry.kind {
        Kind::Folder => (format!("{}/", entry.path), b'5', 0o755, ""),
        Kind::File { executable: true } => (entry.path.clone(), b'0', 0o755, ""),
        Kind::File { executable: false } => (entry.path.clone(), b'0', 0o644, ""),
        Kind::Link { target } => (entry.path.clone(), b'2', 0o777, target.as_str()),
    };
    let mut pax = Vec::new();
    let split = split(&name);
    if split.is_none() {
        pax.extend(pax_record("path", &name));
    }
    let plain_link = link.len() <= 100 && link.is_ascii();
    if !plain_link {
        pax.extend(pax_record("linkpath", link));
    }
    let mut bytes = Vec::with_capacity(RECORD);
    if !pax.is_empty() {
        bytes.extend(ustar(&Fields {
            prefix: "",
            name: PAX_NAME,
            link: "",
            flag: b'x',
            mode: 0o644,
            size: pax.len() as u64,
            mtime,
        }));
        bytes.extend(&pax);
        bytes.extend(padding(pax.len() as u64));
    }
    // A reader that does not know pax gets as much as fits.
    let cut =
        |text: &str| text.chars().map(|c| if c.is_ascii() { c } else { '_' }).take(100).collect::<String>();
    let (prefix, name) =
        split.map_or_else(|| (String::new(), cut(&name)), |(p, n)| (p.to_owned(), n.to_owned()));
    let link = if plain_link { link.to_owned() } else { cut(link) };
    bytes.extend(ustar(&Fields { prefix: &prefix, name: &name, link: &link, flag, mode, size, mtime }));
    bytes
}

/// Prefix and name of a plain header, if the path fits: at most 155 and 100 bytes with a `/` between them.
fn split(path: &str) -> Option<(&str, &str)> {
    if !path.is_ascii() {
        return None;
    }
    if path.len() <= 100 {
        return Some(("", path));
    }
    // The shortest prefix that leaves no more than 100 bytes. A folder's last `/` belongs to its name.
    let at = (path.len() - 101..path.len() - 1).find(|&at| path.as_bytes()[at] == b'/')?;
    (1..=155).contains(&at).then(|| (&path[..at], &path[at + 1..]))
}

/// `LENGTH KEY=VALUE\n`, where the length counts itself.
fn pax_record(key: &str, value: &str) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    format!("{length} {key}={value}\n").into_bytes()
}

struct Fields<'a> {
    prefix: &'a str,
    name: &'a str,
    link: &'a str,
    flag: u8,
    mode: u64,
    size: u64,
    mtime: u64,
}

fn ustar(fields: &Fields<'_>) -> [u8; RECORD] {
    let mut record = [0; RECORD];
    let mut put = |at: usize, bytes: &[u8]| record[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, fields.name.as_bytes());
    put(100, format!("{:07o}", fields.mode).as_bytes());
    put(108, b"0000000");
    put(116, b"0000000");
    put(124, format!("{:011o}", fields.size).as_bytes());
    put(136, format!("{:011o}", fields.mtime).as_bytes());
    put(148, b"        ");
    put(156, &[fields.flag]);
    put(157, fields.link.as_bytes());
    put(257, b"ustar\x0000");
    put(329, b"0000000");
    put(337, b"0000000");
    put(345, fields.prefix.as_bytes());
    let sum: u32 = record.iter().map(|byte| u32::from(*byte)).sum();
    record[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    record
}

fn padding(size: u64) -> &'static [u8] {
    const ZEROS: [u8; RECORD] = [0; RECORD];
    let over = usize::try_from(size % RECORD as u64).unwrap_or_default();
    if over == 0 { &[] } else { &ZEROS[over..] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_split_where_a_plain_header_can_hold_it() {
        let long = |n: usize| "x".repeat(n);
        for (path, expected) in [
            (long(100), Some((0, 100))),
            (long(101), None),
            (format!("{}/{}", long(20), long(100)), Some((20, 100))),
            (format!("{}/{}", long(155), long(100)), Some((155, 100))),
            (format!("{}/{}", long(156), long(99)), None),
            (format!("{}/{}", long(20), long(101)), None),
            (format!("a/{}/", long(99)), Some((1, 100))),
            (format!("a/{}/", long(100)), None),
            ("é".to_owned(), None),
        ] {
            let lengths = split(&path).map(|(prefix, name)| (prefix.len(), name.len()));
            assert_eq!(lengths, expected, "{path}");
        }
    }

    #[test]
    fn a_pax_record_counts_its_own_length() {
        for (length, expected) in [(1, "9 path=x\n"), (90, "99 path="), (91, "101 path=")] {
            let record = pax_record("path", &"x".repeat(length));
            assert!(record.starts_with(expected.as_bytes()), "{length}");
            let said = String::from_utf8(record.clone()).unwrap();
            assert_eq!(said.split(' ').next().unwrap().parse(), Ok(record.len()));
        }
    }
}
