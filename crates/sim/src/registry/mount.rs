//! Mounts: a blob of another repository, without sending it again.

use http::Response;

use super::access::Action;
use super::answer::{Code, Refusal, Reply};
use super::auth::Principal;
use super::content::Content;
use super::digest::Digest;
use super::exchange::Call;
use super::fault::{Fault, MountAnswer};
use super::machine::Registry;
use super::profile::{Mount, Sourceless};

impl Registry {
    /// `POST …/blobs/uploads/?mount=DIGEST`. `None` when it becomes an upload.
    pub(super) fn mount(&mut self, call: &Call<'_>, principal: &Principal, name: &str) -> Option<Reply> {
        let text = call.params.get("mount")?;
        let is_mount = |fault: &Fault| matches!(fault, Fault::Mount(_));
        if let Some(Fault::Mount(answer)) = self.strike(is_mount, name, text, call.now) {
            return self.forced(call, name, answer).map(Err);
        }
        // Arguments that make no sense lead to an upload, as the specification has it.
        let digest: Digest = text.parse().ok()?;
        let from = call.params.get("from");
        if from.is_none() && self.profile.sourceless == Sourceless::Refused {
            return Some(Err(Refusal::new(Code::NameInvalid).says("the mount names no source")));
        }
        match (self.profile.mount, from) {
            (Mount::Ignored, _) => return None,
            (Mount::NotFromTopLevel, Some(from)) if !from.contains('/') => {
                return Some(Err(Refusal::new(Code::NameInvalid).says("the source has no project")));
            }
            (Mount::Supported | Mount::NotFromTopLevel, _) => {}
        }
        let source = self.source(principal, from, &digest, call)?;
        if from.is_some() && !self.token_covers(call, &[(&source, &[Action::Pull])]) {
            let needs: [(&str, &[Action]); 2] =
                [(name, &[Action::Pull, Action::Push]), (&source, &[Action::Pull])];
            return Some(Err(self.challenge(call, &needs, Some("insufficient_scope"))));
        }
        Some(self.linked(call, name, &digest))
    }

    fn forced(&self, call: &Call<'_>, name: &str, answer: MountAnswer) -> Option<Refusal> {
        match answer {
            MountAnswer::Accepted => None,
            MountAnswer::Unauthorized => {
                let needs: [(&str, &[Action]); 1] = [(name, &[Action::Pull, Action::Push])];
                Some(self.challenge(call, &needs, Some("insufficient_scope")))
            }
            MountAnswer::BadRequest | MountAnswer::NotAllowed => {
                Some(Refusal::new(Code::Unsupported).status(answer.status()).says("this cannot be mounted"))
            }
        }
    }

    /// A repository that has the blob, and that the client may read if it asks for it.
    fn source(
        &self,
        principal: &Principal,
        from: Option<&str>,
        digest: &Digest,
        call: &Call<'_>,
    ) -> Option<String> {
        let usable = |name: &str| {
            let has = self.store.repository(name).is_some_and(|found| found.has_blob(digest, call.now));
            has && self.may(principal, name, Action::Pull)
        };
        match from {
            Some(from) => usable(from).then(|| from.to_owned()),
            None if self.profile.sourceless == Sourceless::Searched => {
                let mut names = self.store.repositories().map(|(name, _)| name);
                names.find(|name| usable(name)).map(ToOwned::to_owned)
            }
            None => None,
        }
    }

    fn linked(&mut self, call: &Call<'_>, name: &str, digest: &Digest) -> Result<Response<Content>, Refusal> {
        self.store.link_blob(name, digest, call.now)?;
        Ok(self.created(&call.base, &format!("/v2/{name}/blobs/{digest}"), digest))
    }
}
