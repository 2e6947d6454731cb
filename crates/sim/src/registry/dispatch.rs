//! From the head of a request to the part of the registry that answers it.

use std::time::Duration;

use http::header::{AUTHORIZATION, LOCATION, RETRY_AFTER};
use http::{Method, Response, StatusCode};

use super::access::Action;
use super::answer::{Code, Draft, Refusal};
use super::auth::Principal;
use super::content::Content;
use super::exchange::{About, Call, Plan};
use super::fault::Fault;
use super::machine::Registry;
use super::profile::Repositories;
use super::route::{Reference, Route, Thing};

/// What the head of a request leads to, before it is written down.
pub(super) enum Opened {
    Reply(Response<Content>),
    Body(Plan),
}

impl Registry {
    /// Finds out what a request is about and whether it may be, and answers it if its body does not matter.
    pub(super) fn open(&mut self, call: &Call<'_>, route: &Route, about: &About) -> Result<Opened, Refusal> {
        if self.profile.max_request_bytes.is_some_and(|max| call.length().is_some_and(|length| length > max))
        {
            return Ok(Opened::Reply(edge_refuses()));
        }
        let busy = |fault: &Fault| matches!(fault, Fault::Busy { .. });
        if let Some(Fault::Busy { status, retry_after }) =
            self.strike(busy, &about.repository, &about.reference, call.now)
        {
            return Err(refuses_for_now(status, retry_after));
        }
        let (name, thing) = match route {
            Route::Root => return self.root(call).map(Opened::Reply),
            Route::Catalog => return self.catalog(call).map(Opened::Reply),
            Route::Token => return self.open_token(call),
            Route::Storage { repository, digest } => {
                return self.stored(call, repository, digest).map(Opened::Reply);
            }
            Route::In(name, thing) => (name, thing),
        };
        if matches!(thing, Thing::Upload(_)) && matches!(*call.method, Method::PATCH | Method::PUT) {
            self.maybe_expire_token(call, about);
        }
        let principal = self.admit(call, &[(name, actions(call.method, thing))])?;
        let reads = matches!(*call.method, Method::GET | Method::HEAD);
        if reads && matches!(thing, Thing::Blob(_) | Thing::Manifest(_)) {
            let redirects = |fault: &Fault| matches!(fault, Fault::Redirect(_) | Fault::Untrusted);
            let to = match self.strike(redirects, name, &about.reference, call.now) {
                Some(Fault::Redirect(to)) => Some(to),
                Some(Fault::Untrusted) => Some(self.untrusted.clone()),
                _ => None,
            };
            if let Some(to) = to {
                return Ok(Opened::Reply(redirect(&to, call)));
            }
        }
        self.dispatch(call, &principal, name, thing)
    }

    fn dispatch(
        &mut self,
        call: &Call<'_>,
        principal: &Principal,
        name: &str,
        thing: &Thing,
    ) -> Result<Opened, Refusal> {
        let method = call.method.as_str();
        let pushes = matches!(method, "POST" | "PUT" | "PATCH");
        if pushes
            && self.profile.repositories == Repositories::Before
            && self.store.repository(name).is_none()
        {
            return Err(Refusal::new(Code::NameUnknown));
        }
        let reply = match (thing, method) {
            (Thing::Blob(digest), "GET" | "HEAD") => self.get_blob(call, name, digest),
            (Thing::Blob(digest), "DELETE") => self.delete_blob(name, digest, call.now),
            (Thing::Uploads, "POST") => return self.open_upload(call, principal, name),
            (Thing::Upload(id), "GET" | "HEAD") => self.upload_status(call, name, id),
            (Thing::Upload(id), "PATCH") => return self.open_chunk(call, name, id),
            (Thing::Upload(id), "PUT") => return self.open_close(call, name, id),
            (Thing::Upload(id), "DELETE") => self.cancel_upload(name, id),
            (Thing::Manifest(reference), "GET" | "HEAD") => {
                self.get_manifest(call, principal, name, reference)
            }
            (Thing::Manifest(reference), "PUT") => return self.open_manifest(call, name, reference),
            (Thing::Manifest(reference), "DELETE") => self.delete_manifest(name, reference),
            (Thing::Tags, "GET") => self.list_tags(call, name),
            (Thing::Referrers(digest), "GET") => self.list_referrers(call, name, digest),
            _ => Err(Refusal::new(Code::Unsupported)),
        };
        reply.map(Opened::Reply)
    }
}

/// What the trace and the faults need to know of a request.
pub(super) fn about(call: &Call<'_>, route: Option<&Route>) -> About {
    let (repository, reference) = match route {
        Some(Route::In(name, thing)) => {
            let reference = match thing {
                Thing::Blob(digest)
                | Thing::Referrers(digest)
                | Thing::Manifest(Reference::Digest(digest)) => digest.to_string(),
                Thing::Manifest(Reference::Tag(tag)) => tag.clone(),
                Thing::Upload(id) => id.clone(),
                Thing::Uploads | Thing::Tags => String::new(),
            };
            (name.clone(), reference)
        }
        Some(Route::Storage { repository, digest }) => (repository.clone(), digest.to_string()),
        _ => (String::new(), String::new()),
    };
    About {
        method: call.method.clone(),
        path: call.path.to_owned(),
        credentials: call.headers.contains_key(AUTHORIZATION),
        repository,
        reference,
    }
}

/// What a request needs to be allowed.
fn actions(method: &Method, thing: &Thing) -> &'static [Action] {
    match (thing, method.as_str()) {
        (Thing::Uploads | Thing::Upload(_), _) | (_, "PUT" | "POST" | "PATCH") => {
            &[Action::Pull, Action::Push]
        }
        (_, "DELETE") => &[Action::Delete],
        _ => &[Action::Pull],
    }
}

/// An edge in front of the registry speaks HTML.
pub(super) fn edge_refuses() -> Response<Content> {
    let page = "<html><body><h1>413 Request Entity Too Large</h1></body></html>";
    Draft::new(StatusCode::PAYLOAD_TOO_LARGE).body("text/html", page.as_bytes())
}

/// The same path elsewhere; reads have no queries.
fn redirect(to: &str, call: &Call<'_>) -> Response<Content> {
    Draft::new(StatusCode::TEMPORARY_REDIRECT)
        .header(LOCATION, format!("{}{}", to.trim_end_matches('/'), call.path))
        .empty()
}

/// Come back later.
fn refuses_for_now(status: u16, retry_after: Option<Duration>) -> Refusal {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    let refusal = Refusal::new(Code::TooManyRequests).status(status).says("come back later");
    match retry_after {
        Some(after) => refusal.header(RETRY_AFTER, after.as_secs().to_string()),
        None => refusal,
    }
}
