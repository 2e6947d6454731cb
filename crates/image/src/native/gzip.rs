//! One gzip stream out of blocks that are compressed apart.
//!
//! ```text
//!  producer ─► 512 KiB blocks ─► threads ─► in order ─► sink
//!     └ sha256 (diff id), crc    deflate      sha256 (digest)
//! ```
//!
//! Blocks have a fixed size and know nothing of one another, so the bytes are the same whatever the number of threads.
//! Every block but the last ends with an empty stored block, which brings it to a whole byte. The header has no time and
//! no name, and 255 for the system. The encoder's level is part of the format: another one means other digests.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use flate2::{Compress, Compression, Crc, FlushCompress, Status};
use release_core::Digest;
use sha2::{Digest as _, Sha256};

use super::archive::Halt;
use super::error::NativeError;

/// The size of a block before it is compressed. Cutting costs some 0.2 % of size; larger blocks cost memory per thread.
pub(crate) const BLOCK_BYTES: usize = 512 * 1024;

/// The level most tools use.
const LEVEL: u32 = 6;

const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Packed {
    /// Of the compressed bytes.
    pub(crate) digest: Digest,
    /// Of the compressed bytes.
    pub(crate) size: u64,
    /// Of the bytes before they were compressed.
    pub(crate) diff_id: Digest,
}

/// Why nothing was written.
#[derive(Debug)]
pub(crate) enum PackError {
    /// The producer gave up.
    Produce(NativeError),
    /// The sink did.
    Write(io::Error),
}

/// A block on its way to be compressed, and where the result goes.
struct Job {
    block: Vec<u8>,
    last: bool,
    done: SyncSender<Vec<u8>>,
}

/// Compresses what `produce` writes, on `threads` threads, into `sink`.
pub(crate) fn pack<W: Write + Send>(
    threads: usize,
    sink: &mut W,
    produce: impl FnOnce(&mut dyn Write) -> Result<(), Halt>,
) -> Result<Packed, PackError> {
    // Every queue is as long as there are threads: enough to keep them busy, and a bound on what waits.
    let (jobs, job) = sync_channel::<Job>(threads);
    let job = Mutex::new(job);
    let (results, result) = sync_channel::<Receiver<Vec<u8>>>(threads * 2);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| work(&job));
        }
        let writer = scope.spawn(move || drain(&result, sink));
        let mut blocks = Blocks {
            block: Vec::with_capacity(BLOCK_BYTES),
            plain: Sha256::new(),
            crc: Crc::new(),
            total: 0,
            jobs,
            results,
        };
        let produced = produce(&mut blocks);
        let ended = match produced {
            Ok(()) => blocks.end().map_err(|_| Halt::Gone),
            Err(halt) => {
                drop(blocks);
                Err(halt)
            }
        };
        let written = writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        match (ended, written) {
            (Err(Halt::Because(error)), _) => Err(PackError::Produce(error)),
            (_, Err(error)) => Err(PackError::Write(error)),
            (Err(Halt::Gone), Ok(_)) => Err(PackError::Write(io::ErrorKind::BrokenPipe.into())),
            (Ok(end), Ok(drained)) => end.close(drained).map_err(PackError::Write),
        }
    })
}

/// Cuts what is written into blocks.
struct Blocks {
    block: Vec<u8>,
    plain: Sha256,
    crc: Crc,
    total: u64,
    jobs: SyncSender<Job>,
    results: SyncSender<Receiver<Vec<u8>>>,
}

/// What only the producer's side knows.
struct End {
    diff_id: Digest,
    trailer: [u8; 8],
}

impl Blocks {
    fn send(&mut self, last: bool) -> io::Result<()> {
        let fresh = if last { Vec::new() } else { Vec::with_capacity(BLOCK_BYTES) };
        let block = std::mem::replace(&mut self.block, fresh);
        self.plain.update(&block);
        self.crc.update(&block);
        self.total += block.len() as u64;
        let (done, result) = sync_channel(1);
        let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
        self.results.send(result).map_err(|_| gone())?;
        self.jobs.send(Job { block, last, done }).map_err(|_| gone())
    }

    fn end(mut self) -> io::Result<End> {
        self.send(true)?;
        let mut trailer = [0; 8];
        trailer[..4].copy_from_slice(&self.crc.sum().to_le_bytes());
        // The format keeps the length modulo 2³².
        trailer[4..].copy_from_slice(&self.total.to_le_bytes()[..4]);
        Ok(End { diff_id: Digest::from_sha256(self.plain.finalize().into()), trailer })
    }
}

impl Write for Blocks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.block.len() == BLOCK_BYTES {
            self.send(false)?;
        }
        let taken = bytes.len().min(BLOCK_BYTES - self.block.len());
        self.block.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One thread: takes a block, compresses it, hands it on.
fn work(jobs: &Mutex<Receiver<Job>>) {
    let mut encoder = Compress::new(Compression::new(LEVEL), false);
    loop {
        let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = next else { return };
        encoder.reset();
        // Nobody waits for the result when the sink has failed.
        let _ = job.done.send(deflate(&mut encoder, &job.block, job.last));
    }
}

fn deflate(encoder: &mut Compress, block: &[u8], last: bool) -> Vec<u8> {
    let flush = if last { FlushCompress::Finish } else { FlushCompress::Sync };
    // More than deflate ever needs, so that where a piece of output ends never shows in the bytes.
    let mut packed = Vec::with_capacity(block.len() + block.len() / 256 + 1024);
    loop {
        let read = usize::try_from(encoder.total_in()).unwrap_or(block.len());
        let status = encoder.compress_vec(&block[read..], &mut packed, flush);
        let room = packed.len() < packed.capacity();
        match status {
            Ok(Status::StreamEnd) => return packed,
            // All is read, and the encoder did not need all of the space: it has nothing left to say.
            Ok(Status::Ok | Status::BufError)
                if !last && room && encoder.total_in() == block.len() as u64 =>
            {
                return packed;
            }
            Ok(_) => packed.reserve(block.len() / 4 + 1024),
            Err(error) => unreachable!("deflate takes any bytes: {error}"),
        }
    }
}

/// Everything but the trailer is in the sink.
struct Drained<'a, W> {
    sink: &'a mut W,
    hash: Sha256,
    size: u64,
}

impl<W: Write> Drained<'_, W> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        self.size += bytes.len() as u64;
        self.sink.write_all(bytes)
    }
}

/// Writes the results in the order of their blocks.
fn drain<'a, W: Write>(results: &Receiver<Receiver<Vec<u8>>>, sink: &'a mut W) -> io::Result<Drained<'a, W>> {
    let mut drained = Drained { sink, hash: Sha256::new(), size: 0 };
    drained.put(&HEADER)?;
    while let Ok(result) = results.recv() {
        // Nothing comes of a block only when the producer has given up.
        let Ok(packed) = result.recv() else { break };
        drained.put(&packed)?;
    }
    Ok(drained)
}

impl End {
    fn close<W: Write>(self, mut drained: Drained<'_, W>) -> io::Result<Packed> {
        drained.put(&self.trailer)?;
        let digest = Digest::from_sha256(drained.hash.finalize().into());
        Ok(Packed { digest, size: drained.size, diff_id: self.diff_id })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn packed(threads: usize, bytes: &[u8]) -> (Packed, Vec<u8>) {
        let mut out = Vec::new();
        let packed = pack(threads, &mut out, |to| to.write_all(bytes).map_err(|_| Halt::Gone)).unwrap();
        (packed, out)
    }

    /// Bytes that compress somewhat and never repeat at the same distance.
    fn sample(length: usize) -> Vec<u8> {
        let mut state = 7_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        (0..length).map(|at| if at % 3 == 0 { next() } else { (at / 100).to_le_bytes()[0] }).collect()
    }

    #[test]
    fn every_gzip_reader_reads_it_back_whatever_the_length_and_the_threads() {
        for length in [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 3 * BLOCK_BYTES + 77] {
            let bytes = sample(length);
            let (first, out) = packed(1, &bytes);
            // A reader of one member only: it is one.
            let mut back = Vec::new();
            flate2::read::GzDecoder::new(out.as_slice()).read_to_end(&mut back).unwrap();
            assert!(back == bytes, "{length}");
            assert_eq!(first.size, out.len() as u64);
            assert_eq!(first.digest, Digest::from_sha256(Sha256::digest(&out).into()));
            assert_eq!(first.diff_id, Digest::from_sha256(Sha256::digest(&bytes).into()));
            for threads in [2, 5] {
                assert!(packed(threads, &bytes) == (first.clone(), out.clone()), "{length} on {threads}");
            }
        }
    }

    /// A new version of the encoder that writes other bytes would change the digest of every image.
    #[test]
    fn the_encoder_is_the_one_that_was() {
        let (packed, _) = packed(2, &sample(3 * BLOCK_BYTES / 2));
        insta::assert_snapshot!(format!("{} {}", packed.size, packed.digest));
    }

    #[test]
    fn a_full_disk_ends_it_and_nothing_hangs() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let bytes = sample(9 * BLOCK_BYTES);
        let error = pack(2, &mut Full, |to| to.write_all(&bytes).map_err(|_| Halt::Gone)).unwrap_err();
        assert!(matches!(error, PackError::Write(e) if e.kind() == io::ErrorKind::StorageFull));
    }
}
