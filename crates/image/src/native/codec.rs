//! How a block is compressed, and how compressed blocks become one stream that every reader takes.
//!
//! * gzip: one member. Each block ends with an empty stored block, which brings it to a whole byte, and knows nothing of the
//!   blocks before it; an empty last block closes the stream. The header has no time and no name, and 255 for the system.
//! * zstd: one frame a block. Frames that follow one another are one stream
//!   ([RFC 8878, 3](https://www.rfc-editor.org/rfc/rfc8878#section-3)).
//!
//! The encoders' versions and levels are part of the format: another one means other digests.

use flate2::{Compress, Decompress, FlushCompress, FlushDecompress, Status};

use super::spec::Compression;

/// The level of gzip: the one of `zlib-rs` that writes least. Its 6 writes more than others at 6, the level most tools use.
const GZIP_LEVEL: u32 = 8;

/// The level of zstd that its own tools use.
#[cfg(feature = "zstd")]
const ZSTD_LEVEL: i32 = 3;

const GZIP_HEADER: &[u8] = &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// A last block with nothing in it.
const GZIP_END: &[u8] = &[3, 0];

impl Compression {
    /// What stands in front of the blocks.
    pub(crate) fn header(self) -> &'static [u8] {
        match self {
            Self::Gzip => GZIP_HEADER,
            #[cfg(feature = "zstd")]
            Self::Zstd => &[],
        }
    }

    /// What stands behind them. `crc` and `length` are those of everything before it was compressed.
    pub(crate) fn trailer(self, crc: u32, length: u64) -> Vec<u8> {
        match self {
            Self::Gzip => {
                // The format keeps the length modulo 2³².
                [GZIP_END, &crc.to_le_bytes(), &length.to_le_bytes()[..4]].concat()
            }
            #[cfg(feature = "zstd")]
            Self::Zstd => Vec::new(),
        }
    }

    /// Which encoder it is, for records that outlive a version of it.
    pub(crate) fn encoder(self) -> String {
        match self {
            Self::Gzip => format!("gzip {GZIP_LEVEL}"),
            #[cfg(feature = "zstd")]
            Self::Zstd => format!("zstd {ZSTD_LEVEL} {}", zstd::zstd_safe::version_number()),
        }
    }
}

/// What a thread compresses with. It is used for block after block.
pub(crate) enum Encoder {
    Gzip(Compress),
    #[cfg(feature = "zstd")]
    Zstd(zstd::bulk::Compressor<'static>),
}

impl Encoder {
    pub(crate) fn new(compression: Compression) -> Self {
        match compression {
            Compression::Gzip => Self::Gzip(Compress::new(flate2::Compression::new(GZIP_LEVEL), false)),
            #[cfg(feature = "zstd")]
            Compression::Zstd => match zstd::bulk::Compressor::new(ZSTD_LEVEL) {
                Ok(encoder) => Self::Zstd(encoder),
                Err(error) => unreachable!("the level is one the encoder has: {error}"),
            },
        }
    }

    /// Compresses a block.
    pub(crate) fn encode(&mut self, plain: &[u8]) -> Vec<u8> {
        match self {
            Self::Gzip(encoder) => deflate(encoder, plain),
            #[cfg(feature = "zstd")]
            Self::Zstd(encoder) => match encoder.compress(plain) {
                Ok(packed) => packed,
                Err(error) => unreachable!("the space is what the encoder asks for: {error}"),
            },
        }
    }
}

/// A block as it was before it was compressed. `None` when it is not one of exactly `length` bytes.
pub(crate) fn decode(compression: Compression, packed: &[u8], length: usize) -> Option<Vec<u8>> {
    let plain = match compression {
        Compression::Gzip => inflate(packed, length)?,
        #[cfg(feature = "zstd")]
        Compression::Zstd => zstd::bulk::decompress(packed, length).ok()?,
    };
    (plain.len() == length).then_some(plain)
}

fn deflate(encoder: &mut Compress, plain: &[u8]) -> Vec<u8> {
    encoder.reset();
    // More than deflate ever needs, so that where a piece of output ends never shows in the bytes.
    let mut packed = Vec::with_capacity(plain.len() + plain.len() / 256 + 1024);
    loop {
        let read = usize::try_from(encoder.total_in()).unwrap_or(plain.len());
        let status = encoder.compress_vec(&plain[read..], &mut packed, FlushCompress::Sync);
        let room = packed.len() < packed.capacity();
        match status {
            // All is read, and the encoder did not need all of the space: it has nothing left to say.
            Ok(Status::Ok | Status::BufError) if room && encoder.total_in() == plain.len() as u64 => {
                return packed;
            }
            Ok(_) => packed.reserve(plain.len() / 4 + 1024),
            Err(error) => unreachable!("deflate takes any bytes: {error}"),
        }
    }
}

fn inflate(packed: &[u8], length: usize) -> Option<Vec<u8>> {
    let mut decoder = Decompress::new(false);
    // One more than there should be, so that more than there should be is noticed.
    let mut plain = Vec::with_capacity(length + 1);
    let status = decoder.decompress_vec(packed, &mut plain, FlushDecompress::Sync).ok()?;
    let all = decoder.total_in() == packed.len() as u64;
    (all && status != Status::StreamEnd).then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::super::cut::BLOCK_BYTES;
    use super::super::tests::sample;
    use super::*;

    const ALL: &[Compression] = &[
        Compression::Gzip,
        #[cfg(feature = "zstd")]
        Compression::Zstd,
    ];

    #[test]
    fn a_block_comes_back_and_nothing_else_passes_for_one() {
        let block = usize::try_from(BLOCK_BYTES).unwrap();
        for compression in ALL {
            let mut encoder = Encoder::new(*compression);
            for length in [0, 1, 1000, block, block + 1024] {
                let plain = sample(length);
                let packed = encoder.encode(&plain);
                assert_eq!(
                    decode(*compression, &packed, length).as_deref(),
                    Some(plain.as_slice()),
                    "{length}"
                );
                assert_eq!(decode(*compression, &packed, length + 1), None);
                if length > 1 {
                    assert_eq!(decode(*compression, &packed, length - 1), None);
                    assert_eq!(decode(*compression, &packed[..packed.len() / 2], length), None);
                }
                assert_eq!(encoder.encode(&plain), packed, "an encoder forgets what it did before");
            }
            assert_eq!(decode(*compression, b"no such thing", 100), None);
        }
    }

    /// A new version of an encoder that writes other bytes would change the digest of every image.
    #[test]
    fn the_encoders_are_the_ones_that_were() {
        use std::fmt::Write as _;
        let mut seen = String::new();
        for compression in ALL {
            let packed = Encoder::new(*compression).encode(&sample(500_000));
            let digest = release_core::Digest::from_sha256(sha2::Sha256::digest(&packed).into());
            writeln!(seen, "{}: {} {digest}", compression.encoder(), packed.len()).unwrap();
        }
        insta::assert_snapshot!(seen);
    }

    use sha2::Digest as _;
}
