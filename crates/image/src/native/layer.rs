//! One layer, from its entries to its blob, with as little work as it takes.
//!
//! ```text
//!                        ┌─ as before, by its stamps ──► taken from the blob before: nothing is read
//!  entries ─► blocks ──► ┼─ read: content as before ───► taken from the blob before: nothing is compressed
//!                        └─ read: new ─────────────────► compressed
//!
//!  all blocks as before ─► the blob before is the blob
//! ```
//!
//! What the last build found out is a [`Record`]. What is taken from a blob is compared with the hash the record has of it, so
//! that a damaged blob is noticed and made anew; what is taken over whole is checked as [`Kept`] says, and its end always.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::SystemTime;

use release_core::Digest;
use serde::{Deserialize, Serialize};

use super::archive;
use super::codec::{self, Encoder};
use super::cut::{self, Block};
use super::error::NativeError;
use super::layout::Layout;
use super::pack::{self, Made, PackError};
use super::plan::Entry;
use super::record::{Kept, Records, digest};
use super::spec::Compression;

/// How many blocks are worth a thread when they are only looked at.
const SHARE: usize = 8;

/// What is needed to make a layer.
pub(crate) struct Job<'a> {
    pub(crate) layout: &'a Layout,
    /// The project's folder.
    pub(crate) root: &'a Path,
    pub(crate) entries: &'a [Entry],
    /// When the look at the files began.
    pub(crate) look: SystemTime,
    /// The time all entries carry.
    pub(crate) created: u64,
    pub(crate) compression: Compression,
    pub(crate) threads: usize,
    pub(crate) cancel: &'a AtomicBool,
    pub(crate) records: Option<&'a Records>,
    /// What the record is about: which layer. Records are a project's.
    pub(crate) about: String,
}

/// A layer that is in the layout.
pub(crate) struct Done {
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    pub(crate) diff_id: Digest,
    /// Whether the layout had the blob already.
    pub(crate) reused: bool,
    pub(crate) work: Work,
}

/// How much work a layer was, in blocks of up to 1.5 MiB.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Work {
    /// How many blocks it has.
    pub blocks: usize,
    /// Of how many the files were read.
    pub read: usize,
    /// How many were compressed.
    pub compressed: usize,
}

/// What a build writes down about a layer.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Record {
    blob: Kept,
    diff_id: Digest,
    blocks: Vec<Known>,
}

/// A block of a blob.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Known {
    /// What could be known of it without reading; `None` when a file was too young for that.
    facts: Option<Digest>,
    /// Its content.
    content: Digest,
    plain: usize,
    at: u64,
    length: usize,
    packed: Digest,
}

impl Job<'_> {
    /// Makes the layer, or finds that it is there.
    pub(crate) fn run(&self) -> Result<Done, NativeError> {
        let blocks = cut::cut(self.entries);
        let facts = self.facts(&blocks);
        let record: Option<Record> = self.records.and_then(|records| records.get(&self.about()));
        if let Some(record) = &record
            && let Some(done) = self.unchanged(record, &blocks, &facts)?
        {
            return Ok(done);
        }
        self.pack(record.as_ref(), &blocks, facts)
    }

    /// What can be known of each block without reading.
    fn facts(&self, blocks: &[Block]) -> Vec<Option<Digest>> {
        let share = blocks.len().div_ceil(self.threads).max(1);
        let of = |block: &Block| archive::facts(self.entries, block, self.created, self.look);
        let mut all = vec![None; blocks.len()];
        thread::scope(|scope| {
            for (blocks, all) in blocks.chunks(share).zip(all.chunks_mut(share)) {
                let mut fill = move || all.iter_mut().zip(blocks).for_each(|(to, block)| *to = of(block));
                // One share is less work than a thread.
                if blocks.len() < SHARE { fill() } else { drop(scope.spawn(fill)) }
            }
        });
        all
    }

    /// The encoder belongs to it: what another one wrote is of no use.
    fn about(&self) -> String {
        format!("layer, {}, {}", self.compression.encoder(), self.about)
    }

    /// The layer, if all its blocks are as they were. Blocks that cannot be known by their stamps are read, until one differs.
    fn unchanged(
        &self,
        record: &Record,
        blocks: &[Block],
        facts: &[Option<Digest>],
    ) -> Result<Option<Done>, NativeError> {
        if record.blocks.len() != blocks.len() {
            return Ok(None);
        }
        let doubtful: Vec<usize> = (0..blocks.len())
            .filter(|at| facts[*at].is_none() || facts[*at] != record.blocks[*at].facts)
            .collect();
        let (equal, read) = self.all_equal(record, blocks, &doubtful)?;
        let path = self.layout.blob(&record.blob.digest);
        let tail = record.blocks.last();
        let sound = || tail.is_some_and(|tail| take(&path, tail).is_some()) && record.blob.is_at(&path);
        if !equal || !sound() {
            return Ok(None);
        }
        if let (Some(records), false) = (self.records, doubtful.is_empty()) {
            let mut record = record.clone();
            for (known, facts) in record.blocks.iter_mut().zip(facts) {
                known.facts.clone_from(facts);
            }
            records.put(&self.about(), &record);
        }
        Ok(Some(Done {
            digest: record.blob.digest.clone(),
            size: record.blob.size,
            diff_id: record.diff_id.clone(),
            reused: true,
            work: Work { blocks: blocks.len(), read, compressed: 0 },
        }))
    }

    /// Whether the blocks `which` have the content they had, and how many were read to know.
    fn all_equal(
        &self,
        record: &Record,
        blocks: &[Block],
        which: &[usize],
    ) -> Result<(bool, usize), NativeError> {
        let (next, differs) = (AtomicUsize::new(0), AtomicBool::new(false));
        let failed = Mutex::new(None);
        let look = || {
            while let Some(at) = which.get(next.fetch_add(1, Ordering::Relaxed)) {
                if differs.load(Ordering::Relaxed) {
                    return;
                }
                match self.read(&blocks[*at]) {
                    Ok(plain) if digest(&plain) == record.blocks[*at].content => continue,
                    Ok(_) => {}
                    Err(error) => *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error),
                }
                differs.store(true, Ordering::Relaxed);
            }
        };
        thread::scope(|scope| {
            for _ in 1..self.threads.min(which.len()) {
                scope.spawn(look);
            }
            look();
        });
        match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error),
            None => Ok((!differs.into_inner(), next.into_inner().min(which.len()))),
        }
    }

    fn read(&self, block: &Block) -> Result<Vec<u8>, NativeError> {
        if self.cancel.load(Ordering::Relaxed) {
            return Err(NativeError::Cancelled);
        }
        let end = if block.last { archive::END.len() } else { 0 };
        let mut plain = Vec::with_capacity(usize::try_from(block.length).unwrap_or_default() + end);
        archive::read(self.root, self.entries, block, self.created, &mut plain)?;
        Ok(plain)
    }

    /// Makes the blob, block by block.
    fn pack(
        &self,
        record: Option<&Record>,
        blocks: &[Block],
        facts: Vec<Option<Digest>>,
    ) -> Result<Done, NativeError> {
        let before = record.map(|record| Before::new(record, self.layout.blob(&record.blob.digest)));
        let (read, compressed) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let make = |at: usize, encoder: &mut Encoder| {
            if let (Some(before), Some(facts)) = (&before, &facts[at])
                && let Some(made) = before.by_facts(self.compression, facts)
            {
                return Ok(made);
            }
            read.fetch_add(1, Ordering::Relaxed);
            let plain = self.read(&blocks[at])?;
            let content = digest(&plain);
            if let Some(packed) = before.as_ref().and_then(|before| before.by_content(&content)) {
                return Ok(Made { sum: digest(&packed), plain, packed, content });
            }
            compressed.fetch_add(1, Ordering::Relaxed);
            let packed = encoder.encode(&plain);
            Ok(Made { sum: digest(&packed), plain, packed, content })
        };
        let mut blob = self.layout.start()?;
        let packed = match pack::pack(self.threads, self.compression, blocks.len(), &make, &mut blob) {
            Ok(packed) => packed,
            Err(PackError::Make(error)) => return Err(error),
            Err(PackError::Write(source)) => return Err(self.layout.unwritten(source).into()),
        };
        let reused = blob.keep(&packed.digest)?;
        let kept = Kept::new(&self.layout.blob(&packed.digest), packed.digest.clone(), packed.size);
        if let (Some(records), Some(blob)) = (self.records, kept) {
            let blocks = packed.blocks.into_iter().zip(facts).map(|(block, facts)| Known {
                facts,
                content: block.content,
                plain: block.plain,
                at: block.at,
                length: block.length,
                packed: block.packed,
            });
            let record = Record { blob, diff_id: packed.diff_id.clone(), blocks: blocks.collect() };
            records.put(&self.about(), &record);
        }
        Ok(Done {
            digest: packed.digest,
            size: packed.size,
            diff_id: packed.diff_id,
            reused,
            work: Work { blocks: blocks.len(), read: read.into_inner(), compressed: compressed.into_inner() },
        })
    }
}

/// The blob of the last build, to take blocks from.
struct Before<'a> {
    blob: std::path::PathBuf,
    facts: HashMap<&'a Digest, &'a Known>,
    content: HashMap<&'a Digest, &'a Known>,
}

impl<'a> Before<'a> {
    fn new(record: &'a Record, blob: std::path::PathBuf) -> Self {
        let facts = record.blocks.iter().filter_map(|known| Some((known.facts.as_ref()?, known)));
        let content = record.blocks.iter().map(|known| (&known.content, known));
        Self { blob, facts: facts.collect(), content: content.collect() }
    }

    /// A block of which everything but the content is as it was.
    fn by_facts(&self, compression: Compression, facts: &Digest) -> Option<Made> {
        let known = self.facts.get(facts)?;
        let packed = take(&self.blob, known)?;
        let plain = codec::decode(compression, &packed, known.plain)?;
        Some(Made { plain, packed, content: known.content.clone(), sum: known.packed.clone() })
    }

    /// The compressed bytes of a block with this content.
    fn by_content(&self, content: &Digest) -> Option<Vec<u8>> {
        take(&self.blob, self.content.get(content)?)
    }
}

/// The compressed bytes of a block, if they are in the blob.
fn take(blob: &Path, known: &Known) -> Option<Vec<u8>> {
    let mut file = File::open(blob).ok()?;
    file.seek(SeekFrom::Start(known.at)).ok()?;
    let mut packed = Vec::with_capacity(known.length);
    file.take(known.length as u64).read_to_end(&mut packed).ok()?;
    (digest(&packed) == known.packed).then_some(packed)
}
