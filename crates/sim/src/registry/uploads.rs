//! Uploads of blobs: opened, fed in chunks, asked about, closed or cancelled.

use std::collections::BTreeMap;
use std::time::Duration;

use http::header::{CONTENT_RANGE, HeaderName, LOCATION, RANGE};
use http::{Response, StatusCode};
use release_core::MonoTime;
use serde_json::json;

use super::answer::{Code, DIGEST, Draft, Refusal, Reply, text};
use super::auth::Principal;
use super::content::{Content, Growing};
use super::digest::{Digest, hex};
use super::dispatch::Opened;
use super::exchange::{Append, Call, Plan};
use super::fault::Fault;
use super::machine::Registry;
use super::profile::{Chunks, Locations};
use super::range;
use super::route::query;

/// The most uploads that are open at once. Clients open half a dozen.
const MAX_UPLOADS: usize = 1_024;

/// How long an upload lives after its last byte.
const UPLOAD_LIFE: Duration = Duration::from_secs(60 * 60);

const UPLOAD_ID: HeaderName = HeaderName::from_static("docker-upload-uuid");
const MIN_LENGTH: HeaderName = HeaderName::from_static("oci-chunk-min-length");

/// The parameter that tells the latest address of an upload from earlier ones.
const STATE: &str = "_state";

/// The open uploads.
#[derive(Debug, Default)]
pub(super) struct Uploads(BTreeMap<String, Upload>);

#[derive(Debug)]
struct Upload {
    repository: String,
    bytes: Growing,
    touched: MonoTime,
    /// Whether a body for it is on its way.
    busy: bool,
    /// How many chunks there were.
    chunks: u32,
    /// Whether the last one was so short that it has to be the last.
    short: bool,
}

impl Uploads {
    /// Ends what has been left alone for too long; says how many bytes each had.
    pub(super) fn expire(&mut self, now: MonoTime, mut freed: impl FnMut(u64)) {
        self.0.retain(|_, upload| {
            let live = upload.busy || now.since(upload.touched) < UPLOAD_LIFE;
            if !live {
                freed(upload.bytes.len());
            }
            live
        });
    }

    /// Lets others at an upload.
    pub(super) fn release(&mut self, id: &str, now: MonoTime) {
        if let Some(upload) = self.0.get_mut(id) {
            upload.busy = false;
            upload.touched = now;
        }
    }

    fn get(&self, repository: &str, id: &str) -> Result<&Upload, Refusal> {
        let upload = self.0.get(id).filter(|upload| upload.repository == repository);
        upload.ok_or_else(|| Refusal::new(Code::BlobUploadUnknown))
    }
}

impl Registry {
    /// `POST …/blobs/uploads/`: a mount, a whole blob, or a new upload.
    pub(super) fn open_upload(
        &mut self,
        call: &Call<'_>,
        principal: &Principal,
        name: &str,
    ) -> Result<Opened, Refusal> {
        if call.params.get("mount").is_some()
            && let Some(reply) = self.mount(call, principal, name)
        {
            return reply.map(Opened::Reply);
        }
        let whole =
            call.params.get("digest").filter(|_| self.profile.single_post).map(as_digest).transpose()?;
        let id = self.start(name, call.now)?;
        let Some(digest) = whole else {
            return self.uploading(StatusCode::ACCEPTED, name, &id, &call.base).map(Opened::Reply);
        };
        if let Some(upload) = self.uploads.0.get_mut(&id) {
            upload.busy = true;
        }
        Ok(Opened::Body(Plan::Append(Append {
            repository: name.to_owned(),
            id,
            announced: call.length(),
            forgets: false,
            closes: Some(digest),
            base: call.base.clone(),
        })))
    }

    fn start(&mut self, name: &str, now: MonoTime) -> Result<String, Refusal> {
        if self.uploads.0.len() >= MAX_UPLOADS {
            return Err(Refusal::new(Code::TooManyRequests).says("too many uploads are open"));
        }
        self.store.create(name)?;
        let id = self.random_id();
        let upload = Upload {
            repository: name.to_owned(),
            bytes: Growing::default(),
            touched: now,
            busy: false,
            chunks: 0,
            short: false,
        };
        self.uploads.0.insert(id.clone(), upload);
        Ok(id)
    }

    /// `GET` of an upload: how far it is.
    pub(super) fn upload_status(&mut self, call: &Call<'_>, name: &str, id: &str) -> Reply {
        self.uploading(StatusCode::NO_CONTENT, name, id, &call.base)
    }

    /// `DELETE` of an upload.
    pub(super) fn cancel_upload(&mut self, name: &str, id: &str) -> Reply {
        self.uploads.get(name, id)?;
        self.forget(id);
        Ok(Draft::new(StatusCode::NO_CONTENT).empty())
    }

    /// `PATCH` of an upload.
    pub(super) fn open_chunk(&mut self, call: &Call<'_>, name: &str, id: &str) -> Result<Opened, Refusal> {
        self.check_turn(call, name, id)?;
        let upload = self.uploads.get(name, id)?;
        let ranged = text(call.headers, &CONTENT_RANGE).is_some();
        let mut forgets = false;
        match self.profile.chunks {
            Chunks::Refused if ranged || upload.chunks > 0 => {
                return Err(Refusal::new(Code::Unsupported).says("this registry takes no chunks"));
            }
            Chunks::InOrder { max_bytes: Some(max), .. }
                if ranged && call.length().is_some_and(|len| len > max) =>
            {
                return Err(self.not_satisfiable(call, name, id, "the chunk is too large"));
            }
            Chunks::Stuck => forgets = upload.chunks > 0,
            Chunks::Refused | Chunks::InOrder { .. } => {}
        }
        Ok(self.opened(call, name, id, forgets, None))
    }

    /// `PUT` of an upload.
    pub(super) fn open_close(&mut self, call: &Call<'_>, name: &str, id: &str) -> Result<Opened, Refusal> {
        let upload = self.uploads.get(name, id)?;
        let forgets = self.profile.chunks == Chunks::Stuck && upload.chunks > 0;
        let digest = call.params.get("digest").map(as_digest).transpose()?;
        let digest = digest.ok_or_else(|| Refusal::new(Code::DigestInvalid).says("the digest is missing"))?;
        self.check_turn(call, name, id)?;
        Ok(self.opened(call, name, id, forgets, Some(digest)))
    }

    fn opened(
        &mut self,
        call: &Call<'_>,
        name: &str,
        id: &str,
        forgets: bool,
        closes: Option<Digest>,
    ) -> Opened {
        if let Some(upload) = self.uploads.0.get_mut(id) {
            upload.busy = true;
            upload.touched = call.now;
        }
        Opened::Body(Plan::Append(Append {
            repository: name.to_owned(),
            id: id.to_owned(),
            announced: call.length(),
            forgets,
            closes,
            base: call.base.clone(),
        }))
    }

    /// Whether these bytes can come now, at this address.
    fn check_turn(&self, call: &Call<'_>, name: &str, id: &str) -> Result<(), Refusal> {
        let upload = self.uploads.get(name, id)?;
        if upload.busy {
            return Err(self.not_satisfiable(call, name, id, "another request is sending bytes"));
        }
        let stateful = self.profile.locations == Locations::Stateful;
        if stateful && call.params.get(STATE) != Some(&self.state(id, upload.bytes.len())) {
            return Err(Refusal::new(Code::BlobUploadInvalid).says("this is not the latest address"));
        }
        if call.has_body() && upload.short {
            return Err(Refusal::new(Code::SizeInvalid).says("the chunk before was too short to be followed"));
        }
        // What will be forgotten need not fit.
        let stuck = self.profile.chunks == Chunks::Stuck && upload.chunks > 0;
        let Some(header) = text(call.headers, &CONTENT_RANGE).filter(|_| !stuck) else { return Ok(()) };
        let Some(range) = range::of_chunk(header) else {
            return Err(self.not_satisfiable(call, name, id, "the range cannot be understood"));
        };
        if range.start != upload.bytes.len() {
            return Err(self.not_satisfiable(call, name, id, "the chunk does not follow the one before"));
        }
        if call.length().is_some_and(|length| length != range.end - range.start) {
            return Err(Refusal::new(Code::SizeInvalid).says("the range and the length differ"));
        }
        Ok(())
    }

    /// Takes a piece. What goes beyond the announced length is left out, and refused in the end.
    pub(super) fn append(&mut self, append: &Append, piece: &[u8], now: MonoTime) -> Result<(), Refusal> {
        let Some(upload) = self.uploads.0.get_mut(&append.id) else {
            return Err(Refusal::new(Code::BlobUploadUnknown));
        };
        if append.forgets {
            return Ok(());
        }
        if let Err(full) = self.store.take(piece.len() as u64) {
            self.forget(&append.id);
            return Err(full);
        }
        upload.bytes.append(piece);
        upload.touched = now;
        Ok(())
    }

    /// The body has ended.
    pub(super) fn finish_append(&mut self, append: Append, received: u64, now: MonoTime) -> Reply {
        let Append { repository, id, announced, forgets, closes, base } = append;
        if announced.is_some_and(|announced| announced != received) {
            return Err(Refusal::new(Code::SizeInvalid));
        }
        if let Some(digest) = closes {
            return self.close(&repository, &id, &digest, &base, now);
        }
        let smallest = match self.profile.chunks {
            Chunks::InOrder { min_bytes: Some(min), .. } => min,
            _ => 0,
        };
        if let Some(upload) = self.uploads.0.get_mut(&id) {
            upload.chunks += 1;
            upload.short = received < smallest;
        }
        let status = if forgets || self.profile.chunks == Chunks::Stuck {
            StatusCode::CREATED
        } else {
            StatusCode::ACCEPTED
        };
        self.uploading(status, &repository, &id, &base)
    }

    fn close(&mut self, name: &str, id: &str, digest: &Digest, base: &str, now: MonoTime) -> Reply {
        let upload = self.uploads.0.remove(id).ok_or_else(|| Refusal::new(Code::BlobUploadUnknown))?;
        let (content, sha256) = upload.bytes.finish();
        let found = if digest.is_sha256() { sha256 } else { digest.same_kind_of(content.pieces()) };
        if found != *digest {
            self.store.give_back(content.len());
            return Err(Refusal::new(Code::DigestInvalid).detail(json!({ "digest": digest.as_str() })));
        }
        let late = self.strike(|fault| matches!(fault, Fault::Late(_)), name, digest.as_str(), now);
        let seen_from = if let Some(Fault::Late(by)) = late { now + by } else { now };
        self.store.add_blob(name, digest, content, seen_from)?;
        Ok(self.created(base, &format!("/v2/{name}/blobs/{digest}"), digest))
    }

    /// 201, where it is and what it is.
    pub(super) fn created(&self, base: &str, path: &str, digest: &Digest) -> Response<Content> {
        Draft::new(StatusCode::CREATED)
            .header(LOCATION, self.located(base, path))
            .header(DIGEST, digest.as_str())
            .empty()
    }

    fn forget(&mut self, id: &str) {
        if let Some(upload) = self.uploads.0.remove(id) {
            self.store.give_back(upload.bytes.len());
        }
    }

    /// How far an upload is, and where it goes on.
    fn uploading(&self, status: StatusCode, name: &str, id: &str, base: &str) -> Reply {
        let len = self.uploads.get(name, id)?.bytes.len();
        let mut draft = Draft::new(status)
            .header(LOCATION, self.upload_location(base, name, id, len))
            .header(RANGE, received(len))
            .header(UPLOAD_ID, id);
        if let Chunks::InOrder { min_bytes: Some(min), .. } = self.profile.chunks {
            draft = draft.number(MIN_LENGTH, min);
        }
        Ok(draft.empty())
    }

    /// 416, how far the upload is, and where it goes on.
    fn not_satisfiable(&self, call: &Call<'_>, name: &str, id: &str, why: &str) -> Refusal {
        let len = self.uploads.get(name, id).map_or(0, |upload| upload.bytes.len());
        Refusal::new(Code::BlobUploadInvalid)
            .status(StatusCode::RANGE_NOT_SATISFIABLE)
            .says(why)
            .header(LOCATION, self.upload_location(&call.base, name, id, len))
            .header(RANGE, received(len))
            .header(UPLOAD_ID, id)
    }

    fn upload_location(&self, base: &str, name: &str, id: &str, len: u64) -> String {
        let path = self.located(base, &format!("/v2/{name}/blobs/uploads/{id}"));
        if self.profile.locations == Locations::Stateful {
            format!("{path}?{}", query(&[(STATE, &self.state(id, len))]))
        } else {
            path
        }
    }

    fn located(&self, base: &str, path: &str) -> String {
        if self.profile.locations == Locations::Relative { path.to_owned() } else { format!("{base}{path}") }
    }

    /// Changes with every byte that is taken.
    fn state(&self, id: &str, len: u64) -> String {
        self.sign(&format!("{id} {len}"))
    }

    /// Something only this registry can write under a text.
    pub(super) fn sign(&self, text: &str) -> String {
        let digest = Digest::of(format!("{} {text}", hex(&self.secret.to_be_bytes())).as_bytes());
        digest.as_str().chars().skip("sha256:".len()).take(32).collect()
    }
}

/// `Range` of an upload: inclusive, so that nothing and one byte look alike, as they do in the wild.
fn received(len: u64) -> String {
    format!("0-{}", len.saturating_sub(1))
}

fn as_digest(text: &str) -> Result<Digest, Refusal> {
    text.parse().map_err(|_| Refusal::new(Code::DigestInvalid).detail(json!({ "digest": text })))
}
