//! Where a layer's archive is cut into blocks. Nothing is read here: where the cuts are follows from names and sizes alone.
//!
//! ```text
//!  a b c d │ e f g │ LARGE 1/3 │ LARGE 2/3 │ LARGE 3/3 │ h i j k │ l m (end)
//! ```
//!
//! Blocks are compressed apart, so one whose files did not change need not be compressed again, wherever it stands now. A cut
//! is made in front of a file whose name asks for it, as soon as there is enough in front of it; names stay what they are, so
//! a file that grows or goes moves the cuts near it only. A large file has blocks of its own.

use std::ops::Range;

use flate2::Crc;

use super::archive;
use super::plan::Entry;

/// The most that is in a block, but for the 1 KiB that ends an archive. A block and its compressed form are in memory for
/// every thread.
pub(crate) const BLOCK_BYTES: u64 = 1536 * 1024;

/// The least that is in a block before a name can end it. Small blocks compress worse.
const LEAST_BYTES: u64 = 512 * 1024;

/// One name of so many asks for a cut: rare enough that one cut finds the next one again after a change.
const NAMES_A_CUT: u32 = 64;

/// A part of an archive that is compressed apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Block {
    /// Which entries are in it; one alone when it is a part of a large file.
    pub(crate) entries: Range<usize>,
    /// Where in its first entry it begins, counted from the entry's header.
    pub(crate) skip: u64,
    /// How many bytes of entries it has.
    pub(crate) length: u64,
    /// Whether the archive ends with it.
    pub(crate) last: bool,
}

/// The blocks of an archive, in order. There is always one.
pub(crate) fn cut(entries: &[Entry]) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open = Block { entries: 0..0, skip: 0, length: 0, last: false };
    for (at, entry) in entries.iter().enumerate() {
        let length = archive::length(entry);
        let enough = open.length >= LEAST_BYTES && asks_for_a_cut(&entry.path);
        if (enough || open.length + length > BLOCK_BYTES) && !open.entries.is_empty() {
            let next = Block { entries: at..at, skip: 0, length: 0, last: false };
            blocks.push(std::mem::replace(&mut open, next));
        }
        open.entries.end = at + 1;
        open.length += length;
        while open.length > BLOCK_BYTES {
            let rest =
                Block { skip: open.skip + BLOCK_BYTES, length: open.length - BLOCK_BYTES, ..open.clone() };
            blocks.push(Block { length: BLOCK_BYTES, ..std::mem::replace(&mut open, rest) });
        }
        // What is left of a large file does not take others in: they would move when it grows.
        if length > BLOCK_BYTES {
            let next = Block { entries: at + 1..at + 1, skip: 0, length: 0, last: false };
            blocks.push(std::mem::replace(&mut open, next));
        }
    }
    if !open.entries.is_empty() || blocks.is_empty() {
        blocks.push(open);
    }
    if let Some(block) = blocks.last_mut() {
        block.last = true;
    }
    blocks
}

fn asks_for_a_cut(path: &str) -> bool {
    let mut crc = Crc::new();
    crc.update(path.as_bytes());
    crc.sum().is_multiple_of(NAMES_A_CUT)
}

#[cfg(test)]
mod tests {
    use super::super::plan::Kind;
    use super::super::stamp::Stamp;
    use super::*;

    fn file(path: String, size: u64) -> Entry {
        let stamp = Some(Stamp { size, ..Stamp::default() });
        Entry { path, disk: None, kind: Kind::File { executable: false }, stamp }
    }

    fn names(entries: &[Entry], block: &Block) -> (Vec<String>, u64, u64) {
        let names = entries[block.entries.clone()]
            .iter()
            .map(|entry| format!("{} {}", entry.path, entry.stamp.map_or(0, |stamp| stamp.size)));
        (names.collect(), block.skip, block.length)
    }

    #[test]
    fn every_byte_is_in_one_block_and_no_block_is_too_large() {
        let sizes =
            [0, 1, 511, 512, 513, BLOCK_BYTES - 512, BLOCK_BYTES - 511, BLOCK_BYTES, 5 * BLOCK_BYTES + 3];
        let all = (0..200).map(|n| file(format!("f{n}"), sizes[n % sizes.len()])).collect::<Vec<_>>();
        for entries in [&all[..], &all[..1], &all[6..7], &all[8..9], &[]] {
            let blocks = cut(entries);
            let (mut at, mut inside) = (0, 0);
            for block in &blocks {
                assert!(block.length <= BLOCK_BYTES, "{block:?}");
                assert_eq!((block.entries.start, block.skip), (at, inside), "{block:?}");
                let whole: u64 = entries[block.entries.clone()].iter().map(archive::length).sum();
                let end = block.skip + block.length;
                (at, inside) = if end == whole { (block.entries.end, 0) } else { (at, end) };
            }
            assert_eq!((at, inside), (entries.len(), 0));
            assert_eq!(blocks.iter().filter(|block| block.last).count(), 1);
            assert!(blocks.last().unwrap().last);
        }
    }

    /// What makes a small change cheap, however many bytes it moves.
    #[test]
    fn a_file_that_grows_comes_or_goes_changes_few_blocks() {
        let entries: Vec<Entry> = (0..10_000_u64)
            .map(|n| file(format!("site/{:04}/{n}.js", n / 50), 900 + n * 37 % 9000))
            .collect();
        let before = cut(&entries);
        let known: std::collections::BTreeSet<_> =
            before.iter().map(|block| names(&entries, block)).collect();
        assert!(before.len() > 60, "{}", before.len());
        let mut grown = entries.clone();
        grown[1000].stamp = Some(Stamp { size: 90_000, ..Stamp::default() });
        let mut gone = entries.clone();
        gone.remove(2500);
        let mut come = entries.clone();
        come.insert(4000, file("site/0079/new.js".to_owned(), 3_000_000));
        for (entries, most) in [(grown, 3), (gone, 3), (come, 9)] {
            let changed =
                cut(&entries).iter().filter(|block| !known.contains(&names(&entries, block))).count();
            assert!((1..=most).contains(&changed), "{changed} of {}", before.len());
        }
    }
}
