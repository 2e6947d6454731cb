//! Images in a layout on disk, read: documents, blobs, layers.
//!
//! Everything is checked against its digest. The layout is not locked: what it has, nobody changes.

use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::{Path, PathBuf};

use release_core::{Digest, Platform};
use serde_json::Value;

use super::layer::{LayerContents, LayerError, Wanted};
use super::manifest::{ImageIndex, ImageManifest, Listed, ManifestError, Read, read};
use crate::Descriptor;
use crate::native::json;
use crate::native::layout::{self, Available, LayoutError, MAX_DOCUMENT_BYTES};

/// Why a stored image cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum StoredError {
    /// The layout, or a file of it, cannot be used.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// A document is not what it should be.
    #[error("document {digest} cannot be used: {source}")]
    Manifest {
        /// Which.
        digest: Digest,
        /// What is wrong.
        source: ManifestError,
    },
    /// The layout has several images, and nothing to choose by.
    #[error("`{}` has {found} images {wanted}{}", dir.display(), Available(available))]
    Choice {
        /// The layout.
        dir: PathBuf,
        /// How many.
        found: usize,
        /// What was looked for.
        wanted: String,
        /// Those it has.
        available: Vec<String>,
    },
    /// A layer cannot be read.
    #[error(transparent)]
    Layer(#[from] LayerError),
}

/// A layout that is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    dir: PathBuf,
}

/// An image of a layout.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredImage {
    /// Its manifest.
    pub manifest: Descriptor,
    /// What the manifest says.
    pub parts: ImageManifest,
    /// Its configuration.
    pub config: Value,
}

impl Stored {
    /// The layout in `dir`.
    ///
    /// # Errors
    /// When it is none.
    pub fn open(dir: &Path) -> Result<Self, LayoutError> {
        layout::check(dir)?;
        Ok(Self { dir: dir.to_owned() })
    }

    /// A blob that is small enough to be in memory: at most `limit` bytes.
    ///
    /// # Errors
    /// When it is not there, is larger, or does not have the bytes its name stands for.
    pub fn blob(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>, LayoutError> {
        let path = layout::blob(&self.dir, digest);
        let mut bytes = Vec::new();
        let mut file = layout::open(&path)?.take(limit.saturating_add(1));
        file.read_to_end(&mut bytes).map_err(|source| LayoutError::Read { path: path.clone(), source })?;
        if bytes.len() as u64 > limit {
            return Err(LayoutError::Form { path, why: "it is larger than anything of its kind" });
        }
        if release_layout::digest(&bytes) != *digest {
            return Err(LayoutError::Corrupt { path });
        }
        Ok(bytes)
    }

    /// A manifest of the layout.
    ///
    /// # Errors
    /// When it is not there, damaged, or no manifest of an image.
    pub fn manifest(&self, digest: &Digest) -> Result<ImageManifest, StoredError> {
        let bytes = self.blob(digest, MAX_DOCUMENT_BYTES)?;
        ImageManifest::parse(&bytes)
            .map_err(|source| StoredError::Manifest { digest: digest.clone(), source })
    }

    /// An index of the layout; `None` when the digest is that of a manifest.
    ///
    /// # Errors
    /// When it is not there, damaged, or neither.
    pub fn index(&self, digest: &Digest) -> Result<Option<ImageIndex>, StoredError> {
        let bytes = self.blob(digest, MAX_DOCUMENT_BYTES)?;
        ImageIndex::parse(&bytes).map_err(|source| StoredError::Manifest { digest: digest.clone(), source })
    }

    /// The image `wanted`, or the only one of the layout. Of an index, the one for `platform`.
    ///
    /// # Errors
    /// When there is none or there are several; when it is damaged.
    pub fn image(
        &self,
        wanted: Option<&Digest>,
        platform: Option<&Platform>,
    ) -> Result<StoredImage, StoredError> {
        let choice = |found, wanted: &str, available| StoredError::Choice {
            dir: self.dir.clone(),
            found,
            wanted: wanted.to_owned(),
            available,
        };
        let (mut named, mut available): (Vec<Digest>, _) =
            (wanted.into_iter().cloned().collect(), Vec::new());
        if named.is_empty() {
            let index = layout::index(&self.dir)?;
            available = index.names();
            named.extend(index.manifests.into_iter().map(|item| item.descriptor.digest));
        }
        named.dedup();
        let [digest] = named.as_slice() else {
            return Err(choice(named.len(), "and exactly one is needed: name its digest", available));
        };
        let Some(index) = self.index(digest)? else {
            let image = self.opened(digest)?;
            let own = |key: &str| image.config[key].as_str().unwrap_or_default().to_owned();
            return match platform {
                Some(wanted)
                    if (own("os"), own("architecture"))
                        != (wanted.os.clone(), wanted.architecture.clone()) =>
                {
                    let own = format!("{}/{}", own("os"), own("architecture"));
                    Err(choice(0, &format!("for {wanted}"), vec![own]))
                }
                _ => Ok(image),
            };
        };
        let mut fitting: Vec<_> = real(&index).collect();
        if let Some(platform) = platform {
            fitting.retain(|listed| listed.platform.as_ref() == Some(platform));
        }
        match fitting.as_slice() {
            [one] => self.opened(&one.manifest.digest),
            many => {
                let all: Vec<String> =
                    real(&index).filter_map(|l| l.platform.as_ref()).map(ToString::to_string).collect();
                let wanted =
                    platform.map_or_else(|| "and exactly one is needed".to_owned(), |p| format!("for {p}"));
                Err(choice(many.len(), &wanted, all))
            }
        }
    }

    /// Every image a digest stands for: itself, or those of an index, for whichever platform.
    ///
    /// # Errors
    /// When one is not there or damaged.
    pub fn images(&self, digest: &Digest) -> Result<Vec<StoredImage>, StoredError> {
        match self.index(digest)? {
            None => Ok(vec![self.opened(digest)?]),
            Some(index) => real(&index).map(|listed| self.opened(&listed.manifest.digest)).collect(),
        }
    }

    /// What names a manifest or an index of the layout.
    ///
    /// # Errors
    /// When it is not there, damaged, or neither.
    pub fn descriptor(&self, digest: &Digest) -> Result<Descriptor, StoredError> {
        let bytes = self.blob(digest, MAX_DOCUMENT_BYTES)?;
        let bad = |source| StoredError::Manifest { digest: digest.clone(), source };
        let own_words: Value = serde_json::from_slice(&bytes).map_err(|_| bad(ManifestError::Form))?;
        let kind = match read(&bytes).map_err(bad)? {
            Read::Manifest(_) => json::MANIFEST,
            Read::Index(_) => json::INDEX,
        };
        let media_type = own_words["mediaType"].as_str().unwrap_or(kind).to_owned();
        Ok(Descriptor { media_type, digest: digest.clone(), size: bytes.len() as u64 })
    }

    fn opened(&self, digest: &Digest) -> Result<StoredImage, StoredError> {
        let bytes = self.blob(digest, MAX_DOCUMENT_BYTES)?;
        let bad = |source| StoredError::Manifest { digest: digest.clone(), source };
        let parts = ImageManifest::parse(&bytes).map_err(bad)?;
        let config = self.blob(&parts.config.digest, MAX_DOCUMENT_BYTES)?;
        let config = serde_json::from_slice(&config).map_err(|_| bad(ManifestError::Form))?;
        Ok(StoredImage { manifest: self.descriptor(digest)?, parts, config })
    }

    /// Reads the layers of an image, the lowest first.
    ///
    /// # Errors
    /// A layer that is not there, cannot be trusted, or is none.
    pub fn layers(&self, image: &StoredImage, wanted: Wanted<'_>) -> Result<Vec<LayerContents>, StoredError> {
        let read = |blob: &Descriptor| -> Result<LayerContents, StoredError> {
            let file: File = layout::open(&layout::blob(&self.dir, &blob.digest))?;
            Ok(LayerContents::read(blob, BufReader::new(file), wanted)?)
        };
        image.parts.layers.iter().map(read).collect()
    }
}

/// The images of an index. Builders put other things beside them, for the platform `unknown/unknown`.
fn real(index: &ImageIndex) -> impl Iterator<Item = &Listed> {
    index.manifests.iter().filter(|listed| listed.platform.as_ref().is_none_or(|p| p.os != "unknown"))
}
