//! Received output: bytes in any order in, bytes in order out, within a fixed bound that counts bytes the
//! application has not read yet.

use std::ops::Range;

use super::ranges::RangeSet;

/// Smallest ring allocated, in bytes.
const FIRST_ALLOCATION: usize = 64 << 10;

#[derive(Debug)]
pub(crate) struct Assembler {
    /// The byte at offset `o` lives at `o % ring.len()`; the length is a power of two.
    ring: Vec<u8>,
    capacity: usize,
    read: u64,
    received: RangeSet,
}

impl Assembler {
    pub(crate) fn new(capacity: usize) -> Self {
        let capacity = capacity.clamp(FIRST_ALLOCATION, 1 << 30).next_power_of_two();
        Self { ring: Vec::new(), capacity, read: 0, received: RangeSet::default() }
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
        self.grow(range.end);
        let Self { ring, received, .. } = self;
        // The first copy of a byte wins.
        for gap in received.gaps(range.clone()) {
            let source = &bytes[(gap.start - offset) as usize..(gap.end - offset) as usize];
            let at = (gap.start % ring.len() as u64) as usize;
            let head = source.len().min(ring.len() - at);
            ring[at..at + head].copy_from_slice(&source[..head]);
            ring[..source.len() - head].copy_from_slice(&source[head..]);
        }
        self.received.insert(range)
    }

    /// Moves bytes in order into `buffer`; returns how many.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> usize {
        let count = self.peek(buffer);
        if count > 0 {
            self.received.remove(self.read..self.read + count as u64);
            self.read += count as u64;
        }
        count
    }

    /// Copies the bytes into `buffer` that [`read`](Self::read) would move there; returns how many.
    pub(crate) fn peek(&self, buffer: &mut [u8]) -> usize {
        let count = buffer.len().min(usize::try_from(self.readable()).unwrap_or(usize::MAX));
        if count > 0 {
            let at = (self.read % self.ring.len() as u64) as usize;
            let head = count.min(self.ring.len() - at);
            buffer[..head].copy_from_slice(&self.ring[at..at + head]);
            buffer[head..count].copy_from_slice(&self.ring[..count - head]);
        }
        count
    }

    /// Makes the ring long enough to hold everything from the read offset to `end`.
    fn grow(&mut self, end: u64) {
        let needed = (end - self.read) as usize;
        if needed <= self.ring.len() {
            return;
        }
        let length = needed.next_power_of_two().clamp(FIRST_ALLOCATION, self.capacity);
        let mut ring = vec![0; length];
        for range in self.received.iter() {
            for offset in range {
                let from = (offset % self.ring.len() as u64) as usize;
                ring[(offset % length as u64) as usize] = self.ring[from];
            }
        }
        self.ring = ring;
    }
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
            let mut assembler = Assembler::new(FIRST_ALLOCATION * 2);
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
                prop_assert!(assembler.ring.len() <= assembler.capacity);
            }
        }
    }
}
