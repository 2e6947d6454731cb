//! Blobs: whole, in part, and gone.

use http::StatusCode;
use http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, RANGE};
use http::{Method, Response};
use release_core::MonoTime;

use super::answer::{Code, DIGEST, Draft, Refusal, Reply, text};
use super::content::Content;
use super::digest::Digest;
use super::exchange::Call;
use super::fault::Fault;
use super::machine::Registry;
use super::range::{Part, of_download};

const BYTES: &str = "application/octet-stream";

impl Registry {
    /// `GET` or `HEAD` of a blob.
    pub(super) fn get_blob(&mut self, call: &Call<'_>, name: &str, digest: &Digest) -> Reply {
        let content = self.find_blob(name, digest, call.now)?;
        if let Some(elsewhere) = self.storage_address(name, digest, call.now) {
            return Ok(elsewhere);
        }
        Ok(self.send(call, name, digest, content))
    }

    /// `DELETE` of a blob.
    pub(super) fn delete_blob(&mut self, name: &str, digest: &Digest, now: MonoTime) -> Reply {
        if !self.profile.deletes_blobs {
            return Err(Refusal::new(Code::Unsupported));
        }
        self.find_blob(name, digest, now)?;
        self.store.remove_blob(name, digest);
        Ok(Draft::new(StatusCode::ACCEPTED).empty())
    }

    pub(super) fn find_blob(&self, name: &str, digest: &Digest, now: MonoTime) -> Result<Content, Refusal> {
        let unknown =
            if self.store.repository(name).is_some() { Code::BlobUnknown } else { Code::NameUnknown };
        self.store.blob(name, digest, now).cloned().ok_or_else(|| Refusal::new(unknown))
    }

    /// The bytes, or the part of them that is asked for, or not quite.
    pub(super) fn send(
        &mut self,
        call: &Call<'_>,
        name: &str,
        digest: &Digest,
        content: Content,
    ) -> Response<Content> {
        let len = content.len();
        let draft =
            |status| Draft::new(status).header(DIGEST, digest.as_str()).header(ACCEPT_RANGES, "bytes");
        if *call.method == Method::HEAD {
            return draft(StatusCode::OK).body(BYTES, content);
        }
        match of_download(text(call.headers, &RANGE), len) {
            Part::Whole => {
                let body = self.damaged(content, name, digest, call.now);
                draft(StatusCode::OK).body(BYTES, body)
            }
            Part::Some(range) => {
                let named = format!("bytes {}-{}/{len}", range.start, range.end.saturating_sub(1));
                let body = self.damaged(content.slice(range), name, digest, call.now);
                draft(StatusCode::PARTIAL_CONTENT).header(CONTENT_RANGE, named).body(BYTES, body)
            }
            Part::Outside => draft(StatusCode::RANGE_NOT_SATISFIABLE)
                .header(CONTENT_RANGE, format!("bytes */{len}"))
                .number(CONTENT_LENGTH, 0)
                .empty(),
        }
    }

    fn damaged(&mut self, content: Content, name: &str, digest: &Digest, now: MonoTime) -> Content {
        let len = content.len();
        if len == 0 {
            return content;
        }
        let damages = |fault: &Fault| matches!(fault, Fault::Truncated | Fault::BitFlipped);
        match self.strike(damages, name, digest.as_str(), now) {
            Some(Fault::Truncated) => content.slice(0..self.dice.below(len)),
            Some(_) => {
                // Any of the eight bits of any byte; the remainder is below eight.
                let at = self.dice.below(len);
                let bit = u8::try_from(self.dice.below(8)).unwrap_or_default();
                content.with_flipped_bit(at, bit)
            }
            None => content,
        }
    }
}
