//! One blob on its way.
//!
//! ```text
//!   POST ?mount ──201, it is there───────────────────────────► done
//!         │202, an upload
//!         ▼            ┌──────────────◄───────── 404, lost ──┐
//!       POST           │                                  ┌──┘
//!         │202         │                                  │  │
//!         ▼            │    broken connection, 416, 5xx   │  │
//!    PATCH … PATCH ────┴──────────► HEAD, GET location ───┼──┘
//!         │                ▲               │ Range        │
//!         ▼                └───────────────┘              ▼
//!        PUT ?digest ──201──────────────────────────────► done
//! ```
//!
//! A blob that is not large, and every blob where the registry wants it so, goes up in the `PUT`.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderValue, RANGE};
use reqwest::{Body, Method, Response, StatusCode};
use url::Url;

use super::error::PushError;
use super::layout::Blob;
use super::place::{Known, Place};
use super::profile::Profile;
use super::{MountFrom, PushEvent};
use crate::document::Descriptor;
use crate::patience::Patience;
use crate::registry::{DIGEST_HEADER, may_pass, retry_after};
use crate::request::Attempt;
use crate::session::{Ask, Session, Trouble, warnings};

/// The smallest part a registry is offered after it found larger ones too large.
const LEAST_CHUNK: u64 = 1024 * 1024;

/// The part a registry is offered that finds a whole blob too large.
const SAFE_CHUNK: u64 = 4 * 1024 * 1024;

pub(crate) type Tell<'a> = Mutex<&'a mut (dyn FnMut(PushEvent) + Send)>;

/// What all uploads of a push share.
pub(crate) struct Uploads<'a> {
    pub(crate) session: &'a Session<'a>,
    pub(crate) layout: &'a Path,
    pub(crate) profile: &'static Profile,
    pub(crate) mount_from: &'a [MountFrom],
    /// Blobs that are in the repository.
    pub(crate) known: Mutex<Known>,
    pub(crate) tell: Tell<'a>,
}

/// Where an upload stands.
struct State {
    /// Where the registry wants the next part; nothing before it was asked.
    location: Option<Url>,
    /// How much the registry has.
    offset: u64,
    /// The most it ever had. Only more than that is progress.
    reached: u64,
    way: Way,
    /// Whether it once said that the bytes are wrong.
    spoiled: bool,
    /// Where a part began that the registry found out of range.
    unwanted: Option<u64>,
}

#[derive(Clone, Copy)]
enum Way {
    /// The rest in the last request.
    Whole,
    /// Parts of this size.
    Chunks(u64),
}

/// What follows a step.
enum Next {
    Done,
    Go,
    /// Ask the registry where it stands, then go on.
    Resync(Attempt, Option<std::time::Duration>),
    /// Begin anew.
    Restart(Attempt),
}

impl Uploads<'_> {
    pub(crate) fn tell(&self, event: PushEvent) {
        (self.tell.lock().unwrap_or_else(PoisonError::into_inner))(event);
    }

    /// Makes sure that the registry has the blob.
    pub(crate) async fn blob(&self, descriptor: &Descriptor) -> Result<(), PushError> {
        let what = format!("blob {}", descriptor.digest);
        let mut patience = Patience::new(self.session, &what);
        let there = || PushEvent::BlobExists { digest: descriptor.digest.clone(), size: descriptor.size };
        if self.remembers(&descriptor.digest) {
            self.tell(there());
            return Ok(());
        }
        let location = match self.place(descriptor, &mut patience).await? {
            Place::Here => {
                self.tell(there());
                return Ok(());
            }
            Place::Mounted(from) => {
                self.tell(PushEvent::BlobMounted { digest: descriptor.digest.clone(), from });
                return Ok(());
            }
            Place::Missing(location) => location,
        };
        let blob = Blob::open(self.layout, descriptor)?;
        let part = self.session.pace.part;
        let way = if self.profile.parts && blob.size > self.session.pace.whole {
            Way::Chunks(part)
        } else {
            Way::Whole
        };
        let mut state = State { location, offset: 0, reached: 0, way, spoiled: false, unwanted: None };
        loop {
            let next = match state.location.clone() {
                None => self.begin(&mut state, &what).await?,
                Some(location) => self.advance(&blob, &mut state, location, &what).await?,
            };
            match next {
                Next::Done => break,
                Next::Go => {
                    if state.offset > state.reached {
                        state.reached = state.offset;
                        patience.progressed();
                    }
                }
                Next::Restart(attempt) => {
                    patience.wait(attempt, None).await?;
                    self.restart(&blob, &mut state);
                }
                Next::Resync(attempt, after) => {
                    patience.wait(attempt, after).await?;
                    // The answer that was lost may have been the last one.
                    if self.exists(descriptor, &mut patience).await? {
                        break;
                    }
                    self.resync(&blob, &mut state, &mut patience).await?;
                }
            }
        }
        self.tell(PushEvent::BlobUploaded { digest: blob.digest.clone(), size: blob.size });
        Ok(())
    }

    /// Asks for a place to upload to.
    async fn begin(&self, state: &mut State, what: &str) -> Result<Next, PushError> {
        let mut ask = Ask::new(Method::POST, self.session.url("blobs/uploads/")?);
        ask.headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        let answer = match self.session.send(&ask, || None, None, &mut |_| {}).await {
            Ok(answer) => answer,
            Err(Trouble::Passing(attempt)) => return Ok(Next::Restart(attempt)),
            Err(Trouble::Lasting(error)) => return Err(error.into()),
        };
        self.hear(&answer);
        if may_pass(answer.status()) {
            let after = retry_after(&answer);
            return Ok(Next::Resync(self.session.attempt(answer).await, after));
        }
        if answer.status() != StatusCode::ACCEPTED {
            return Err(self.session.refused(answer, what).await.into());
        }
        if let (Way::Chunks(chunk), Some(least)) = (state.way, least_chunk(&answer)) {
            state.way = Way::Chunks(chunk.max(least));
        }
        let location = self.session.location(&answer)?;
        state.location = Some(location.ok_or_else(|| self.session.malformed("a location"))?);
        Ok(Next::Go)
    }

    /// Sends the next part, or the last request.
    async fn advance(
        &self,
        blob: &Arc<Blob>,
        state: &mut State,
        mut location: Url,
        what: &str,
    ) -> Result<Next, PushError> {
        let (end, last) = match state.way {
            Way::Chunks(chunk) if state.offset < blob.size => ((state.offset + chunk).min(blob.size), false),
            Way::Chunks(_) | Way::Whole => (blob.size, true),
        };
        let start = state.offset;
        if last {
            location.query_pairs_mut().append_pair("digest", blob.digest.as_str());
        }
        let mut ask = Ask::new(if last { Method::PUT } else { Method::PATCH }, location);
        ask.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        ask.headers.insert(CONTENT_LENGTH, (end - start).into());
        if end > start && !(last && start == 0) {
            let range = format!("{start}-{}", end - 1);
            ask.headers.insert(CONTENT_RANGE, HeaderValue::try_from(range).expect("digits are a header"));
        }
        let body = || (end > start).then(|| Body::wrap(blob.body(start, end)));
        let mut progress = |sent| {
            self.tell(PushEvent::Progress { digest: blob.digest.clone(), sent, total: blob.size });
        };
        let answer = match self.session.send(&ask, body, Some(&blob.sent), &mut progress).await {
            Ok(answer) => answer,
            Err(Trouble::Lasting(error)) => return Err(error.into()),
            // A blob that broke off looks like a broken connection from here.
            Err(Trouble::Passing(attempt)) => {
                return blob.trouble().map_or(Ok(Next::Resync(attempt, None)), Err);
            }
        };
        if let Some(error) = blob.trouble() {
            return Err(error);
        }
        self.hear(&answer);
        if !answer.status().is_success() {
            return self.turned_away(state, answer, last, what).await;
        }
        if last {
            self.stored(blob, &answer)?;
            return Ok(Next::Done);
        }
        if let Some(location) = self.session.location(&answer)? {
            state.location = Some(location);
        }
        let has = held(&answer, end).unwrap_or(end);
        if has <= start || has > end {
            // It takes parts and does not keep them.
            state.way = Way::Whole;
            return Ok(Next::Restart(self.session.attempt(answer).await));
        }
        state.offset = has;
        progress(has);
        Ok(Next::Go)
    }

    /// What to make of a part that was not taken.
    async fn turned_away(
        &self,
        state: &mut State,
        answer: Response,
        last: bool,
        what: &str,
    ) -> Result<Next, PushError> {
        let after = retry_after(&answer);
        match answer.status() {
            status if may_pass(status) => Ok(Next::Resync(self.session.attempt(answer).await, after)),
            StatusCode::RANGE_NOT_SATISFIABLE if !matches!(state.way, Way::Whole) => {
                // Where it wants the part that it was sent, it is the part that it does not like.
                if state.unwanted == Some(state.offset) {
                    state.way = match state.way {
                        Way::Chunks(chunk) if chunk > SAFE_CHUNK => Way::Chunks(SAFE_CHUNK),
                        _ => Way::Whole,
                    };
                }
                state.unwanted = Some(state.offset);
                Ok(Next::Resync(self.session.attempt(answer).await, None))
            }
            // The upload is not known any more.
            StatusCode::NOT_FOUND => Ok(Next::Restart(self.session.attempt(answer).await)),
            StatusCode::PAYLOAD_TOO_LARGE => {
                state.way = match state.way {
                    Way::Whole => Way::Chunks(SAFE_CHUNK),
                    Way::Chunks(chunk) if chunk > LEAST_CHUNK => Way::Chunks((chunk / 2).max(LEAST_CHUNK)),
                    Way::Chunks(_) => return Err(self.session.refused(answer, what).await.into()),
                };
                Ok(Next::Restart(self.session.attempt(answer).await))
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Err(self.session.refused(answer, what).await.into())
            }
            // Whatever it does not like about parts, it may like the whole.
            _ if !last => {
                state.way = Way::Whole;
                Ok(Next::Restart(self.session.attempt(answer).await))
            }
            // Bytes were changed on the way. Those on disk are known to be right.
            StatusCode::BAD_REQUEST if !state.spoiled => {
                state.spoiled = true;
                Ok(Next::Restart(self.session.attempt(answer).await))
            }
            _ => Err(self.session.refused(answer, what).await.into()),
        }
    }

    /// Finds out how much the registry has. Where it does not say, the upload begins anew.
    async fn resync(
        &self,
        blob: &Blob,
        state: &mut State,
        patience: &mut Patience<'_>,
    ) -> Result<(), PushError> {
        let (Way::Chunks(_), Some(location)) = (state.way, state.location.clone()) else {
            self.restart(blob, state);
            return Ok(());
        };
        let answer = self.persist(&Ask::new(Method::GET, location), None, patience).await?;
        let has = if answer.status().is_success() { held(&answer, blob.size) } else { None };
        match has {
            Some(has) if has <= blob.size => {
                if let Some(location) = self.session.location(&answer)? {
                    state.location = Some(location);
                }
                state.offset = has;
                self.tell(PushEvent::BlobResumed { digest: blob.digest.clone(), at: has });
            }
            _ => self.restart(blob, state),
        }
        Ok(())
    }

    fn restart(&self, blob: &Blob, state: &mut State) {
        if state.reached > 0 {
            self.tell(PushEvent::BlobResumed { digest: blob.digest.clone(), at: 0 });
        }
        state.location = None;
        state.offset = 0;
    }

    fn stored(&self, blob: &Blob, answer: &Response) -> Result<(), PushError> {
        let Some(header) = answer.headers().get(DIGEST_HEADER) else { return Ok(()) };
        let found = header.to_str().ok().and_then(|text| text.parse().ok());
        let found = found.ok_or_else(|| self.session.malformed("a digest"))?;
        if found == blob.digest {
            return Ok(());
        }
        let registry = self.session.registry().to_owned();
        Err(PushError::OtherDigest { registry, expected: blob.digest.clone(), found })
    }

    /// Sends something small, again and again while it may help, and listens to warnings.
    pub(crate) async fn persist(
        &self,
        ask: &Ask,
        body: Option<&bytes::Bytes>,
        patience: &mut Patience<'_>,
    ) -> Result<Response, PushError> {
        let answer = self.session.persist(ask, body, patience).await?;
        self.hear(&answer);
        Ok(answer)
    }

    fn hear(&self, answer: &Response) {
        for message in warnings(answer) {
            self.tell(PushEvent::Warning { message });
        }
    }
}

/// How many bytes the registry has, from `Range: 0-LAST`. Registries say `0-0` of nothing as well as of one byte; no part
/// has one byte, so it is nothing unless the blob is that small.
fn held(answer: &Response, end: u64) -> Option<u64> {
    let text = answer.headers().get(RANGE)?.to_str().ok()?;
    let last = text.trim_start_matches("bytes=").strip_prefix("0-")?.parse::<u64>().ok()?;
    Some(if last == 0 && end != 1 { 0 } else { last.checked_add(1)? })
}

/// The smallest part a registry takes, if it says so.
pub(crate) fn least_chunk(answer: &Response) -> Option<u64> {
    answer.headers().get("oci-chunk-min-length")?.to_str().ok()?.trim().parse().ok()
}
