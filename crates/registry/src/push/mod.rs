//! Pushing an image from an OCI image layout on disk.
//!
//! ```text
//!  manifest there already? ──yes──► confirmed
//!        │no
//!        ▼
//!  layers, four at a time ──► config ──► manifest under each name ──► confirmed by digest
//! ```
//!
//! The order is the promise: nobody finds a manifest before everything it names is there. Memory does not grow with the
//! size of blobs. Vendors' habits are a table (`profile.rs`), how a blob travels is a picture (`upload.rs`).

mod body;
mod error;
mod event;
mod layout;
mod profile;
#[cfg(test)]
mod tests;
mod upload;

use std::path::Path;
use std::sync::Mutex;

use futures::{StreamExt as _, TryStreamExt as _};
use release_core::{Credentials, Digest, PinnedImage, Repository};
use reqwest::Method;
use reqwest::StatusCode;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue};

use crate::patience::Patience;
use crate::registry::{DIGEST_HEADER, MANIFESTS};
use crate::request::RequestError;
use crate::session::{Aim, Ask, Session};
use crate::{ConfirmError, Registry};
use layout::Manifest;
use profile::Profile;
use upload::Uploads;

pub use error::PushError;
pub use event::PushEvent;

/// How many blobs travel at a time. Each holds about 1 MiB; more connections seldom make a registry faster.
const PARALLEL: usize = 4;

/// What is pushed, and where to.
#[derive(Debug, Clone, Copy)]
pub struct Push<'a> {
    /// The folder of an OCI image layout.
    pub layout: &'a Path,
    /// The manifest in it.
    pub manifest: &'a Digest,
    /// Where it goes.
    pub repository: &'a Repository,
    /// What it is called there; its digest alone when empty.
    pub tags: &'a [String],
    /// Repositories of the same registry that may have some of the blobs already.
    pub mount_from: &'a [Repository],
}

impl Registry {
    /// Pushes an image, and asks the registry for exactly its digest in the end. What the registry has already is not sent.
    ///
    /// # Errors
    /// A damaged layout, a registry that does not let us in or refuses something, and one that fails for a minute and a half
    /// without progress. What was sent until then is found again by the next attempt.
    pub async fn push(
        &self,
        push: &Push<'_>,
        credentials: Option<&Credentials>,
        tell: &mut (dyn FnMut(PushEvent) + Send),
    ) -> Result<PinnedImage, PushError> {
        let manifest = Manifest::read(push.layout, push.manifest)?;
        let session =
            Session::new(&self.clients, self.pace, push.repository, Aim::Push, push.mount_from, credentials)?;
        let uploads = Uploads {
            session: &session,
            layout: push.layout,
            profile: Profile::of(push.repository.registry()),
            mount_from: push.mount_from,
            tell: Mutex::new(tell),
        };
        let pushed = push.repository.at(push.manifest.clone());
        let mut missing = Vec::new();
        for tag in push.tags {
            if uploads.manifest_is_there(tag, push.manifest).await? {
                uploads.tell(PushEvent::ManifestExists { reference: tag.clone() });
            } else {
                missing.push(tag.as_str());
            }
        }
        if !missing.is_empty() || push.tags.is_empty() {
            let digest = push.manifest.as_str();
            let there = uploads.manifest_is_there(digest, push.manifest).await?;
            if there {
                uploads.tell(PushEvent::ManifestExists { reference: digest.to_owned() });
            } else {
                uploads.blobs(&manifest).await?;
            }
            if push.tags.is_empty() && !there {
                missing.push(digest);
            }
            for reference in &missing {
                uploads.manifest(&manifest, reference, push.manifest).await?;
            }
            if !missing.is_empty() && !uploads.manifest_is_there(digest, push.manifest).await? {
                let registry = push.repository.registry().to_owned();
                let missing = ConfirmError::NotFound { registry, image: pushed.to_string() };
                return Err(RequestError::Confirm(missing).into());
            }
        }
        uploads.tell(PushEvent::Confirmed { reference: pushed.clone() });
        Ok(pushed)
    }
}

impl Uploads<'_> {
    async fn blobs(&self, manifest: &Manifest) -> Result<(), PushError> {
        let layers = manifest.layers.iter().map(|layer| self.blob(layer));
        futures::stream::iter(layers).buffer_unordered(PARALLEL).try_collect::<()>().await?;
        self.blob(&manifest.config).await
    }

    /// Whether the manifest of this digest is there under this name.
    async fn manifest_is_there(&self, reference: &str, digest: &Digest) -> Result<bool, PushError> {
        let what = format!("a question about manifest {reference}");
        let mut patience = Patience::new(self.session, &what);
        let mut ask = Ask::new(Method::HEAD, self.session.url(&format!("manifests/{reference}"))?);
        ask.headers.insert(ACCEPT, HeaderValue::from_static(MANIFESTS));
        let answer = self.persist(&ask, None, &mut patience).await?;
        let found = answer.headers().get(DIGEST_HEADER).and_then(|header| header.to_str().ok());
        match answer.status() {
            // Without the header a digest can only be the one that was asked for, and a tag can be anything.
            StatusCode::OK => {
                Ok(found.map_or(reference == digest.as_str(), |found| found == digest.as_str()))
            }
            StatusCode::NOT_FOUND => Ok(false),
            _ => Err(self.session.refused(answer, &what).await.into()),
        }
    }

    async fn manifest(&self, manifest: &Manifest, reference: &str, digest: &Digest) -> Result<(), PushError> {
        let what = format!("manifest {reference}");
        let mut patience = Patience::new(self.session, &what);
        let mut ask = Ask::new(Method::PUT, self.session.url(&format!("manifests/{reference}"))?);
        let media_type = HeaderValue::try_from(manifest.media_type.as_str());
        ask.headers
            .insert(CONTENT_TYPE, media_type.map_err(|_| self.session.malformed("a kind of manifest"))?);
        let answer = self.persist(&ask, Some(&manifest.bytes), &mut patience).await?;
        if !answer.status().is_success() {
            return Err(self.session.refused(answer, &what).await.into());
        }
        if let Some(header) = answer.headers().get(DIGEST_HEADER) {
            let found: Option<Digest> = header.to_str().ok().and_then(|text| text.parse().ok());
            let found = found.ok_or_else(|| self.session.malformed("a digest"))?;
            if found != *digest {
                let registry = self.session.registry().to_owned();
                return Err(PushError::OtherDigest { registry, expected: digest.clone(), found });
            }
        }
        self.tell(PushEvent::ManifestPushed { reference: reference.to_owned() });
        Ok(())
    }
}
