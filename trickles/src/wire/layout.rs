//! Which wanted bytes travel under which number: one rule, evaluated by both ends.

use std::ops::Range;

use super::{DATA_OVERHEAD, TRAIN_HEADER};
use crate::continuation::{ABBREVIATED_LENGTH, SEALED_LENGTH};
use crate::epoch::Epoch;

/// In which form a packet carries its train's continuation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Not at all: an earlier packet does.
    Absent,
    /// What is not known from the continuation that was presented.
    Abbreviated,
    /// All of it.
    Whole,
}

impl Form {
    /// The form in the first packet of a train that `position` has earned in `epoch`. Positions of the epoch itself
    /// are claimed with a continuation of that epoch.
    pub fn first(epoch: &Epoch, position: u64) -> Self {
        if position >= epoch.base { Self::Abbreviated } else { Self::Whole }
    }

    /// How many bytes its frame has.
    pub const fn length(self) -> usize {
        match self {
            Self::Absent => 0,
            Self::Abbreviated => 1 + ABBREVIATED_LENGTH,
            Self::Whole => 1 + SEALED_LENGTH,
        }
    }
}

/// Bytes for data frames in a packet of `packet_size` bytes.
pub fn room(packet_size: u16, form: Form) -> usize {
    usize::from(packet_size).saturating_sub(TRAIN_HEADER + form.length())
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

    /// The same for `count` packets with as much room each, in pieces that may cover many of them; a want that is used
    /// up to its end may be left in front.
    pub(crate) fn fill_many(&mut self, mut count: u64, room: usize, mut each: impl FnMut(Range<u64>)) {
        while let Some(want) = self.wants.first()
            && count > 0
        {
            let start = want.start + self.taken;
            let full = room.saturating_sub(DATA_OVERHEAD) as u64;
            let packets = (want.end - start).checked_div(full).unwrap_or(0).min(count);
            if packets > 0 {
                self.taken += packets * full;
                each(start..start + packets * full);
                count -= packets;
            } else {
                // Bytes of other ranges may follow in the same packet.
                self.fill(room, &mut each);
                count -= 1;
            }
        }
    }

    /// Whether all wanted bytes are laid out.
    pub fn is_empty(&self) -> bool {
        self.wants.is_empty()
    }
}
