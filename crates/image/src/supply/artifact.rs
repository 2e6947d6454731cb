//! What is attached to an image in a registry: an [artifact](https://github.com/opencontainers/image-spec/blob/main/manifest.md#guidelines-for-artifact-usage)
//! with one blob, whose manifest names the image as its subject.
//!
//! Sending it, and listing what is there, is the registry's business.

use std::collections::BTreeMap;

use serde_json::json;

use super::bundle::BUNDLE;
use super::statement::Statement;
use super::{SigningKey, sign};
use crate::native::json::{MANIFEST, canonical};
use crate::{Descriptor, Layout, LayoutError};

/// The kind of an artifact's configuration that says nothing.
const EMPTY: &str = "application/vnd.oci.empty.v1+json";

/// The configuration that says nothing.
const EMPTY_CONFIG: &[u8] = b"{}";

/// What is in a bundle, for whoever lists referrers.
const CONTENT: &str = "dev.sigstore.bundle.content";

/// The type of the predicate in it.
const PREDICATE_TYPE: &str = "dev.sigstore.bundle.predicateType";

/// A bundle that is attached to an image, as the blobs and the manifest a registry gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// The manifest. Its configuration is `{}`.
    pub manifest: Vec<u8>,
    /// The bundle.
    pub bundle: Vec<u8>,
}

impl Attachment {
    /// Signs a statement and makes it an attachment of the image whose manifest is `subject`.
    pub fn sign(statement: &Statement, subject: &Descriptor, key: &SigningKey) -> Self {
        let bundle = sign(statement, key);
        let annotations = BTreeMap::from([
            (CONTENT.to_owned(), "dsse-envelope".to_owned()),
            (PREDICATE_TYPE.to_owned(), statement.predicate_type.clone()),
        ]);
        let part = |media_type: &str, bytes: &[u8]| Descriptor {
            media_type: media_type.to_owned(),
            digest: release_layout::digest(bytes),
            size: bytes.len() as u64,
        };
        let manifest = canonical(&json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": BUNDLE,
            "config": part(EMPTY, EMPTY_CONFIG),
            "layers": [part(BUNDLE, &bundle)],
            "subject": subject,
            "annotations": annotations,
        }));
        Self { manifest, bundle }
    }

    /// Puts it into a layout, from where it can be pushed.
    ///
    /// # Errors
    /// When the layout cannot be written.
    pub fn store(&self, layout: &Layout) -> Result<Descriptor, LayoutError> {
        layout.put(EMPTY, EMPTY_CONFIG)?;
        layout.put(BUNDLE, &self.bundle)?;
        layout.put(MANIFEST, &self.manifest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ImageManifest;
    use crate::supply::samples::key;

    #[test]
    fn an_attachment_is_found_by_its_image_and_says_what_it_is() {
        let image = format!("registry.example.com/radio/player@sha256:{}", "a".repeat(64)).parse().unwrap();
        let subject = Descriptor {
            media_type: MANIFEST.to_owned(),
            digest: release_core::Digest::from_sha256([0xaa; 32]),
            size: 7,
        };
        let attachment = Attachment::sign(&Statement::signed(image), &subject, &key());
        let manifest: serde_json::Value = serde_json::from_slice(&attachment.manifest).unwrap();
        insta::assert_snapshot!(serde_json::to_string_pretty(&manifest).unwrap());
        let read = ImageManifest::parse(&attachment.manifest).unwrap();
        assert_eq!(read.subject, Some(subject.digest));
        assert_eq!(read.layers[0].size, attachment.bundle.len() as u64);
    }
}
