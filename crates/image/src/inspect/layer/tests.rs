//! What is read of a layer, and which limits end it.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

const GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const PLAIN: &str = "application/vnd.oci.image.layer.v1.tar";

fn tar_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append_data(&mut header, path, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn blob(media_type: &str, bytes: &[u8]) -> Descriptor {
    Descriptor {
        media_type: media_type.to_owned(),
        digest: release_layout::digest(bytes),
        size: bytes.len() as u64,
    }
}

fn read(media_type: &str, bytes: &[u8], keep: &dyn Fn(&str) -> bool) -> Result<LayerContents, LayerError> {
    LayerContents::read(&blob(media_type, bytes), bytes, Wanted { hashes: true, keep })
}

#[test]
fn packed_or_not_a_layer_has_the_same_contents() {
    let files: &[(&str, &[u8])] =
        &[("etc/os-release", b"ID=x"), ("usr/.wh.old", b""), ("var/.wh..wh..opq", b""), ("bin/sh", b"#!")];
    let plain = tar_of(files);
    let from_plain = read(PLAIN, &plain, &|path| path == "etc/os-release").unwrap();
    let from_gzip = read(GZIP, &gzip(&plain), &|path| path == "etc/os-release").unwrap();
    for contents in [&from_plain, &from_gzip] {
        let paths: Vec<&str> = contents.entries.iter().map(|entry| entry.path.as_str()).collect();
        assert_eq!(paths, ["etc/os-release", "bin/sh"]);
        assert_eq!(contents.gone, ["usr/old"]);
        assert_eq!(contents.opaque, ["var"]);
        assert_eq!(contents.kept, BTreeMap::from([("etc/os-release".to_owned(), b"ID=x".to_vec())]));
        assert_eq!(contents.entries[1].digest, Some(release_layout::digest(b"#!")));
        assert_eq!(
            (contents.diff_id.clone(), contents.unpacked),
            (release_layout::digest(&plain), plain.len() as u64)
        );
    }
}

#[test]
fn other_bytes_than_the_descriptor_names_are_found_out() {
    let bytes = gzip(&tar_of(&[("a", b"1")]));
    let wanted = Wanted { hashes: false, keep: &|_| false };
    let mut other = blob(GZIP, &bytes);
    other.digest = release_layout::digest(b"another");
    assert!(matches!(LayerContents::read(&other, &*bytes, wanted), Err(LayerError::Corrupt { .. })));
    // What follows the compressed data is part of the blob, too.
    let longer = [&bytes[..], &gzip(b"more")].concat();
    let short = blob(GZIP, &bytes);
    assert!(LayerContents::read(&short, &*longer, wanted).is_err());
}

#[test]
fn bombs_end_at_the_limits() {
    let small = Limits {
        unpacked_bytes: 1 << 20,
        entries: 3,
        ratio: 50,
        ratio_from_bytes: 64 << 10,
        names_bytes: 99,
        kept_bytes: 99,
    };
    let long = "n".repeat(60);
    let zeros = vec![0; 128 << 10];
    // Nothing that packs well, and too much of it.
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.to_be_bytes()[0]
    };
    let noise: Vec<u8> = (0..1_200_000).map(|_| next()).collect();
    for (files, expected) in [
        (vec![("zeros", &zeros[..])], "more than 50 times its packed size unpacked"),
        (vec![("noise", &noise[..])], "more than 1048576 bytes unpacked"),
        (vec![("a", b"".as_slice()), ("b", b""), (".wh.c", b""), ("d", b"")], "more than 3 entries"),
        (vec![("kept", &zeros[..100])], "more than 99 bytes in files that are to be read"),
        (
            vec![("kept", &zeros[..60]), ("kept", &zeros[..60])],
            "more than 99 bytes in files that are to be read",
        ),
        (vec![(&long, b"".as_slice()), (&long, b"")], "more than 99 bytes in names"),
    ] {
        let bytes = gzip(&tar_of(&files));
        let wanted = Wanted { hashes: false, keep: &|path| path == "kept" };
        let error = LayerContents::read_within(&small, &blob(GZIP, &bytes), &*bytes, wanted).unwrap_err();
        assert!(error.to_string().ends_with(expected), "{error}");
    }
    let fine = gzip(&tar_of(&[("zeros", &zeros[..16 << 10]), ("kept", b"x")]));
    let wanted = Wanted { hashes: true, keep: &|_| false };
    LayerContents::read_within(&small, &blob(GZIP, &fine), &*fine, wanted).unwrap();
}

#[test]
fn a_kind_nobody_can_read_is_named() {
    let error = read("application/vnd.in-toto+json", b"{}", &|_| false).unwrap_err();
    assert!(
        error.to_string().ends_with("is of the kind `application/vnd.in-toto+json`, which cannot be read")
    );
}
