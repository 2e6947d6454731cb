//! Where a blob is before anything of it is sent.
//!
//! What the manifest behind a tag names is there, and is not asked for. Otherwise one request asks for the blob and opens an
//! upload where it is missing: a mount of the blob from its own repository. Registries that do not take that are asked
//! plainly.

use std::collections::HashSet;
use std::sync::{MutexGuard, PoisonError};

use release_core::{Digest, Repository};
use reqwest::header::{CONTENT_LENGTH, HeaderValue};
use reqwest::{Method, StatusCode};
use url::Url;

use super::MountFrom;
use super::error::PushError;
use super::upload::{Uploads, least_chunk};
use crate::document::Descriptor;
use crate::patience::Patience;
use crate::session::{Ask, Trouble};

/// What need not be asked for.
#[derive(Default)]
pub(crate) struct Known {
    blobs: HashSet<Digest>,
    /// Whether it turned out that it has to be.
    doubted: bool,
}

/// Where a blob is.
pub(crate) enum Place {
    /// In the repository.
    Here,
    /// In the repository since it was taken over from this one.
    Mounted(Repository),
    /// Not there; an upload may have been opened by the way.
    Missing(Option<Url>),
}

/// What became of a mount.
enum Mount {
    Done,
    /// An upload began instead.
    Upload(Url),
    Refused,
}

impl Uploads<'_> {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers blobs that are in the repository.
    pub(crate) fn remember<'b>(&self, blobs: impl Iterator<Item = &'b Digest>) {
        self.known().blobs.extend(blobs.cloned());
    }

    /// Whether the blob is known to be in the repository.
    pub(crate) fn remembers(&self, blob: &Digest) -> bool {
        let known = self.known();
        !known.doubted && known.blobs.contains(blob)
    }

    /// Whether anything was taken for granted.
    pub(crate) fn trusts(&self) -> bool {
        !self.known().doubted
    }

    /// From now on everything is asked for.
    pub(crate) fn doubt(&self) {
        self.known().doubted = true;
    }

    /// Looks for the blob, here and in the repositories it could be taken over from.
    pub(crate) async fn place(
        &self,
        blob: &Descriptor,
        patience: &mut Patience<'_>,
    ) -> Result<Place, PushError> {
        let here = self.session.repository;
        let near: Vec<&Repository> =
            if self.profile.mount { self.sources(&blob.digest).collect() } else { Vec::new() };
        if self.profile.mount && near.is_empty() && self.trusts() {
            match self.mount(&blob.digest, here).await? {
                Mount::Done => return Ok(Place::Here),
                Mount::Upload(location) => return Ok(Place::Missing(Some(location))),
                Mount::Refused => {}
            }
        }
        if self.exists(blob, patience).await? {
            return Ok(Place::Here);
        }
        let mut upload = None;
        for from in near {
            match self.mount(&blob.digest, from).await? {
                Mount::Done => return Ok(Place::Mounted(from.clone())),
                Mount::Upload(location) => upload = Some(location),
                Mount::Refused => {}
            }
        }
        Ok(Place::Missing(upload))
    }

    /// Other repositories of the registry that may have the blob.
    fn sources(&self, blob: &Digest) -> impl Iterator<Item = &Repository> {
        let here = self.session.repository;
        let has = |from: &&MountFrom| from.blobs.is_empty() || from.blobs.contains(blob);
        let all = self.mount_from.iter().filter(has).map(|from| &from.repository);
        all.filter(|from| from.registry() == here.registry() && from.path() != here.path())
    }

    /// Whether the blob is there.
    pub(crate) async fn exists(
        &self,
        blob: &Descriptor,
        patience: &mut Patience<'_>,
    ) -> Result<bool, PushError> {
        let url = self.session.url(&format!("blobs/{}", blob.digest))?;
        let answer = self.persist(&Ask::new(Method::HEAD, url), None, patience).await?;
        match answer.status() {
            StatusCode::OK => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            _ => {
                let what = format!("a question about blob {}", blob.digest);
                Err(self.session.refused(answer, &what).await.into())
            }
        }
    }

    /// Asks the registry to take a blob over. A refusal is no failure: registries refuse for reasons of their own.
    async fn mount(&self, digest: &Digest, from: &Repository) -> Result<Mount, PushError> {
        let mut url = self.session.url("blobs/uploads/")?;
        url.query_pairs_mut().append_pair("mount", digest.as_str()).append_pair("from", from.path());
        let mut ask = Ask::new(Method::POST, url);
        ask.headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        let answer = match self.session.send(&ask, || None, None, &mut |_| {}).await {
            Ok(answer) => answer,
            Err(Trouble::Lasting(error)) => return Err(error.into()),
            Err(Trouble::Passing(_)) => return Ok(Mount::Refused),
        };
        Ok(match answer.status() {
            StatusCode::CREATED => Mount::Done,
            // One that wants its parts larger is asked again, and heard. Whatever is wrong with the place will be wrong with
            // the next one, and said then.
            StatusCode::ACCEPTED if least_chunk(&answer).is_none() => {
                self.session.location(&answer).ok().flatten().map_or(Mount::Refused, Mount::Upload)
            }
            _ => Mount::Refused,
        })
    }
}
