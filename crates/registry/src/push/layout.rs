//! What is pushed: an image in an [OCI image layout](https://github.com/opencontainers/image-spec/blob/main/image-layout.md).
//!
//! Nothing of it is trusted. Digests are checked before a manifest is believed and while a blob is read; a blob that is a
//! link is refused, because it could lead to any file of this machine.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use release_core::Digest;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use super::body::FileBody;
use super::error::PushError;

/// The largest manifest: the specification asks registries for 4 MiB.
const MAX_MANIFEST_BYTES: u64 = 4 * 1024 * 1024;

/// How much of a blob is read at a time, and how many such pieces wait for the network: 1 MiB an upload.
const PIECE_BYTES: usize = 256 * 1024;
const PIECES: usize = 3;

/// What names a blob.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
pub(crate) struct Descriptor {
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    #[serde(default)]
    urls: Vec<String>,
}

/// A manifest, as bytes and as what it says.
#[derive(Debug)]
pub(crate) struct Manifest {
    pub(crate) bytes: Bytes,
    pub(crate) media_type: String,
    pub(crate) config: Descriptor,
    /// Each blob once.
    pub(crate) layers: Vec<Descriptor>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    media_type: Option<String>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<serde_json::Value>,
}

fn path_of(dir: &Path, digest: &Digest) -> PathBuf {
    dir.join("blobs/sha256").join(digest.hex())
}

fn open(path: &Path) -> Result<(File, u64), PushError> {
    let unread = |source| PushError::Read { path: path.to_owned(), source };
    let metadata = fs::symlink_metadata(path).map_err(unread)?;
    if !metadata.is_file() {
        return Err(PushError::Corrupt { path: path.to_owned(), why: "it is no plain file" });
    }
    let file = File::open(path).map_err(unread)?;
    let size = file.metadata().map_err(unread)?.len();
    Ok((file, size))
}

impl Manifest {
    /// Reads the manifest `digest` of the layout at `dir`.
    pub(crate) fn read(dir: &Path, digest: &Digest) -> Result<Self, PushError> {
        let path = path_of(dir, digest);
        let corrupt = |why| PushError::Corrupt { path: path.clone(), why };
        let (file, _) = open(&path)?;
        let mut bytes = Vec::new();
        file.take(MAX_MANIFEST_BYTES + 1)
            .read_to_end(&mut bytes)
            .map_err(|source| PushError::Read { path: path.clone(), source })?;
        if bytes.len() as u64 > MAX_MANIFEST_BYTES {
            return Err(corrupt("a manifest has at most 4 MiB"));
        }
        if Digest::from_sha256(Sha256::digest(&bytes).into()) != *digest {
            return Err(corrupt("its bytes are not those its name stands for"));
        }
        let document: Document =
            serde_json::from_slice(&bytes).map_err(|_| corrupt("it is no manifest of an image"))?;
        let (Some(config), Some(layers), None) = (document.config, document.layers, document.manifests)
        else {
            return Err(corrupt("it is no manifest of an image"));
        };
        let mut seen = Vec::new();
        for layer in layers {
            if !layer.urls.is_empty() {
                return Err(corrupt("a layer of it is kept elsewhere"));
            }
            if !seen.contains(&layer) && layer != config {
                seen.push(layer);
            }
        }
        let media_type =
            document.media_type.unwrap_or_else(|| "application/vnd.oci.image.manifest.v1+json".to_owned());
        Ok(Self { bytes: bytes.into(), media_type, config, layers: seen })
    }
}

/// A blob on disk that is being sent.
#[derive(Debug)]
pub(crate) struct Blob {
    path: PathBuf,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    /// How far the current upload has come.
    pub(crate) sent: AtomicU64,
    /// Everything up to its length, hashed as it is sent.
    check: Mutex<Check>,
}

#[derive(Debug, Default)]
struct Check {
    hashed: u64,
    hash: Sha256,
    /// Why reading ended, for whoever sees only that the connection broke.
    trouble: Option<PushError>,
}

impl Blob {
    pub(crate) fn open(dir: &Path, descriptor: &Descriptor) -> Result<Arc<Self>, PushError> {
        let path = path_of(dir, &descriptor.digest);
        let (_, size) = open(&path)?;
        if size != descriptor.size {
            return Err(PushError::Corrupt { path, why: "it has another size than its manifest says" });
        }
        let digest = descriptor.digest.clone();
        Ok(Arc::new(Self { path, digest, size, sent: AtomicU64::new(0), check: Mutex::default() }))
    }

    /// The bytes from `from` up to `to` as the body of a request. The last piece of a blob is not given out before the
    /// whole of it has been checked, so a damaged blob never arrives.
    pub(crate) fn body(self: &Arc<Self>, from: u64, to: u64) -> FileBody {
        let (sender, receiver) = mpsc::channel(PIECES);
        let blob = self.clone();
        self.sent.store(from, Ordering::Relaxed);
        tokio::task::spawn_blocking(move || {
            if let Err(error) = blob.read(from, to, &sender) {
                blob.check.lock().unwrap_or_else(PoisonError::into_inner).trouble = Some(error);
                let _ = sender.blocking_send(Err(io::Error::other("the blob broke off")));
            }
        });
        FileBody::new(receiver, to - from)
    }

    /// Why reading failed, once.
    pub(crate) fn trouble(&self) -> Option<PushError> {
        self.check.lock().unwrap_or_else(PoisonError::into_inner).trouble.take()
    }

    fn read(&self, from: u64, to: u64, out: &mpsc::Sender<io::Result<Bytes>>) -> Result<(), PushError> {
        let unread = |source| PushError::Read { path: self.path.clone(), source };
        let (mut file, _) = open(&self.path)?;
        file.seek(SeekFrom::Start(from)).map_err(unread)?;
        let mut at = from;
        while at < to {
            let most = usize::try_from(to - at).unwrap_or(usize::MAX).min(PIECE_BYTES);
            let mut piece = vec![0; most];
            file.read_exact(&mut piece).map_err(unread)?;
            self.check(at, &piece)?;
            at += most as u64;
            if out.blocking_send(Ok(piece.into())).is_err() {
                // The request ended early; whoever sent it knows why.
                return Ok(());
            }
            self.sent.store(at, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Hashes what has not been hashed before.
    fn check(&self, at: u64, piece: &[u8]) -> Result<(), PushError> {
        let mut check = self.check.lock().unwrap_or_else(PoisonError::into_inner);
        let end = at + piece.len() as u64;
        if end <= check.hashed {
            return Ok(());
        }
        let corrupt = |why| PushError::Corrupt { path: self.path.clone(), why };
        let known = check.hashed.checked_sub(at).and_then(|known| usize::try_from(known).ok());
        // Nothing is sent that was not read in order, so a gap means a registry that counts wrong.
        let fresh =
            known.and_then(|known| piece.get(known..)).ok_or_else(|| corrupt("it was read out of order"))?;
        check.hash.update(fresh);
        check.hashed = end;
        if end == self.size && Digest::from_sha256(check.hash.clone().finalize().into()) != self.digest {
            return Err(corrupt("its bytes are not those its name stands for"));
        }
        Ok(())
    }
}
