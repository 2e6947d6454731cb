//! Entries as a tar archive, a block at a time: [ustar](https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html), with a pax
//! header in front of the entries whose names do not fit.
//!
//! Written here, not by a library, because every byte is part of an image's digest: owners are 0 without names, modes are
//! 0755 or 0644, every entry carries the same time, and a pax header always has the same name and nothing but the path.

use std::borrow::Cow;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::time::SystemTime;

use release_core::Digest;

use super::cut::Block;
use super::error::NativeError;
use super::plan::{Entry, Kind};
use super::stamp::Stamp;
use super::unread;

const RECORD: usize = 512;

/// The largest file whose size fits into a plain header. Larger ones would need a pax size, which readers disagree about.
pub(crate) const MAX_FILE_BYTES: u64 = 0o77_777_777_777;

/// The name of every pax header. Only programs that do not know pax ever see it.
const PAX_NAME: &str = "PaxHeaders/entry";

/// What an archive ends with.
pub(crate) const END: [u8; 2 * RECORD] = [0; 2 * RECORD];

/// How many bytes an entry has in an archive.
pub(crate) fn length(entry: &Entry) -> u64 {
    let size = size(entry);
    let pax = Pax::of(entry).records.len() as u64;
    let extra = if pax == 0 { 0 } else { RECORD as u64 + pax + padding(pax).len() as u64 };
    extra + RECORD as u64 + size + padding(size).len() as u64
}

fn size(entry: &Entry) -> u64 {
    entry.stamp.map_or(0, |stamp| stamp.size)
}

/// A hash of all that can be known of a block without opening a file: equal ones mean equal bytes. `None` when a file is too
/// young to be known by its stamp.
pub(crate) fn facts(entries: &[Entry], block: &Block, mtime: u64, look: SystemTime) -> Option<Digest> {
    let mut facts = Vec::new();
    for number in [mtime, block.skip, block.length, u64::from(block.last)] {
        facts.extend(number.to_le_bytes());
    }
    // What follows from these is not hashed: the headers would be 512 bytes a file.
    for Entry { path, kind, stamp, .. } in &entries[block.entries.clone()] {
        let (kind, link) = match kind {
            Kind::Folder => (0, ""),
            Kind::File { executable } => (1 + u8::from(*executable), ""),
            Kind::Link { target } => (3, target.as_str()),
        };
        facts.push(kind);
        for text in [path, link] {
            facts.extend((text.len() as u64).to_le_bytes());
            facts.extend(text.as_bytes());
        }
        if let Some(stamp) = stamp {
            if !stamp.is_settled(look) {
                return None;
            }
            facts.extend(stamp.bytes());
        }
    }
    Some(release_layout::digest(&facts))
}

/// Appends a block's bytes to `to`. Its files are read.
pub(crate) fn read(
    root: &Path,
    entries: &[Entry],
    block: &Block,
    mtime: u64,
    to: &mut Vec<u8>,
) -> Result<(), NativeError> {
    let mut skip = block.skip;
    let mut left = block.length;
    let mut written = Vec::new();
    for entry in &entries[block.entries.clone()] {
        written.clear();
        headers(entry, mtime, &mut written);
        let size = size(entry);
        // One after the other: what is in front, the content, what fills it up. A block has a part of each.
        let mut part = |length: u64| {
            let begin = skip.min(length);
            let taken = (length - begin).min(left);
            skip -= begin;
            left -= taken;
            (begin, taken)
        };
        let (begin, taken) = part(written.len() as u64);
        to.extend_from_slice(slice(&written, begin, taken));
        let (begin, taken) = part(size);
        if taken > 0 {
            content(&entry.on_disk(root), entry, begin, taken, to)?;
        }
        let padding = padding(size);
        let (begin, taken) = part(padding.len() as u64);
        to.extend_from_slice(slice(padding, begin, taken));
    }
    if block.last {
        to.extend_from_slice(&END);
    }
    Ok(())
}

fn slice(bytes: &[u8], begin: u64, length: u64) -> &[u8] {
    let at = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
    bytes.get(at(begin)..at(begin + length)).unwrap_or_default()
}

/// A part of a file's content. It is the file that was looked at, before and after: parts of two files are never one.
fn content(path: &Path, entry: &Entry, begin: u64, length: u64, to: &mut Vec<u8>) -> Result<(), NativeError> {
    let changed = || NativeError::Changed { path: path.to_owned() };
    let mut file = File::open(path).map_err(unread(path))?;
    let same = |file: &File| {
        let metadata = file.metadata().map_err(unread(path))?;
        let same = metadata.is_file() && entry.stamp == Some(Stamp::of(&metadata));
        if same { Ok(()) } else { Err(changed()) }
    };
    same(&file)?;
    if begin > 0 {
        file.seek(SeekFrom::Start(begin)).map_err(unread(path))?;
    }
    let read = (&mut file).take(length).read_to_end(to).map_err(unread(path))?;
    if read as u64 != length {
        return Err(changed());
    }
    same(&file)
}

/// An entry's name as an archive has it, and what of the entry only a pax header can say.
struct Pax<'a> {
    /// A folder's ends in `/`.
    name: Cow<'a, str>,
    link: &'a str,
    /// Whether the target of a link fits into a plain header.
    plain_link: bool,
    /// Empty when everything does.
    records: Vec<u8>,
}

impl<'a> Pax<'a> {
    fn of(entry: &'a Entry) -> Self {
        let (name, link) = match &entry.kind {
            Kind::Folder => (Cow::Owned(format!("{}/", entry.path)), ""),
            Kind::File { .. } => (Cow::Borrowed(entry.path.as_str()), ""),
            Kind::Link { target } => (Cow::Borrowed(entry.path.as_str()), target.as_str()),
        };
        let mut records = Vec::new();
        if split(&name).is_none() {
            records.extend(pax_record("path", &name));
        }
        let plain_link = link.len() <= 100 && link.is_ascii();
        if !plain_link {
            records.extend(pax_record("linkpath", link));
        }
        Self { name, link, plain_link, records }
    }
}

/// Appends what stands in front of an entry's content.
fn headers(entry: &Entry, mtime: u64, to: &mut Vec<u8>) {
    let (flag, mode) = match &entry.kind {
        Kind::Folder => (b'5', 0o755),
        Kind::File { executable: true } => (b'0', 0o755),
        Kind::File { executable: false } => (b'0', 0o644),
        Kind::Link { .. } => (b'2', 0o777),
    };
    let pax = Pax::of(entry);
    if !pax.records.is_empty() {
        let size = pax.records.len() as u64;
        let fields = Fields { prefix: "", name: PAX_NAME, link: "", flag: b'x', mode: 0o644, size, mtime };
        to.extend(ustar(&fields));
        to.extend(&pax.records);
        to.extend(padding(size));
    }
    // A reader that does not know pax gets as much as fits.
    let cut =
        |text: &str| text.chars().map(|c| if c.is_ascii() { c } else { '_' }).take(100).collect::<String>();
    let (prefix, name) =
        split(&pax.name).map_or_else(|| ("", Cow::Owned(cut(&pax.name))), |(p, n)| (p, Cow::Borrowed(n)));
    let link = if pax.plain_link { Cow::Borrowed(pax.link) } else { Cow::Owned(cut(pax.link)) };
    to.extend(ustar(&Fields { prefix, name: &name, link: &link, flag, mode, size: size(entry), mtime }));
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
    put(100, &octal::<7>(fields.mode));
    put(108, b"0000000");
    put(116, b"0000000");
    put(124, &octal::<11>(fields.size));
    put(136, &octal::<11>(fields.mtime));
    put(148, b"        ");
    put(156, &[fields.flag]);
    put(157, fields.link.as_bytes());
    put(257, b"ustar\x0000");
    put(329, b"0000000");
    put(337, b"0000000");
    put(345, fields.prefix.as_bytes());
    let sum: u32 = record.iter().map(|byte| u32::from(*byte)).sum();
    record[148..154].copy_from_slice(&octal::<6>(sum.into()));
    record[154] = 0;
    record
}

/// So many octal digits. Every number that comes here has no more: what is larger is refused before.
fn octal<const N: usize>(mut number: u64) -> [u8; N] {
    let mut digits = [b'0'; N];
    for digit in digits.iter_mut().rev() {
        *digit = b"01234567"[(number % 8) as usize];
        number /= 8;
    }
    digits
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
