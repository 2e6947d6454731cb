//! The documents that name an image's parts: [manifest](https://github.com/opencontainers/image-spec/blob/main/manifest.md) and
//! [index](https://github.com/opencontainers/image-spec/blob/main/image-index.md), OCI's and Docker's.

use std::collections::BTreeMap;

use release_core::{Digest, Platform};
use serde::Deserialize;
use serde_json::Value;

use crate::Descriptor;

/// Why a document is neither.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// It is no JSON of its kind.
    #[error("it is no manifest of an image")]
    Form,
    /// It says that it is one kind and has the fields of another (CVE-2021-41190).
    #[error("it claims to be one kind of document and has the fields of another")]
    Confused,
    /// A layer has to be fetched from elsewhere.
    #[error("layer {digest} is kept elsewhere")]
    Foreign {
        /// The layer.
        digest: Digest,
    },
}

/// A manifest of an image, as far as it is read here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageManifest {
    /// Its configuration.
    pub config: Descriptor,
    /// Its layers, the lowest first.
    pub layers: Vec<Descriptor>,
    /// What each layer says about itself.
    pub annotations: Vec<BTreeMap<String, String>>,
    /// What kind of artifact it is, when it is no image.
    pub artifact_type: Option<String>,
    /// The digest of the manifest it says something about.
    pub subject: Option<Digest>,
}

/// An index of images, or of anything else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageIndex {
    /// The manifests it lists.
    pub manifests: Vec<Listed>,
}

/// One entry of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The manifest.
    pub manifest: Descriptor,
    /// What it runs on.
    pub platform: Option<Platform>,
    /// What kind of artifact it is.
    pub artifact_type: Option<String>,
    /// What the index says about it.
    pub annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    media_type: Option<String>,
    artifact_type: Option<String>,
    config: Option<Descriptor>,
    layers: Option<Vec<Part>>,
    manifests: Option<Vec<Part>>,
    subject: Option<Descriptor>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part {
    #[serde(flatten)]
    descriptor: Descriptor,
    #[serde(default)]
    urls: Vec<String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    platform: Option<Value>,
    artifact_type: Option<String>,
}

/// A document that is one of the two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Read {
    Manifest(ImageManifest),
    Index(ImageIndex),
}

pub(crate) fn read(bytes: &[u8]) -> Result<Read, ManifestError> {
    let document: Document = serde_json::from_slice(bytes).map_err(|_| ManifestError::Form)?;
    let kind = document.media_type.as_deref().unwrap_or_default();
    let says_index = kind.contains("index") || kind.contains("manifest.list");
    match (document.config, document.layers, document.manifests) {
        (Some(_), _, Some(_)) | (_, Some(_), Some(_)) => Err(ManifestError::Confused),
        (Some(_), Some(_), None) if says_index => Err(ManifestError::Confused),
        (None, None, Some(_)) if !kind.is_empty() && !says_index => Err(ManifestError::Confused),
        (Some(config), Some(layers), None) => {
            if let Some(foreign) = layers.iter().find(|layer| !layer.urls.is_empty()) {
                return Err(ManifestError::Foreign { digest: foreign.descriptor.digest.clone() });
            }
            let (layers, annotations) =
                layers.into_iter().map(|layer| (layer.descriptor, layer.annotations)).unzip();
            Ok(Read::Manifest(ImageManifest {
                config,
                layers,
                annotations,
                artifact_type: document.artifact_type,
                subject: document.subject.map(|subject| subject.digest),
            }))
        }
        (None, None, Some(manifests)) => {
            let listed = manifests.into_iter().map(|part| Listed {
                manifest: part.descriptor,
                platform: part.platform.as_ref().and_then(platform),
                artifact_type: part.artifact_type,
                annotations: part.annotations,
            });
            Ok(Read::Index(ImageIndex { manifests: listed.collect() }))
        }
        _ => Err(ManifestError::Form),
    }
}

fn platform(value: &Value) -> Option<Platform> {
    let text = |key: &str| value[key].as_str().map(str::to_owned);
    Some(Platform { os: text("os")?, architecture: text("architecture")?, variant: text("variant") })
}

impl ImageManifest {
    /// Reads a manifest.
    ///
    /// # Errors
    /// When it is something else, or of two kinds.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        match read(bytes)? {
            Read::Manifest(manifest) => Ok(manifest),
            Read::Index(_) => Err(ManifestError::Form),
        }
    }
}

impl ImageIndex {
    /// Reads an index; `None` when it is a manifest.
    ///
    /// # Errors
    /// When it is neither, or both.
    pub fn parse(bytes: &[u8]) -> Result<Option<Self>, ManifestError> {
        match read(bytes)? {
            Read::Index(index) => Ok(Some(index)),
            Read::Manifest(_) => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(n: u8) -> String {
        format!("sha256:{}", format!("{n:02x}").repeat(32))
    }

    #[test]
    fn a_document_is_what_its_fields_and_its_kind_say_together() {
        let part = |n| format!(r#"{{"mediaType":"x","digest":"{}","size":1}}"#, digest(n));
        let manifest = format!(r#""config":{},"layers":[{}]"#, part(1), part(2));
        let index = format!(r#""manifests":[{}]"#, part(3));
        let (kind_m, kind_i) = (
            r#""mediaType":"application/vnd.oci.image.manifest.v1+json""#,
            r#""mediaType":"application/vnd.oci.image.index.v1+json""#,
        );
        let what = |text: String| match read(text.as_bytes()) {
            Ok(Read::Manifest(_)) => "manifest",
            Ok(Read::Index(_)) => "index",
            Err(ManifestError::Confused) => "confused",
            Err(ManifestError::Form) => "form",
            Err(ManifestError::Foreign { .. }) => "foreign",
        };
        for (fields, expected) in [
            (manifest.clone(), "manifest"),
            (format!("{kind_m},{manifest}"), "manifest"),
            (index.clone(), "index"),
            (format!("{kind_i},{index}"), "index"),
            (format!("{kind_i},{manifest}"), "confused"),
            (format!("{kind_m},{index}"), "confused"),
            (format!("{manifest},{index}"), "confused"),
            (kind_m.to_owned(), "form"),
        ] {
            assert_eq!(what(format!("{{{fields}}}")), expected, "{fields}");
        }
        let foreign = format!(
            r#"{{"config":{},"layers":[{{"mediaType":"x","digest":"{}","size":1,"urls":["https://x"]}}]}}"#,
            part(1),
            digest(2)
        );
        assert_eq!(what(foreign), "foreign");
    }
}
