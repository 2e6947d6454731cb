//! What a registry has, as a value: taken out of one and put into another, so that it can outlive a process.
//!
//! Where it is kept meanwhile is the business of whoever asks.

use std::collections::BTreeMap;

use bytes::Bytes;
use release_core::MonoTime;

use super::content::Content;
use super::digest::Digest;
use super::machine::Registry;
use super::manifest;
use super::route::is_name;
use super::store::Manifest;

/// What is in a registry, by repository. Uploads that have not ended are no part of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents(pub BTreeMap<String, Held>);

/// What is in one repository.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Held {
    /// Blobs by digest; their bytes are shared with the registry.
    pub blobs: BTreeMap<Digest, Content>,
    /// Media type and bytes of manifests by digest.
    pub manifests: BTreeMap<Digest, (String, Bytes)>,
    /// The digest each tag names.
    pub tags: BTreeMap<String, Digest>,
}

/// Why something cannot be put into a registry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContentsError {
    /// No repository can have this name.
    #[error("no repository can be called `{name}`")]
    Name {
        /// The name.
        name: String,
    },
    /// The bytes are not those the digest stands for, or are no manifest.
    #[error("{digest} in repository `{name}` is damaged")]
    Damaged {
        /// The repository.
        name: String,
        /// What should have been there.
        digest: Digest,
    },
    /// The registry keeps as much as it may.
    #[error("there is no room for repository `{name}`")]
    Full {
        /// The repository.
        name: String,
    },
}

impl Registry {
    /// What it has now.
    pub fn contents(&self) -> Contents {
        let held = |name: &str| {
            let Some(repository) = self.store.repository(name) else { return Held::default() };
            let blobs = self.store.blobs_of(name).map(|(digest, content)| (digest.clone(), content.clone()));
            let manifests = repository.manifests().map(|(digest, manifest)| {
                (digest.clone(), (manifest.media_type.clone(), manifest.bytes.clone()))
            });
            let tags =
                repository.tags().filter_map(|tag| Some((tag.to_owned(), repository.tag(tag)?.clone())));
            Held { blobs: blobs.collect(), manifests: manifests.collect(), tags: tags.collect() }
        };
        Contents(self.store.repositories().map(|(name, _)| (name.to_owned(), held(name))).collect())
    }

    /// Puts in what another had. Every digest is worked out again.
    ///
    /// # Errors
    /// When something is damaged or does not fit in; what came before it is in.
    pub fn restore(&mut self, contents: Contents) -> Result<(), ContentsError> {
        for (name, held) in contents.0 {
            if !is_name(&name) {
                return Err(ContentsError::Name { name });
            }
            let full = || ContentsError::Full { name: name.clone() };
            let damaged =
                |digest: &Digest| ContentsError::Damaged { name: name.clone(), digest: digest.clone() };
            self.store.create(&name).map_err(|_| full())?;
            for (digest, content) in held.blobs {
                if digest.same_kind_of(content.pieces()) != digest {
                    return Err(damaged(&digest));
                }
                self.store.take(content.len()).map_err(|_| full())?;
                self.store.add_blob(&name, &digest, content, MonoTime::ZERO).map_err(|_| full())?;
            }
            for (digest, (media_type, bytes)) in held.manifests {
                let parsed = manifest::parse(Some(&media_type), &bytes).map_err(|_| damaged(&digest))?;
                if digest.same_kind_of(std::slice::from_ref(&bytes)) != digest {
                    return Err(damaged(&digest));
                }
                let manifest::Parsed { subject, artifact_type, annotations, .. } = parsed;
                let manifest = Manifest { media_type, bytes, subject, artifact_type, annotations };
                self.store.add_manifest(&name, &digest, manifest).map_err(|_| full())?;
            }
            for (tag, digest) in held.tags {
                if self.store.repository(&name).is_none_or(|held| held.manifest(&digest).is_none()) {
                    return Err(damaged(&digest));
                }
                self.store.set_tag(&name, &tag, digest).map_err(|_| full())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::manifest::IMAGE;
    use super::*;
    use crate::registry::Config;

    fn contents() -> Contents {
        let config = Bytes::from_static(b"{}");
        let of_config = Digest::of(&config);
        let manifest = format!(
            r#"{{"schemaVersion":2,"mediaType":"{IMAGE}","layers":[],"config":{{"mediaType":"a/b","digest":"{}","size":2}}}}"#,
            of_config.as_str()
        );
        let manifest = Bytes::from(manifest);
        let digest = Digest::of(&manifest);
        let held = Held {
            blobs: BTreeMap::from([(of_config, config.into())]),
            manifests: BTreeMap::from([(digest.clone(), (IMAGE.to_owned(), manifest))]),
            tags: BTreeMap::from([("v1".to_owned(), digest)]),
        };
        Contents(BTreeMap::from([("radio/player".to_owned(), held)]))
    }

    #[test]
    fn what_is_put_in_comes_out_again() {
        let mut registry = Registry::new(Config::default());
        registry.restore(contents()).unwrap();
        assert_eq!(registry.contents(), contents());
        let first = contents();
        let (_, held) = first.0.first_key_value().unwrap();
        assert_eq!(registry.resolve("radio/player", "v1"), held.tags.get("v1"));
    }

    #[test]
    fn what_is_damaged_is_named() {
        let mut wrong = contents();
        let held = wrong.0.get_mut("radio/player").unwrap();
        let digest = held.blobs.keys().next().unwrap().clone();
        held.blobs.insert(digest.clone(), Content::from("{]"));
        let error = Registry::new(Config::default()).restore(wrong).unwrap_err();
        assert_eq!(error, ContentsError::Damaged { name: "radio/player".to_owned(), digest });
        let strange = Contents(BTreeMap::from([("..".to_owned(), Held::default())]));
        assert!(Registry::new(Config::default()).restore(strange).is_err());
    }
}
