//! What an image consists of, in a registry's words or a layout's, read with suspicion.
//!
//! A document is what its fields make it. A kind that says otherwise, in the document, in the `Content-Type` it was sent
//! with, or in the index that names it, is refused: otherwise two readers of the same bytes could see two images
//! ([CVE-2021-41190](https://github.com/opencontainers/image-spec/security/advisories/GHSA-77vh-xpmg-72qh)).

use release_core::{Digest, Platform};
use serde::Deserialize;

pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// The most platforms a message names.
const MAX_SHOWN: usize = 12;

/// What names a document or a blob.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    pub(crate) media_type: String,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    #[serde(default)]
    urls: Vec<String>,
}

impl Descriptor {
    pub(crate) fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        Self { media_type: media_type.to_owned(), digest, size, urls: Vec::new() }
    }

    /// Whether its bytes are meant to be fetched from somewhere else.
    fn is_foreign(&self) -> bool {
        !self.urls.is_empty()
            || self.media_type.contains(".foreign.")
            || self.media_type.contains(".nondistributable.")
    }
}

/// One image of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Child {
    pub(crate) descriptor: Descriptor,
    platform: Option<Platform>,
}

/// A manifest: of an image, or of an artifact that is written like one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Image {
    pub(crate) config: Descriptor,
    pub(crate) layers: Vec<Descriptor>,
    /// What it is about, if it is about another manifest.
    pub(crate) subject: Option<Digest>,
}

impl Image {
    /// Everything it is made of.
    pub(crate) fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        self.layers.iter().chain([&self.config])
    }
}

/// A manifest or an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Document {
    Image(Image),
    Index(Vec<Child>),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    schema_version: u64,
    media_type: Option<String>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<RawChild>>,
    subject: Option<Descriptor>,
    fs_layers: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct RawChild {
    #[serde(flatten)]
    descriptor: Descriptor,
    platform: Option<RawPlatform>,
}

#[derive(Deserialize)]
struct RawPlatform {
    os: String,
    architecture: String,
    variant: Option<String>,
}

impl RawPlatform {
    /// Platforms nobody could ask for, `unknown/unknown` among them, are none.
    fn known(self) -> Option<Platform> {
        let variant = self.variant.filter(|variant| !variant.is_empty());
        let written = Platform { os: self.os, architecture: self.architecture, variant };
        written.to_string().parse().ok().filter(|platform: &Platform| platform.os != "unknown")
    }
}

/// What a kind stands for, if it is one of a document.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Image,
    Index,
}

impl Shape {
    fn of(media_type: &str) -> Option<Self> {
        match media_type.split(';').next().unwrap_or_default().trim() {
            OCI_MANIFEST | DOCKER_MANIFEST => Some(Self::Image),
            OCI_INDEX | DOCKER_LIST => Some(Self::Index),
            _ => None,
        }
    }
}

impl Document {
    /// Reads a document, and says of which kind it is. `sent_as` are the kinds it is said to be: by `Content-Type`, by the
    /// descriptor that names it.
    pub(crate) fn read(bytes: &[u8], sent_as: &[&str]) -> Result<(Self, String), &'static str> {
        let raw: Raw =
            serde_json::from_slice(bytes).map_err(|_| "it is no manifest that can be understood")?;
        if raw.schema_version != 2 || raw.fs_layers.is_some() {
            return Err("its schema is not version 2");
        }
        let (document, shape) = match (raw.config, raw.layers, raw.manifests) {
            (Some(config), Some(layers), None) => {
                let subject = raw.subject.map(|subject| subject.digest);
                (Self::Image(Image { config, layers, subject }), Shape::Image)
            }
            (None, None, Some(children)) => (Self::index(children), Shape::Index),
            (_, _, Some(_)) => return Err("it is a manifest and an index at once"),
            _ => return Err("it is neither a manifest nor an index"),
        };
        if let Some(written) = &raw.media_type
            && Shape::of(written) != Some(shape)
        {
            return Err("it is not of the kind it says it is");
        }
        if sent_as.iter().any(|kind| Shape::of(kind).is_some_and(|kind| kind != shape)) {
            return Err("it is not of the kind it is sent as");
        }
        if let Self::Image(image) = &document
            && image.blobs().any(Descriptor::is_foreign)
        {
            return Err("a part of it is kept elsewhere");
        }
        let usual = if shape == Shape::Index { OCI_INDEX } else { OCI_MANIFEST };
        Ok((document, raw.media_type.unwrap_or_else(|| usual.to_owned())))
    }

    fn index(children: Vec<RawChild>) -> Self {
        let child = |raw: RawChild| Child {
            descriptor: raw.descriptor,
            platform: raw.platform.and_then(RawPlatform::known),
        };
        Self::Index(children.into_iter().map(child).collect())
    }

    pub(crate) fn is_index(&self) -> bool {
        matches!(self, Self::Index(_))
    }

    /// The image of an index for a platform; where there is none, the platforms there are.
    pub(crate) fn choose(&self, wanted: &Platform) -> Result<&Descriptor, Vec<String>> {
        let Self::Index(children) = self else { return Err(Vec::new()) };
        let offered = children.iter().filter_map(|child| Some((child, child.platform.as_ref()?)));
        let fits = offered.clone().filter_map(|(child, platform)| Some((wanted.distance(platform)?, child)));
        match fits.min_by_key(|(distance, _)| *distance) {
            Some((_, child)) => Ok(&child.descriptor),
            None => Err(offered.take(MAX_SHOWN).map(|(_, platform)| platform.to_string()).collect()),
        }
    }
}

/// Reads the platform of a configuration, if it names one.
pub(crate) fn platform_of(config: &[u8]) -> Option<Platform> {
    serde_json::from_slice::<RawPlatform>(config).ok()?.known()
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    fn check(text: &str, sent_as: &[&str]) -> String {
        let blob = format!(r#"{{"mediaType":"x/y","digest":"{A}","size":1}}"#);
        let text = text.replace("BLOB", &blob).replace("DIGEST", A);
        match Document::read(text.as_bytes(), sent_as) {
            Ok((Document::Image(image), kind)) => format!("{} layers, {kind}", image.layers.len()),
            Ok((Document::Index(children), kind)) => format!("{} manifests, {kind}", children.len()),
            Err(why) => why.to_owned(),
        }
    }

    #[test]
    fn a_document_is_what_its_fields_make_it_and_says_nothing_else() {
        let image = r#"{"schemaVersion":2,"config":BLOB,"layers":[BLOB,BLOB]}"#;
        let index = r#"{"schemaVersion":2,"manifests":[BLOB]}"#;
        let said = |kind: &str, text: &str| text.replacen('{', &format!(r#"{{"mediaType":"{kind}","#), 1);
        let misfit = "it is not of the kind it says it is";
        let missent = "it is not of the kind it is sent as";
        let both = "it is a manifest and an index at once";
        let unread = "it is no manifest that can be understood";
        for (text, sent_as, expected) in [
            (image.to_owned(), vec![], format!("2 layers, {OCI_MANIFEST}")),
            (index.to_owned(), vec![], format!("1 manifests, {OCI_INDEX}")),
            (said(DOCKER_MANIFEST, image), vec![DOCKER_MANIFEST], format!("2 layers, {DOCKER_MANIFEST}")),
            (said(DOCKER_LIST, index), vec!["application/json"], format!("1 manifests, {DOCKER_LIST}")),
            (said(OCI_INDEX, image), vec![], misfit.to_owned()),
            (said(OCI_MANIFEST, index), vec![], misfit.to_owned()),
            (said("text/plain", image), vec![], misfit.to_owned()),
            (image.to_owned(), vec![OCI_INDEX], missent.to_owned()),
            (index.to_owned(), vec!["text/plain", OCI_MANIFEST], missent.to_owned()),
            (index.replacen('{', r#"{"config":BLOB,"layers":[],"#, 1), vec![], both.to_owned()),
            (index.replacen('{', r#"{"layers":[],"#, 1), vec![], both.to_owned()),
            (r#"{"schemaVersion":2}"#.to_owned(), vec![], "it is neither a manifest nor an index".to_owned()),
            (image.replace(":2,", ":1,"), vec![], "its schema is not version 2".to_owned()),
            (image.replacen('{', r#"{"fsLayers":[],"#, 1), vec![], "its schema is not version 2".to_owned()),
            (image.replacen('{', r#"{"layers":[],"#, 1), vec![], unread.to_owned()),
            (image.replace("BLOB,BLOB", r#"{"mediaType":"x/y","digest":"sha256:../../etc","size":1}"#), vec![], unread.to_owned()),
            (image.replace("BLOB,BLOB", r#"{"mediaType":"x/y","digest":"DIGEST","size":-1}"#), vec![], unread.to_owned()),
            (image.replace("BLOB,BLOB", r#"{"mediaType":"x/y","digest":"DIGEST","size":1e30}"#), vec![], unread.to_owned()),
            (image.replace("BLOB,BLOB", r#"{"mediaType":"x/y","digest":"DIGEST"}"#), vec![], unread.to_owned()),
            (image.replace("BLOB,BLOB", r#"{"mediaType":"x/y","digest":"DIGEST","size":1,"urls":["https://e.com/x"]}"#), vec![], "a part of it is kept elsewhere".to_owned()),
            (image.replace("BLOB,BLOB", r#"{"mediaType":"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip","digest":"DIGEST","size":1}"#), vec![], "a part of it is kept elsewhere".to_owned()),
            ("[".repeat(100_000), vec![], unread.to_owned()),
            (String::new(), vec![], unread.to_owned()),
        ] {
            assert_eq!(check(&text, &sent_as), expected, "{text:.200} {sent_as:?}");
        }
    }

    #[test]
    fn the_nearest_platform_of_an_index_is_chosen() {
        let child = |digit: char, platform: &str| {
            format!(
                r#"{{"mediaType":"{OCI_MANIFEST}","digest":"sha256:{}","size":1,"platform":{platform}}}"#,
                digit.to_string().repeat(64)
            )
        };
        let index = format!(
            r#"{{"schemaVersion":2,"manifests":[{},{},{},{},{}]}}"#,
            child('1', r#"{"os":"unknown","architecture":"unknown"}"#),
            child('2', r#"{"os":"linux","architecture":"arm64","variant":"v8"}"#),
            child('3', r#"{"os":"linux","architecture":"amd64","variant":""}"#),
            child('4', r#"{"os":"linux","architecture":"amd64","variant":"v3"}"#),
            child('5', r#"{"os":"linux\u001b[2J","architecture":"x"}"#),
        );
        let (index, _) = Document::read(index.as_bytes(), &[]).unwrap();
        for (wanted, expected) in [
            ("linux/amd64", "3"),
            ("linux/amd64/v3", "4"),
            ("linux/arm64", "2"),
            ("linux/s390x", "linux/arm64/v8, linux/amd64, linux/amd64/v3"),
        ] {
            let seen = match index.choose(&wanted.parse().unwrap()) {
                Ok(descriptor) => descriptor.digest.hex()[..1].to_owned(),
                Err(available) => available.join(", "),
            };
            assert_eq!(seen, expected, "{wanted}");
        }
    }
}
