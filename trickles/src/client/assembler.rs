//! Received output: bytes in any order in, bytes in order out, within a fixed bound that counts bytes the
//! application has not read yet.

use std::collections::VecDeque;
use std::ops::Range;

use crate::ranges::RangeSet;

/// Received bytes are kept in pieces of so many.
const BLOCK: usize = 16 << 10;
/// Smallest capacity.
const MIN_CAPACITY: usize = 4 * BLOCK;

#[derive(Debug)]
pub(crate) struct Assembler {
    /// The first one holds the byte that is read next; those that nothing has arrived of are not there.
    blocks: VecDeque<Option<Box<[u8]>>>,
    /// Used before: the last one is the most likely to be in a cache.
    spare: Vec<Box<[u8]>>,
    capacity: usize,
    read: u64,
    received: RangeSet,
}

impl Assembler {
    /// `capacity`: in bytes, rounded up to whole blocks, at most 1 GiB.
    pub(crate) fn new(capacity: usize) -> Self {
        let capacity = capacity.clamp(MIN_CAPACITY, 1 << 30).next_multiple_of(BLOCK);
        let (blocks, spare) = (VecDeque::new(), Vec::new());
        Self { blocks, spare, capacity, read: 0, received: RangeSet::default() }
    }

    /// Offset of the next byte the application reads.
    pub(crate) fn read_offset(&self) -> u64 {
        self.read
    }

    /// One past the last offset there is room for.
    pub(crate) fn limit(&self) -> u64 {
        self.read.saturating_add(self.capacity as u64)
    }

    /// How many bytes can be read.
    pub(crate) fn readable(&self) -> u64 {
        self.received.end_of(self.read).map_or(0, |end| end - self.read)
    }

    /// The stretches of `range` that have not arrived.
    pub(crate) fn missing(&self, range: Range<u64>) -> impl Iterator<Item = Range<u64>> + '_ {
        self.received.gaps(range.start.max(self.read)..range.end)
    }

    /// Takes bytes at `offset`; what lies outside the window or is known already is ignored. Returns how many
    /// bytes were new.
    pub(crate) fn insert(&mut self, offset: u64, bytes: &[u8]) -> u64 {
        let range = offset.max(self.read)..offset.saturating_add(bytes.len() as u64).min(self.limit());
        if range.start >= range.end {
            return 0;
        }
        let Self { blocks, spare, received, .. } = self;
        let first = block(self.read);
        // The first copy of a byte wins.
        for gap in received.gaps(range.clone()) {
            for piece in pieces(gap) {
                let index = (block(piece.start) - first) as usize;
                if blocks.len() <= index {
                    blocks.resize(index + 1, None);
                }
                let memory = blocks[index]
                    .get_or_insert_with(|| spare.pop().unwrap_or_else(|| vec![0; BLOCK].into_boxed_slice()));
                let source = &bytes[(piece.start - offset) as usize..(piece.end - offset) as usize];
                memory[within(piece.start)..][..source.len()].copy_from_slice(source);
            }
        }
        self.received.insert(range)
    }

    /// Moves bytes in order into `buffer`; returns how many.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> usize {
        let count = self.peek(buffer);
        if count > 0 {
            let end = self.read + count as u64;
            self.received.remove(self.read..end);
            let passed = (block(end) - block(self.read)) as usize;
            self.spare.extend(self.blocks.drain(..passed.min(self.blocks.len())).flatten());
            self.read = end;
        }
        count
    }

    /// Copies the bytes into `buffer` that [`read`](Self::read) would move there; returns how many.
    pub(crate) fn peek(&self, buffer: &mut [u8]) -> usize {
        let count = self.readable().min(buffer.len() as u64);
        for piece in pieces(self.read..self.read + count) {
            let memory = &self.blocks[(block(piece.start) - block(self.read)) as usize];
            let target = &mut buffer[(piece.start - self.read) as usize..(piece.end - self.read) as usize];
            if let Some(memory) = memory {
                target.copy_from_slice(&memory[within(piece.start)..][..target.len()]);
            }
        }
        count as usize
    }
}

/// The number of the block that holds the byte at `offset`.
fn block(offset: u64) -> u64 {
    offset / BLOCK as u64
}

/// Where in its block the byte at `offset` is.
fn within(offset: u64) -> usize {
    (offset % BLOCK as u64) as usize
}

/// A range cut where blocks end.
fn pieces(range: Range<u64>) -> impl Iterator<Item = Range<u64>> {
    let mut from = range.start;
    std::iter::from_fn(move || {
        let end = range.end.min((block(from) + 1) * BLOCK as u64);
        (from < end).then(|| std::mem::replace(&mut from, end)..end)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn byte(offset: u64) -> u8 {
        (offset.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8
    }

    proptest! {
        #[test]
        fn delivers_every_byte_once_in_order(
            pieces in prop::collection::vec((0u64..300_000, 1usize..5000, 0usize..40_000), 1..120),
        ) {
            let mut assembler = Assembler::new(2 * MIN_CAPACITY);
            let mut delivered = 0;
            let mut buffer = vec![0; 40_000];
            for (offset, length, read) in pieces {
                let bytes: Vec<u8> = (offset..offset + length as u64).map(byte).collect();
                let before: u64 = assembler.missing(0..assembler.limit()).map(|gap| gap.end - gap.start).sum();
                let new = assembler.insert(offset, &bytes);
                let after: u64 = assembler.missing(0..assembler.limit()).map(|gap| gap.end - gap.start).sum();
                prop_assert_eq!(before - after, new);
                let mut peeked = vec![0; read];
                let seen = assembler.peek(&mut peeked);
                let count = assembler.read(&mut buffer[..read]);
                prop_assert_eq!(&peeked[..seen], &buffer[..count]);
                for (index, &got) in buffer[..count].iter().enumerate() {
                    prop_assert_eq!(got, byte(delivered + index as u64));
                }
                delivered += count as u64;
                prop_assert_eq!(assembler.read_offset(), delivered);
                let memory = (assembler.blocks.iter().flatten().count() + assembler.spare.len()) * BLOCK;
                prop_assert!(memory <= assembler.capacity + BLOCK, "{memory} bytes");
            }
        }
    }
}
