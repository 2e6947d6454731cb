//! Manifests: what a name stands for now, and giving it a new meaning.

use release_core::Digest;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Response, StatusCode};

use super::error::PushError;
use super::event::PushEvent;
use super::layout::Manifest;
use super::upload::Uploads;
use crate::document::{Document, OCI_INDEX};
use crate::patience::Patience;
use crate::referrers;
use crate::registry::{DIGEST_HEADER, MANIFESTS, MAX_MANIFEST_BYTES, bounded_body};
use crate::request::RequestError;
use crate::session::Ask;

/// What registries say when a manifest names something they do not have.
const UNKNOWN: &[&str] = &["MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN", "MANIFEST_UNKNOWN"];

/// What a name stands for.
pub(crate) enum Named {
    Digest(Digest),
    Nothing,
}

impl Uploads<'_> {
    /// What a tag stands for now. Its manifest is read, where that does not count as a pull: the blobs it names are there.
    pub(crate) async fn named(&self, tag: &str) -> Result<Named, PushError> {
        let method = if self.profile.counts_pulls { Method::HEAD } else { Method::GET };
        let answer = self.ask_for(tag, method).await?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Ok(Named::Nothing);
        }
        let said = digest_of(&answer);
        if self.profile.counts_pulls {
            return Ok(said.map_or(Named::Nothing, Named::Digest));
        }
        // Whatever is wrong with somebody else's manifest is no reason not to push ours.
        let Ok(bytes) = bounded_body(answer, MAX_MANIFEST_BYTES, self.session.registry()).await else {
            return Ok(said.map_or(Named::Nothing, Named::Digest));
        };
        if let Ok((Document::Image(image), _)) = Document::read(&bytes, &[]) {
            self.remember(image.blobs().map(|blob| &blob.digest));
        }
        Ok(Named::Digest(release_layout::digest(&bytes)))
    }

    /// Whether the manifest of this digest is there.
    pub(crate) async fn is_there(&self, digest: &Digest) -> Result<bool, PushError> {
        let answer = self.ask_for(digest.as_str(), Method::HEAD).await?;
        if answer.status() != StatusCode::OK {
            return Ok(false);
        }
        if let Some(found) = digest_of(&answer) {
            return Ok(found == *digest);
        }
        // The header is optional, and a login page in front of the registry says yes to everything. Bytes do not lie.
        let answer = self.ask_for(digest.as_str(), Method::GET).await?;
        if answer.status() != StatusCode::OK {
            return Ok(false);
        }
        let bytes = bounded_body(answer, MAX_MANIFEST_BYTES, self.session.registry()).await;
        Ok(release_layout::digest(&bytes.map_err(RequestError::Confirm)?) == *digest)
    }

    async fn ask_for(&self, reference: &str, method: Method) -> Result<Response, PushError> {
        let what = format!("a question about manifest {reference}");
        let mut patience = Patience::new(self.session, &what);
        let mut ask = Ask::new(method, self.session.url(&format!("manifests/{reference}"))?);
        ask.headers.insert(ACCEPT, HeaderValue::from_static(MANIFESTS));
        let answer = self.persist(&ask, None, &mut patience).await?;
        match answer.status() {
            StatusCode::OK | StatusCode::NOT_FOUND => Ok(answer),
            _ => Err(self.session.refused(answer, &what).await.into()),
        }
    }

    /// Gives a document a name. `false` when the registry misses something that we did not ask for because it should be
    /// there.
    pub(crate) async fn put(&self, document: &Manifest, name: &str) -> Result<bool, PushError> {
        match self.put_for_good(document, name).await {
            Err(PushError::Request(RequestError::Refused { codes, .. }))
                if self.trusts() && codes.iter().any(|code| UNKNOWN.contains(&code.code.as_str())) =>
            {
                Ok(false)
            }
            other => other.map(|()| true),
        }
    }

    /// Gives a document a name.
    pub(crate) async fn put_for_good(&self, document: &Manifest, name: &str) -> Result<(), PushError> {
        let answer = self.send_manifest(&document.bytes, &document.media_type, name).await?;
        if let Some(header) = answer.headers().get(DIGEST_HEADER) {
            let found: Option<Digest> = header.to_str().ok().and_then(|text| text.parse().ok());
            let found = found.ok_or_else(|| self.session.malformed("a digest"))?;
            if found != document.digest {
                let registry = self.session.registry().to_owned();
                return Err(PushError::OtherDigest { registry, expected: document.digest.clone(), found });
            }
        }
        self.tell(PushEvent::ManifestPushed { reference: name.to_owned() });
        let Document::Image(image) = &document.document else { return Ok(()) };
        self.remember(image.blobs().map(|blob| &blob.digest));
        match &image.subject {
            Some(subject) if !answer.headers().contains_key(referrers::SUBJECT_HEADER) => {
                self.list_by_hand(document, subject).await
            }
            _ => Ok(()),
        }
    }

    /// Keeps the [fallback tag](https://github.com/opencontainers/distribution-spec/blob/main/spec.md#referrers-tag-schema)
    /// of a registry without a list of referrers. Whoever writes it last wins, so it is looked at again afterwards.
    async fn list_by_hand(&self, document: &Manifest, subject: &Digest) -> Result<(), PushError> {
        let tag = referrers::fallback_tag(subject);
        for _ in 0..referrers::FALLBACK_TRIES {
            let answer = self.ask_for(&tag, Method::GET).await?;
            let known = match answer.status() {
                StatusCode::OK => {
                    let body = bounded_body(answer, MAX_MANIFEST_BYTES, self.session.registry()).await;
                    Some(body.map_err(RequestError::Confirm)?)
                }
                _ => None,
            };
            let with =
                referrers::with(known.as_deref(), &document.bytes, &document.media_type, &document.digest);
            match with.map_err(|()| self.session.malformed("a list of referrers"))? {
                None => return Ok(()),
                Some(bytes) => {
                    self.send_manifest(&bytes.into(), OCI_INDEX, &tag).await?;
                }
            }
        }
        Err(PushError::Unlisted { registry: self.session.registry().to_owned(), tag })
    }

    async fn send_manifest(
        &self,
        bytes: &bytes::Bytes,
        media_type: &str,
        name: &str,
    ) -> Result<Response, PushError> {
        let what = format!("manifest {name}");
        let mut patience = Patience::new(self.session, &what);
        let mut ask = Ask::new(Method::PUT, self.session.url(&format!("manifests/{name}"))?);
        let media_type = HeaderValue::try_from(media_type);
        ask.headers
            .insert(CONTENT_TYPE, media_type.map_err(|_| self.session.malformed("a kind of manifest"))?);
        let answer = self.persist(&ask, Some(bytes), &mut patience).await?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        Err(self.session.refused(answer, &what).await.into())
    }
}

fn digest_of(answer: &Response) -> Option<Digest> {
    answer.headers().get(DIGEST_HEADER)?.to_str().ok()?.parse().ok()
}
