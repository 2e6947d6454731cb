//! What is kept: the bytes of blobs once, and for each repository which of them it has, its manifests and its tags.
//!
//! Everything is counted against one limit, uploads too.

use std::collections::BTreeMap;

use bytes::Bytes;
use release_core::MonoTime;

use super::answer::{Code, Refusal};
use super::content::Content;
use super::digest::Digest;

/// What a name, tag or link weighs beside its own bytes. Keeps the number of empty things within the limit, too.
const ENTRY_BYTES: u64 = 256;

/// Everything that is kept.
#[derive(Debug)]
pub(super) struct Store {
    blobs: BTreeMap<Digest, Stored>,
    repositories: BTreeMap<String, Repository>,
    used: u64,
    limit: u64,
}

#[derive(Debug)]
struct Stored {
    content: Content,
    links: u32,
}

/// One repository.
#[derive(Debug, Default)]
pub(super) struct Repository {
    /// Its blobs, and from when on each can be seen.
    blobs: BTreeMap<Digest, MonoTime>,
    manifests: BTreeMap<Digest, Manifest>,
    tags: BTreeMap<String, Digest>,
}

/// A manifest, and what other requests need to know of it.
#[derive(Debug, Clone)]
pub(super) struct Manifest {
    pub(super) media_type: String,
    pub(super) bytes: Bytes,
    pub(super) subject: Option<Digest>,
    pub(super) artifact_type: Option<String>,
    pub(super) annotations: Option<serde_json::Value>,
}

impl Repository {
    pub(super) fn manifest(&self, digest: &Digest) -> Option<&Manifest> {
        self.manifests.get(digest)
    }

    pub(super) fn manifests(&self) -> impl Iterator<Item = (&Digest, &Manifest)> {
        self.manifests.iter()
    }

    pub(super) fn tag(&self, tag: &str) -> Option<&Digest> {
        self.tags.get(tag)
    }

    pub(super) fn tags(&self) -> impl Iterator<Item = &str> {
        self.tags.keys().map(String::as_str)
    }

    pub(super) fn has_blob(&self, digest: &Digest, now: MonoTime) -> bool {
        self.blobs.get(digest).is_some_and(|from| *from <= now)
    }
}

impl Store {
    pub(super) fn new(limit: u64) -> Self {
        Self { blobs: BTreeMap::new(), repositories: BTreeMap::new(), used: 0, limit }
    }

    pub(super) fn used(&self) -> u64 {
        self.used
    }

    /// Takes room for `bytes`, if there is that much.
    pub(super) fn take(&mut self, bytes: u64) -> Result<(), Refusal> {
        let used = self.used.saturating_add(bytes);
        if used > self.limit {
            return Err(Refusal::new(Code::Denied).says("this registry is full"));
        }
        self.used = used;
        Ok(())
    }

    /// Gives room back.
    pub(super) fn give_back(&mut self, bytes: u64) {
        self.used = self.used.saturating_sub(bytes);
    }

    pub(super) fn repository(&self, name: &str) -> Option<&Repository> {
        self.repositories.get(name)
    }

    pub(super) fn repositories(&self) -> impl Iterator<Item = (&str, &Repository)> {
        self.repositories.iter().map(|(name, repository)| (name.as_str(), repository))
    }

    /// Makes sure that there is such a repository.
    pub(super) fn create(&mut self, name: &str) -> Result<(), Refusal> {
        if !self.repositories.contains_key(name) {
            self.take(ENTRY_BYTES)?;
            self.repositories.insert(name.to_owned(), Repository::default());
        }
        Ok(())
    }

    /// The bytes of a blob, if the repository has it and it can be seen.
    pub(super) fn blob(&self, name: &str, digest: &Digest, now: MonoTime) -> Option<&Content> {
        let seen = self.repository(name)?.has_blob(digest, now);
        self.blobs.get(digest).filter(|_| seen).map(|stored| &stored.content)
    }

    /// The blobs of a repository, also those that cannot be seen yet.
    pub(super) fn blobs_of(&self, name: &str) -> impl Iterator<Item = (&Digest, &Content)> {
        let digests = self.repository(name).into_iter().flat_map(|repository| repository.blobs.keys());
        digests.filter_map(|digest| Some((digest, &self.blobs.get(digest)?.content)))
    }

    /// Keeps a blob whose room has been taken already. If the bytes are here already, the room is given back.
    pub(super) fn add_blob(
        &mut self,
        name: &str,
        digest: &Digest,
        content: Content,
        seen_from: MonoTime,
    ) -> Result<(), Refusal> {
        if self.blobs.contains_key(digest) {
            self.give_back(content.len());
        } else {
            self.blobs.insert(digest.clone(), Stored { content, links: 0 });
        }
        let linked = self.link_blob(name, digest, seen_from);
        self.drop_unlinked(digest);
        linked
    }

    /// Lets a repository have a blob whose bytes are here.
    pub(super) fn link_blob(
        &mut self,
        name: &str,
        digest: &Digest,
        seen_from: MonoTime,
    ) -> Result<(), Refusal> {
        self.create(name)?;
        if self.repository(name).is_some_and(|repository| repository.blobs.contains_key(digest)) {
            return Ok(());
        }
        self.take(ENTRY_BYTES)?;
        if let (Some(stored), Some(repository)) =
            (self.blobs.get_mut(digest), self.repositories.get_mut(name))
        {
            stored.links += 1;
            repository.blobs.insert(digest.clone(), seen_from);
        }
        Ok(())
    }

    /// Takes a blob away from a repository. False when it has none.
    pub(super) fn remove_blob(&mut self, name: &str, digest: &Digest) -> bool {
        let found = self.repositories.get_mut(name).and_then(|repository| repository.blobs.remove(digest));
        if found.is_none() {
            return false;
        }
        self.give_back(ENTRY_BYTES);
        if let Some(stored) = self.blobs.get_mut(digest) {
            stored.links -= 1;
        }
        self.drop_unlinked(digest);
        true
    }

    fn drop_unlinked(&mut self, digest: &Digest) {
        if let Some(stored) = self.blobs.get(digest).filter(|stored| stored.links == 0) {
            let bytes = stored.content.len();
            self.blobs.remove(digest);
            self.give_back(bytes);
        }
    }

    /// Keeps a manifest.
    pub(super) fn add_manifest(
        &mut self,
        name: &str,
        digest: &Digest,
        manifest: Manifest,
    ) -> Result<(), Refusal> {
        self.create(name)?;
        let bytes = ENTRY_BYTES + manifest.bytes.len() as u64;
        let new = self.repository(name).is_some_and(|repository| repository.manifest(digest).is_none());
        if new {
            self.take(bytes)?;
        }
        // The same bytes pushed again can have another media type, which then holds.
        if let Some(repository) = self.repositories.get_mut(name) {
            repository.manifests.insert(digest.clone(), manifest);
        }
        Ok(())
    }

    /// Points a tag at a manifest.
    pub(super) fn set_tag(&mut self, name: &str, tag: &str, digest: Digest) -> Result<(), Refusal> {
        self.create(name)?;
        if self.repository(name).is_some_and(|repository| repository.tag(tag).is_none()) {
            self.take(ENTRY_BYTES)?;
        }
        if let Some(repository) = self.repositories.get_mut(name) {
            repository.tags.insert(tag.to_owned(), digest);
        }
        Ok(())
    }

    /// Removes a tag, and leaves its manifest. False when there is none.
    pub(super) fn remove_tag(&mut self, name: &str, tag: &str) -> bool {
        let found = self.repositories.get_mut(name).and_then(|repository| repository.tags.remove(tag));
        if found.is_some() {
            self.give_back(ENTRY_BYTES);
        }
        found.is_some()
    }

    /// Removes a manifest, and every tag that points at it. False when there is none.
    pub(super) fn remove_manifest(&mut self, name: &str, digest: &Digest) -> bool {
        let Some(repository) = self.repositories.get_mut(name) else { return false };
        let Some(manifest) = repository.manifests.remove(digest) else { return false };
        let before = repository.tags.len();
        repository.tags.retain(|_, target| target != digest);
        let tags = (before - repository.tags.len()) as u64;
        self.give_back(ENTRY_BYTES * (1 + tags) + manifest.bytes.len() as u64);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: MonoTime = MonoTime::ZERO;

    fn add(store: &mut Store, name: &str, bytes: &'static [u8]) -> Result<Digest, Refusal> {
        let digest = Digest::of(bytes);
        store.take(bytes.len() as u64)?;
        store.add_blob(name, &digest, bytes.into(), NOW).map(|()| digest)
    }

    #[test]
    fn bytes_are_kept_once_and_go_with_the_last_repository_that_has_them() {
        let mut store = Store::new(1_000_000);
        let digest = add(&mut store, "a", &[1; 5_000]).unwrap();
        let once = store.used();
        add(&mut store, "b", &[1; 5_000]).unwrap();
        assert!(store.used() < once + 1_000);
        assert!(store.remove_blob("a", &digest));
        assert!(!store.remove_blob("a", &digest));
        assert!(store.blob("a", &digest, NOW).is_none());
        assert!(store.blob("b", &digest, NOW).is_some());
        assert!(store.remove_blob("b", &digest));
        assert_eq!(store.used(), 2 * ENTRY_BYTES, "only the two repositories are left");
    }

    #[test]
    fn nothing_is_kept_beyond_the_limit() {
        let mut store = Store::new(10_000);
        add(&mut store, "a", &[1; 5_000]).unwrap();
        assert!(add(&mut store, "a", &[2; 6_000]).is_err());
        assert!(add(&mut store, "a", &[3; 4_000]).is_ok());
        assert!((0..100).any(|i| store.set_tag("a", &format!("t{i}"), Digest::of(b"")).is_err()));
        assert!(store.used() <= 10_000);
    }
}
