//! Bytes in pieces: what a blob is made of, so that it is never copied after it has arrived.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use sha2::{Digest as _, Sha256};

use super::digest::Digest;

/// The size of a piece. Large enough that the list of pieces weighs nothing beside them.
const PIECE_BYTES: usize = 256 * 1024;

/// A body: bytes that are shared and need not lie side by side. Cheap to clone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Content {
    pieces: Vec<Bytes>,
    len: u64,
}

impl Content {
    /// How many bytes there are.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The pieces, in order. None of them is empty.
    pub fn pieces(&self) -> &[Bytes] {
        &self.pieces
    }

    /// All the bytes side by side. Copies, unless there is only one piece.
    pub fn to_bytes(&self) -> Bytes {
        match self.pieces.as_slice() {
            [] => Bytes::new(),
            [one] => one.clone(),
            many => many.concat().into(),
        }
    }

    /// The bytes of `range`, which is cut to what is there. Copies nothing.
    #[must_use]
    pub fn slice(&self, range: Range<u64>) -> Self {
        let mut at = 0_u64;
        let mut found = Self::default();
        for piece in &self.pieces {
            let len = piece.len() as u64;
            let from = range.start.clamp(at, at + len) - at;
            let to = range.end.clamp(at, at + len) - at;
            if from < to {
                // Both lie within a piece.
                let (from, to) = (index(from), index(to));
                found.pieces.push(piece.slice(from..to));
                found.len += (to - from) as u64;
            }
            at += len;
        }
        found
    }

    /// The same with the bit `bit` of the byte at `at` turned over. Copies one piece.
    pub(super) fn with_flipped_bit(mut self, at: u64, bit: u8) -> Self {
        let mut offset = at;
        for piece in &mut self.pieces {
            let len = piece.len() as u64;
            if offset < len {
                let mut copy = BytesMut::from(&piece[..]);
                copy[index(offset)] ^= 1 << (bit % 8);
                *piece = copy.freeze();
                break;
            }
            offset -= len;
        }
        self
    }
}

/// An offset within one piece as an index.
fn index(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

impl<B: Into<Bytes>> From<B> for Content {
    fn from(bytes: B) -> Self {
        let bytes = bytes.into();
        let len = bytes.len() as u64;
        Self { pieces: if len == 0 { Vec::new() } else { vec![bytes] }, len }
    }
}

/// A [`Content`] that arrives, and its digest so far.
#[derive(Debug, Default)]
pub(super) struct Growing {
    pieces: Vec<Bytes>,
    tail: BytesMut,
    len: u64,
    hash: Sha256,
}

impl Growing {
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn append(&mut self, mut bytes: &[u8]) {
        self.hash.update(bytes);
        self.len += bytes.len() as u64;
        while !bytes.is_empty() {
            if self.tail.is_empty() && !self.pieces.is_empty() {
                // It is a large one: growing step by step would copy it over and over.
                self.tail.reserve(PIECE_BYTES);
            }
            let (now, later) = bytes.split_at(bytes.len().min(PIECE_BYTES - self.tail.len()));
            self.tail.extend_from_slice(now);
            if self.tail.len() == PIECE_BYTES {
                self.pieces.push(self.tail.split().freeze());
            }
            bytes = later;
        }
    }

    /// Everything that arrived, and its sha256 digest.
    pub(super) fn finish(mut self) -> (Content, Digest) {
        if !self.tail.is_empty() {
            self.pieces.push(self.tail.freeze());
        }
        (Content { pieces: self.pieces, len: self.len }, Digest::from_sha256(self.hash))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grown(bytes: &[u8], step: usize) -> (Content, Digest) {
        let mut growing = Growing::default();
        bytes.chunks(step).for_each(|piece| growing.append(piece));
        assert_eq!(growing.len(), bytes.len() as u64);
        growing.finish()
    }

    #[test]
    fn bytes_are_the_same_however_they_arrive() {
        let mut rng = fastrand::Rng::with_seed(1);
        let bytes: Vec<u8> = std::iter::repeat_with(|| rng.u8(..)).take(PIECE_BYTES * 2 + 17).collect();
        for step in [1_000, PIECE_BYTES, PIECE_BYTES + 1, bytes.len()] {
            let (content, digest) = grown(&bytes, step);
            assert_eq!(content.to_bytes(), bytes);
            assert_eq!(digest, Digest::of(&bytes));
            assert_eq!(content.pieces().len(), 3);
        }
    }

    #[test]
    fn a_slice_is_what_it_is_of_the_whole() {
        let bytes = vec![7; PIECE_BYTES * 2 + 17];
        let (content, _) = grown(&bytes, 999);
        let (piece, len) = (PIECE_BYTES as u64, bytes.len() as u64);
        for (from, to) in
            [(0, 0), (0, 1), (piece - 1, piece + 1), (0, len), (len - 1, len + 5), (len, len + 1)]
        {
            let slice = content.slice(from..to);
            assert_eq!(slice.len(), to.min(len) - from, "{from}..{to}");
            assert_eq!(slice.to_bytes().len() as u64, slice.len());
        }
    }

    #[test]
    fn one_bit_is_flipped_and_no_other() {
        let (content, _) = grown(&vec![0; PIECE_BYTES + 2], 100);
        let flipped = content.clone().with_flipped_bit(PIECE_BYTES as u64 + 1, 3).to_bytes();
        assert_eq!(flipped[PIECE_BYTES + 1], 8);
        assert_eq!(flipped.iter().filter(|byte| **byte != 0).count(), 1);
        assert!(content.to_bytes().iter().all(|byte| *byte == 0));
    }
}
