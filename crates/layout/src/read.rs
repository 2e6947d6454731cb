//! Reading: plain files only, documents up to a limit, blobs by their hash.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

use release_core::Digest;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::MARKER;
use crate::error::{LayoutError, unread};

/// The largest document that is read: the distribution specification asks registries for 4 MiB.
pub const MAX_DOCUMENT_BYTES: u64 = 4 * 1024 * 1024;

/// How much is read at a time to hash a blob.
const PIECE_BYTES: usize = 256 * 1024;

/// Opens a file of a layout.
///
/// # Errors
/// When it is no plain file, or cannot be read.
pub fn open(path: &Path) -> Result<File, LayoutError> {
    if !fs::symlink_metadata(path).map_err(unread(path))?.is_file() {
        return Err(LayoutError::Form { path: path.to_owned(), why: "it is no plain file" });
    }
    File::open(path).map_err(unread(path))
}

/// Reads a document: the index, the marker, a manifest. It is not compared with its name.
///
/// # Errors
/// When it is no plain file, has more than [`MAX_DOCUMENT_BYTES`], or cannot be read.
pub fn read(path: &Path) -> Result<Vec<u8>, LayoutError> {
    let mut bytes = Vec::new();
    let mut file = open(path)?.take(MAX_DOCUMENT_BYTES + 1);
    file.read_to_end(&mut bytes).map_err(unread(path))?;
    if bytes.len() as u64 > MAX_DOCUMENT_BYTES {
        return Err(LayoutError::Form { path: path.to_owned(), why: "it has more than 4 MiB" });
    }
    Ok(bytes)
}

/// The digest and size of what is in a file of a layout. Reads all of it, a quarter of a MiB at a time.
///
/// # Errors
/// When it is no plain file, or cannot be read.
pub fn hash(path: &Path) -> Result<(Digest, u64), LayoutError> {
    let mut file = open(path)?;
    let (mut hash, mut size) = (Sha256::new(), 0);
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok((Digest::from_sha256(hash.finalize().into()), size)),
            Ok(n) => {
                hash.update(&piece[..n]);
                size += n as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => return Err(unread(path)(source)),
        }
    }
}

/// The digest of bytes.
pub fn digest(bytes: &[u8]) -> Digest {
    Digest::from_sha256(Sha256::digest(bytes).into())
}

/// Checks that `dir` says it is a layout of a version we know: 1.
///
/// # Errors
/// When it does not, or its marker cannot be read.
pub fn check(dir: &Path) -> Result<(), LayoutError> {
    let path = dir.join(MARKER);
    let form = |why| LayoutError::Form { path: path.clone(), why };
    let marker: Value = serde_json::from_slice(&read(&path)?).map_err(|_| form("it is no JSON"))?;
    match marker["imageLayoutVersion"].as_str() {
        Some(version) if version.starts_with("1.") => Ok(()),
        _ => Err(form("its version is not 1")),
    }
}
