//! One layer, read from front to back: which files it has, how large they are, what it takes away.
//!
//! Nothing is unpacked to disk. The layer's digest and its diff id are computed on the way, so a reader knows that it read
//! what the manifest names. Limits end bombs: on unpacked bytes, on entries, on the ratio of the two sizes, on the files
//! that are kept in memory.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Read};

use flate2::read::MultiGzDecoder;
use release_core::Digest;
use sha2::{Digest as _, Sha256};

use super::archive::{Archive, ArchiveError, EntryKind};
use crate::Descriptor;

/// What ends the reading of a layer that is no layer.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// The most that is read, unpacked.
    unpacked_bytes: u64,
    /// The most entries. Distributions have some ten thousands.
    entries: usize,
    /// How many times larger than packed it can be. Code packs to a third, text to a tenth.
    ratio: u64,
    /// Layers smaller than this may be as hollow as they like.
    ratio_from_bytes: u64,
    /// The most bytes of paths and of targets of links. A million files have some 60 MiB.
    names_bytes: usize,
    /// The most bytes of files that are kept. A package database of thousands of packages has about 10 MiB.
    kept_bytes: u64,
}

const LIMITS: Limits = Limits {
    unpacked_bytes: 64 * 1024 * 1024 * 1024,
    entries: 1_000_000,
    ratio: 500,
    ratio_from_bytes: 256 * 1024 * 1024,
    names_bytes: 256 * 1024 * 1024,
    kept_bytes: 64 * 1024 * 1024,
};

/// The name that takes away everything that was in its folder.
const OPAQUE: &str = ".wh..wh..opq";

/// What the names of files that are taken away begin with.
const WHITEOUT: &str = ".wh.";

/// Why a layer cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// Its kind is none whose content can be read.
    #[error("layer {digest} is of the kind `{media_type}`, which cannot be read")]
    Kind {
        /// The layer.
        digest: Digest,
        /// Its kind.
        media_type: String,
    },
    /// It is no archive that can be trusted.
    #[error("layer {digest} cannot be used: {source}")]
    Archive {
        /// The layer.
        digest: Digest,
        /// What is wrong.
        source: ArchiveError,
    },
    /// It is larger than anything that is meant to be an image.
    #[error("layer {digest} has more than {limit} {what}")]
    TooMuch {
        /// The layer.
        digest: Digest,
        /// The limit.
        limit: u64,
        /// Of what.
        what: &'static str,
    },
    /// Its bytes are not those its name stands for.
    #[error("layer {digest} does not have the bytes its name stands for")]
    Corrupt {
        /// The layer.
        digest: Digest,
    },
}

/// One entry of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerEntry {
    /// Its path in the image, without a leading `/`.
    pub path: String,
    /// What it is.
    pub kind: EntryKind,
    /// The size of a file, in bytes; 0 of everything else.
    pub size: u64,
    /// Its permission bits, without its kind; 0 when the archive does not say.
    pub mode: u32,
    /// Where a link leads.
    pub link: Option<String>,
    /// The digest of a file's content, if it was asked for.
    pub digest: Option<Digest>,
}

/// A layer that has been read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerContents {
    /// The layer's blob.
    pub blob: Descriptor,
    /// The digest of the unpacked archive.
    pub diff_id: Digest,
    /// The size of the unpacked archive, in bytes.
    pub unpacked: u64,
    /// What it adds, in its own order.
    pub entries: Vec<LayerEntry>,
    /// The paths it takes away from the layers below.
    pub gone: Vec<String>,
    /// The folders it empties of what the layers below put there.
    pub opaque: Vec<String>,
    /// The contents of the files that were to be kept.
    pub kept: BTreeMap<String, Vec<u8>>,
}

/// What is wanted of a layer.
#[derive(Clone, Copy)]
pub struct Wanted<'a> {
    /// Whether the contents of files are hashed.
    pub hashes: bool,
    /// Which files' contents are kept, by path.
    pub keep: &'a dyn Fn(&str) -> bool,
}

impl std::fmt::Debug for Wanted<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wanted").field("hashes", &self.hashes).finish_non_exhaustive()
    }
}

impl LayerContents {
    /// Reads the layer `blob` from its packed bytes.
    ///
    /// # Errors
    /// A kind that cannot be read, an archive that cannot be trusted, a layer that is too large, other bytes than the
    /// descriptor names.
    pub fn read(blob: &Descriptor, packed: impl Read, wanted: Wanted<'_>) -> Result<Self, LayerError> {
        Self::read_within(&LIMITS, blob, packed, wanted)
    }

    fn read_within(
        limits: &Limits,
        blob: &Descriptor,
        packed: impl Read,
        wanted: Wanted<'_>,
    ) -> Result<Self, LayerError> {
        let digest = || blob.digest.clone();
        let packing = Packing::of(&blob.media_type)
            .ok_or_else(|| LayerError::Kind { digest: digest(), media_type: blob.media_type.clone() })?;
        let packed = Hashing::new(packed.take(blob.size.saturating_add(1)));
        let unpacked =
            Hashing::new(packing.open(packed, *limits).map_err(|error| failed(blob, error.into()))?);
        let mut archive = Archive::new(unpacked);
        let mut contents = Self {
            blob: blob.clone(),
            diff_id: digest(),
            unpacked: 0,
            entries: Vec::new(),
            gone: Vec::new(),
            opaque: Vec::new(),
            kept: BTreeMap::new(),
        };
        let (mut names, mut kept) = (0, 0);
        while let Some(header) = archive.next().map_err(|error| failed(blob, error))? {
            if contents.entries.len() + contents.gone.len() + contents.opaque.len() >= limits.entries {
                return Err(too_much(blob, limits.entries as u64, "entries"));
            }
            names += header.path.len() + header.link.as_ref().map_or(0, String::len);
            if names > limits.names_bytes {
                return Err(too_much(blob, limits.names_bytes as u64, "bytes in names"));
            }
            if contents.takes_away(&header.path)? {
                continue;
            }
            let mut entry = LayerEntry {
                path: header.path,
                kind: header.kind,
                size: header.size,
                mode: header.mode,
                link: header.link,
                digest: None,
            };
            if entry.kind == EntryKind::File {
                contents.content(&mut entry, &mut archive, wanted, (limits.kept_bytes, &mut kept))?;
            }
            contents.entries.push(entry);
        }
        contents.finish(archive.into_inner())
    }

    /// Whether a name means that something is taken away.
    fn takes_away(&mut self, path: &str) -> Result<bool, LayerError> {
        let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
        if name == OPAQUE {
            self.opaque.push(above.to_owned());
        } else if let Some(gone) = name.strip_prefix(WHITEOUT) {
            // For a reader that joins the two, these are the folder itself and the one above it.
            if matches!(gone, "" | "." | "..") {
                let (path, why) = (path.to_owned(), "takes away what has no name");
                return Err(failed(&self.blob, ArchiveError::Path { path, why }));
            }
            self.gone.push(if above.is_empty() { gone.to_owned() } else { format!("{above}/{gone}") });
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    fn content(
        &mut self,
        entry: &mut LayerEntry,
        archive: &mut impl Read,
        wanted: Wanted<'_>,
        (most, kept): (u64, &mut u64),
    ) -> Result<(), LayerError> {
        let keep = (wanted.keep)(&entry.path);
        *kept = kept.saturating_add(if keep { entry.size } else { 0 });
        if *kept > most {
            return Err(too_much(&self.blob, most, "bytes in files that are to be read"));
        }
        if !keep && !wanted.hashes {
            return Ok(());
        }
        let mut hash = Sha256::new();
        let mut bytes = Vec::new();
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let read = archive.read(&mut buffer).map_err(|error| failed(&self.blob, error.into()))?;
            if read == 0 {
                break;
            }
            if wanted.hashes {
                hash.update(&buffer[..read]);
            }
            if keep {
                bytes.extend_from_slice(&buffer[..read]);
            }
        }
        entry.digest = wanted.hashes.then(|| Digest::from_sha256(hash.finalize().into()));
        if keep {
            self.kept.insert(entry.path.clone(), bytes);
        }
        Ok(())
    }

    /// Reads what follows the archive's end, which counts for both digests, and checks them.
    fn finish<R: Read>(mut self, mut unpacked: Hashing<Unpacked<R>>) -> Result<Self, LayerError> {
        let read = io::copy(&mut unpacked, &mut io::sink());
        read.map_err(|error| failed(&self.blob, error.into()))?;
        let (from, diff_id, size) = unpacked.end();
        let mut packed = from.into_packed();
        let rest = io::copy(&mut packed, &mut io::sink());
        rest.map_err(|error| failed(&self.blob, error.into()))?;
        let (_, digest, packed_size) = packed.end();
        if digest != self.blob.digest || packed_size != self.blob.size {
            return Err(LayerError::Corrupt { digest: self.blob.digest });
        }
        (self.diff_id, self.unpacked) = (diff_id, size);
        Ok(self)
    }
}

fn too_much(blob: &Descriptor, limit: u64, what: &'static str) -> LayerError {
    LayerError::TooMuch { digest: blob.digest.clone(), limit, what }
}

/// An error of reading, which may be that of a limit.
fn failed(blob: &Descriptor, error: ArchiveError) -> LayerError {
    if let ArchiveError::Read(source) = &error
        && let Some(bomb) = source.get_ref().and_then(|inner| inner.downcast_ref::<Bomb>())
    {
        return too_much(blob, bomb.limit, bomb.what);
    }
    LayerError::Archive { digest: blob.digest.clone(), source: error }
}

/// A limit that was passed while reading.
#[derive(Debug, thiserror::Error)]
#[error("more than {limit} {what}")]
struct Bomb {
    limit: u64,
    what: &'static str,
}

/// How a layer is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Packing {
    Plain,
    Gzip,
    #[cfg(feature = "zstd")]
    Zstd,
}

impl Packing {
    fn of(media_type: &str) -> Option<Self> {
        match media_type {
            "application/vnd.oci.image.layer.v1.tar"
            | "application/vnd.docker.image.rootfs.diff.tar"
            | "application/vnd.oci.image.layer.nondistributable.v1.tar" => Some(Self::Plain),
            "application/vnd.oci.image.layer.v1.tar+gzip"
            | "application/vnd.docker.image.rootfs.diff.tar.gzip"
            | "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip" => Some(Self::Gzip),
            #[cfg(feature = "zstd")]
            "application/vnd.oci.image.layer.v1.tar+zstd"
            | "application/vnd.docker.image.rootfs.diff.tar.zstd" => Some(Self::Zstd),
            _ => None,
        }
    }

    fn open<R: Read>(self, packed: Hashing<R>, limits: Limits) -> io::Result<Unpacked<R>> {
        let decoder = match self {
            Self::Plain => Decoder::Plain(packed),
            Self::Gzip => Decoder::Gzip(Box::new(MultiGzDecoder::new(BufReader::new(packed)))),
            #[cfg(feature = "zstd")]
            Self::Zstd => Decoder::Zstd(Box::new(zstd::stream::read::Decoder::new(packed)?)),
        };
        Ok(Unpacked { decoder, given: 0, limits })
    }
}

enum Decoder<R: Read> {
    Plain(Hashing<R>),
    Gzip(Box<MultiGzDecoder<BufReader<Hashing<R>>>>),
    #[cfg(feature = "zstd")]
    Zstd(Box<zstd::stream::read::Decoder<'static, BufReader<Hashing<R>>>>),
}

/// The unpacked bytes, as many as the limits allow.
struct Unpacked<R: Read> {
    decoder: Decoder<R>,
    given: u64,
    limits: Limits,
}

impl<R: Read> Unpacked<R> {
    fn packed(&self) -> u64 {
        match &self.decoder {
            Decoder::Plain(packed) => packed.size,
            Decoder::Gzip(decoder) => decoder.get_ref().get_ref().size,
            #[cfg(feature = "zstd")]
            Decoder::Zstd(decoder) => decoder.get_ref().get_ref().size,
        }
    }

    fn into_packed(self) -> Hashing<R> {
        match self.decoder {
            Decoder::Plain(packed) => packed,
            Decoder::Gzip(decoder) => decoder.into_inner().into_inner(),
            #[cfg(feature = "zstd")]
            Decoder::Zstd(decoder) => decoder.finish().into_inner(),
        }
    }
}

impl<R: Read> Read for Unpacked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = match &mut self.decoder {
            Decoder::Plain(packed) => packed.read(buffer)?,
            Decoder::Gzip(decoder) => decoder.read(buffer)?,
            #[cfg(feature = "zstd")]
            Decoder::Zstd(decoder) => decoder.read(buffer)?,
        };
        self.given += read as u64;
        let Limits { unpacked_bytes, ratio, ratio_from_bytes, .. } = self.limits;
        if self.given > unpacked_bytes {
            return Err(io::Error::other(Bomb { limit: unpacked_bytes, what: "bytes unpacked" }));
        }
        if self.given > ratio_from_bytes && self.given / ratio > self.packed() {
            return Err(io::Error::other(Bomb { limit: ratio, what: "times its packed size unpacked" }));
        }
        Ok(read)
    }
}

/// Hashes and counts what is read.
struct Hashing<R> {
    from: R,
    hash: Sha256,
    size: u64,
}

impl<R> Hashing<R> {
    fn new(from: R) -> Self {
        Self { from, hash: Sha256::new(), size: 0 }
    }

    fn end(self) -> (R, Digest, u64) {
        (self.from, Digest::from_sha256(self.hash.finalize().into()), self.size)
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(buffer)?;
        self.hash.update(&buffer[..read]);
        self.size += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests;
