//! A blob out of blocks that are made apart, on several threads, in order.
//!
//! ```text
//!  block numbers ─► threads: read, compress ─► in order ─► diff id, checksum ─► blob
//!                            or take from the blob before      of the blob: digest
//! ```
//!
//! What a block is made of says [`Make`]; here is only who does it when. The bytes are the same whatever the number of threads.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use flate2::Crc;
use release_core::Digest;
use sha2::{Digest as _, Sha256};

use super::codec::Encoder;
use super::error::NativeError;
use super::spec::Compression;

/// How many blocks there are at a time for every thread: one it works on, and one that waits for its turn.
const BLOCKS_A_THREAD: usize = 2;

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Packed {
    /// Of the compressed bytes.
    pub(crate) digest: Digest,
    /// Of the compressed bytes.
    pub(crate) size: u64,
    /// Of the bytes before they were compressed.
    pub(crate) diff_id: Digest,
    /// Each block, in order.
    pub(crate) blocks: Vec<Written>,
}

/// A block that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Written {
    /// Of its bytes before they were compressed.
    pub(crate) content: Digest,
    /// How many these are.
    pub(crate) plain: usize,
    /// Where its compressed bytes are in the blob.
    pub(crate) at: u64,
    /// How many these are.
    pub(crate) length: usize,
    /// Of its compressed bytes.
    pub(crate) packed: Digest,
}

/// A block that was made.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) plain: Vec<u8>,
    pub(crate) packed: Vec<u8>,
    /// The hashes of both.
    pub(crate) content: Digest,
    pub(crate) sum: Digest,
}

/// Why nothing was written.
#[derive(Debug)]
pub(crate) enum PackError {
    /// A block could not be made.
    Make(NativeError),
    /// The sink gave up.
    Write(io::Error),
}

/// A block's number, and where the block goes.
struct Job {
    block: usize,
    done: SyncSender<Result<Made, NativeError>>,
}

/// Writes `count` blocks that `make` makes, on `threads` threads, into `sink`.
pub(crate) fn pack<W: Write>(
    threads: usize,
    compression: Compression,
    count: usize,
    make: &(dyn Fn(usize, &mut Encoder) -> Result<Made, NativeError> + Sync),
    sink: &mut W,
) -> Result<Packed, PackError> {
    let window = threads * BLOCKS_A_THREAD;
    let (jobs, queue) = sync_channel::<Job>(window);
    let queue = Mutex::new(queue);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| work(&queue, compression, make));
        }
        // Ours, so that the threads end when we do.
        let jobs = jobs;
        let mut out = Out::begin(sink, compression).map_err(PackError::Write)?;
        let mut waiting = VecDeque::new();
        let mut blocks = 0..count;
        let gone = || PackError::Write(io::ErrorKind::BrokenPipe.into());
        loop {
            while waiting.len() < window
                && let Some(block) = blocks.next()
            {
                let (done, result) = sync_channel(1);
                jobs.send(Job { block, done }).map_err(|_| gone())?;
                waiting.push_back(result);
            }
            let Some(result) = waiting.pop_front() else { break };
            // A thread that panicked sends nothing; the scope passes its panic on.
            let block = result.recv().map_err(|_| gone())?.map_err(PackError::Make)?;
            out.block(&block).map_err(PackError::Write)?;
        }
        out.end(compression).map_err(PackError::Write)
    })
}

/// One thread: takes a number, makes the block, hands it on.
fn work(
    queue: &Mutex<Receiver<Job>>,
    compression: Compression,
    make: &(dyn Fn(usize, &mut Encoder) -> Result<Made, NativeError> + Sync),
) {
    let mut encoder = Encoder::new(compression);
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = next else { return };
        // Nobody waits for the block when the sink has failed.
        let _ = job.done.send(make(job.block, &mut encoder));
    }
}

/// The blob as it grows.
struct Out<'a, W> {
    sink: &'a mut W,
    packed: Sha256,
    size: u64,
    plain: Sha256,
    crc: Crc,
    length: u64,
    blocks: Vec<Written>,
}

impl<'a, W: Write> Out<'a, W> {
    fn begin(sink: &'a mut W, compression: Compression) -> io::Result<Self> {
        let mut out = Self {
            sink,
            packed: Sha256::new(),
            size: 0,
            plain: Sha256::new(),
            crc: Crc::new(),
            length: 0,
            blocks: Vec::new(),
        };
        out.put(compression.header())?;
        Ok(out)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.packed.update(bytes);
        self.size += bytes.len() as u64;
        self.sink.write_all(bytes)
    }

    fn block(&mut self, made: &Made) -> io::Result<()> {
        self.plain.update(&made.plain);
        self.crc.update(&made.plain);
        self.length += made.plain.len() as u64;
        self.blocks.push(Written {
            content: made.content.clone(),
            plain: made.plain.len(),
            at: self.size,
            length: made.packed.len(),
            packed: made.sum.clone(),
        });
        self.put(&made.packed)
    }

    fn end(mut self, compression: Compression) -> io::Result<Packed> {
        self.put(&compression.trailer(self.crc.sum(), self.length))?;
        Ok(Packed {
            digest: Digest::from_sha256(self.packed.finalize().into()),
            size: self.size,
            diff_id: Digest::from_sha256(self.plain.finalize().into()),
            blocks: self.blocks,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::super::record::digest;
    use super::super::tests::sample;
    use super::*;

    fn made(plain: &[u8], encoder: &mut Encoder) -> Made {
        let packed = encoder.encode(plain);
        Made { content: digest(plain), sum: digest(&packed), plain: plain.to_owned(), packed }
    }

    fn packed(threads: usize, compression: Compression, blocks: &[&[u8]]) -> (Packed, Vec<u8>) {
        let mut out = Vec::new();
        let make = |block: usize, encoder: &mut Encoder| Ok(made(blocks[block], encoder));
        let packed = pack(threads, compression, blocks.len(), &make, &mut out).unwrap();
        (packed, out)
    }

    fn check(compression: Compression, back: fn(&[u8]) -> Vec<u8>) {
        let bytes = sample(900_000);
        for cuts in [&[][..], &[0], &[1, 2, 3], &[500_000], &[100, 100, 600_000]] {
            let mut blocks = Vec::new();
            let mut rest = bytes.as_slice();
            for cut in cuts {
                let (block, behind) = rest.split_at((*cut).min(rest.len()));
                blocks.push(block);
                rest = behind;
            }
            blocks.push(rest);
            let (first, out) = packed(1, compression, &blocks);
            assert!(back(&out) == blocks.concat(), "{cuts:?}");
            assert_eq!(first.size, out.len() as u64);
            assert_eq!(first.digest, Digest::from_sha256(Sha256::digest(&out).into()));
            assert_eq!(first.diff_id, Digest::from_sha256(Sha256::digest(blocks.concat()).into()));
            for (block, written) in blocks.iter().zip(&first.blocks) {
                let at = usize::try_from(written.at).unwrap();
                assert_eq!(digest(&out[at..at + written.length]), written.packed);
                assert_eq!((&digest(block), block.len()), (&written.content, written.plain));
            }
            for threads in [2, 5] {
                assert!(packed(threads, compression, &blocks) == (first.clone(), out.clone()), "{threads}");
            }
        }
    }

    #[test]
    fn every_gzip_reader_reads_it_back_whatever_the_length_and_the_threads() {
        // A reader of one member only: it is one.
        check(Compression::Gzip, |out| {
            let mut back = Vec::new();
            flate2::read::GzDecoder::new(out).read_to_end(&mut back).unwrap();
            back
        });
    }

    #[cfg(feature = "zstd")]
    #[test]
    fn every_zstd_reader_reads_it_back_whatever_the_length_and_the_threads() {
        check(Compression::Zstd, |out| zstd::stream::decode_all(out).unwrap());
    }

    #[test]
    fn a_full_disk_or_a_lost_file_ends_it_and_nothing_hangs() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let bytes = sample(10_000);
        let make = |_: usize, encoder: &mut Encoder| Ok(made(&bytes, encoder));
        let error = pack(2, Compression::Gzip, 100, &make, &mut Full).unwrap_err();
        assert!(matches!(error, PackError::Write(e) if e.kind() == io::ErrorKind::StorageFull));
        let make = |block: usize, encoder: &mut Encoder| {
            if block == 50 { Err(NativeError::Cancelled) } else { Ok(made(&bytes, encoder)) }
        };
        let error = pack(2, Compression::Gzip, 100, &make, &mut Vec::new()).unwrap_err();
        assert!(matches!(error, PackError::Make(NativeError::Cancelled)));
    }
}
