//! What a manifest says: its kind, what it refers to, and whether it makes sense.
//!
//! Only what a registry has to know. The kind is decided by the media type alone; a document that could be taken for another
//! kind is refused, so that no two clients can see two images in it.

use serde::Deserialize;
use serde_json::Value;

use super::answer::{Code, Refusal};
use super::digest::Digest;

pub(super) const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
pub(super) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const DOCKER_IMAGE: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// What a registry knows of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parsed {
    pub(super) media_type: &'static str,
    /// The blobs it needs in its repository.
    pub(super) blobs: Vec<Digest>,
    /// The manifests it needs in its repository.
    pub(super) manifests: Vec<Digest>,
    pub(super) subject: Option<Digest>,
    /// What it is an artifact of, for the referrers API.
    pub(super) artifact_type: Option<String>,
    pub(super) annotations: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    schema_version: Option<u64>,
    media_type: Option<String>,
    artifact_type: Option<String>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
    fs_layers: Option<Value>,
    subject: Option<Descriptor>,
    annotations: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: String,
    digest: String,
    #[expect(dead_code, reason = "that it is there and is a number is all that is checked")]
    size: u64,
}

impl Descriptor {
    fn digest(&self) -> Result<Digest, Refusal> {
        self.digest.parse().map_err(|_| invalid("a digest in the manifest makes no sense"))
    }

    /// Layers that may live elsewhere, and need not be here.
    fn may_be_elsewhere(&self) -> bool {
        self.media_type.contains(".nondistributable.") || self.media_type.contains(".foreign.")
    }
}

/// Reads a manifest that was sent as `media_type`.
pub(super) fn parse(media_type: Option<&str>, bytes: &[u8]) -> Result<Parsed, Refusal> {
    let document: Document = serde_json::from_slice(bytes)
        .map_err(|error| invalid(format!("the manifest cannot be read: {error}")))?;
    let media_type = kind(media_type, document.media_type.as_deref())?;
    if document.schema_version != Some(2) {
        return Err(invalid("schemaVersion is not 2"));
    }
    let is_image = matches!(media_type, IMAGE | DOCKER_IMAGE);
    let looks_like_image = document.config.is_some() || document.layers.is_some();
    let looks_like_index = document.manifests.is_some();
    if document.fs_layers.is_some() || (is_image && looks_like_index) || (!is_image && looks_like_image) {
        return Err(invalid("the manifest has parts of two kinds"));
    }
    let mut blobs = Vec::new();
    if is_image {
        let config = document.config.as_ref().ok_or_else(|| invalid("config is missing"))?;
        let layers = document.layers.as_ref().ok_or_else(|| invalid("layers are missing"))?;
        blobs.push(config.digest()?);
        for layer in layers {
            let digest = layer.digest()?;
            if !layer.may_be_elsewhere() {
                blobs.push(digest);
            }
        }
    } else if !looks_like_index {
        return Err(invalid("manifests are missing"));
    }
    let manifests = document.manifests.iter().flatten().map(Descriptor::digest).collect::<Result<_, _>>()?;
    let subject = document.subject.as_ref().map(Descriptor::digest).transpose()?;
    let declared = document.artifact_type.filter(|artifact_type| !artifact_type.is_empty());
    let artifact_type = declared.or(document.config.map(|config| config.media_type));
    let annotations = document.annotations;
    Ok(Parsed { media_type, blobs, manifests, subject, artifact_type, annotations })
}

/// The kind by the header, else by the document; the two may not differ.
fn kind(header: Option<&str>, document: Option<&str>) -> Result<&'static str, Refusal> {
    let header = header.map(|header| header.split(';').next().unwrap_or_default().trim());
    if let (Some(header), Some(document)) = (header, document)
        && header != document
    {
        return Err(invalid("mediaType and Content-Type differ"));
    }
    let given = header.or(document).ok_or_else(|| invalid("there is no media type"))?;
    [IMAGE, INDEX, DOCKER_IMAGE, DOCKER_LIST]
        .into_iter()
        .find(|known| *known == given)
        .ok_or_else(|| invalid("this is no media type of a manifest"))
}

fn invalid(why: impl Into<String>) -> Refusal {
    Refusal::new(Code::ManifestInvalid).says(why)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn descriptor(media_type: &str) -> Value {
        json!({ "mediaType": media_type, "digest": Digest::of(b"").as_str(), "size": 0 })
    }

    #[test]
    fn the_kind_is_certain_or_the_manifest_is_refused() {
        let one = descriptor("application/x");
        let image = json!({ "schemaVersion": 2, "config": one, "layers": [one] });
        let index = json!({ "schemaVersion": 2, "manifests": [one] });
        let with = |base: &Value, key: &str, value: Value| {
            let mut changed = base.clone();
            changed[key] = value;
            changed
        };
        for (media_type, document, good) in [
            (Some(IMAGE), image.clone(), true),
            (Some("application/vnd.oci.image.manifest.v1+json; charset=utf-8"), image.clone(), true),
            (None, with(&image, "mediaType", json!(IMAGE)), true),
            (None, image.clone(), false),
            (Some(INDEX), index.clone(), true),
            (Some(DOCKER_LIST), index.clone(), true),
            (Some(IMAGE), index.clone(), false),
            (Some(INDEX), image.clone(), false),
            (Some(DOCKER_IMAGE), with(&image, "mediaType", json!(IMAGE)), false),
            (Some(IMAGE), with(&image, "manifests", json!([])), false),
            (Some(INDEX), with(&index, "layers", json!([])), false),
            (Some(IMAGE), with(&image, "fsLayers", json!([])), false),
            (Some(IMAGE), with(&image, "schemaVersion", json!(1)), false),
            (Some(IMAGE), with(&image, "layers", json!([{ "digest": "sha256:../x" }])), false),
            (Some("text/plain"), image, false),
            (Some(INDEX), json!([]), false),
        ] {
            let parsed = parse(media_type, document.to_string().as_bytes());
            assert_eq!(parsed.is_ok(), good, "{media_type:?} {document}");
        }
    }

    #[test]
    fn layers_that_live_elsewhere_need_not_be_here() {
        for (media_type, needed) in [
            ("application/vnd.oci.image.layer.v1.tar+gzip", 2),
            ("application/vnd.oci.image.layer.nondistributable.v1.tar", 1),
            ("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", 1),
        ] {
            let image = json!({
                "schemaVersion": 2, "config": descriptor("application/x"), "layers": [descriptor(media_type)],
            });
            let parsed = parse(Some(IMAGE), image.to_string().as_bytes()).unwrap();
            assert_eq!(parsed.blobs.len(), needed, "{media_type}");
        }
    }
}
