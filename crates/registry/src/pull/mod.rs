//! Pulling an image into an OCI image layout on disk.
//!
//! ```text
//!  manifest ──► an index? ──► the platform's manifest ──► config and layers, four at a time ──► manifests ──► index.json
//!   checked      choose            checked                  checked while they arrive             last         very last
//! ```
//!
//! Nothing a registry sends is believed: every byte is hashed on its way to the disk, every length is known before it is
//! read, and a file has its name only when it is complete and right. Memory does not grow with the size of blobs. Whoever
//! reads the layout meanwhile never sees an image that is not there as a whole.
//!
//! Not here: nothing is unpacked. The number of bytes that a compressed layer becomes is for whoever unpacks it to limit.

mod download;
mod error;
mod event;
mod layout;
mod sweep;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Mutex;

use futures::{StreamExt as _, TryStreamExt as _};
use release_core::{Credentials, Digest, ImageRef, PinnedImage, Platform};

use crate::Registry;
use crate::document::{Descriptor, Document};
use crate::session::{Aim, Session};
use download::Downloads;
use layout::{Entry, Store};

pub use error::PullError;
pub use event::PullEvent;

/// How many blobs travel at a time.
const PARALLEL: usize = 4;

/// How deep indexes may be nested. Nobody has been seen to need more than two levels.
const MAX_DEPTH: usize = 4;

/// What is pulled, and where to.
#[derive(Debug, Clone, Copy)]
pub struct Pull<'a> {
    /// The image. With a digest exactly that one, otherwise what the tag names now (`latest` when there is none).
    pub reference: &'a ImageRef,
    /// Which image of an index; all of them when there is none.
    pub platform: Option<&'a Platform>,
    /// The folder of an OCI image layout, which is made when it is not there. It is locked meanwhile.
    pub layout: &'a Path,
    /// What is too much.
    pub limits: Limits,
}

/// How much a registry may make us fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The largest manifest or index: the specification asks registries for 4 MiB.
    pub manifest_bytes: u64,
    /// The most layers of an image. Engines end at 127.
    pub layers: usize,
    /// The most manifests in all indexes.
    pub manifests: usize,
    /// The most bytes of everything together, as they are sent.
    pub total_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            manifest_bytes: crate::registry::MAX_MANIFEST_BYTES as u64,
            layers: 512,
            manifests: 1000,
            total_bytes: 64 * 1024 * 1024 * 1024,
        }
    }
}

/// A layout that is a cache of pulled images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cache {
    /// The most bytes it may have when something was added. What was not pulled for the longest time goes first; the image
    /// that is pulled stays in any case.
    pub most_bytes: u64,
    /// Whether a blob of the right size is believed to be right. For whoever checks blobs himself when he reads them.
    pub believe: bool,
}

/// An image that is in the layout now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    /// What the reference stands for: an index when it names one.
    pub image: PinnedImage,
    /// What the layout's index names: the manifest of the platform that was asked for, else the same digest as `image`.
    pub manifest: Digest,
}

impl Registry {
    /// Pulls an image. What is in the layout already is checked and not fetched again; an image with a digest that is there
    /// as a whole costs no request at all.
    ///
    /// # Errors
    /// A registry that does not let us in, has no such image, or fails for a minute and a half without progress; anything
    /// that is not what its digest says, too large, or kept elsewhere; a layout that cannot be written.
    pub async fn pull(
        &self,
        pull: &Pull<'_>,
        credentials: Option<&Credentials>,
        tell: &mut (dyn FnMut(PullEvent) + Send),
    ) -> Result<Pulled, PullError> {
        self.pull_to(pull, None, credentials, tell).await
    }

    /// Pulls an image into a layout that is a cache, which may be pulled into by others at the same time.
    ///
    /// # Errors
    /// As [`Registry::pull`].
    pub async fn pull_cached(
        &self,
        pull: &Pull<'_>,
        cache: Cache,
        credentials: Option<&Credentials>,
        tell: &mut (dyn FnMut(PullEvent) + Send),
    ) -> Result<Pulled, PullError> {
        self.pull_to(pull, Some(cache), credentials, tell).await
    }

    async fn pull_to(
        &self,
        pull: &Pull<'_>,
        cache: Option<Cache>,
        credentials: Option<&Credentials>,
        tell: &mut (dyn FnMut(PullEvent) + Send),
    ) -> Result<Pulled, PullError> {
        let repository = &pull.reference.repository;
        let session = Session::new(&self.clients, self.pace, repository, Aim::Pull, &[], credentials)?;
        let store = Store::open(pull.layout, cache).await?;
        let downloads =
            Downloads { session: &session, store: &store, limits: pull.limits, tell: Mutex::new(tell) };
        let mut found = Found::default();
        let top = downloads.top(pull.reference).await?;
        let image = repository.at(top.descriptor.digest.clone());
        let chosen = match (pull.platform, top.document.is_index()) {
            (Some(platform), true) => {
                let child = top.document.choose(platform).map_err(|available| PullError::NoPlatform {
                    image: pull.reference.to_string(),
                    wanted: platform.to_string(),
                    available,
                })?;
                let child = downloads.document(child).await?;
                found.count_bytes(&top, &pull.limits)?;
                // Not named by the layout's index, but found when the same digest is pulled again.
                store.put(&top.descriptor.digest, &top.bytes)?;
                child
            }
            _ => top,
        };
        if pull.platform.is_some() && chosen.document.is_index() {
            return Err(unsound(&chosen.descriptor, "it is an index in an index"));
        }
        let entry = Entry {
            name: pull.reference.to_string(),
            descriptor: chosen.descriptor.clone(),
            platform: pull.platform.cloned(),
        };
        downloads.collect(chosen, &mut found, &pull.limits).await?;
        // No closure: with one, the compiler does not see that the whole can be sent between threads.
        let mut blobs = Vec::new();
        for blob in &found.blobs {
            blobs.push(downloads.blob(blob));
        }
        futures::stream::iter(blobs).buffer_unordered(PARALLEL).try_collect::<()>().await?;
        if let (Some(platform), [one]) = (pull.platform, found.documents.as_slice()) {
            store.check_platform(&one.document, platform, &entry.name)?;
        }
        for fetched in &found.documents {
            store.put(&fetched.descriptor.digest, &fetched.bytes)?;
        }
        store.name(&entry)?;
        if let Some(cache) = cache.filter(|_| store.has_grown()) {
            store.sweep(cache.most_bytes)?;
        }
        downloads.tell(PullEvent::Pulled { reference: image.clone() });
        Ok(Pulled { image, manifest: entry.descriptor.digest })
    }
}

fn unsound(what: &Descriptor, why: &'static str) -> PullError {
    PullError::Unsound { digest: what.digest.clone(), why }
}

fn too_much(of: &Descriptor, what: &'static str, most: u64) -> PullError {
    PullError::TooMuch { digest: of.digest.clone(), what, most }
}

/// A manifest or an index, as bytes and as what it says.
#[derive(Debug)]
struct Fetched {
    descriptor: Descriptor,
    document: Document,
    bytes: bytes::Bytes,
}

/// Everything that belongs to what is pulled.
#[derive(Debug, Default)]
struct Found {
    documents: Vec<Fetched>,
    /// Each once.
    blobs: Vec<Descriptor>,
    bytes: u64,
}

impl Found {
    fn count_bytes(&mut self, fetched: &Fetched, limits: &Limits) -> Result<(), PullError> {
        self.add_bytes(fetched.bytes.len() as u64, &fetched.descriptor, limits)
    }

    fn add_bytes(&mut self, size: u64, of: &Descriptor, limits: &Limits) -> Result<(), PullError> {
        self.bytes = self.bytes.saturating_add(size);
        if self.bytes > limits.total_bytes {
            return Err(too_much(of, "bytes", limits.total_bytes));
        }
        Ok(())
    }

    fn add_blob(&mut self, blob: &Descriptor, limits: &Limits) -> Result<(), PullError> {
        match self.blobs.iter().find(|known| known.digest == blob.digest) {
            Some(known) if known.size == blob.size => Ok(()),
            Some(_) => Err(unsound(blob, "two descriptors give it two sizes")),
            None => {
                self.add_bytes(blob.size, blob, limits)?;
                self.blobs.push(blob.clone());
                Ok(())
            }
        }
    }
}

impl Downloads<'_> {
    /// Finds everything that `first` names, fetching documents and no blobs.
    async fn collect(&self, first: Fetched, found: &mut Found, limits: &Limits) -> Result<(), PullError> {
        let mut open = vec![(first, 0)];
        while let Some((fetched, depth)) = open.pop() {
            found.count_bytes(&fetched, limits)?;
            match &fetched.document {
                Document::Image(image) => {
                    if image.layers.len() > limits.layers {
                        return Err(too_much(&fetched.descriptor, "layers", limits.layers as u64));
                    }
                    for blob in image.blobs() {
                        found.add_blob(blob, limits)?;
                    }
                }
                Document::Index(_) if depth == MAX_DEPTH => {
                    return Err(too_much(&fetched.descriptor, "levels of indexes", MAX_DEPTH as u64));
                }
                Document::Index(children) => {
                    if found.documents.len() + open.len() + children.len() > limits.manifests {
                        return Err(too_much(&fetched.descriptor, "manifests", limits.manifests as u64));
                    }
                    for child in children {
                        let known = |other: &Descriptor| other.digest == child.descriptor.digest;
                        let seen = found.documents.iter().any(|other| known(&other.descriptor))
                            || open.iter().any(|(other, _)| known(&other.descriptor));
                        if !seen {
                            open.push((self.document(&child.descriptor).await?, depth + 1));
                        }
                    }
                }
            }
            found.documents.push(fetched);
        }
        Ok(())
    }
}
