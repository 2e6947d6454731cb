//! Referrers: the manifests whose subject is a given one.

use http::StatusCode;
use http::header::{HeaderName, LINK};
use serde_json::{Value, json};

use super::answer::{Code, Draft, Refusal, Reply};
use super::digest::Digest;
use super::exchange::Call;
use super::list::{Page, next};
use super::machine::Registry;
use super::manifest::INDEX;
use super::store::Manifest;

const FILTERS: HeaderName = HeaderName::from_static("oci-filters-applied");

impl Registry {
    /// `GET …/referrers/DIGEST`. Never 404, unless there is no such API: no referrers is an answer.
    pub(super) fn list_referrers(&mut self, call: &Call<'_>, name: &str, subject: &Digest) -> Reply {
        if !self.profile.referrers {
            return Err(Refusal::new(Code::Unsupported).status(StatusCode::NOT_FOUND));
        }
        let wanted = call.params.get("artifactType").filter(|wanted| !wanted.is_empty());
        let manifests = self.store.repository(name).into_iter().flat_map(super::store::Repository::manifests);
        let referrers: Vec<(&Digest, &Manifest)> = manifests
            .filter(|(_, manifest)| manifest.subject.as_ref() == Some(subject))
            .filter(|(_, manifest)| {
                wanted.is_none_or(|wanted| manifest.artifact_type.as_deref() == Some(wanted))
            })
            .collect();
        let keys = referrers.iter().map(|(digest, _)| digest.as_str());
        let page = Page::of(call, self.profile.page, keys)?;
        let described = referrers.iter().filter(|(digest, _)| page.items.contains(&digest.as_str()));
        let descriptors: Vec<Value> =
            described.map(|(digest, manifest)| descriptor(digest, manifest)).collect();
        let mut draft = Draft::new(StatusCode::OK);
        if wanted.is_some() {
            draft = draft.header(FILTERS, "artifactType");
        }
        if let Some(last) = page.more_after {
            draft = draft.header(LINK, next(call, page.n, last));
        }
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": descriptors });
        Ok(draft.json(INDEX, &index))
    }
}

fn descriptor(digest: &Digest, manifest: &Manifest) -> Value {
    let mut descriptor = json!({
        "mediaType": manifest.media_type,
        "digest": digest.as_str(),
        "size": manifest.bytes.len(),
    });
    if let Some(artifact_type) = &manifest.artifact_type {
        descriptor["artifactType"] = json!(artifact_type);
    }
    if let Some(annotations) = &manifest.annotations {
        descriptor["annotations"] = annotations.clone();
    }
    descriptor
}
