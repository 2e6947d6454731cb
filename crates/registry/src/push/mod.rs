//! Pushing an image, or an index of images, from an OCI image layout on disk.
//!
//! ```text
//!  what does the tag name now? ──the same──► confirmed
//!        │another, or nothing
//!        ▼
//!  layers, four at a time ──► config ──► manifest under each name ──► confirmed by digest
//! ```
//!
//! The order is the promise: nobody finds a manifest before everything it names is there; the images of an index go before
//! the index. What the manifest behind a tag is made of need not be asked for again. Memory does not grow with the size of
//! blobs. Vendors' habits are a table (`profile.rs`), how a blob travels is a picture (`upload.rs`).

mod body;
mod error;
mod event;
mod layout;
mod place;
mod profile;
mod put;
#[cfg(test)]
mod tests;
mod upload;

use std::collections::HashSet;
use std::path::Path;
use std::sync::Mutex;

use futures::{StreamExt as _, TryStreamExt as _};
use release_core::{Credentials, Digest, PinnedImage, Repository};

use crate::document::{Document, Image};
use crate::request::RequestError;
use crate::session::{Aim, Session};
use crate::{ConfirmError, Registry};
use layout::Manifest;
use profile::Profile;
use put::Named;
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
    /// The manifest in it, or the index.
    pub manifest: &'a Digest,
    /// Where it goes.
    pub repository: &'a Repository,
    /// What it is called there; its digest alone when empty.
    pub tags: &'a [String],
    /// Repositories of the same registry that may have some of the blobs already.
    pub mount_from: &'a [MountFrom],
}

/// A repository that has blobs of what is pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountFrom {
    /// Which.
    pub repository: Repository,
    /// The blobs it has, so that it is not asked for others; any of them when empty.
    pub blobs: Vec<Digest>,
}

impl From<Repository> for MountFrom {
    /// A repository that may have anything.
    fn from(repository: Repository) -> Self {
        Self { repository, blobs: Vec::new() }
    }
}

impl Registry {
    /// Pushes an image, and asks the registry for exactly its digest in the end. What the registry has already is not sent.
    /// An index goes with all its images. A manifest that is about another one, as signatures are, is found by
    /// [`Registry::referrers`] afterwards.
    ///
    /// # Errors
    /// A damaged layout, a registry that does not let us in or refuses something, one that never answers for ten seconds, and one
    /// that fails for a minute and a half without progress. What was sent until then is found again by the next attempt.
    pub async fn push(
        &self,
        push: &Push<'_>,
        credentials: Option<&Credentials>,
        tell: &mut (dyn FnMut(PushEvent) + Send),
    ) -> Result<PinnedImage, PushError> {
        let mut documents = Manifest::tree(push.layout, push.manifest)?;
        let near = |from: &&MountFrom| from.repository.registry() == push.repository.registry();
        let also: Vec<Repository> =
            push.mount_from.iter().filter(near).map(|from| from.repository.clone()).collect();
        let session = Session::new(&self.clients, self.pace, push.repository, Aim::Push, &also, credentials)?;
        let uploads = Uploads {
            session: &session,
            layout: push.layout,
            profile: Profile::expected(self.vendor, push.repository.registry()),
            mount_from: push.mount_from,
            known: Mutex::default(),
            tell: Mutex::new(tell),
        };
        let pushed = push.repository.at(push.manifest.clone());
        // The tree ends with what was asked for.
        if let Some(top) = documents.pop() {
            uploads.all(&top, &documents, push.tags, &pushed).await?;
        }
        uploads.tell(PushEvent::Confirmed { reference: pushed.clone() });
        Ok(pushed)
    }
}

impl Uploads<'_> {
    async fn all(
        &self,
        top: &Manifest,
        below: &[Manifest],
        tags: &[String],
        pushed: &PinnedImage,
    ) -> Result<(), PushError> {
        let digest = top.digest.as_str();
        let (mut missing, mut fresh) = (Vec::new(), true);
        for tag in tags {
            match self.named(tag).await? {
                Named::Digest(found) if found == top.digest => {
                    self.tell(PushEvent::ManifestExists { reference: tag.clone() });
                    continue;
                }
                // What is behind a tag that moves is most likely not this image under another name.
                Named::Digest(_) => fresh = false,
                Named::Nothing => {}
            }
            missing.push(tag.as_str());
        }
        if missing.is_empty() && !tags.is_empty() {
            return Ok(());
        }
        if fresh && self.is_there(&top.digest).await? {
            self.tell(PushEvent::ManifestExists { reference: digest.to_owned() });
            match &top.document {
                // Its list may not have been written any more.
                Document::Image(Image { subject: Some(_), .. }) if tags.is_empty() => missing.push(digest),
                _ if tags.is_empty() => return Ok(()),
                _ => {}
            }
        } else {
            for document in below {
                if !self.is_there(&document.digest).await? {
                    self.complete(document, &[document.digest.as_str()]).await?;
                }
            }
            if tags.is_empty() {
                missing.push(digest);
            }
            self.blobs_of(top).await?;
        }
        self.put_all(top, &missing).await?;
        if self.is_there(&top.digest).await? {
            return Ok(());
        }
        let registry = self.session.registry().to_owned();
        let missing = ConfirmError::NotFound { registry, image: pushed.to_string() };
        Err(RequestError::Confirm(missing).into())
    }

    /// Sends a document and the blobs it names.
    async fn complete(&self, document: &Manifest, names: &[&str]) -> Result<(), PushError> {
        self.blobs_of(document).await?;
        self.put_all(document, names).await
    }

    async fn blobs_of(&self, document: &Manifest) -> Result<(), PushError> {
        match &document.document {
            Document::Image(image) => self.blobs(image).await,
            Document::Index(_) => Ok(()),
        }
    }

    async fn put_all(&self, document: &Manifest, names: &[&str]) -> Result<(), PushError> {
        for name in names {
            if !self.put(document, name).await? {
                // Something that we took for granted is not there. Now everything is asked for.
                self.doubt();
                self.blobs_of(document).await?;
                self.put_for_good(document, name).await?;
            }
        }
        Ok(())
    }

    async fn blobs(&self, image: &Image) -> Result<(), PushError> {
        let mut seen = HashSet::from([&image.config.digest]);
        // No closure: with one, the compiler does not see that the whole can be sent between threads.
        let mut layers = Vec::new();
        for layer in &image.layers {
            if seen.insert(&layer.digest) {
                layers.push(self.blob(layer));
            }
        }
        futures::stream::iter(layers).buffer_unordered(PARALLEL).try_collect::<()>().await?;
        self.blob(&image.config).await
    }
}
