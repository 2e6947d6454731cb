//! Manifests and indexes, as a registry could send them. Whatever it is, two readings agree, and what was accepted names
//! only digests and platforms that can be written down.
//!
//! The first byte chooses what the others were sent as.

use release_core::Platform;

use crate::document::{self, Document};

const KINDS: [&str; 4] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json; charset=utf-8",
    "application/json",
    "",
];

pub(crate) fn check(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else { return };
    let sent_as = [KINDS[usize::from(*kind) % KINDS.len()]];
    let _ = document::platform_of(bytes);
    let Ok((document, media_type)) = Document::read(bytes, &sent_as) else { return };
    // Read as what it says it is, it is the same.
    assert_eq!(Document::read(bytes, &[&media_type]), Ok((document.clone(), media_type)));
    assert!(!(document.is_index() && sent_as[0].contains(".manifest.v1")), "sent as a manifest");
    match &document {
        Document::Image(image) => {
            for blob in image.blobs() {
                assert_eq!(blob.digest.hex().len(), 64);
            }
        }
        Document::Index(children) => {
            for child in children {
                assert_eq!(child.descriptor.digest.hex().len(), 64);
            }
            let wanted = "linux/arm64".parse().expect("a platform");
            if let Err(available) = document.choose(&wanted) {
                assert!(available.iter().all(|text| text.parse::<Platform>().is_ok()), "{available:?}");
            }
        }
    }
}
