//! What is read of archives, and what is refused.

use super::*;

/// A header with a right sum.
pub(in crate::inspect) fn header(name: &str, flag: u8, size: &[u8]) -> Vec<u8> {
    let mut record = vec![0; RECORD];
    record[..name.len()].copy_from_slice(name.as_bytes());
    record[124..124 + size.len()].copy_from_slice(size);
    record[156] = flag;
    record[257..263].copy_from_slice(b"ustar\0");
    summed(record)
}

pub(in crate::inspect) fn summed(mut record: Vec<u8>) -> Vec<u8> {
    record[148..156].copy_from_slice(b"        ");
    let sum: u32 = record.iter().map(|byte| u32::from(*byte)).sum();
    record[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    record
}

pub(in crate::inspect) fn octal(size: usize) -> Vec<u8> {
    format!("{size:011o}").into_bytes()
}

pub(in crate::inspect) fn entry(name: &str, flag: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = header(name, flag, &octal(content.len()));
    bytes.extend(content);
    bytes.resize(bytes.len().next_multiple_of(RECORD), 0);
    bytes
}

/// Path, kind and content of every entry.
fn read(bytes: &[u8]) -> Result<Vec<(String, EntryKind, String)>, String> {
    let mut archive = Archive::new(bytes);
    let mut found = Vec::new();
    while let Some(header) = archive.next().map_err(|error| error.to_string())? {
        let mut content = String::new();
        archive.read_to_string(&mut content).map_err(|error| error.to_string())?;
        found.push((header.path, header.kind, content));
    }
    Ok(found)
}

fn paths(bytes: &[u8]) -> Result<Vec<String>, String> {
    Ok(read(bytes)?.into_iter().map(|(path, _, _)| path).collect())
}

pub(in crate::inspect) fn pax(records: &str) -> Vec<u8> {
    entry("PaxHeaders/x", b'x', records.as_bytes())
}

#[test]
fn what_another_writer_wrote_is_read_back() {
    let mut builder = tar::Builder::new(Vec::new());
    let long = format!("{}/{}", "d".repeat(120), "f".repeat(140));
    for (path, content) in [("etc/os-release", "ID=debian\n"), (&*long, "long")] {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append_data(&mut header, path, content.as_bytes()).unwrap();
    }
    let bytes = builder.into_inner().unwrap();
    let expected = [("etc/os-release", "ID=debian\n"), (&*long, "long")];
    let expected: Vec<_> =
        expected.iter().map(|(p, c)| ((*p).to_owned(), EntryKind::File, (*c).to_owned())).collect();
    assert_eq!(read(&bytes), Ok(expected));
}

#[test]
fn a_pax_size_wins_and_what_follows_is_not_misread() {
    // A reader that believed the header's 0 would take the content for headers.
    let hidden = entry("hidden", b'0', b"");
    let mut bytes = pax("13 size=1024\n");
    bytes.extend(header("outer", b'0', &octal(0)));
    bytes.extend(&hidden);
    bytes.extend(&hidden);
    bytes.extend(entry("after", b'0', b"x"));
    assert_eq!(paths(&bytes), Ok(vec!["outer".to_owned(), "after".to_owned()]));
}

#[test]
fn names_come_from_where_the_format_keeps_them() {
    let mut prefixed = header("name", b'0', &octal(0));
    prefixed[345..351].copy_from_slice(b"prefix");
    let mut gnu = prefixed.clone();
    gnu[257..265].copy_from_slice(b"ustar  \0");
    for (bytes, expected) in [
        (entry("./usr//bin/", b'5', b""), "usr/bin"),
        (entry("/etc/passwd", b'0', b""), "etc/passwd"),
        (summed(prefixed), "prefix/name"),
        (summed(gnu), "name"),
        ([pax("12 path=a/b\n"), entry("cut", b'0', b"")].concat(), "a/b"),
        ([entry("x", b'L', b"long/name\0"), entry("cut", b'0', b"")].concat(), "long/name"),
    ] {
        assert_eq!(paths(&bytes), Ok(vec![expected.to_owned()]));
    }
}

#[test]
fn entries_without_content_have_none_whatever_they_claim() {
    let mut bytes = header("folder", b'5', &octal(4096));
    bytes.extend(entry("file", b'0', b"content"));
    assert_eq!(paths(&bytes), Ok(vec!["folder".to_owned(), "file".to_owned()]));
}

#[test]
fn what_cannot_be_trusted_is_refused() {
    let mut wrong_sum = header("x", b'0', &octal(0));
    wrong_sum[0] = b'y';
    let cut = entry("x", b'0', b"0123456789");
    let huge = [&[0x80][..], &[0xff; 11]].concat();
    let after_end = [vec![0; RECORD], entry("x", b'0', b"")].concat();
    for (bytes, expected) in [
        (wrong_sum, "it is no tar archive: the sum of a header is wrong"),
        (header("x", b'0', b"99"), "it is no tar archive: a number of a header is none"),
        (header("x", b'0', &huge), "it is no tar archive: a number of a header is none"),
        (header("x", b'0', &[0xff; 12]), "it is no tar archive: a number of a header is negative"),
        (entry("../etc/passwd", b'0', b""), "its entry `../etc/passwd` leads out of the image"),
        (entry("x", b'S', b""), "it has an entry of the kind `S`, which readers disagree about"),
        (pax("22 GNU.sparse.major=1\n"), "it has an entry of the kind `S`, which readers disagree about"),
        (pax("99 path=x\n"), "it is no tar archive: a pax header is broken"),
        (
            header("x", b'L', &octal(1024 * 1024 + 1)),
            "it is no tar archive: the header of an entry has more than 1 MiB",
        ),
        (cut[..RECORD + 4].to_vec(), "unexpected end of file"),
        (cut[..100].to_vec(), "it breaks off"),
        (after_end, "it is no tar archive: it has entries after its end"),
    ] {
        assert_eq!(read(&bytes).unwrap_err(), expected);
    }
}
