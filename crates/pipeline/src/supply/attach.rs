//! Signing an image that is in its registry, and attaching what is said about it.
//!
//! What the key has signed already is left alone: pushing an unchanged image again attaches nothing.

use std::path::Path;

use release_core::{Credentials, Digest, PinnedImage, ServiceName};
use release_image::{
    Attachment, Kind, Layout, SIGNED, SignedLayer, SimpleSignature, Statement, Stored, signature_tag,
    store_signatures,
};
use release_manifest::ImageSource;
use release_registry::{Limits, Pull, Push, Registry};
use serde_json::Value;

use super::documents::{About, Lockfile};
use super::examine::{Examined, Form, Remote, exactly};
use super::{Attest, SupplyError};
use crate::event::ImageEvent;

/// An image that was pushed, and how it was made.
pub(crate) struct Target<'a> {
    pub(crate) root: &'a Path,
    pub(crate) service: &'a ServiceName,
    pub(crate) source: &'a ImageSource,
    pub(crate) image: &'a PinnedImage,
    /// `SOURCE_DATE_EPOCH`, if it is given.
    pub(crate) created: Option<u64>,
    /// The layout that has the image, where there is one; otherwise it is fetched.
    pub(crate) layout: Option<&'a Path>,
    /// What it is built on, if that was pulled.
    pub(crate) base: Option<&'a PinnedImage>,
}

impl Attest {
    /// Signs and attaches what is not there yet.
    pub(crate) async fn attach(
        &self,
        registry: &Registry,
        credentials: Option<&Credentials>,
        target: &Target<'_>,
        tell: &mut (dyn FnMut(ImageEvent) + Send),
    ) -> Result<(), SupplyError> {
        let scratch = tempfile::tempdir().map_err(SupplyError::Scratch)?;
        let remote = Remote { registry, credentials, layout: scratch.path() };
        let image = target.image;
        let own = [self.key.verifying_key()];
        let (there, signatures) = remote.examine(image, &own).await?;
        let layout = if let Some(layout) = target.layout {
            layout
        } else {
            remote.fetch_image(image).await?;
            scratch.path()
        };
        let lockfile = if self.said.is_empty() { None } else { Lockfile::find(target.root, target.source)? };
        let missing = self.missing(&there, target, layout, lockfile.as_ref())?;
        let subject = Stored::open(layout)?.descriptor(&image.digest)?;
        for (what, statement) in missing {
            let attachment = Attachment::sign(&statement, &subject, &self.key);
            let manifest = attachment.store(&Layout::create(scratch.path())?)?;
            remote.send(what, image, &manifest.digest, &[]).await?;
            tell(ImageEvent::Attached { what: what.to_owned(), artifact: manifest.digest });
        }
        let at_the_tag = |proof: &super::Proof| proof.form == Form::Tag;
        if !there.proofs.iter().any(at_the_tag) {
            let manifest = self.sign_at_the_tag(image, signatures, scratch.path())?;
            let tags = [signature_tag(&image.digest)];
            remote.send("signature", image, &manifest, &tags).await?;
            tell(ImageEvent::Attached { what: "signature".to_owned(), artifact: manifest });
        }
        Ok(())
    }

    /// The statements that the key has not signed yet.
    fn missing(
        &self,
        there: &Examined,
        target: &Target<'_>,
        layout: &Path,
        lockfile: Option<&Lockfile>,
    ) -> Result<Vec<(&'static str, Statement)>, SupplyError> {
        let bundles = || there.proofs.iter().filter(|proof| proof.form == Form::Bundle);
        let said = |claim: &str| bundles().any(|proof| proof.claim == claim);
        let image = target.image;
        let about = About {
            service: target.service,
            source: target.source,
            image,
            base: target.base,
            created: target.created,
        };
        let mut missing = Vec::new();
        if !said(SIGNED) {
            missing.push(("signature", Statement::signed(image.clone())));
        }
        for kind in &self.said {
            let claim = kind.predicate_type();
            let predicate: Value = match kind {
                // A better list of the same image is worth a new one.
                Kind::Sbom => {
                    let sbom = about.sbom(&Stored::open(layout)?, lockfile)?.to_value();
                    if bundles().any(|proof| proof.claim == claim && proof.predicate == sbom) {
                        continue;
                    }
                    sbom
                }
                // Whoever made these bytes first made the image; whoever made them again changed nothing.
                Kind::Provenance if said(claim) => continue,
                Kind::Provenance => about.provenance(self, lockfile).to_value(),
            };
            missing.push((kind.word(), Statement::of(*kind, image.clone(), predicate)));
        }
        Ok(missing)
    }

    /// Adds a signature to those that are at cosign 2's tag. The payloads of the others are in the layout.
    fn sign_at_the_tag(
        &self,
        image: &PinnedImage,
        mut signatures: Vec<SignedLayer>,
        layout: &Path,
    ) -> Result<Digest, SupplyError> {
        let layout = Layout::create(layout)?;
        signatures.push(SignedLayer::store(&SimpleSignature::sign(image, &self.key), &layout)?);
        Ok(store_signatures(&signatures, &layout)?.digest)
    }
}

impl Remote<'_> {
    /// Brings the image itself into the layout.
    async fn fetch_image(self, image: &PinnedImage) -> Result<(), SupplyError> {
        let reference = exactly(&image.repository, &image.digest);
        let pull =
            Pull { reference: &reference, platform: None, layout: self.layout, limits: Limits::default() };
        self.registry.pull(&pull, self.credentials, &mut |_| {}).await?;
        Ok(())
    }

    /// Pushes an artifact from the layout.
    async fn send(
        self,
        what: &'static str,
        image: &PinnedImage,
        manifest: &Digest,
        tags: &[String],
    ) -> Result<(), SupplyError> {
        let push =
            Push { layout: self.layout, manifest, repository: &image.repository, tags, mount_from: &[] };
        let pushed = self.registry.push(&push, self.credentials, &mut |_| {}).await;
        // A manifest that names a subject is listed, by the registry or by the push.
        let failed = |source| SupplyError::Attach { what, source: Box::new(source) };
        pushed.map(|_| ()).map_err(failed)
    }
}
