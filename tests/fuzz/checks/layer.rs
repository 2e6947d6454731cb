//! Layers: archives of files, packed or not. What was accepted stays within the image, and is the same every time.
//!
//! The first byte chooses how the others are packed.

use release_core::Digest;
use release_image::{Descriptor, LayerContents, Wanted};
use sha2::{Digest as _, Sha256};

const KINDS: [&str; 3] = [
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.oci.image.layer.v1.tar+zstd",
];

pub(crate) fn check(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else { return };
    let blob = Descriptor {
        media_type: KINDS[usize::from(*kind) % KINDS.len()].to_owned(),
        digest: Digest::from_sha256(Sha256::digest(bytes).into()),
        size: bytes.len() as u64,
    };
    let wanted = Wanted { hashes: true, keep: &|path| path.len() < 16 };
    let Ok(contents) = LayerContents::read(&blob, bytes, wanted) else { return };
    let paths =
        contents.entries.iter().map(|entry| &entry.path).chain(&contents.gone).chain(&contents.opaque);
    for path in paths {
        assert!(!path.starts_with('/') && path.split('/').all(|part| part != ".."), "{path:?}");
    }
    let content: u64 = contents.entries.iter().map(|entry| entry.size).sum();
    assert!(content <= contents.unpacked, "files have {content} of {} bytes", contents.unpacked);
    let again = LayerContents::read(&blob, bytes, wanted).expect("it was read before");
    assert_eq!(contents, again);
}
