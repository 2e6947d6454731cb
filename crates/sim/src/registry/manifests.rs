//! Manifests: pushed, pulled and deleted, by tag or by digest.

use bytes::BytesMut;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderName, RETRY_AFTER};
use http::{Method, StatusCode};
use release_core::MonoTime;
use serde_json::json;

use super::access::Access;
use super::answer::{Code, DIGEST, Draft, Refusal, Reply, text};
use super::auth::Principal;
use super::digest::Digest;
use super::dispatch::Opened;
use super::exchange::{Call, ManifestPush, Plan};
use super::fault::Fault;
use super::machine::Registry;
use super::manifest::{self, IMAGE, Parsed};
use super::route::{Reference, is_tag};
use super::store::Manifest;
use super::trace::Event;

const SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
const TAG: HeaderName = HeaderName::from_static("oci-tag");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");

/// The most tags that one push can set.
const MAX_TAGS: usize = 32;

/// The most tags that somebody else means to move.
const MAX_MOVES: usize = 10_000;

impl Registry {
    /// `GET` or `HEAD` of a manifest.
    pub(super) fn get_manifest(
        &mut self,
        call: &Call<'_>,
        principal: &Principal,
        name: &str,
        reference: &Reference,
    ) -> Reply {
        let (digest, manifest) = self.find_manifest(name, reference)?;
        if self.profile.hides_unaccepted && !accepts(call, &manifest.media_type) {
            let why = format!("it is {}, which the request does not accept", manifest.media_type);
            return Err(Refusal::new(Code::ManifestUnknown).says(why));
        }
        let mut draft = Draft::new(StatusCode::OK).header(DIGEST, digest.as_str());
        if let Some((limit, remaining)) = self.count_pull(call, principal)? {
            draft = draft.header(LIMIT, limit).header(REMAINING, remaining);
        }
        Ok(draft.body(&manifest.media_type, manifest.bytes))
    }

    fn find_manifest(&self, name: &str, reference: &Reference) -> Result<(Digest, Manifest), Refusal> {
        let repository = self.store.repository(name).ok_or_else(|| Refusal::new(Code::NameUnknown))?;
        let digest = match reference {
            Reference::Digest(digest) => Some(digest),
            Reference::Tag(tag) => repository.tag(tag),
        };
        digest
            .and_then(|digest| Some((digest.clone(), repository.manifest(digest)?.clone())))
            .ok_or_else(|| Refusal::new(Code::ManifestUnknown))
    }

    /// Counts a pull against the limit of those without a password; gives the headers that say so.
    fn count_pull(
        &mut self,
        call: &Call<'_>,
        principal: &Principal,
    ) -> Result<Option<(String, String)>, Refusal> {
        let restricted = matches!(self.access, Access::Restricted { .. });
        let limited = restricted && *principal == Principal::Anonymous;
        let Some(limit) = self.profile.pull_limit.filter(|_| limited) else { return Ok(None) };
        let live = self.pulls.filter(|(since, _)| call.now.since(*since) < limit.per);
        let (since, count) = live.unwrap_or((call.now, 0));
        let counts = u32::from(*call.method == Method::GET);
        if count + counts > limit.pulls {
            let wait = limit.per.saturating_sub(call.now.since(since)).as_secs().max(1);
            return Err(Refusal::new(Code::TooManyRequests).header(RETRY_AFTER, wait.to_string()));
        }
        self.pulls = Some((since, count + counts));
        let window = limit.per.as_secs();
        let left = limit.pulls - count - counts;
        Ok(Some((format!("{};w={window}", limit.pulls), format!("{left};w={window}"))))
    }

    /// The head of a `PUT` of a manifest.
    pub(super) fn open_manifest(
        &mut self,
        call: &Call<'_>,
        name: &str,
        reference: &Reference,
    ) -> Result<Opened, Refusal> {
        if call.length().is_some_and(|length| length > self.profile.max_manifest_bytes) {
            return Err(too_large());
        }
        let tags: Vec<String> = match reference {
            Reference::Tag(tag) => vec![tag.clone()],
            Reference::Digest(_) => call.params.all("tag").map(ToOwned::to_owned).collect(),
        };
        if tags.len() > MAX_TAGS || !tags.iter().all(|tag| is_tag(tag)) {
            return Err(Refusal::new(Code::TagInvalid));
        }
        Ok(Opened::Body(Plan::Manifest(ManifestPush {
            repository: name.to_owned(),
            reference: reference.clone(),
            tags,
            media_type: text(call.headers, &CONTENT_TYPE).map(ToOwned::to_owned),
            body: BytesMut::new(),
            base: call.base.clone(),
        })))
    }

    /// Takes a piece of a manifest.
    pub(super) fn grow_manifest(&self, push: &mut ManifestPush, piece: &[u8]) -> Result<(), Refusal> {
        if (push.body.len() + piece.len()) as u64 > self.profile.max_manifest_bytes {
            return Err(too_large());
        }
        push.body.extend_from_slice(piece);
        Ok(())
    }

    /// The manifest is here.
    pub(super) fn put_manifest(&mut self, push: ManifestPush, now: MonoTime) -> Reply {
        let bytes = push.body.freeze();
        let name = push.repository.as_str();
        let digest = match &push.reference {
            Reference::Tag(_) => Digest::of(&bytes),
            Reference::Digest(digest) if digest.same_kind_of(std::slice::from_ref(&bytes)) == *digest => {
                digest.clone()
            }
            Reference::Digest(digest) => {
                return Err(Refusal::new(Code::DigestInvalid).detail(json!({ "digest": digest.as_str() })));
            }
        };
        let parsed = manifest::parse(push.media_type.as_deref(), &bytes)?;
        self.check_references(name, &parsed, now)?;
        let Parsed { media_type, subject, artifact_type, annotations, .. } = parsed;
        let media_type = media_type.to_owned();
        let manifest = Manifest { media_type, bytes, subject: subject.clone(), artifact_type, annotations };
        let at = digest.to_string();
        if self.strike(|fault| matches!(fault, Fault::Lost), name, &at, now).is_none() {
            self.store.add_manifest(name, &digest, manifest)?;
            for tag in &push.tags {
                self.store.set_tag(name, tag, digest.clone())?;
                self.maybe_move_later(name, tag, now);
            }
        }
        let mut response = self.created(&push.base, &format!("/v2/{name}/manifests/{digest}"), &digest);
        let mut set = |header: HeaderName, value: &str| {
            if let Ok(value) = value.parse() {
                response.headers_mut().append(header, value);
            }
        };
        if matches!(push.reference, Reference::Digest(_)) {
            push.tags.iter().for_each(|tag| set(TAG, tag));
        }
        if let Some(subject) = subject.filter(|_| self.profile.referrers) {
            set(SUBJECT, subject.as_str());
        }
        Ok(response)
    }

    /// Everything the manifest needs has to be in its repository. Its subject need not.
    fn check_references(&self, name: &str, parsed: &Parsed, now: MonoTime) -> Result<(), Refusal> {
        let repository = self.store.repository(name);
        let has_blob = |digest: &&Digest| repository.is_some_and(|found| found.has_blob(digest, now));
        let has_manifest =
            |digest: &&Digest| repository.is_some_and(|found| found.manifest(digest).is_some());
        let mut missing: Vec<&Digest> = parsed.blobs.iter().filter(|digest| !has_blob(digest)).collect();
        if !self.profile.sparse_indexes {
            missing.extend(parsed.manifests.iter().filter(|digest| !has_manifest(digest)));
        }
        if missing.is_empty() {
            return Ok(());
        }
        let refusal = Refusal::new(Code::ManifestBlobUnknown);
        Err(missing
            .into_iter()
            .fold(refusal, |refusal, digest| refusal.detail(json!({ "digest": digest.as_str() }))))
    }

    /// `DELETE` of a manifest, or of a tag.
    pub(super) fn delete_manifest(&mut self, name: &str, reference: &Reference) -> Reply {
        if self.store.repository(name).is_none() {
            return Err(Refusal::new(Code::NameUnknown));
        }
        let (allowed, removed) = match reference {
            Reference::Tag(tag) => {
                let allowed = self.profile.deletes_tags;
                (allowed, allowed && self.store.remove_tag(name, tag))
            }
            Reference::Digest(digest) => {
                let allowed = self.profile.deletes_manifests;
                (allowed, allowed && self.store.remove_manifest(name, digest))
            }
        };
        match (allowed, removed) {
            (false, _) => Err(Refusal::new(Code::Unsupported)),
            (true, false) => Err(Refusal::new(Code::ManifestUnknown)),
            (true, true) => Ok(Draft::new(StatusCode::ACCEPTED).empty()),
        }
    }

    /// Perhaps somebody else will move this tag.
    fn maybe_move_later(&mut self, name: &str, tag: &str, now: MonoTime) {
        if self.moves.len() >= MAX_MOVES {
            return;
        }
        let moves = |fault: &Fault| matches!(fault, Fault::TagMoves(_));
        if let Some(Fault::TagMoves(after)) = self.strike(moves, name, tag, now) {
            self.moves.push((now + after, name.to_owned(), tag.to_owned()));
        }
    }

    /// Somebody else moves the tags whose time has come, to images of their own.
    pub(super) fn move_tags(&mut self, now: MonoTime) {
        let due: Vec<_> = self.moves.extract_if(.., |(at, ..)| *at <= now).collect();
        for (_, name, tag) in due {
            // The store may be full; then the other one's push fails, too.
            if let Ok(to) = self.push_foreign(&name, &tag, now) {
                self.note(Event::TagMoved { repository: name, tag, to }, now);
            }
        }
    }

    fn push_foreign(&mut self, name: &str, tag: &str, now: MonoTime) -> Result<Digest, Refusal> {
        let config = b"{}".as_slice();
        let blob = Digest::of(config);
        self.store.take(config.len() as u64)?;
        self.store.add_blob(name, &blob, config.into(), now)?;
        let annotations = json!({ "release-sim/pushed-by": self.random_id() });
        let media_type = "application/vnd.oci.empty.v1+json";
        let document = json!({
            "schemaVersion": 2,
            "mediaType": IMAGE,
            "config": { "mediaType": media_type, "digest": blob.as_str(), "size": config.len() },
            "layers": [],
            "annotations": annotations,
        });
        let bytes = document.to_string().into_bytes();
        let digest = Digest::of(&bytes);
        let manifest = Manifest {
            media_type: IMAGE.to_owned(),
            bytes: bytes.into(),
            subject: None,
            artifact_type: Some(media_type.to_owned()),
            annotations: Some(annotations),
        };
        self.store.add_manifest(name, &digest, manifest)?;
        self.store.set_tag(name, tag, digest.clone())?;
        Ok(digest)
    }
}

fn too_large() -> Refusal {
    Refusal::new(Code::SizeInvalid).status(StatusCode::PAYLOAD_TOO_LARGE).says("the manifest is too large")
}

/// Whether a request names a media type, or does not care.
fn accepts(call: &Call<'_>, media_type: &str) -> bool {
    let mut named = call.headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).peekable();
    let fits = |one: &str| {
        let one = one.split(';').next().unwrap_or_default().trim();
        one == media_type || one == "*/*" || one == "application/*"
    };
    named.peek().is_none() || named.any(|value| value.split(',').any(fits))
}
