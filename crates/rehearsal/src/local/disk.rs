//! A registry's contents on disk: an index, and a file for each blob and manifest under its digest.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use release_sim::registry::{Content, Contents, Digest, Held};
use serde::{Deserialize, Serialize};

use super::LocalError;
use super::folder::{failed, write};

const INDEX: &str = "index.json";

/// What is where, by repository.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Index {
    repositories: BTreeMap<String, Listed>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Listed {
    blobs: BTreeSet<String>,
    /// Media types by digest.
    manifests: BTreeMap<String, String>,
    tags: BTreeMap<String, String>,
}

/// Reads what was written; nothing when nothing was.
pub(super) fn load(folder: &Path) -> Result<Contents, LocalError> {
    let path = folder.join(INDEX);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(Contents::default()),
        Err(source) => return Err(failed("read", &path, source)),
    };
    let damaged =
        |source: Box<dyn std::error::Error + Send + Sync>| LocalError::Damaged { path: path.clone(), source };
    let index: Index = serde_json::from_str(&text).map_err(|error| damaged(error.into()))?;
    let digest = |text: &str| text.parse::<Digest>().map_err(|error| damaged(error.into()));
    let mut shared: BTreeMap<Digest, Content> = BTreeMap::new();
    let mut contents = Contents::default();
    for (name, listed) in index.repositories {
        let mut held = Held::default();
        for text in &listed.blobs {
            let digest = digest(text)?;
            if !shared.contains_key(&digest) {
                shared.insert(digest.clone(), read(folder, &digest)?.into());
            }
            held.blobs.extend(shared.get(&digest).map(|content| (digest.clone(), content.clone())));
        }
        for (text, media_type) in listed.manifests {
            let digest = digest(&text)?;
            let bytes = read(folder, &digest)?;
            held.manifests.insert(digest, (media_type, bytes));
        }
        for (tag, text) in listed.tags {
            held.tags.insert(tag, digest(&text)?);
        }
        contents.0.insert(name, held);
    }
    Ok(contents)
}

/// Writes what is new, then the index, then removes what the index does not name.
pub(super) fn store(folder: &Path, contents: &Contents) -> Result<(), LocalError> {
    let blobs = folder.join("blobs");
    fs::create_dir_all(&blobs).map_err(|source| failed("make", &blobs, source))?;
    let mut index = Index::default();
    let mut kept = BTreeSet::new();
    for (name, held) in &contents.0 {
        let listed = index.repositories.entry(name.clone()).or_default();
        for (digest, content) in &held.blobs {
            listed.blobs.insert(digest.to_string());
            if kept.insert(digest.clone()) {
                put(folder, digest, &content.to_bytes())?;
            }
        }
        for (digest, (media_type, bytes)) in &held.manifests {
            listed.manifests.insert(digest.to_string(), media_type.clone());
            if kept.insert(digest.clone()) {
                put(folder, digest, bytes)?;
            }
        }
        listed.tags.extend(held.tags.iter().map(|(tag, digest)| (tag.clone(), digest.to_string())));
    }
    let text = serde_json::to_vec(&index)
        .map_err(|error| LocalError::Damaged { path: folder.join(INDEX), source: error.into() })?;
    write(&folder.join(INDEX), &text)?;
    let kept: BTreeSet<_> = kept.iter().map(|digest| path(folder, digest)).collect();
    for entry in fs::read_dir(&blobs).map_err(|source| failed("read", &blobs, source))? {
        let path = entry.map_err(|source| failed("read", &blobs, source))?.path();
        if !kept.contains(&path) {
            fs::remove_file(&path).map_err(|source| failed("remove", &path, source))?;
        }
    }
    Ok(())
}

fn path(folder: &Path, digest: &Digest) -> PathBuf {
    folder.join("blobs").join(digest.as_str().replace(':', "-"))
}

fn read(folder: &Path, digest: &Digest) -> Result<Bytes, LocalError> {
    let path = path(folder, digest);
    fs::read(&path).map(Bytes::from).map_err(|source| failed("read", &path, source))
}

fn put(folder: &Path, digest: &Digest, bytes: &[u8]) -> Result<(), LocalError> {
    let path = path(folder, digest);
    if path.exists() {
        return Ok(());
    }
    write(&path, bytes)
}
