//! What of a request's input the application is shown, and a cache of what follows (docs/protocol.md, "Input").

use std::borrow::Cow;
use std::ops::Range;

use arrayvec::ArrayVec;
use ctutils::CtEq;

use super::minisocket::Taken;
use super::recall::{Asked, Presents};
use super::{Demand, Server};
use crate::continuation::Continuation;
use crate::ranges::RangeSet;
use crate::time::Timestamp;
use crate::user_continuation::{Lineage, UserContinuation};
use crate::wire::{Frame, Input};

/// Longest input kept behind a remembered user continuation, in bytes: applications leave a line or a record that
/// is not complete yet, and what completes it is on its way.
const MAX_REST: usize = 2048;

/// In how many pieces what is stored is remembered at most; of more nothing is.
const MAX_STORED: usize = 32;

/// The newest user continuations of a bounded number of streams.
///
/// With it a client need not wait for one request's answer before it sends the next piece of input, nor repeat in each
/// what the server has just told it. Soft state: what is evicted, or known to another replica only, costs a round trip
/// and nothing else.
#[derive(Debug)]
pub(super) struct InputCache {
    /// That of a stream lives in the slot that its tag names.
    slots: Vec<Slot>,
}

#[derive(Clone, Debug, Default)]
struct Slot {
    /// Whose it is.
    stream: u64,
    /// The user continuation; empty for none.
    sealed: Vec<u8>,
    /// Input behind it that was shown and not consumed.
    rest: Vec<u8>,
    issued: Issued,
    /// What of the input that the user continuation takes in any order is known to be stored.
    stored: RangeSet,
}

/// The newest continuations of up to two epochs that were issued in answer to input, and the size of the packets that
/// each came in.
type Issued = ArrayVec<(Continuation, u16), 2>;

/// What is remembered of a stream.
pub(super) struct Remembered<'c> {
    sealed: &'c [u8],
    pub(super) user: UserContinuation<'c>,
    rest: &'c [u8],
    pub(super) issued: &'c Issued,
}

impl InputCache {
    pub(super) fn new(streams: usize) -> Self {
        Self { slots: vec![Slot::default(); streams.min(1 << u16::BITS)] }
    }

    /// Where the stream is remembered whose tag has these lowest bits.
    fn slot(&self, stream: u16) -> Option<usize> {
        // The tag is a keyed digest: no client can choose whose place its stream takes.
        usize::from(stream).checked_rem(self.slots.len())
    }

    /// What is remembered of the stream whose tag has these lowest bits, if its user continuation is valid.
    pub(super) fn recall(&self, stream: u16, now: Timestamp) -> Option<Remembered<'_>> {
        let Slot { stream: whole, sealed, rest, issued, .. } = &self.slots[self.slot(stream)?];
        let user = UserContinuation::peek(sealed)?;
        let valid = *whole as u16 == stream && now < user.expires;
        valid.then_some(Remembered { sealed, user, rest, issued })
    }

    /// The newest user continuation of `stream`, if it is remembered and valid.
    pub(super) fn get(&self, stream: u64, now: Timestamp) -> Option<Remembered<'_>> {
        self.recall(stream as u16, now).filter(|remembered| remembered.user.stream == stream)
    }

    /// Whether `sealed` is what is remembered of `stream`, and hence authentic. Compared in constant time, since
    /// what is compared ends with an authentication tag.
    pub(super) fn holds(&self, stream: u64, sealed: &[u8]) -> bool {
        let held = self.slot(stream as u16).map(|slot| &self.slots[slot].sealed[..]);
        held.is_some_and(|held| held.len() == sealed.len() && held.ct_eq(sealed).to_bool())
    }

    /// Remembers a user continuation in the place of any other that has its slot. `rest`: the input shown that
    /// it leaves.
    pub(super) fn put(&mut self, stream: u64, sealed: &[u8], rest: &[u8]) {
        if let Some(slot) = self.slot(stream as u16) {
            let slot = &mut self.slots[slot];
            if slot.stream != stream {
                (slot.stream, slot.issued) = (stream, Issued::new());
            }
            slot.stored = RangeSet::default();
            slot.sealed.clear();
            slot.sealed.extend_from_slice(sealed);
            slot.rest.clear();
            slot.rest.extend_from_slice(if rest.len() <= MAX_REST { rest } else { &[] });
        }
    }

    /// Remembers a user continuation that was presented, unless a newer one of its stream is remembered.
    pub(super) fn put_presented(&mut self, sealed: &[u8], user: &UserContinuation<'_>, now: Timestamp) {
        let is_newer = |held: Remembered<'_>| held.user.input.start > user.input.start;
        if !self.holds(user.stream, sealed) && !self.get(user.stream, now).is_some_and(is_newer) {
            self.put(user.stream, sealed, &[]);
        }
    }

    /// Notes that these bytes are stored of the input that `user` takes in any order, if that is what is remembered.
    pub(super) fn note_stored(&mut self, user: &UserContinuation<'_>, range: Range<u64>) {
        if let Some(slot) = self.remembers(user) {
            let stored = &mut self.slots[slot].stored;
            stored.insert(range);
            if stored.len() > MAX_STORED {
                *stored = RangeSet::default();
            }
        }
    }

    /// Whether all before `end` is known to be stored of the input that `user` takes in any order.
    fn has_stored(&self, user: &UserContinuation<'_>, end: u64) -> bool {
        let gap = |slot: usize| self.slots[slot].stored.first_gap(user.input.start, end);
        self.remembers(user).is_some_and(|slot| gap(slot).is_none())
    }

    /// Where `user` is remembered, or one that takes the same input of the same stream.
    fn remembers(&self, user: &UserContinuation<'_>) -> Option<usize> {
        let slot = self.slot(user.stream as u16)?;
        let held = UserContinuation::peek(&self.slots[slot].sealed)?;
        let same = (held.stream, held.lineage, held.any_order, &held.input)
            == (user.stream, user.lineage, user.any_order, &user.input);
        same.then_some(slot)
    }

    /// Remembers a continuation that was issued in answer to input of `stream`, if the stream is remembered.
    pub(super) fn note(&mut self, stream: u64, issued: Continuation, packet_size: u16) {
        if let Some(slot) = self.slot(stream as u16)
            && self.slots[slot].stream == stream
        {
            let all = &mut self.slots[slot].issued;
            match all.iter_mut().find(|(other, _)| other.tag == issued.tag) {
                // From an exit of slow start there is no way back.
                Some((other, _)) if other.epoch.exit.is_some() && issued.epoch.exit.is_none() => {}
                Some(other) => *other = (issued, packet_size),
                None => {
                    if all.is_full() {
                        all.remove(0);
                    }
                    all.push((issued, packet_size));
                }
            }
        }
    }
}

/// What a request's input amounts to.
#[derive(Debug, Default)]
pub(super) struct Located<'a> {
    pub(super) demand: Demand,
    pub(super) input: Option<Taken<'a>>,
    /// A newer user continuation than the one presented, which takes the input.
    pub(super) cached: Option<UserContinuation<'static>>,
    /// What follows has this lineage, if it does not begin one.
    pub(super) lineage: Option<Lineage>,
    /// Frames for the answer.
    pub(super) front: Vec<u8>,
}

impl Server {
    /// Finds out what of a claim's input can be shown to the application, and with which user continuation.
    pub(super) fn locate<'a>(
        &self,
        claim: &Asked<'a>,
        presented: &UserContinuation<'_>,
        now: Timestamp,
    ) -> Located<'a> {
        let recalled = matches!(claim.presents, Presents::Remembered);
        let Some(input) = claim.input.filter(|_| !presented.input_closed) else { return Located::default() };
        let offset = input.offset;
        let located = |demand, taken: Option<Taken<'a>>| match taken {
            Some(taken) => Located { demand, input: Some(taken), ..Located::default() },
            None => Located::unconsumed(offset),
        };
        let is_newer = |user: &UserContinuation<'_>| {
            (user.input.start, user.input_closed) > (presented.input.start, presented.input_closed)
        };
        let remembered = || {
            let remembered = self.inputs.get(presented.stream, now);
            remembered.filter(|remembered| recalled || is_newer(&remembered.user))
        };
        if presented.any_order {
            if claim.presumed && !self.inputs.has_stored(presented, offset) {
                return Located::behind(offset, remembered());
            }
            return match offset.checked_sub(presented.input.end) {
                // Even if it is empty: it is the client's word that all before is stored.
                Some(0) => located(Demand::Next, Some(Taken::new(input))),
                Some(_) => Located::unconsumed(offset),
                // The input ends before the range does.
                None if input.fin && input.bytes.is_empty() => located(Demand::Next, Some(Taken::new(input))),
                None => located(Demand::Store, chunk(input, presented)),
            };
        }
        let start = presented.input.start;
        if offset <= start && !recalled {
            return located(Demand::Next, unconsumed(input, start));
        }
        let remembered = remembered();
        if let Some(Remembered { user, rest, .. }) = &remembered
            && !user.any_order
            && !user.input_closed
            && let Some(taken) = joined(input, user.input.start, rest)
        {
            let cached = if recalled { None } else { Some(user.clone().into_owned()) };
            let lineage = Some(user.lineage);
            return Located { cached, lineage, ..located(Demand::Next, Some(taken)) };
        }
        Located::behind(offset, remembered)
    }
}

impl Located<'_> {
    /// Input that cannot be consumed, now or any more: the answer says so, which keeps the requests going.
    fn unconsumed(offset: u64) -> Self {
        let mut front = Vec::new();
        Frame::Stored { offset, length: 0 }.emit(&mut front);
        Self { front, ..Self::default() }
    }

    /// The same, with a newer user continuation than the one presented: it says how far the input has got.
    fn behind(offset: u64, newer: Option<Remembered<'_>>) -> Self {
        let mut behind = Self::unconsumed(offset);
        if let Some(Remembered { sealed, .. }) = newer {
            Frame::UserContinuation(sealed).emit(&mut behind.front);
        }
        behind
    }
}

impl<'a> Taken<'a> {
    pub(super) fn new(input: Input<'a>) -> Self {
        Self { offset: input.offset, bytes: Cow::Borrowed(input.bytes), fin: input.fin }
    }
}

/// The part of `input` from `start` on, if there is any.
fn unconsumed(input: Input<'_>, start: u64) -> Option<Taken<'_>> {
    let known = usize::try_from(start.checked_sub(input.offset)?).ok()?;
    let bytes = input.bytes.get(known..)?;
    (input.fin || !bytes.is_empty()).then_some(Taken {
        offset: start,
        bytes: Cow::Borrowed(bytes),
        fin: input.fin,
    })
}

/// What follows from `start` on: `rest`, and the part of `input` that lies behind it, if it reaches that without
/// a gap and there is any.
fn joined<'a>(input: Input<'a>, start: u64, rest: &[u8]) -> Option<Taken<'a>> {
    let Some(gap) = input.offset.checked_sub(start).filter(|&gap| gap > 0) else {
        return unconsumed(input, start);
    };
    let before = rest.get(..usize::try_from(gap).ok()?)?;
    if before.len() + input.bytes.len() <= rest.len() && !input.fin {
        return None;
    }
    let bytes = Cow::Owned([before, input.bytes].concat());
    Some(Taken { offset: start, bytes, fin: input.fin })
}

/// The part of `input` that lies in the range taken in any order.
fn chunk<'a>(input: Input<'a>, presented: &UserContinuation<'_>) -> Option<Taken<'a>> {
    let start = input.offset.max(presented.input.start);
    let end = (input.offset + input.bytes.len() as u64).min(presented.input.end);
    let bytes = input.bytes.get((start - input.offset) as usize..(end.max(start) - input.offset) as usize)?;
    (!bytes.is_empty()).then_some(Taken { offset: start, bytes: Cow::Borrowed(bytes), fin: false })
}
