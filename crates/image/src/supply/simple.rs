//! Signatures as [cosign 2 keeps them](https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md): a payload that
//! names the image, in an artifact that is found by a tag made from the image's digest; the signature is an annotation.
//!
//! Policy controllers of clusters know this form best. One artifact holds the signatures of several keys: a new one is added
//! to those that are there.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use release_core::{Digest, PinnedImage};
use serde_json::{Value, json};

use super::key::{SigningKey, VerifyingKey};
use crate::native::json::{CONFIG, MANIFEST, canonical};
use crate::{Descriptor, Layout, LayoutError};

/// The kind of a payload.
const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";

/// Where the signature is.
const SIGNATURE: &str = "dev.cosignproject.cosign/signature";

/// What a payload says it is.
const TYPE: &str = "cosign container image signature";

/// The largest payload that is read; they have about 250 bytes.
pub const MAX_PAYLOAD_BYTES: u64 = 64 * 1024;

/// The tag an image's signatures are found by.
pub fn tag(image: &Digest) -> String {
    format!("sha256-{}.sig", image.hex())
}

/// A signature, with what was signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimpleSignature {
    /// What was signed.
    pub payload: Vec<u8>,
    /// ASN.1 in DER, in base 64.
    pub signature: String,
}

impl SimpleSignature {
    /// Signs an image.
    pub fn sign(image: &PinnedImage, key: &SigningKey) -> Self {
        let payload = canonical(&json!({
            "critical": {
                "identity": {"docker-reference": image.repository.to_string()},
                "image": {"docker-manifest-digest": image.digest.as_str()},
                "type": TYPE,
            },
            "optional": null,
        }));
        let signature = STANDARD.encode(key.sign(&payload));
        Self { payload, signature }
    }

    /// Which of the keys signed it, if it is a signature of `image`. The repository it names is not looked at: cosign does not
    /// either, and images are copied.
    pub fn verify(&self, image: &Digest, keys: &[VerifyingKey]) -> Option<usize> {
        let signature = STANDARD.decode(&self.signature).ok()?;
        let key = keys.iter().position(|key| key.verifies(&self.payload, &signature))?;
        let said: Value = serde_json::from_slice(&self.payload).ok()?;
        let critical = &said["critical"];
        let about = critical["image"]["docker-manifest-digest"].as_str() == Some(image.as_str());
        (about && critical["type"].as_str() == Some(TYPE)).then_some(key)
    }
}

/// A layer of such an artifact: the payload's blob and the signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedLayer {
    /// The payload's blob.
    pub blob: Descriptor,
    /// Everything said about it, the signature among it.
    pub annotations: BTreeMap<String, String>,
}

impl SignedLayer {
    /// The layer of a signature whose payload is in the layout then.
    ///
    /// # Errors
    /// When the layout cannot be written.
    pub fn store(signature: &SimpleSignature, layout: &Layout) -> Result<Self, LayoutError> {
        let blob = layout.put(SIMPLE_SIGNING, &signature.payload)?;
        Ok(Self { blob, annotations: BTreeMap::from([(SIGNATURE.to_owned(), signature.signature.clone())]) })
    }

    /// The signature, for a payload that was fetched.
    pub fn signature(&self, payload: Vec<u8>) -> Option<SimpleSignature> {
        let signature = self.annotations.get(SIGNATURE)?.clone();
        (self.blob.media_type == SIMPLE_SIGNING).then_some(SimpleSignature { payload, signature })
    }
}

/// Puts an artifact with these signatures into a layout, from where it can be pushed to [`tag`].
///
/// # Errors
/// When the layout cannot be written.
pub fn store(layers: &[SignedLayer], layout: &Layout) -> Result<Descriptor, LayoutError> {
    // It names the payloads as an image's configuration does its layers.
    let ids: Vec<&str> = layers.iter().map(|layer| layer.blob.digest.as_str()).collect();
    let config = canonical(&json!({
        "architecture": "",
        "config": {},
        "os": "",
        "rootfs": {"type": "layers", "diff_ids": ids},
    }));
    let config = layout.put(CONFIG, &config)?;
    let part = |layer: &SignedLayer| {
        json!({
            "mediaType": layer.blob.media_type,
            "digest": layer.blob.digest,
            "size": layer.blob.size,
            "annotations": layer.annotations,
        })
    };
    let manifest = canonical(&json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config,
        "layers": layers.iter().map(part).collect::<Vec<_>>(),
    }));
    layout.put(MANIFEST, &manifest)
}

#[cfg(test)]
mod tests;
