//! Which thing a request is about: paths and queries of the protocol, taken apart and checked.

use std::ops::Not as _;

use url::form_urlencoded;

use super::answer::{Code, Refusal};
use super::digest::Digest;

/// The longest name of a repository.
const MAX_NAME_BYTES: usize = 255;

/// The longest tag.
const MAX_TAG_BYTES: usize = 128;

/// What a path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    /// `/v2/`
    Root,
    /// `/v2/_catalog`
    Catalog,
    /// `/token`
    Token,
    /// `/storage/…`: the storage host that blobs can be redirected to.
    Storage { repository: String, digest: Digest },
    /// `/v2/NAME/…`
    In(String, Thing),
}

/// What a path names within a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Thing {
    /// `blobs/DIGEST`
    Blob(Digest),
    /// `blobs/uploads/`
    Uploads,
    /// `blobs/uploads/ID`
    Upload(String),
    /// `manifests/REFERENCE`
    Manifest(Reference),
    /// `tags/list`
    Tags,
    /// `referrers/DIGEST`
    Referrers(Digest),
}

/// How a manifest is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reference {
    Tag(String),
    Digest(Digest),
}

impl Route {
    /// Reads a path. `None` when no part of the registry lives there.
    pub(super) fn parse(path: &str) -> Option<Result<Self, Refusal>> {
        let path = decode(path);
        match path.as_str() {
            "/token" => return Some(Ok(Self::Token)),
            "/v2" | "/v2/" => return Some(Ok(Self::Root)),
            "/v2/_catalog" => return Some(Ok(Self::Catalog)),
            _ => {}
        }
        if let Some(rest) = path.strip_prefix("/storage/") {
            let (name, digest) = rest.rsplit_once('/')?;
            let digest = digest.parse().ok()?;
            return is_name(name).then(|| Ok(Self::Storage { repository: name.to_owned(), digest }));
        }
        let parts: Vec<&str> = path.strip_prefix("/v2/")?.split('/').collect();
        let (name, thing) = match parts.as_slice() {
            [name @ .., "tags", "list"] => (name, Ok(Thing::Tags)),
            [name @ .., "blobs", "uploads"] | [name @ .., "blobs", "uploads", ""] => {
                (name, Ok(Thing::Uploads))
            }
            [name @ .., "blobs", "uploads", id] => (name, Ok(Thing::Upload((*id).to_owned()))),
            [name @ .., "blobs", digest] => (name, as_digest(digest).map(Thing::Blob)),
            [name @ .., "manifests", reference] => (name, as_reference(reference).map(Thing::Manifest)),
            [name @ .., "referrers", digest] => (name, as_digest(digest).map(Thing::Referrers)),
            _ => return None,
        };
        let name = name.join("/");
        if !is_name(&name) {
            return Some(Err(Refusal::new(Code::NameInvalid)));
        }
        Some(thing.map(|thing| Self::In(name, thing)))
    }
}

fn as_digest(text: &str) -> Result<Digest, Refusal> {
    text.parse().map_err(|_| Refusal::new(Code::DigestInvalid).says("this is no sha256 or sha512 digest"))
}

fn as_reference(text: &str) -> Result<Reference, Refusal> {
    if text.contains(':') {
        return as_digest(text).map(Reference::Digest);
    }
    is_tag(text).then(|| Reference::Tag(text.to_owned())).ok_or_else(|| Refusal::new(Code::TagInvalid))
}

/// Whether a tag can have this name.
pub(super) fn is_tag(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    text.len() <= MAX_TAG_BYTES
        && text.bytes().next().is_some_and(word)
        && text.bytes().all(|b| word(b) || b == b'.' || b == b'-')
}

/// Whether a repository can have this name.
pub(super) fn is_name(text: &str) -> bool {
    text.len() <= MAX_NAME_BYTES && text.split('/').all(is_component)
}

/// Runs of small letters and digits, with `.`, `_`, `__` or any number of `-` between.
fn is_component(text: &str) -> bool {
    let plain = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    let ends = bytes.first().is_some_and(&plain) && bytes.last().is_some_and(&plain);
    ends && bytes.split(plain).filter(|between| between.is_empty().not()).all(|between| match between {
        b"." | b"_" | b"__" => true,
        dashes => dashes.iter().all(|b| *b == b'-'),
    })
}

/// Undoes percent-encoding. What is not UTF-8 then matches nothing.
fn decode(path: &str) -> String {
    let digit =
        |b: Option<&u8>| b.and_then(|b| char::from(*b).to_digit(16)).and_then(|d| u8::try_from(d).ok());
    let bytes = path.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        match (bytes[at], digit(bytes.get(at + 1)), digit(bytes.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                decoded.push(high * 16 + low);
                at += 3;
            }
            (byte, ..) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// The parameters of a query or of a form.
#[derive(Debug, Default, Clone)]
pub(super) struct Params(Vec<(String, String)>);

impl Params {
    pub(super) fn parse(text: &[u8]) -> Self {
        Self(form_urlencoded::parse(text).into_owned().collect())
    }

    /// The first value.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Every value.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// A query put together again.
pub(super) fn query(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_repositories() {
        for good in ["a", "a/b/c", "library/busy-box", "a.b_c__d---e", "0", "a/blobs/b"] {
            assert!(is_name(good), "{good}");
        }
        let long = "a".repeat(256);
        for bad in ["", "/", "a/", "/a", "a//b", "A", "a..b", "a___b", "-a", "a-", "a/../b", "a b", &long] {
            assert!(!is_name(bad), "{bad}");
        }
    }

    #[test]
    fn names_of_tags() {
        for good in ["latest", "V1.0-rc_2", "_", "1"] {
            assert!(is_tag(good), "{good}");
        }
        let long = "a".repeat(129);
        for bad in ["", ".a", "-a", "a/b", "a b", "é", &long] {
            assert!(!is_tag(bad), "{bad}");
        }
    }

    #[test]
    fn paths() {
        let digest = Digest::of(b"");
        let named = |name: &str, thing| Some(Route::In(name.to_owned(), thing));
        for (path, expected) in [
            ("/v2/".to_owned(), Some(Route::Root)),
            (format!("/v2/a/b/blobs/{digest}"), named("a/b", Thing::Blob(digest.clone()))),
            (
                format!("/v2/a/blobs/{}", digest.as_str().replace(':', "%3A")),
                named("a", Thing::Blob(digest.clone())),
            ),
            ("/v2/a/blobs/uploads".to_owned(), named("a", Thing::Uploads)),
            ("/v2/a/blobs/uploads/".to_owned(), named("a", Thing::Uploads)),
            ("/v2/a/blobs/uploads/7".to_owned(), named("a", Thing::Upload("7".to_owned()))),
            ("/v2/blobs/blobs/tags/list".to_owned(), named("blobs/blobs", Thing::Tags)),
            ("/v2/a/manifests/v1".to_owned(), named("a", Thing::Manifest(Reference::Tag("v1".to_owned())))),
            (format!("/v2/a/referrers/{digest}"), named("a", Thing::Referrers(digest.clone()))),
            ("/v2/../tags/list".to_owned(), None),
            ("/v2/a/manifests/sha256:../../etc/passwd".to_owned(), None),
            ("/v2/a%2F..%2Fb/tags/list".to_owned(), None),
            ("/v1/".to_owned(), None),
            ("/v2/a".to_owned(), None),
        ] {
            assert_eq!(Route::parse(&path).and_then(Result::ok), expected, "{path}");
        }
    }
}
