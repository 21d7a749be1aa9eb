//! Which wanted bytes travel under which number: one rule, evaluated by both ends.

use std::ops::Range;

use super::{DATA_OVERHEAD, TRAIN_HEADER};
use crate::continuation::SEALED_LENGTH;

/// Bytes for data frames in a packet of `packet_size` bytes, with or without a continuation.
pub fn room(packet_size: u16, continuation: bool) -> usize {
    let used = TRAIN_HEADER + if continuation { 1 + SEALED_LENGTH } else { 0 };
    usize::from(packet_size).saturating_sub(used)
}

/// Walks over wanted ranges and cuts off what fits into one packet after the other.
#[derive(Clone, Debug)]
pub struct Cursor<'a> {
    wants: &'a [Range<u64>],
    taken: u64,
}

impl<'a> Cursor<'a> {
    /// A cursor at the beginning of `wants`.
    pub fn new(wants: &'a [Range<u64>]) -> Self {
        Self { wants, taken: 0 }
    }

    /// Hands each piece for a packet with `room` bytes for data frames to `each`; returns the room left.
    pub fn fill(&mut self, mut room: usize, mut each: impl FnMut(Range<u64>)) -> usize {
        while let Some(want) = self.wants.first() {
            let start = want.start + self.taken;
            let length = (want.end - start).min(room.saturating_sub(DATA_OVERHEAD) as u64);
            if length > 0 {
                each(start..start + length);
                room -= DATA_OVERHEAD + length as usize;
                self.taken += length;
            } else if start < want.end {
                break;
            }
            if want.start + self.taken == want.end {
                self.wants = &self.wants[1..];
                self.taken = 0;
            }
        }
        room
    }

    /// Whether all wanted bytes are laid out.
    pub fn is_empty(&self) -> bool {
        self.wants.is_empty()
    }
}
