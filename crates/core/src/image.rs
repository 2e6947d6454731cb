//! Names of images: `registry/path`, `:tag`, `@digest`.
//!
//! The grammar is that of [distribution/reference](https://github.com/distribution/reference), including
//! Docker's habit of reading `busybox` as `docker.io/library/busybox`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Digest, DigestError};

/// A repository in a registry: `registry.example.com/radio/player`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Repository {
    registry: String,
    path: String,
}

/// Any reference to an image: a repository with an optional tag and an optional digest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageRef {
    /// Where the image is kept.
    pub repository: Repository,
    /// A name people gave it; can be moved by anyone.
    pub tag: Option<String>,
    /// What it is; cannot be moved.
    pub digest: Option<Digest>,
}

/// The only form in which an image is ever deployed: `repository@sha256:…`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PinnedImage {
    /// Where the image is kept.
    pub repository: Repository,
    /// What it is.
    pub digest: Digest,
}

/// Why a text is not an image reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImageRefError {
    /// The repository has a character or a shape the grammar does not allow.
    #[error("`{text}` is not a repository name: {why}")]
    Repository {
        /// The text as it was given.
        text: String,
        /// The rule it breaks.
        why: &'static str,
    },
    /// The tag is empty, too long or has a character the grammar does not allow.
    #[error(
        "`{tag}` is not a tag: up to 128 letters, digits, `_`, `.` and `-`, not starting with `.` or `-`"
    )]
    Tag {
        /// The tag as it was given.
        tag: String,
    },
    /// The digest is malformed.
    #[error("the digest of image `{text}` is malformed")]
    Digest {
        /// The text as it was given.
        text: String,
        /// What is wrong with the digest.
        #[source]
        source: DigestError,
    },
    /// A digest is needed here and there is none.
    #[error("image `{text}` has no digest: write `repository@sha256:…`")]
    NotPinned {
        /// The text as it was given.
        text: String,
    },
}

impl Repository {
    /// The host, with its port if one was written: `127.0.0.1:5000`, `docker.io`.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The path inside the registry: `radio/player`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// This repository's `name`, one level below.
    ///
    /// # Errors
    /// When `name` is no path component of the grammar.
    pub fn join(&self, name: &str) -> Result<Self, ImageRefError> {
        format!("{self}/{name}").parse()
    }

    /// The image of this repository with `digest`.
    pub fn at(&self, digest: Digest) -> PinnedImage {
        PinnedImage { repository: self.clone(), digest }
    }
}

/// The host part of a reference is told from a path component by a dot, a colon or being `localhost`.
fn is_host(component: &str) -> bool {
    component.contains(['.', ':']) || component == "localhost"
}

fn valid_host(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !host.ends_with(']') => (name, Some(port)),
        _ => (host, None),
    };
    let bracketed = name.strip_prefix('[').and_then(|n| n.strip_suffix(']'));
    let name_ok = match bracketed {
        Some(v6) => !v6.is_empty() && v6.bytes().all(|b| b.is_ascii_hexdigit() || b == b':'),
        None => {
            !name.is_empty()
                && name.split('.').all(|l| {
                    !l.is_empty()
                        && !l.starts_with('-')
                        && !l.ends_with('-')
                        && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                })
        }
    };
    name_ok && port.is_none_or(|p| !p.is_empty() && p.parse::<u16>().is_ok())
}

/// One path component: lower-case letters and digits, joined by `.`, `_`, `__` or dashes.
fn valid_component(component: &str) -> bool {
    let bytes = component.as_bytes();
    let alnum = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    if bytes.is_empty() || !alnum(bytes[0]) || !alnum(bytes[bytes.len() - 1]) {
        return false;
    }
    component
        .split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        .all(|separator| matches!(separator, "" | "." | "_" | "__") || separator.bytes().all(|b| b == b'-'))
}

/// The text without what may be a password: whatever stands before an `@`.
fn shown(text: &str) -> String {
    text.rsplit_once('@').map_or_else(|| text.to_owned(), |(_, rest)| format!("…@{rest}"))
}

impl FromStr for Repository {
    type Err = ImageRefError;

    fn from_str(text: &str) -> Result<Self, ImageRefError> {
        let fail = |why| Err(ImageRefError::Repository { text: shown(text), why });
        if text.contains('@') {
            return fail("credentials do not belong here; `docker login` keeps them");
        }
        let (registry, path) = match text.split_once('/') {
            Some((host, path)) if is_host(host) => (host.to_owned(), path.to_owned()),
            Some(_) => ("docker.io".to_owned(), text.to_owned()),
            None => ("docker.io".to_owned(), format!("library/{text}")),
        };
        if !valid_host(&registry) {
            return fail("the part before the first `/` is not a host name");
        }
        if text.contains("://") {
            return fail("write it without `https://`");
        }
        if path.len() > 255 {
            return fail("it is longer than 255 characters");
        }
        if !path.split('/').all(valid_component) {
            return fail(
                "a path component is lower-case letters and digits, joined by `.`, `_`, `__` or `-`",
            );
        }
        Ok(Self { registry, path })
    }
}

impl FromStr for ImageRef {
    type Err = ImageRefError;

    fn from_str(text: &str) -> Result<Self, ImageRefError> {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => {
                let digest = digest
                    .parse()
                    .map_err(|source| ImageRefError::Digest { text: text.to_owned(), source })?;
                (rest, Some(digest))
            }
            None => (text, None),
        };
        let last_slash = rest.rfind('/').map_or(0, |i| i + 1);
        let (repository, tag) = match rest[last_slash..].split_once(':') {
            Some((name, tag)) => (&rest[..last_slash + name.len()], Some(tag)),
            None => (rest, None),
        };
        if let Some(tag) = tag
            && !valid_tag(tag)
        {
            return Err(ImageRefError::Tag { tag: tag.to_owned() });
        }
        Ok(Self { repository: repository.parse()?, tag: tag.map(str::to_owned), digest })
    }
}

fn valid_tag(tag: &str) -> bool {
    (1..=128).contains(&tag.len())
        && !tag.starts_with(['.', '-'])
        && tag.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

impl FromStr for PinnedImage {
    type Err = ImageRefError;

    fn from_str(text: &str) -> Result<Self, ImageRefError> {
        let image: ImageRef = text.parse()?;
        match image.digest {
            Some(digest) => Ok(Self { repository: image.repository, digest }),
            None => Err(ImageRefError::NotPinned { text: text.to_owned() }),
        }
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.path)
    }
}

impl fmt::Debug for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl fmt::Display for PinnedImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.repository, self.digest)
    }
}

macro_rules! text_form {
    ($($name:ident),*) => {$(
        impl TryFrom<String> for $name {
            type Error = ImageRefError;

            fn try_from(text: String) -> Result<Self, ImageRefError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.to_string()
            }
        }
    )*};
}
text_form!(Repository, ImageRef, PinnedImage);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_references_as_docker_does() {
        let hex = "a".repeat(64);
        for (text, written) in [
            ("busybox", "docker.io/library/busybox"),
            ("radio/player:v1", "docker.io/radio/player:v1"),
            ("localhost/player", "localhost/player"),
            ("127.0.0.1:5000/player:v1", "127.0.0.1:5000/player:v1"),
            ("[::1]:5000/player", "[::1]:5000/player"),
            ("r.example.com/a/b__c/d-e.f", "r.example.com/a/b__c/d-e.f"),
            (&format!("r.example.com/a:t@sha256:{hex}"), &format!("r.example.com/a:t@sha256:{hex}")),
        ] {
            assert_eq!(text.parse::<ImageRef>().expect(text).to_string(), written);
        }
    }

    #[test]
    fn a_password_in_a_repository_is_not_repeated() {
        let error = "ci:hunter2@r.example.com/a".parse::<Repository>().unwrap_err().to_string();
        assert!(error.contains("…@r.example.com/a") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn refuses_what_a_registry_would_refuse() {
        for bad in [
            "",
            "https://r.example.com/a",
            "r.example.com/A",
            "a//b",
            "a:",
            "a:-x",
            "a@sha256:1",
            "r.example.com:x/a",
            "a/../b",
            "a b",
        ] {
            assert!(bad.parse::<ImageRef>().is_err(), "{bad}");
        }
        assert!(matches!("r.io/a:v1".parse::<PinnedImage>(), Err(ImageRefError::NotPinned { .. })));
    }
}
