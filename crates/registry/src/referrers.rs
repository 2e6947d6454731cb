//! What is about an image: signatures, bills of materials, provenance. In the specification's word, its
//! [referrers](https://github.com/opencontainers/distribution-spec/blob/main/spec.md#listing-referrers).
//!
//! A referrer is a manifest with a `subject`. Registries keep a list of them by themselves; where one does not, clients keep
//! it under a tag (`sha256-…`), and both are read and written here. A list is hearsay: whoever may push can put anything
//! into it. What counts is the manifest behind an entry, whose digest can be checked, and what it was signed with.
//!
//! Not here: nothing is signed and no signature is verified.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use release_core::{Credentials, Digest, PinnedImage};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue, LINK};
use reqwest::{Method, Response, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use crate::document::{OCI_INDEX, OCI_MANIFEST};
use crate::patience::Patience;
use crate::registry::{MANIFESTS, MAX_MANIFEST_BYTES, bounded_body};
use crate::request::RequestError;
use crate::session::{Aim, Ask, Session};
use crate::{Push, PushError, PushEvent, Registry};

/// How a registry says that it keeps the list itself.
pub(crate) const SUBJECT_HEADER: &str = "oci-subject";

/// How often a list that others write, too, is written.
pub(crate) const FALLBACK_TRIES: u32 = 4;

/// The most pages of a list, and the most referrers.
const MAX_PAGES: usize = 100;
const MAX_REFERRERS: usize = 10_000;

/// The configuration of an artifact that has none.
const EMPTY: &[u8] = b"{}";
const EMPTY_KIND: &str = "application/vnd.oci.empty.v1+json";

/// Something that is about an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact<'a> {
    /// The image.
    pub subject: &'a PinnedImage,
    /// What it is: `application/spdx+json`.
    pub artifact_type: &'a str,
    /// What it consists of.
    pub parts: &'a [ArtifactPart<'a>],
    /// What else can be said about it.
    pub annotations: BTreeMap<String, String>,
}

/// One blob of an artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtifactPart<'a> {
    /// What it is.
    pub media_type: &'a str,
    /// All of it. Artifacts are small.
    pub bytes: &'a [u8],
    /// What else can be said about it.
    pub annotations: BTreeMap<String, String>,
}

/// A manifest that is about an image, as a list has it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Referrer {
    /// The manifest.
    pub digest: Digest,
    /// Its size.
    pub size: u64,
    /// Its kind.
    pub media_type: String,
    /// What it is.
    pub artifact_type: Option<String>,
    /// What else is said about it.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
}

/// Why there is no list of referrers.
#[derive(Debug, thiserror::Error)]
pub enum ReferrersError {
    /// The registry did not do what it was asked.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// There are more than anybody needs.
    #[error("registry {registry} lists more than {most} {what} about `{subject}`")]
    TooMany {
        /// The registry's host.
        registry: String,
        /// The image.
        subject: String,
        /// `manifests`, `pages`.
        what: &'static str,
        /// The limit.
        most: usize,
    },
}

/// Why an artifact was not attached to its image.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// The image is not there, or cannot be read.
    #[error("cannot read `{subject}`, which the artifact is about")]
    Subject {
        /// The image.
        subject: String,
        /// Why not.
        #[source]
        source: RequestError,
    },
    /// The artifact was not pushed.
    #[error(transparent)]
    Push(#[from] PushError),
    /// There is no place to put it together.
    #[error("cannot write a temporary file")]
    Scratch(#[source] io::Error),
}

#[derive(Deserialize)]
struct List {
    manifests: Vec<Referrer>,
}

impl Registry {
    /// What is about an image, or only what is of one type. Empty when there is nothing, or no such image.
    ///
    /// # Errors
    /// When the registry does not let us in, does not answer, or has endless lists.
    pub async fn referrers(
        &self,
        subject: &PinnedImage,
        artifact_type: Option<&str>,
        credentials: Option<&Credentials>,
    ) -> Result<Vec<Referrer>, ReferrersError> {
        let repository = &subject.repository;
        let session = Session::new(&self.clients, self.pace, repository, Aim::Pull, &[], credentials)?;
        let too_many = |what, most| ReferrersError::TooMany {
            registry: session.registry().to_owned(),
            subject: subject.to_string(),
            what,
            most,
        };
        let mut next = session.url(&format!("referrers/{}", subject.digest))?;
        if let Some(artifact_type) = artifact_type {
            next.query_pairs_mut().append_pair("artifactType", artifact_type);
        }
        let mut found = Vec::new();
        for page in 0..MAX_PAGES {
            let (answer, what) = ask(&session, next.clone(), OCI_INDEX).await?;
            // Registries without such lists say so in many ways.
            let none = matches!(answer.status().as_u16(), 404 | 405 | 406 | 501) && page == 0;
            let (answer, what) = if none {
                let tag = session.url(&format!("manifests/{}", fallback_tag(&subject.digest)))?;
                ask(&session, tag, MANIFESTS).await?
            } else {
                (answer, what)
            };
            match answer.status() {
                StatusCode::OK => {}
                StatusCode::NOT_FOUND if none => return Ok(Vec::new()),
                _ => return Err(session.refused(answer, &what).await.into()),
            }
            let following = if none { None } else { following(&answer) };
            let bytes = bounded_body(answer, MAX_MANIFEST_BYTES, session.registry()).await;
            let bytes = bytes.map_err(RequestError::Confirm)?;
            let list = serde_json::from_slice::<List>(&bytes);
            found.extend(list.map_err(|_| session.malformed("a list of referrers"))?.manifests);
            if found.len() > MAX_REFERRERS {
                return Err(too_many("manifests", MAX_REFERRERS));
            }
            let Some(url) = following else {
                // A registry need not filter, and says so; that it does is not believed.
                found.retain(|one| {
                    artifact_type.is_none_or(|wanted| one.artifact_type.as_deref() == Some(wanted))
                });
                return Ok(found);
            };
            // The next page of a list is where the first one was.
            if url.origin() != next.origin() {
                return Err(session.malformed("a link to the next page").into());
            }
            next = url;
        }
        Err(too_many("pages", MAX_PAGES))
    }

    /// Pushes an artifact that is about an image, into the image's repository. The same artifact has the same digest every
    /// time, so attaching it twice changes nothing.
    ///
    /// # Errors
    /// When the image is not there, and as [`Registry::push`].
    pub async fn attach(
        &self,
        artifact: &Artifact<'_>,
        credentials: Option<&Credentials>,
        tell: &mut (dyn FnMut(PushEvent) + Send),
    ) -> Result<PinnedImage, AttachError> {
        let subject = artifact.subject;
        let described = self
            .describe(subject, credentials)
            .await
            .map_err(|source| AttachError::Subject { subject: subject.to_string(), source })?;
        let scratch = tempfile::tempdir().map_err(AttachError::Scratch)?;
        let manifest = lay_out(artifact, &described, scratch.path()).map_err(AttachError::Scratch)?;
        let push = Push {
            layout: scratch.path(),
            manifest: &manifest,
            repository: &subject.repository,
            tags: &[],
            mount_from: &[],
        };
        Ok(self.push(&push, credentials, tell).await?)
    }

    /// The descriptor of a manifest that is there.
    async fn describe(
        &self,
        image: &PinnedImage,
        credentials: Option<&Credentials>,
    ) -> Result<Value, RequestError> {
        let repository = &image.repository;
        let session = Session::new(&self.clients, self.pace, repository, Aim::Pull, &[], credentials)?;
        let (answer, what) =
            ask(&session, session.url(&format!("manifests/{}", image.digest))?, MANIFESTS).await?;
        if answer.status() != StatusCode::OK {
            return Err(session.refused(answer, &what).await);
        }
        let kind = answer.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).map(str::to_owned);
        let bytes = bounded_body(answer, MAX_MANIFEST_BYTES, session.registry()).await?;
        if release_layout::digest(&bytes) != image.digest {
            return Err(session.malformed("a manifest"));
        }
        let said = serde_json::from_slice::<Value>(&bytes).unwrap_or_default();
        let kind = said["mediaType"].as_str().map(str::to_owned).or(kind);
        Ok(json!({
            "mediaType": kind.unwrap_or_else(|| OCI_MANIFEST.to_owned()),
            "digest": image.digest,
            "size": bytes.len(),
        }))
    }
}

async fn ask(
    session: &Session<'_>,
    url: Url,
    accept: &'static str,
) -> Result<(Response, String), RequestError> {
    let what = format!("a question about {}", url.path().rsplit('/').next().unwrap_or_default());
    let mut ask = Ask::new(Method::GET, url);
    ask.headers.insert(ACCEPT, HeaderValue::from_static(accept));
    let answer = session.persist(&ask, None, &mut Patience::new(session, &what)).await?;
    Ok((answer, what))
}

/// Where a list goes on: `Link: <…>; rel="next"`.
fn following(answer: &Response) -> Option<Url> {
    let links = answer.headers().get_all(LINK).iter().filter_map(|link| link.to_str().ok());
    let mut next = links.filter(|link| link.contains("rel=\"next\"") || link.ends_with("rel=next"));
    let (target, _) = next.next()?.trim().strip_prefix('<')?.split_once('>')?;
    answer.url().join(target).ok()
}

/// Writes an artifact's manifest and blobs where a push finds them.
fn lay_out(artifact: &Artifact<'_>, subject: &Value, dir: &Path) -> io::Result<Digest> {
    let blobs = dir.join("blobs/sha256");
    std::fs::create_dir_all(&blobs)?;
    let write = |bytes: &[u8]| {
        let digest = release_layout::digest(bytes);
        std::fs::write(blobs.join(digest.hex()), bytes).map(|()| digest)
    };
    let described = |kind: &str, bytes: &[u8], annotations: &BTreeMap<String, String>| {
        let mut described = json!({"mediaType": kind, "digest": write(bytes)?, "size": bytes.len()});
        if !annotations.is_empty() {
            described["annotations"] = json!(annotations);
        }
        io::Result::Ok(described)
    };
    let mut layers = Vec::new();
    for part in artifact.parts {
        layers.push(described(part.media_type, part.bytes, &part.annotations)?);
    }
    if layers.is_empty() {
        // A manifest has at least one layer; the specification has this one for artifacts that are annotations only.
        layers.push(described(EMPTY_KIND, EMPTY, &BTreeMap::new())?);
    }
    let mut manifest = json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": artifact.artifact_type,
        "config": described(EMPTY_KIND, EMPTY, &BTreeMap::new())?,
        "layers": layers,
        "subject": subject,
    });
    if !artifact.annotations.is_empty() {
        manifest["annotations"] = json!(artifact.annotations);
    }
    write(manifest.to_string().as_bytes())
}

/// The tag under which clients keep the list.
pub(crate) fn fallback_tag(subject: &Digest) -> String {
    subject.as_str().replace(':', "-")
}

/// A list with the manifest in it; `None` when it is there already, an error when the list is none.
pub(crate) fn with(
    list: Option<&[u8]>,
    manifest: &[u8],
    media_type: &str,
    digest: &Digest,
) -> Result<Option<Vec<u8>>, ()> {
    let empty = || json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []});
    let mut list: Value =
        list.map_or_else(|| Ok(empty()), |bytes| serde_json::from_slice(bytes).map_err(|_| ()))?;
    let entries = list.get_mut("manifests").and_then(Value::as_array_mut).ok_or(())?;
    if entries.iter().any(|entry| entry["digest"] == digest.as_str()) {
        return Ok(None);
    }
    let document: Value = serde_json::from_slice(manifest).map_err(|_| ())?;
    let mut entry = json!({"mediaType": media_type, "digest": digest, "size": manifest.len()});
    let kind = document.get("artifactType").or(document["config"].get("mediaType"));
    if let Some(kind) = kind.and_then(Value::as_str) {
        entry["artifactType"] = kind.into();
    }
    if let Some(annotations) = document.get("annotations").filter(|annotations| annotations.is_object()) {
        entry["annotations"] = annotations.clone();
    }
    entries.push(entry);
    Ok(Some(list.to_string().into_bytes()))
}
