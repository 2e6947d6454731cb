//! Images of any registry, examined with the credentials Docker keeps.

use std::path::Path;

use release_core::{Credentials, Digest, ImageRef, PinnedImage};
use release_image::{Kind, SIGNED, VerifyingKey};
use release_registry::{
    ConfirmError, CredentialStore, CredentialsError, Limits, Pull, Registry, RegistryError,
};

use super::{Examined, Form, Policy, Proof, SupplyError, Unmet, examine};

/// Why an image was not verified.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// No registry client can be set up.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// Docker's configuration cannot be read.
    #[error("credentials for registry {registry} cannot be had")]
    Credentials {
        /// The registry.
        registry: String,
        /// The reason.
        #[source]
        source: CredentialsError,
    },
    /// The registry does not say which image is meant.
    #[error("image `{image}` cannot be had")]
    Resolve {
        /// The image.
        image: String,
        /// The reason.
        #[source]
        source: ConfirmError,
    },
    /// What is attached to the image cannot be had.
    #[error("image {image} cannot be verified")]
    Examine {
        /// The image.
        image: PinnedImage,
        /// The reason.
        #[source]
        source: Box<SupplyError>,
    },
    /// The image cannot be had.
    #[error("image `{image}` cannot be had")]
    Fetch {
        /// The image.
        image: String,
        /// The reason.
        #[source]
        source: Box<SupplyError>,
    },
    /// The image is not what the policy wants.
    #[error(transparent)]
    Unmet(#[from] Unmet),
}

/// Examines images.
#[derive(Debug)]
pub struct Verifier {
    registry: Registry,
    store: Option<CredentialStore>,
}

impl Verifier {
    /// A verifier that has asked nobody yet.
    ///
    /// # Errors
    /// When no registry client can be set up.
    pub fn new() -> Result<Self, VerifyError> {
        Ok(Self { registry: Registry::new()?, store: None })
    }

    /// The image a reference stands for now.
    ///
    /// # Errors
    /// When there is none, or the registry does not say.
    pub async fn resolve(&mut self, reference: &ImageRef) -> Result<PinnedImage, VerifyError> {
        let credentials = self.credentials(reference.repository.registry()).await?;
        let digest = self.registry.resolve(reference, credentials.as_ref()).await;
        let digest =
            digest.map_err(|source| VerifyError::Resolve { image: reference.to_string(), source })?;
        Ok(reference.repository.at(digest))
    }

    /// Everything that is attached to an image.
    ///
    /// # Errors
    /// When the registry does not answer.
    pub async fn examine(
        &mut self,
        image: &PinnedImage,
        keys: &[VerifyingKey],
    ) -> Result<Examined, VerifyError> {
        let credentials = self.credentials(image.repository.registry()).await?;
        examine(&self.registry, credentials.as_ref(), image, keys)
            .await
            .map_err(|source| VerifyError::Examine { image: image.clone(), source: Box::new(source) })
    }

    /// Holds an image to a policy.
    ///
    /// # Errors
    /// What is missing, or why it cannot be told.
    pub async fn enforce(&mut self, image: &PinnedImage, policy: &Policy) -> Result<Vec<Claim>, VerifyError> {
        let examined = self.examine(image, &policy.verifying_keys()).await?;
        policy.judge(image, &examined.proofs)?;
        Ok(examined.proofs.iter().map(|proof| Claim::of(proof, policy)).collect())
    }

    /// Brings an image into a temporary layout, to be looked into.
    ///
    /// # Errors
    /// When there is none, the registry does not send it, or it is damaged.
    pub async fn pull(&mut self, reference: &ImageRef) -> Result<Fetched, VerifyError> {
        let credentials = self.credentials(reference.repository.registry()).await?;
        let fail = |source| VerifyError::Fetch { image: reference.to_string(), source: Box::new(source) };
        let layout = tempfile::tempdir().map_err(SupplyError::Scratch).map_err(fail)?;
        let pull = Pull { reference, platform: None, layout: layout.path(), limits: Limits::default() };
        let pulled = self.registry.pull(&pull, credentials.as_ref(), &mut |_| {}).await;
        let digest = pulled.map_err(|source| fail(source.into()))?.image.digest;
        Ok(Fetched { layout, digest })
    }

    async fn credentials(&mut self, registry: &str) -> Result<Option<Credentials>, VerifyError> {
        let fail = |source| VerifyError::Credentials { registry: registry.to_owned(), source };
        let store = match self.store.take() {
            Some(store) => store,
            None => CredentialStore::from_env().map_err(fail)?,
        };
        self.store.insert(store).get(registry).await.map_err(fail)
    }
}

/// An image in a temporary layout, which is gone when this is dropped.
#[derive(Debug)]
pub struct Fetched {
    layout: tempfile::TempDir,
    digest: Digest,
}

impl Fetched {
    /// The layout's folder.
    pub fn dir(&self) -> &Path {
        self.layout.path()
    }

    /// What the reference stood for: an image, or an index of several.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }
}

/// Something that is said about an image, as people call it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claim {
    /// `signature`, `sbom`, `provenance`, or the type of a predicate nobody here knows.
    pub name: String,
    /// The name of the key that signed it, how, and the artifact; `None` when nobody did.
    pub by: Option<(String, Form, Digest)>,
}

impl Claim {
    /// A proven one.
    pub fn of(proof: &Proof, policy: &Policy) -> Self {
        let key = policy.keys.get(proof.key).map(|named| named.name.clone()).unwrap_or_default();
        Self { name: name(&proof.claim), by: Some((key, proof.form, proof.artifact.clone())) }
    }

    /// One that is wanted and not there.
    pub fn missing(predicate_type: &str) -> Self {
        Self { name: name(predicate_type), by: None }
    }
}

fn name(predicate_type: &str) -> String {
    let known =
        [Kind::Sbom, Kind::Provenance].into_iter().find(|kind| kind.predicate_type() == predicate_type);
    match known {
        Some(kind) => kind.word().to_owned(),
        None if predicate_type == SIGNED => "signature".to_owned(),
        None => predicate_type.to_owned(),
    }
}
