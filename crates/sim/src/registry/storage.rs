//! The storage host: where some registries redirect downloads to, with a signed address that needs no credentials.
//!
//! Like the real ones it refuses a request that shows it the registry's credentials as well; that it was shown them is in the
//! trace.

use std::time::Duration;

use http::header::{AUTHORIZATION, LOCATION};
use http::{Method, Response, StatusCode};
use release_core::MonoTime;

use super::answer::{Code, Draft, Refusal, Reply};
use super::content::Content;
use super::digest::Digest;
use super::exchange::Call;
use super::machine::Registry;
use super::route::query;
use super::trace::Event;

/// How long an address is good for.
const ADDRESS_LIFE: Duration = Duration::from_secs(20 * 60);

impl Registry {
    /// A redirect to the storage host, if this registry redirects and there is one.
    pub(super) fn storage_address(
        &self,
        name: &str,
        digest: &Digest,
        now: MonoTime,
    ) -> Option<Response<Content>> {
        let base = self.storage.as_ref().filter(|_| self.profile.redirects_blobs)?;
        let until = (now + ADDRESS_LIFE).since_origin().as_millis().to_string();
        let signature = self.sign(&format!("{name} {digest} {until}"));
        let query = query(&[("until", &until), ("signature", &signature)]);
        let address = format!("{base}/storage/{name}/{digest}?{query}");
        Some(Draft::new(StatusCode::TEMPORARY_REDIRECT).header(LOCATION, address).empty())
    }

    /// `GET` or `HEAD` at the storage host.
    pub(super) fn stored(&mut self, call: &Call<'_>, name: &str, digest: &Digest) -> Reply {
        if !matches!(*call.method, Method::GET | Method::HEAD) {
            return Err(Refusal::new(Code::Unsupported));
        }
        if call.headers.contains_key(AUTHORIZATION) {
            self.note(Event::CredentialsLeaked { path: call.path.to_owned() }, call.now);
            let why = "these credentials do not belong here";
            return Err(Refusal::new(Code::Denied).status(StatusCode::BAD_REQUEST).says(why));
        }
        let until = call.params.get("until").unwrap_or_default();
        let signed = call.params.get("signature") == Some(&self.sign(&format!("{name} {digest} {until}")));
        let live = until.parse().is_ok_and(|until: u128| call.now.since_origin().as_millis() < until);
        if !(signed && live) {
            return Err(Refusal::new(Code::Denied).says("this address is not, or no longer, good"));
        }
        let content = self.find_blob(name, digest, call.now)?;
        Ok(self.send(call, name, digest, content))
    }
}
