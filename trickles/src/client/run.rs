//! Runs of claimed positions that await their numbers.

use std::ops::Range;
use std::sync::Arc;

use crate::time::Timestamp;
use crate::wire::{Cursor, Form, room};

/// When and under which echo value a run was claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) echo: u64,
    pub(crate) at: Timestamp,
}

/// Claimed positions, the numbers they own, and the bytes wanted under these.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    /// Empty for the run of an opening, which earns its numbers by none.
    pub(crate) positions: Range<u64>,
    /// At most 64.
    pub(crate) numbers: Range<u64>,
    /// One bit for each number that has neither arrived nor been declared lost.
    pub(crate) pending: u64,
    pub(crate) wants: Box<[Range<u64>]>,
    /// The user continuation the wants refer to.
    pub(crate) user_continuation: Arc<[u8]>,
    pub(crate) packet_size: u16,
    /// In which form the first packet of its train carries the continuation, and of an opening every packet.
    pub(crate) form: Form,
    /// The first request that presented it with input: it is presented again only with that.
    pub(crate) input: Option<u64>,
    pub(crate) first: Sent,
    pub(crate) last: Sent,
    /// How many claims carried it.
    pub(crate) presented: u32,
    /// The echo value of the answer, once some of it has arrived.
    pub(crate) answered: Option<u64>,
    /// Up to which number it is granted, if that is not all and a later claim with it is yet to be answered.
    pub(crate) granted_to: Option<u64>,
    /// When the server said that it was answered before.
    pub(crate) spent: Option<Timestamp>,
    /// Until when the server has asked for patience: until then it is neither lost nor to be presented again.
    pub(crate) parked: Option<Timestamp>,
    /// When patience with it ended, if it ever was parked: its numbers count as claimed then, or when it was
    /// presented after that.
    pub(crate) delayed: Option<Timestamp>,
    /// When its numbers were overdue although none of its claims may have arrived: the same.
    pub(crate) doubted: Option<Timestamp>,
}

impl Run {
    fn bit(&self, number: u64) -> u64 {
        1 << (number - self.numbers.start)
    }

    pub(crate) fn is_pending(&self, number: u64) -> bool {
        self.numbers.contains(&number) && self.pending & self.bit(number) != 0
    }

    /// Strikes `number` off; whether it was pending.
    pub(crate) fn strike(&mut self, number: u64) -> bool {
        let pending = self.is_pending(number);
        if pending {
            self.pending &= !self.bit(number);
        }
        pending
    }

    /// Whether no word of its answer has come.
    pub(crate) fn is_unseen(&self) -> bool {
        self.answered.is_none() && self.spent.is_none() && self.parked.is_none() && !self.is_opening()
    }

    /// Whether it is to be presented again, on its own.
    pub(crate) fn is_due(&self) -> bool {
        self.doubted.is_some_and(|at| at > self.last.at)
    }

    pub(crate) fn is_opening(&self) -> bool {
        self.positions.is_empty()
    }

    /// The numbers still pending.
    pub(crate) fn pending_numbers(&self) -> impl Iterator<Item = u64> + use<> {
        let (start, pending) = (self.numbers.start, self.pending);
        (0..64).filter(move |bit| pending >> bit & 1 == 1).map(move |bit| start + bit)
    }

    /// The bytes laid out for the numbers in `which`, by the rule the server follows too.
    pub(crate) fn bytes(&self, which: Range<u64>, each: impl FnMut(Range<u64>)) {
        let mut cursor = Cursor::new(&self.wants);
        let from = which.start.clamp(self.numbers.start, self.numbers.end);
        let to = which.end.clamp(from, self.numbers.end);
        self.lay_out(&mut cursor, self.numbers.start..from, |_| {});
        self.lay_out(&mut cursor, from..to, each);
    }

    /// Moves `cursor` on over packets for `numbers`.
    fn lay_out(&self, cursor: &mut Cursor<'_>, numbers: Range<u64>, mut each: impl FnMut(Range<u64>)) {
        let count = numbers.end - numbers.start;
        let leads = numbers.start == self.numbers.start;
        let carriers = if self.is_opening() { count } else { count.min(u64::from(leads)) };
        cursor.fill_many(carriers, room(self.packet_size, self.form), &mut each);
        cursor.fill_many(count - carriers, room(self.packet_size, Form::Absent), each);
    }
}

/// A mask with the lowest `count` bits set.
pub(crate) fn mask(count: u64) -> u64 {
    if count >= 64 { u64::MAX } else { (1 << count) - 1 }
}
