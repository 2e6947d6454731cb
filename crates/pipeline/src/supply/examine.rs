//! What is attached to an image, and what of it the given keys have signed.

use std::path::Path;

use release_core::{Credentials, Digest, ImageRef, PinnedImage, Repository};
use release_image::{
    MAX_BUNDLE_BYTES, MAX_PAYLOAD_BYTES, SIGNED, SignedLayer, Stored, VerifyingKey, signature_tag, verify,
};
use release_registry::{Limits, Pull, PullError, Registry};
use serde_json::Value;

use super::SupplyError;

/// The most artifacts of an image that are looked at. An image has one of each kind by each key.
const MAX_ARTIFACTS: usize = 200;

/// The most signatures of cosign 2 that are looked at.
const MAX_SIGNATURES: usize = 200;

/// What all versions of a bundle's kind begin with.
const ANY_BUNDLE: &str = "application/vnd.dev.sigstore.bundle";

/// How something was signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Form {
    /// A Sigstore bundle that refers to the image.
    Bundle,
    /// A signature at the tag cosign 2 looks at.
    Tag,
}

/// Something one of the keys has signed about the image.
#[derive(Debug, Clone, PartialEq)]
pub struct Proof {
    /// What: the type of a predicate, [`SIGNED`] for a signature of the image itself.
    pub claim: String,
    /// Which of the keys, from 0.
    pub key: usize,
    /// How.
    pub form: Form,
    /// The manifest of the artifact that has it.
    pub artifact: Digest,
    /// What is said.
    pub predicate: Value,
}

/// An artifact that proves nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Its manifest.
    pub artifact: Digest,
    /// Why it proves nothing.
    pub why: String,
}

/// Everything that was found about an image.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Examined {
    /// What is proven.
    pub proofs: Vec<Proof>,
    /// What is attached and proves nothing: signed by others, damaged, about another image.
    pub rejected: Vec<Rejected>,
}

/// Looks through everything that is attached to an image.
///
/// # Errors
/// When the registry does not answer; not when there is nothing.
pub async fn examine(
    registry: &Registry,
    credentials: Option<&Credentials>,
    image: &PinnedImage,
    keys: &[VerifyingKey],
) -> Result<Examined, SupplyError> {
    let scratch = tempfile::tempdir().map_err(SupplyError::Scratch)?;
    let remote = Remote { registry, credentials, layout: scratch.path() };
    remote.examine(image, keys).await.map(|(examined, _)| examined)
}

/// A registry, and the layout that what it sends goes into.
#[derive(Clone, Copy)]
pub(super) struct Remote<'a> {
    pub(super) registry: &'a Registry,
    pub(super) credentials: Option<&'a Credentials>,
    pub(super) layout: &'a Path,
}

impl Remote<'_> {
    /// What is proven, and the signatures of cosign 2 that are there, whoever made them: a new one goes beside them.
    pub(super) async fn examine(
        self,
        image: &PinnedImage,
        keys: &[VerifyingKey],
    ) -> Result<(Examined, Vec<SignedLayer>), SupplyError> {
        let mut examined = Examined::default();
        let artifacts = self.referrers(image).await?;
        if artifacts.len() > MAX_ARTIFACTS {
            return Err(SupplyError::TooMany { limit: MAX_ARTIFACTS });
        }
        for artifact in artifacts {
            match self.bundle(image, &artifact, keys).await? {
                Ok(proof) => examined.proofs.push(proof),
                Err(why) => examined.rejected.push(Rejected { artifact, why }),
            }
        }
        let signatures = self.signatures(image, keys, &mut examined).await?;
        Ok((examined, signatures))
    }

    /// One bundle. What is wrong with it is no failure of the registry.
    async fn bundle(
        self,
        image: &PinnedImage,
        artifact: &Digest,
        keys: &[VerifyingKey],
    ) -> Result<Result<Proof, String>, SupplyError> {
        let reference = exactly(&image.repository, artifact);
        match self.fetch(&reference).await {
            Ok(_) => {}
            Err(
                error @ (PullError::NotFound { .. } | PullError::Unsound { .. } | PullError::TooMuch { .. }),
            ) => {
                return Ok(Err(error.to_string()));
            }
            Err(error) => return Err(error.into()),
        }
        let stored = Stored::open(self.layout)?;
        let manifest = match stored.manifest(artifact) {
            Ok(manifest) => manifest,
            Err(error) => return Ok(Err(error.to_string())),
        };
        if manifest.subject.as_ref() != Some(&image.digest) {
            return Ok(Err("it refers to another image".to_owned()));
        }
        let [blob] = manifest.layers.as_slice() else {
            return Ok(Err("it has more than one part".to_owned()));
        };
        let bytes = match stored.blob(&blob.digest, MAX_BUNDLE_BYTES) {
            Ok(bytes) => bytes,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let proven = verify(&bytes, &image.digest, keys).map_err(|error| error.to_string());
        Ok(proven.map(|proven| Proof {
            claim: proven.predicate_type,
            key: proven.key,
            form: Form::Bundle,
            artifact: artifact.clone(),
            predicate: proven.predicate,
        }))
    }

    /// The signatures at cosign 2's tag.
    async fn signatures(
        self,
        image: &PinnedImage,
        keys: &[VerifyingKey],
        examined: &mut Examined,
    ) -> Result<Vec<SignedLayer>, SupplyError> {
        let tag = Some(signature_tag(&image.digest));
        let reference = ImageRef { repository: image.repository.clone(), tag, digest: None };
        let artifact = match self.fetch(&reference).await {
            Ok(digest) => digest,
            Err(PullError::NotFound { .. }) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let stored = Stored::open(self.layout)?;
        let manifest = match stored.manifest(&artifact) {
            Ok(manifest) => manifest,
            Err(error) => {
                examined.rejected.push(Rejected { artifact, why: error.to_string() });
                return Ok(Vec::new());
            }
        };
        if manifest.layers.len() > MAX_SIGNATURES {
            return Err(SupplyError::TooMany { limit: MAX_SIGNATURES });
        }
        let mut layers = Vec::new();
        for (blob, annotations) in manifest.layers.into_iter().zip(manifest.annotations) {
            let layer = SignedLayer { blob, annotations };
            let payload = stored.blob(&layer.blob.digest, MAX_PAYLOAD_BYTES).ok();
            let signature = payload.and_then(|payload| layer.signature(payload));
            let verified = signature.and_then(|signature| signature.verify(&image.digest, keys));
            if let Some(key) = verified {
                examined.proofs.push(Proof {
                    claim: SIGNED.to_owned(),
                    key,
                    form: Form::Tag,
                    artifact: artifact.clone(),
                    predicate: Value::Null,
                });
            } else {
                let why = "none of the keys has signed the image there".to_owned();
                examined.rejected.push(Rejected { artifact: artifact.clone(), why });
            }
            layers.push(layer);
        }
        Ok(layers)
    }

    /// Brings an artifact into the layout.
    async fn fetch(self, reference: &ImageRef) -> Result<Digest, PullError> {
        let pull = Pull {
            reference,
            platform: None,
            layout: self.layout,
            limits: Limits { total_bytes: MAX_BUNDLE_BYTES, ..Limits::default() },
        };
        let pulled = self.registry.pull(&pull, self.credentials, &mut |_| {}).await?;
        Ok(pulled.manifest)
    }

    /// The bundles that refer to an image.
    async fn referrers(self, image: &PinnedImage) -> Result<Vec<Digest>, SupplyError> {
        let referrers = self.registry.referrers(image, None, self.credentials).await;
        let referrers = referrers.map_err(|source| SupplyError::List { source: Box::new(source) })?;
        let bundles = referrers.into_iter().filter(|referrer| {
            referrer.artifact_type.as_deref().is_some_and(|kind| kind.starts_with(ANY_BUNDLE))
        });
        Ok(bundles.map(|referrer| referrer.digest).collect())
    }
}

/// A manifest of a repository.
pub(super) fn exactly(repository: &Repository, digest: &Digest) -> ImageRef {
    ImageRef { repository: repository.clone(), tag: None, digest: Some(digest.clone()) }
}
