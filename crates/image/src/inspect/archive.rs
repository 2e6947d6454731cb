//! Reading [tar](https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html) archives nobody vouches for, entry by
//! entry, without unpacking anything.
//!
//! Written here, not by a library, because libraries take a long name or a pax header into memory whatever size it claims.
//! Sizes are read the way containerd's reader does: a pax size wins over the header's, and entries that cannot have content
//! have none. What readers disagree about (sparse files, kinds of entries nobody uses, two names for one entry) is refused.

use std::io::{self, Read};

const RECORD: usize = 512;

/// The longest pax header or long name that is read. Layers have a few hundred bytes.
const MAX_EXTENSION_BYTES: u64 = 1024 * 1024;

/// The longest path, and the longest target of a link: what Linux allows.
const MAX_PATH_BYTES: usize = 4096;

/// The largest size that is read: what file systems can count to. Padding can be added to it.
const MAX_SIZE_BYTES: u64 = i64::MAX.unsigned_abs();

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EntryKind {
    /// A file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Link,
    /// Another name of a file in the same layer.
    HardLink,
    /// A device or a pipe.
    Special,
}

/// One entry, without its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    /// Without a leading `/` or `./`; empty for the root.
    pub(crate) path: String,
    pub(crate) kind: EntryKind,
    pub(crate) size: u64,
    /// The permission bits; 0 when they cannot be read.
    pub(crate) mode: u32,
    /// Where a link leads, as it is written there.
    pub(crate) link: Option<String>,
}

/// Why an archive cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The bytes cannot be read or decompressed.
    #[error("it cannot be read")]
    Read(#[from] io::Error),
    /// It ends in the middle of something.
    #[error("it breaks off")]
    Short,
    /// A header whose sum is wrong, or a number that is none.
    #[error("it is no tar archive: {why}")]
    Form {
        /// What is wrong.
        why: &'static str,
    },
    /// An entry that not every reader understands alike.
    #[error("it has an entry of the kind `{kind}`, which readers disagree about")]
    Kind {
        /// The type flag.
        kind: char,
    },
    /// A path that cannot be in an image: it leads out of it, is longer than any system allows, takes away what has no name.
    #[error("its entry `{path}` {why}")]
    Path {
        /// The path.
        path: String,
        /// The rule it breaks.
        why: &'static str,
    },
}

/// What extension headers said about the entry that follows them.
#[derive(Debug, Default)]
struct Extended {
    path: Option<String>,
    link: Option<String>,
    size: Option<u64>,
}

/// An archive that is read from front to back.
#[derive(Debug)]
pub(crate) struct Archive<R> {
    from: R,
    /// Unread content of the current entry.
    left: u64,
    /// What follows the content up to the next record.
    padding: u64,
}

impl<R: Read> Archive<R> {
    pub(crate) fn new(from: R) -> Self {
        Self { from, left: 0, padding: 0 }
    }

    /// What the archive was read from. The archive is over; what follows its end can still be read.
    pub(crate) fn into_inner(self) -> R {
        self.from
    }

    /// The next entry, or `None` after the last. What was not read of the one before is skipped.
    pub(crate) fn next(&mut self) -> Result<Option<Header>, ArchiveError> {
        let mut extended = Extended::default();
        loop {
            self.skip()?;
            let Some(record) = self.record()? else { return Ok(None) };
            let size = number(&record[124..136])?;
            match record[156] {
                b'x' => self.pax(size, &mut extended)?,
                // What holds for all entries that follow is never a name or a size in layers; readers ignore it.
                b'g' => {
                    self.extension(size)?;
                }
                b'L' => once(&mut extended.path, text(&self.extension(size)?))?,
                b'K' => once(&mut extended.link, text(&self.extension(size)?))?,
                flag => return self.entry(&record, flag, size, extended).map(Some),
            }
        }
    }

    fn entry(
        &mut self,
        record: &[u8; RECORD],
        flag: u8,
        size: u64,
        extended: Extended,
    ) -> Result<Header, ArchiveError> {
        let named = extended.path.unwrap_or_else(|| {
            let name = text(&record[..100]);
            match text(&record[345..500]) {
                // GNU's own format keeps other things there.
                prefix if &record[257..263] == b"ustar\0" && !prefix.is_empty() => format!("{prefix}/{name}"),
                _ => name,
            }
        });
        let kind = match flag {
            // Before there was a flag for folders.
            b'0' | b'\0' if named.ends_with('/') => EntryKind::Folder,
            b'0' | b'\0' | b'7' => EntryKind::File,
            b'1' => EntryKind::HardLink,
            b'2' => EntryKind::Link,
            b'3' | b'4' | b'6' => EntryKind::Special,
            b'5' => EntryKind::Folder,
            other => return Err(ArchiveError::Kind { kind: char::from(other) }),
        };
        let size = if kind == EntryKind::File { extended.size.unwrap_or(size) } else { 0 };
        self.left = size;
        self.padding = padding(size);
        let link = matches!(kind, EntryKind::Link | EntryKind::HardLink)
            .then(|| extended.link.unwrap_or_else(|| text(&record[157..257])));
        if let Some(link) = link.as_ref().filter(|link| link.len() > MAX_PATH_BYTES) {
            return Err(ArchiveError::Path { path: shown(link), why: TOO_LONG });
        }
        let path = inside(&named)?;
        if path.is_empty() && kind != EntryKind::Folder {
            return Err(ArchiveError::Path { path: shown(&named), why: "is the root and no folder" });
        }
        let mode = u32::from_str_radix(text(&record[100..108]).trim(), 8).unwrap_or(0) & 0o7777;
        Ok(Header { path, kind, size, mode, link })
    }

    /// A header; `None` at the end.
    fn record(&mut self) -> Result<Option<[u8; RECORD]>, ArchiveError> {
        let mut record = [0; RECORD];
        match fill(&mut self.from, &mut record)? {
            // An archive without its end is common, and complete.
            0 => return Ok(None),
            RECORD => {}
            _ => return Err(ArchiveError::Short),
        }
        if record.iter().all(|byte| *byte == 0) {
            let read = fill(&mut self.from, &mut record)?;
            if record[..read].iter().any(|byte| *byte != 0) {
                return Err(ArchiveError::Form { why: "it has entries after its end" });
            }
            return Ok(None);
        }
        let blank = |at: usize| (148..156).contains(&at);
        let sum: u64 = record
            .iter()
            .enumerate()
            .map(|(at, byte)| if blank(at) { u64::from(b' ') } else { u64::from(*byte) })
            .sum();
        if number(&record[148..156])? != sum {
            return Err(ArchiveError::Form { why: "the sum of a header is wrong" });
        }
        Ok(Some(record))
    }

    /// The content of an entry that says something about the next one.
    fn extension(&mut self, size: u64) -> Result<Vec<u8>, ArchiveError> {
        if size > MAX_EXTENSION_BYTES {
            return Err(ArchiveError::Form { why: "the header of an entry has more than 1 MiB" });
        }
        self.left = size;
        self.padding = padding(size);
        let mut bytes = Vec::new();
        self.read_to_end(&mut bytes)?;
        if self.left > 0 { Err(ArchiveError::Short) } else { Ok(bytes) }
    }

    fn pax(&mut self, size: u64, extended: &mut Extended) -> Result<(), ArchiveError> {
        let bytes = self.extension(size)?;
        let mut rest = bytes.as_slice();
        let bad = || ArchiveError::Form { why: "a pax header is broken" };
        while !rest.is_empty() {
            let blank = rest.iter().position(|byte| *byte == b' ').ok_or_else(bad)?;
            let length = decimal(&rest[..blank]).and_then(|length| usize::try_from(length).ok());
            let length = length.ok_or_else(bad)?;
            let record = rest.get(blank + 1..length).and_then(|record| record.strip_suffix(b"\n"));
            let record = record.ok_or_else(bad)?;
            let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(bad)?;
            let (key, value) = (&record[..equals], &record[equals + 1..]);
            match key {
                // A name of nothing takes back what was said before; a NUL ends a name for some readers only.
                b"path" | b"linkpath" | b"size" if value.is_empty() => {}
                b"path" | b"linkpath" if value.contains(&0) => return Err(bad()),
                b"path" => once(&mut extended.path, text(value))?,
                b"linkpath" => once(&mut extended.link, text(value))?,
                b"size" => once(&mut extended.size, decimal(value).ok_or_else(bad)?)?,
                key if key.starts_with(b"GNU.sparse.") => return Err(ArchiveError::Kind { kind: 'S' }),
                _ => {}
            }
            rest = &rest[length..];
        }
        Ok(())
    }

    /// Goes to the next header.
    fn skip(&mut self) -> Result<(), ArchiveError> {
        let wanted = self.left + self.padding;
        let skipped = io::copy(&mut (&mut self.from).take(wanted), &mut io::sink())?;
        (self.left, self.padding) = (0, 0);
        if skipped == wanted { Ok(()) } else { Err(ArchiveError::Short) }
    }
}

/// The content of the current entry.
impl<R: Read> Read for Archive<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let read = self.from.read(&mut buffer[..most])?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= read as u64;
        Ok(read)
    }
}

fn fill(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut at = 0;
    while at < buffer.len() {
        match from.read(&mut buffer[at..]) {
            Ok(0) => break,
            Ok(read) => at += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(at)
}

fn padding(size: u64) -> u64 {
    (RECORD as u64 - size % RECORD as u64) % RECORD as u64
}

/// Keeps what is said about an entry, and only once: which of two counts is another one for every reader.
fn once<T>(known: &mut Option<T>, said: T) -> Result<(), ArchiveError> {
    match known.replace(said) {
        None => Ok(()),
        Some(_) => Err(ArchiveError::Form { why: "the name or size of an entry is there twice" }),
    }
}

/// A number of a pax header: digits and nothing else, as large as a size can be.
fn decimal(digits: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(digits).ok()?;
    let number = digits.parse().ok().filter(|number| *number <= MAX_SIZE_BYTES);
    number.filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// A text up to its first NUL.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// A number of a header: octal digits, or GNU's base 256 when the first bit is set.
fn number(field: &[u8]) -> Result<u64, ArchiveError> {
    let bad = || ArchiveError::Form { why: "a number of a header is none" };
    if field[0] & 0x80 != 0 {
        if field[0] & 0x40 != 0 {
            return Err(ArchiveError::Form { why: "a number of a header is negative" });
        }
        let number = field[1..].iter().try_fold(u64::from(field[0] & 0x3f), |number, byte| {
            number.checked_mul(256).map(|number| number | u64::from(*byte))
        });
        return number.filter(|number| *number <= MAX_SIZE_BYTES).ok_or_else(bad);
    }
    let digits = std::str::from_utf8(field).map_err(|_| bad())?;
    let digits = digits.trim_matches([' ', '\0']);
    if digits.is_empty() {
        return Ok(0);
    }
    if !digits.bytes().all(|byte| (b'0'..=b'7').contains(&byte)) {
        return Err(bad());
    }
    u64::from_str_radix(digits, 8).map_err(|_| bad())
}

const TOO_LONG: &str = "is longer than any system allows";

/// As much of a path as a message has room for.
fn shown(path: &str) -> String {
    path.chars().take(200).collect()
}

/// The path below the image's root.
fn inside(path: &str) -> Result<String, ArchiveError> {
    let bad = |why| Err(ArchiveError::Path { path: shown(path), why });
    if path.len() > MAX_PATH_BYTES {
        return bad(TOO_LONG);
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if parts.contains(&"..") {
        return bad("leads out of the image");
    }
    Ok(parts.join("/"))
}

#[cfg(test)]
pub(super) mod tests;
