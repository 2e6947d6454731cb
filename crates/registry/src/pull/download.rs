//! Documents and blobs on their way here.
//!
//! ```text
//!        ┌──────────────────── wrong bytes: from the beginning, three times at most ───┐
//!        ▼                                                                             │
//!   GET blob ──► hashed and written while it arrives ──► complete ──► right? ──► its name
//!        ▲                       │
//!        └── Range: bytes=N- ◄── connection broke, stalled, or ended early
//! ```

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use release_core::{Digest, ImageRef};
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_RANGE, CONTENT_TYPE, HeaderValue, RANGE};
use reqwest::{Method, Response, StatusCode};
use tokio::sync::mpsc;

use super::error::PullError;
use super::event::PullEvent;
use super::layout::{Partial, Store};
use super::{Fetched, Limits};
use crate::document::{Descriptor, Document};
use crate::patience::Patience;
use crate::registry::{DIGEST_HEADER, MANIFESTS, may_pass, retry_after};
use crate::request::Attempt;
use crate::session::{Ask, Session, Trouble, warnings};

/// How often something is fetched whose bytes are wrong: what was damaged on the way may be right the next time.
const TRIES: u32 = 3;

/// How many pieces wait for the disk. The HTTP client's have up to 400 KiB.
const PIECES: usize = 2;

/// How often progress is told.
const TELL: Duration = Duration::from_millis(250);

/// What all downloads of a pull share.
pub(crate) struct Downloads<'a> {
    pub(crate) session: &'a Session<'a>,
    pub(crate) store: &'a Store,
    pub(crate) limits: Limits,
    pub(crate) tell: Mutex<&'a mut (dyn FnMut(PullEvent) + Send)>,
}

/// How one answer ended.
enum End {
    /// Everything is here.
    Complete,
    /// Something is missing; when the registry wants to be asked again, if it says.
    Broken(Attempt, Option<Duration>),
    /// The registry believes that it sent everything.
    Short,
}

impl Downloads<'_> {
    pub(crate) fn tell(&self, event: PullEvent) {
        (self.tell.lock().unwrap_or_else(PoisonError::into_inner))(event);
    }

    /// What the reference stands for.
    pub(crate) async fn top(&self, reference: &ImageRef) -> Result<Fetched, PullError> {
        let what = format!("image `{reference}`");
        match &reference.digest {
            Some(digest) => match self.stored(digest, &[]) {
                Some(fetched) => Ok(fetched),
                None => self.fetch(digest.as_str(), Some(digest), None, &what).await,
            },
            None => self.fetch(reference.tag.as_deref().unwrap_or("latest"), None, None, &what).await,
        }
    }

    /// A document an index names.
    pub(crate) async fn document(&self, of: &Descriptor) -> Result<Fetched, PullError> {
        if of.size > self.limits.manifest_bytes {
            return Err(super::too_much(of, "bytes of a manifest", self.limits.manifest_bytes));
        }
        let fetched = if let Some(fetched) = self.stored(&of.digest, &[&of.media_type]) {
            fetched
        } else {
            let what = format!("manifest {}", of.digest);
            self.fetch(of.digest.as_str(), Some(&of.digest), Some(&of.media_type), &what).await?
        };
        if fetched.descriptor.size != of.size {
            return Err(self.other_size(of, fetched.descriptor.size));
        }
        Ok(fetched)
    }

    /// A document the layout has. One that cannot be used is fetched, so that the registry is to blame.
    fn stored(&self, digest: &Digest, sent_as: &[&str]) -> Option<Fetched> {
        let bytes = self.store.document(digest)?;
        let (document, kind) = Document::read(&bytes, sent_as).ok()?;
        let descriptor = Descriptor::new(&kind, digest.clone(), bytes.len() as u64);
        Some(Fetched { descriptor, document, bytes })
    }

    async fn fetch(
        &self,
        name: &str,
        expected: Option<&Digest>,
        kind: Option<&str>,
        what: &str,
    ) -> Result<Fetched, PullError> {
        let mut patience = Patience::new(self.session, what);
        let mut ask = Ask::new(Method::GET, self.session.url(&format!("manifests/{name}"))?);
        ask.headers.insert(ACCEPT, HeaderValue::from_static(MANIFESTS));
        let mut tries = 0;
        loop {
            let answer = self.session.persist(&ask, None, &mut patience).await?;
            self.hear(&answer);
            match answer.status() {
                StatusCode::OK => {}
                StatusCode::NOT_FOUND => return Err(self.not_found(what)),
                _ => return Err(self.session.refused(answer, what).await.into()),
            }
            let said = answer.headers().get(DIGEST_HEADER).map(|header| header.to_str().ok()?.parse().ok());
            let said: Option<Digest> =
                said.map(|digest| digest.ok_or_else(|| self.session.malformed("a digest"))).transpose()?;
            let sent_as = answer.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
            let sent_as: Vec<String> = sent_as.into_iter().chain(kind).map(str::to_owned).collect();
            let bytes = match self.body(answer).await? {
                Ok(bytes) => bytes,
                Err(attempt) => {
                    patience.wait(attempt, None).await?;
                    continue;
                }
            };
            let found = release_layout::digest(&bytes);
            // A tag stands for whatever the registry says, and its own word for that has to fit.
            let wanted = expected.or(said.as_ref()).unwrap_or(&found).clone();
            if found == wanted {
                let sent_as: Vec<&str> = sent_as.iter().map(String::as_str).collect();
                let (document, kind) = Document::read(&bytes, &sent_as)
                    .map_err(|why| PullError::Unsound { digest: found.clone(), why })?;
                let descriptor = Descriptor::new(&kind, found, bytes.len() as u64);
                return Ok(Fetched { descriptor, document, bytes });
            }
            tries += 1;
            if tries == TRIES {
                return Err(self.other_digest(&wanted, found));
            }
            patience.wait(Attempt::Damaged, None).await?;
        }
    }

    /// The whole of a document's answer, or why it broke off.
    async fn body(&self, mut answer: Response) -> Result<Result<Bytes, Attempt>, PullError> {
        let limit = self.limits.manifest_bytes;
        let mut bytes = Vec::new();
        loop {
            match self.piece(&mut answer).await {
                Ok(Some(piece)) if (bytes.len() + piece.len()) as u64 > limit => {
                    let registry = self.session.registry().to_owned();
                    return Err(PullError::LargeManifest { registry, most: limit });
                }
                Ok(Some(piece)) => bytes.extend_from_slice(&piece),
                Ok(None) => return Ok(Ok(bytes.into())),
                Err(attempt) => return Ok(Err(attempt)),
            }
        }
    }

    /// The next piece of an answer.
    async fn piece(&self, answer: &mut Response) -> Result<Option<Bytes>, Attempt> {
        let stall = self.session.pace.stall;
        match tokio::time::timeout(stall, answer.chunk()).await {
            Ok(piece) => piece.map_err(|error| Attempt::Connection(error.without_url())),
            Err(_) => Err(Attempt::Stalled(stall)),
        }
    }

    /// Makes sure that the layout has the blob.
    pub(crate) async fn blob(&self, blob: &Descriptor) -> Result<(), PullError> {
        let (digest, size) = (blob.digest.clone(), blob.size);
        if self.store.has(blob).await {
            self.tell(PullEvent::BlobExists { digest, size });
            return Ok(());
        }
        let what = format!("blob {digest}");
        let mut patience = Patience::new(self.session, &what);
        let mut partial = self.store.begin()?;
        let (mut reached, mut tries) = (0, 0);
        loop {
            let end;
            (partial, end) = self.stream(blob, partial, &what).await?;
            if partial.at > reached {
                (reached, tries) = (partial.at, 0);
                patience.progressed();
            }
            let (attempt, after) = match end {
                End::Complete if partial.digest() == digest => break,
                End::Complete => {
                    tries += 1;
                    if tries == TRIES {
                        return Err(self.other_digest(&digest, partial.digest()));
                    }
                    // Not to be reached again for this to count as progress.
                    reached = size;
                    partial.clear()?;
                    (Attempt::Damaged, None)
                }
                End::Short => {
                    tries += 1;
                    if tries == TRIES {
                        return Err(self.other_size(blob, partial.at));
                    }
                    (Attempt::Short { at: partial.at }, None)
                }
                End::Broken(attempt, after) => (attempt, after),
            };
            patience.wait(attempt, after).await?;
            self.tell(PullEvent::BlobResumed { digest: digest.clone(), at: partial.at });
        }
        self.store.keep(partial, &digest)?;
        self.tell(PullEvent::BlobPulled { digest, size });
        Ok(())
    }

    /// Asks for what is missing of a blob, and writes what comes.
    async fn stream(
        &self,
        blob: &Descriptor,
        mut partial: Partial,
        what: &str,
    ) -> Result<(Partial, End), PullError> {
        if partial.at == blob.size {
            return Ok((partial, End::Complete));
        }
        let mut ask = Ask::new(Method::GET, self.session.url(&format!("blobs/{}", blob.digest))?);
        ask.long = true;
        // The bytes that are named, not some encoding of them.
        ask.headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if partial.at > 0 {
            let range = format!("bytes={}-", partial.at);
            ask.headers.insert(RANGE, HeaderValue::try_from(range).expect("digits are a header"));
        }
        let answer = match self.session.send(&ask, || None, None, &mut |_| {}).await {
            Ok(answer) => answer,
            Err(Trouble::Passing(attempt)) => return Ok((partial, End::Broken(attempt, None))),
            Err(Trouble::Lasting(error)) => return Err(error.into()),
        };
        self.hear(&answer);
        match answer.status() {
            // It does not know of ranges.
            StatusCode::OK if partial.at > 0 => partial.clear()?,
            StatusCode::OK => {}
            StatusCode::PARTIAL_CONTENT if continues(&answer, partial.at) => {}
            StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE if partial.at > 0 => {
                partial.clear()?;
                return Ok((partial, End::Short));
            }
            StatusCode::NOT_FOUND => return Err(self.not_found(what)),
            status if may_pass(status) => {
                let after = retry_after(&answer);
                return Ok((partial, End::Broken(self.session.attempt(answer).await, after)));
            }
            _ => return Err(self.session.refused(answer, what).await.into()),
        }
        let left = blob.size - partial.at;
        if let Some(length) = answer.content_length().filter(|length| *length > left) {
            return Err(self.other_size(blob, partial.at.saturating_add(length)));
        }
        self.write(blob, partial, answer).await
    }

    /// Writes an answer to the disk while it arrives.
    async fn write(
        &self,
        blob: &Descriptor,
        partial: Partial,
        mut answer: Response,
    ) -> Result<(Partial, End), PullError> {
        let mut received = partial.at;
        let (sender, pieces) = mpsc::channel(PIECES);
        let writing = tokio::task::spawn_blocking(move || partial.drain(pieces));
        let mut told = Instant::now();
        let end = loop {
            match self.piece(&mut answer).await {
                Ok(Some(piece)) => {
                    received += piece.len() as u64;
                    if received > blob.size {
                        return Err(self.other_size(blob, received));
                    }
                    if sender.send(piece).await.is_err() {
                        // The disk is full, or worse; the writer says so.
                        break End::Short;
                    }
                    if told.elapsed() >= TELL {
                        told = Instant::now();
                        self.tell(PullEvent::Progress {
                            digest: blob.digest.clone(),
                            received,
                            total: blob.size,
                        });
                    }
                }
                Ok(None) if received == blob.size => break End::Complete,
                Ok(None) => break End::Short,
                Err(attempt) => break End::Broken(attempt, None),
            }
        };
        drop(sender);
        match writing.await {
            Ok(partial) => Ok((partial?, end)),
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    fn hear(&self, answer: &Response) {
        for message in warnings(answer) {
            self.tell(PullEvent::Warning { message });
        }
    }

    fn not_found(&self, what: &str) -> PullError {
        PullError::NotFound { registry: self.session.registry().to_owned(), what: what.to_owned() }
    }

    fn other_digest(&self, expected: &Digest, found: Digest) -> PullError {
        let registry = self.session.registry().to_owned();
        PullError::OtherDigest { registry, expected: expected.clone(), found }
    }

    fn other_size(&self, blob: &Descriptor, found: u64) -> PullError {
        let registry = self.session.registry().to_owned();
        PullError::OtherSize { registry, digest: blob.digest.clone(), expected: blob.size, found }
    }
}

/// Whether a part of a blob begins where it should: `Content-Range: bytes 100-199/200`.
fn continues(answer: &Response, at: u64) -> bool {
    let range = answer.headers().get(CONTENT_RANGE).and_then(|range| range.to_str().ok());
    range
        .and_then(|range| range.strip_prefix("bytes ")?.split('-').next()?.trim().parse().ok())
        .is_some_and(|start: u64| start == at)
}
