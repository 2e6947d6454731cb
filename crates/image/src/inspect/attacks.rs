//! What archives have done to other readers: a row an attack, named after where it was found.
//!
//! Each row is an archive. It is read as a layer, plain and packed, and an image is built on it as a base: both readers say
//! the same, and nothing appears outside of the layout the image is written to.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::Path;

use flate2::write::GzEncoder;
use serde_json::json;

use super::archive::tests::{entry, header, octal, pax, summed};
use super::*;
use crate::{Base, BuildOptions, Compression, Descriptor, Format, Layer, Layout, NativeBuild, RunConfig};

const PLAIN: &str = "application/vnd.oci.image.layer.v1.tar";
const GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// A link of some kind.
fn link(name: &str, flag: u8, target: &str) -> Vec<u8> {
    let mut record = header(name, flag, &octal(0));
    record[157..157 + target.len()].copy_from_slice(target.as_bytes());
    summed(record)
}

/// A pax record with its own length in front.
fn record(key: &str, value: &str) -> String {
    let rest = format!(" {key}={value}\n");
    let mut length = rest.len() + 1;
    while format!("{length}{rest}").len() != length {
        length += 1;
    }
    format!("{length}{rest}")
}

/// A file whose header says one size and whose pax header another.
fn two_sizes(ustar: usize, extended: &str, content: &[u8]) -> Vec<u8> {
    [pax(&record("size", extended)), header("outer", b'0', &octal(ustar)), content.to_vec()].concat()
}

/// A number that needs all the bits of its field.
fn base256(first: u8) -> Vec<u8> {
    let mut field = vec![0xff; 12];
    field[..4].copy_from_slice(&[first, 0, 0, 0]);
    field
}

/// Name, archive, what is read of it or why it is refused.
type Row = (&'static str, fn() -> Vec<u8>, &'static str);

const ROWS: &[Row] = &[
    // Out of the image.
    (
        "CVE-2021-21272 a path that leads upwards",
        || entry("../../etc/passwd", b'0', b"x"),
        "its entry `../../etc/passwd` leads out of the image",
    ),
    (
        "CVE-2021-21272 a path that leads upwards from within",
        || entry("usr/../../etc/passwd", b'0', b"x"),
        "its entry `usr/../../etc/passwd` leads out of the image",
    ),
    (
        "CVE-2021-21272 a path of a pax header that leads upwards",
        || [pax(&record("path", "a/../../b")), entry("a", b'0', b"x")].concat(),
        "its entry `a/../../b` leads out of the image",
    ),
    (
        "CVE-2021-21272 a long name that leads upwards",
        || [entry("@LongLink", b'L', b"a/../../b\0"), entry("a", b'0', b"x")].concat(),
        "its entry `a/../../b` leads out of the image",
    ),
    (
        "an absolute path is one below the image's root",
        || entry("/etc/passwd", b'0', b"x"),
        "File etc/passwd",
    ),
    (
        "go-containerregistry#2329 separators of Windows are letters",
        || entry("..\\..\\x", b'0', b"x"),
        "File ..\\..\\x",
    ),
    // Links: they are read, and never followed.
    (
        "CVE-2021-29136 a link in place of the root",
        || [link("/.", b'2', "/"), entry("etc/passwd", b'0', b"x")].concat(),
        "its entry `/.` is the root and no folder",
    ),
    (
        "CVE-2021-38511 a folder behind a link that leads out",
        || [link("a", b'2', "../.."), entry("a/b/", b'5', b""), entry("a/b/c", b'0', b"x")].concat(),
        "Link a -> ../.., Folder a/b, File a/b/c",
    ),
    (
        "CVE-2021-21272 a hard link to a file outside",
        || link("a", b'1', "../../etc/shadow"),
        "HardLink a -> ../../etc/shadow",
    ),
    (
        "RUSTSEC-2026-0112, RUSTSEC-2026-0113, GHSA-j4xf-2g29-59ph modes of a folder that is a link",
        || [link("a", b'2', "/etc"), entry("a/", b'5', b"")].concat(),
        "Link a -> /etc, Folder a",
    ),
    (
        "CVE-2024-23651, CVE-2024-23652, CVE-2024-23653, CVE-2024-1753 a link in place of a folder that is mounted",
        || [link("srv", b'2', "/"), link("proc", b'2', "/proc/self/root")].concat(),
        "Link srv -> /, Link proc -> /proc/self/root",
    ),
    (
        "CVE-2019-14271 a library in place of one that the tools load",
        || entry("lib/x86_64-linux-gnu/libnss_files.so.2", b'0', b"\x7fELF"),
        "File lib/x86_64-linux-gnu/libnss_files.so.2",
    ),
    ("a device is named and not made", || entry("dev/sda", b'4', b""), "Special dev/sda"),
    // Two readings of one archive.
    (
        "CVE-2025-62518 a pax size that hides entries from those who read the header's",
        || [two_sizes(0, "512", &entry("hidden", b'0', b"")), entry("after", b'0', b"")].concat(),
        "File outer, File after",
    ),
    (
        "CVE-2025-62518 a header's size that hides entries from those who read it",
        || [two_sizes(512, "0", &entry("inner", b'0', b"")), entry("after", b'0', b"")].concat(),
        "File outer, File inner, File after",
    ),
    (
        "CVE-2025-62518 two pax sizes",
        || [pax(&record("size", "0")), two_sizes(0, "512", &entry("hidden", b'0', b""))].concat(),
        "it is no tar archive: the name or size of an entry is there twice",
    ),
    (
        "CVE-2025-62518 a size with a sign",
        || two_sizes(0, "+512", &entry("hidden", b'0', b"")),
        "it is no tar archive: a pax header is broken",
    ),
    (
        "CVE-2025-62518 a pax size that overflows when it is padded",
        || two_sizes(0, "18446744073709551615", &entry("hidden", b'0', b"")),
        "it is no tar archive: a pax header is broken",
    ),
    (
        "CVE-2025-62518 a header's size that overflows when it is padded",
        || [header("outer", b'0', &base256(0x80)), entry("hidden", b'0', b"")].concat(),
        "it is no tar archive: a number of a header is none",
    ),
    (
        "a size below nothing",
        || [header("outer", b'0', &base256(0xff)), entry("hidden", b'0', b"")].concat(),
        "it is no tar archive: a number of a header is negative",
    ),
    (
        "two names, one of pax and one of GNU",
        || [pax(&record("path", "a")), entry("@LongLink", b'L', b"b\0"), entry("c", b'0', b"")].concat(),
        "it is no tar archive: the name or size of an entry is there twice",
    ),
    (
        "a name with a NUL in it",
        || [pax(&record("path", "a\0b")), entry("c", b'0', b"")].concat(),
        "it is no tar archive: a pax header is broken",
    ),
    (
        "a name of nothing takes nothing's place",
        || [pax(&record("path", "")), entry("c", b'0', b"")].concat(),
        "File c",
    ),
    (
        "a file of holes in GNU's format",
        || entry("sparse", b'S', b"x"),
        "it has an entry of the kind `S`, which readers disagree about",
    ),
    (
        "a file of holes in pax' format, said to have 8 EiB",
        || [pax(&record("GNU.sparse.realsize", "9223372036854775807")), entry("s", b'0', b"x")].concat(),
        "it has an entry of the kind `S`, which readers disagree about",
    ),
    (
        "entries that are there twice",
        || [entry("a", b'0', b"first"), entry("a", b'0', b"second"), entry("a", b'5', b"")].concat(),
        "File a, File a, Folder a",
    ),
    (
        "an archive behind the archive",
        || [entry("a", b'0', b"x"), vec![0; 512], entry("b", b'0', b"x")].concat(),
        "it is no tar archive: it has entries after its end",
    ),
    // What takes away.
    (
        "a whiteout of the folder it lies in",
        || entry("etc/.wh.", b'0', b""),
        "its entry `etc/.wh.` takes away what has no name",
    ),
    (
        "a whiteout of the folder above",
        || entry("etc/.wh...", b'0', b""),
        "its entry `etc/.wh...` takes away what has no name",
    ),
    (
        "whiteouts of what the layer itself has",
        || {
            [entry("a/b", b'0', b"x"), entry("a/.wh.b", b'0', b""), entry("a/.wh..wh..opq", b'0', b"")]
                .concat()
        },
        "emptied a, gone a/b, File a/b",
    ),
    // Bombs; those of packed bytes have a table of their own.
    (
        "CVE-2023-25153 a long name of more bytes than there are",
        || header("@LongLink", b'L', &octal(0o77_777_777_777)),
        "it is no tar archive: the header of an entry has more than 1 MiB",
    ),
    (
        "GHSA-697p a pax header of more bytes than there are",
        || header("PaxHeaders", b'x', &octal(0o77_777_777_777)),
        "it is no tar archive: the header of an entry has more than 1 MiB",
    ),
    (
        "GHSA-g3rx an extended attribute of 2 MiB",
        || [pax(&record("SCHILY.xattr.user.x", &"x".repeat(2 << 20))), entry("a", b'0', b"x")].concat(),
        "it is no tar archive: the header of an entry has more than 1 MiB",
    ),
    (
        "GHSA-g3rx extended attributes are nobody's",
        || [pax(&record("SCHILY.xattr.security.capability", "all")), entry("a", b'0', b"x")].concat(),
        "File a",
    ),
    (
        "GHSA-g3rx a link that leads further than any system goes",
        || [pax(&record("linkpath", &"x".repeat(5000))), link("a", b'2', "")].concat(),
        "is longer than any system allows",
    ),
    (
        "GHSA-g3rx a path that is longer than any system's",
        || [pax(&record("path", &"x/".repeat(3000))), entry("a", b'0', b"x")].concat(),
        "is longer than any system allows",
    ),
];

/// An error and its causes.
fn told(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), told)
}

/// What is read of a layer.
fn read(kind: &str, bytes: &[u8]) -> String {
    let blob = Descriptor {
        media_type: kind.to_owned(),
        digest: release_layout::digest(bytes),
        size: bytes.len() as u64,
    };
    let contents = match LayerContents::read(&blob, bytes, Wanted { hashes: true, keep: &|_| true }) {
        Ok(contents) => contents,
        Err(error) => return told(&error),
    };
    let emptied = contents.opaque.iter().map(|path| format!("emptied {path}"));
    let gone = contents.gone.iter().map(|path| format!("gone {path}"));
    let entries = contents.entries.iter().map(|entry| {
        let to = entry.link.as_ref().map_or_else(String::new, |link| format!(" -> {link}"));
        format!("{:?} {}{to}", entry.kind, entry.path)
    });
    emptied.chain(gone).chain(entries).collect::<Vec<_>>().join(", ")
}

/// Builds on an image with this layer; says why not, if not.
fn build_on(archive: &[u8], folder: &Path) -> Result<(), String> {
    let base = Layout::create(&folder.join("base")).unwrap();
    let layer = base.put(PLAIN, archive).unwrap();
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": {},
        "rootfs": { "type": "layers", "diff_ids": [layer.digest] },
    });
    let config = base.put("application/vnd.oci.image.config.v1+json", config.to_string().as_bytes()).unwrap();
    let manifest = json!({ "schemaVersion": 2, "config": config, "layers": [layer] });
    let manifest =
        base.put("application/vnd.oci.image.manifest.v1+json", manifest.to_string().as_bytes()).unwrap();
    base.name_index(&manifest, "v1", None).unwrap();
    drop(base);
    fs::create_dir(folder.join("project")).unwrap();
    fs::write(folder.join("project/new"), "new").unwrap();
    let build = NativeBuild {
        root: folder.join("project"),
        base: Base::Layout { dir: folder.join("base"), manifest: None, origin: None },
        layers: vec![Layer { from: "new".to_owned(), to: "/opt/new".to_owned() }],
        libraries_of: Vec::new(),
        programs: BTreeMap::new(),
        compression: Compression::Gzip,
        format: Format::Oci,
        platform: "linux/amd64".parse().unwrap(),
        config: RunConfig::default(),
        created: 0,
    };
    let layout = Layout::create(&folder.join("built")).unwrap();
    let outcome = build.build(&layout, &BuildOptions::default(), &mut |_| {});
    outcome.map(|_| ()).map_err(|error| told(&error))
}

/// Everything below a folder, by path.
fn below(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            let inner = below(&path).into_iter().map(|(inner, bytes)| (format!("{name}/{inner}"), bytes));
            found.extend(inner);
        } else {
            found.insert(name, fs::read(&path).unwrap());
        }
    }
    found
}

#[test]
fn archives_that_attack_are_refused_or_do_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for (at, (name, archive, expected)) in ROWS.iter().enumerate() {
        let archive = archive();
        let refused = expected.starts_with("it") || expected.starts_with("is ");
        let mut packed = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(&archive).unwrap();
        for (kind, bytes) in [(PLAIN, &archive), (GZIP, &packed.finish().unwrap())] {
            let seen = read(kind, bytes);
            assert!(if refused { seen.ends_with(expected) } else { seen == *expected }, "{name}: {seen}");
        }
        let own = folder.path().join(at.to_string());
        fs::create_dir(&own).unwrap();
        match build_on(&archive, &own) {
            Ok(()) => assert!(!refused, "{name}: it was built on"),
            Err(seen) => assert!(refused && seen.ends_with(expected), "{name}: {seen}"),
        }
        let strays = below(&own).into_keys().filter(|path| {
            let known = ["base/blobs/sha256/", "built/blobs/sha256/"].iter().any(|of| path.starts_with(of));
            let parts = ["oci-layout", "index.json"].iter().any(|of| path.ends_with(of));
            !known && !parts && path != "project/new"
        });
        assert_eq!(strays.collect::<Vec<_>>(), Vec::<String>::new(), "{name}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), ROWS.len());
}
