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
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use super::body::FileBody;
use super::error::PushError;
use crate::document::{Descriptor, Document};

/// The largest manifest: the specification asks registries for 4 MiB.
const MAX_MANIFEST_BYTES: u64 = 4 * 1024 * 1024;

/// How much of a blob is read at a time, and how many such pieces wait for the network: 1 MiB an upload.
const PIECE_BYTES: usize = 256 * 1024;
const PIECES: usize = 3;

/// How deep indexes may be nested, and how many documents there may be: as for pulling.
const MAX_DEPTH: usize = 4;
const MAX_DOCUMENTS: usize = 1000;

/// A manifest or an index, as bytes and as what it says.
#[derive(Debug)]
pub(crate) struct Manifest {
    pub(crate) digest: Digest,
    pub(crate) bytes: Bytes,
    pub(crate) media_type: String,
    pub(crate) document: Document,
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
    /// Reads the document `digest` of the layout at `dir`, which is named as one of the kind `named_as`.
    fn read(dir: &Path, digest: &Digest, named_as: &[&str]) -> Result<Self, PushError> {
        let path = release_layout::blob(dir, digest);
        let corrupt = |why| PushError::Corrupt { path: path.clone(), why };
        let (file, _) = open(&path)?;
        let mut bytes = Vec::new();
        file.take(MAX_MANIFEST_BYTES + 1)
            .read_to_end(&mut bytes)
            .map_err(|source| PushError::Read { path: path.clone(), source })?;
        if bytes.len() as u64 > MAX_MANIFEST_BYTES {
            return Err(corrupt("a manifest has at most 4 MiB"));
        }
        if release_layout::digest(&bytes) != *digest {
            return Err(corrupt("its bytes are not those its name stands for"));
        }
        let (document, media_type) = Document::read(&bytes, named_as).map_err(corrupt)?;
        Ok(Self { digest: digest.clone(), bytes: bytes.into(), media_type, document })
    }

    /// Reads the document and everything it is made of: each once, nothing before what it names, itself at the end.
    pub(crate) fn tree(dir: &Path, digest: &Digest) -> Result<Vec<Self>, PushError> {
        let mut found = Vec::new();
        Self::read(dir, digest, &[])?.unfold(dir, 0, &mut found)?;
        Ok(found)
    }

    fn unfold(self, dir: &Path, depth: usize, found: &mut Vec<Self>) -> Result<(), PushError> {
        let corrupt = |why| PushError::Corrupt { path: release_layout::blob(dir, &self.digest), why };
        if let Document::Index(children) = &self.document {
            if depth == MAX_DEPTH {
                return Err(corrupt("indexes are nested too deep"));
            }
            for child in children {
                let child = &child.descriptor;
                if found.iter().all(|known| known.digest != child.digest) {
                    let read = Self::read(dir, &child.digest, &[&child.media_type])?;
                    if read.bytes.len() as u64 != child.size {
                        return Err(corrupt("an image in it has another size than it says"));
                    }
                    read.unfold(dir, depth + 1, found)?;
                }
            }
        }
        if found.len() == MAX_DOCUMENTS {
            return Err(corrupt("it is made of too many images"));
        }
        found.push(self);
        Ok(())
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
        let path = release_layout::blob(dir, &descriptor.digest);
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
