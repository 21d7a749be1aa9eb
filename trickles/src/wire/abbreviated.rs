//! The abbreviated Continue: what brings input to a server that remembers the rest of it from the stream's last
//! request with input (docs/protocol.md 2.20).

use super::codec::{Reader, Write, varint_length};
use super::request::{ABBREVIATED, Claim, ClaimKind, Input, Run};
use super::{HEADER, nearest};
use crate::continuation::Continuation;
use crate::epoch::MAX_POSITION;
use crate::key_ring::TAG_LENGTH;
use crate::time::Timestamp;
use crate::user_continuation::Lineage;

/// How many bits of a moment, and of an offset in the input, travel.
const BITS: u32 = 32;

/// A Continue of one run without wants that brings input, without what the server remembers: of the presented
/// continuation what is the same throughout its epoch, the user continuation, and the packet size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AbbreviatedClaim<'a> {
    /// Value the answer repeats.
    pub echo: u64,
    /// The lowest bits of the stream tag.
    pub stream: u32,
    /// The position that earned the first number of the presented continuation's train, less the base.
    pub earned: u64,
    /// How many numbers that train has.
    pub count: u8,
    /// When it was issued: the lowest bits.
    pub issued: u32,
    /// Microseconds from `rooted` to that.
    pub rooted_ago: u32,
    /// UDP payload bytes of the train.
    pub bytes: u32,
    /// The continuation's tag, masked with the lineage of the user continuation that takes the input.
    pub tag: [u8; TAG_LENGTH],
    /// How far the first claimed position lies above `earned`.
    pub ahead: u64,
    /// How many positions are claimed.
    pub positions: u8,
    /// How many numbers are proven behind the last claimed position.
    pub behind: u64,
    /// The XOR of the nonces.
    pub proof: u64,
    /// Offset of the first byte in the stream's input: the lowest bits.
    pub offset: u32,
    /// The bytes, at least one.
    pub input: &'a [u8],
}

impl<'a> AbbreviatedClaim<'a> {
    /// Most bytes it has besides the input.
    pub const OVERHEAD: usize = HEADER + 4 + 8 + 1 + 4 + 8 + 8 + TAG_LENGTH + 8 + 1 + 8 + 8 + 4;

    /// What is to be said of `claim`, input aside, to a server that remembers the epoch of `presented`, its continuation,
    /// and a user continuation of `lineage`. `None` if the claim is not of the kind that can be abbreviated.
    pub fn of(claim: &Claim<'_>, presented: &Continuation, lineage: Lineage) -> Option<Self> {
        let ClaimKind::Continue { proven, proof } = claim.kind else { return None };
        let mut runs = claim.runs.iter();
        let (run, wants) = runs.next()?;
        let Continuation { epoch, earned, first, .. } = *presented;
        let is_plain = wants.is_empty() && runs.next().is_none() && claim.exit == epoch.exit;
        let relative = earned.checked_sub(epoch.base)?;
        if !is_plain || epoch.share_start(earned) != first {
            return None;
        }
        let (_, tag) = claim.continuation.split_last_chunk()?;
        Some(Self {
            echo: claim.echo,
            stream: presented.stream as u32,
            earned: relative,
            count: presented.count,
            issued: presented.issued.as_micros() as u32,
            rooted_ago: presented.rooted_ago(),
            bytes: presented.bytes,
            tag: masked(*tag, lineage),
            ahead: run.first.checked_sub(earned)?,
            positions: run.count,
            behind: proven.checked_sub(run.positions().end)?,
            proof,
            offset: 0,
            input: &[],
        })
    }

    /// The same with input, of which there must be some.
    pub fn with_input(self, input: Input<'a>) -> Self {
        Self { offset: input.offset as u32, input: input.bytes, ..self }
    }

    /// The presented continuation and its tag, `None` if no server has sealed that one. `remembered`: another
    /// continuation of its epoch from the same issuer, `port`: where the client is, `lineage`: that of the user
    /// continuation that is remembered.
    pub fn presented(
        &self,
        remembered: &Continuation,
        lineage: Lineage,
        port: u16,
        now: Timestamp,
    ) -> Option<(Continuation, [u8; TAG_LENGTH])> {
        if self.earned >= MAX_POSITION {
            return None;
        }
        let issued = Timestamp::from_micros(nearest(self.issued.into(), BITS, now.as_micros()));
        let earned = remembered.epoch.base + self.earned;
        let fields = Continuation {
            first: remembered.epoch.share_start(earned),
            count: self.count,
            earned,
            issued,
            port,
            bytes: self.bytes,
            ..*remembered
        };
        Some((fields.rooted_before(self.rooted_ago)?, masked(self.tag, lineage)))
    }

    /// The claimed positions, with `earned` that of the presented continuation, and what is claimed of them.
    pub fn claimed(&self, earned: u64) -> Option<(Run, ClaimKind)> {
        let first = earned.checked_add(self.ahead)?;
        let end = first.checked_add(u64::from(self.positions))?;
        let proven = end.checked_add(self.behind)?;
        Some((Run { first, count: self.positions }, ClaimKind::Continue { proven, proof: self.proof }))
    }

    /// The input; `expected`: an offset near its own.
    pub fn located(&self, expected: u64) -> Option<Input<'a>> {
        let offset = nearest(self.offset.into(), BITS, expected);
        offset.checked_add(self.input.len() as u64)?;
        Some(Input { offset, bytes: self.input, fin: false })
    }

    /// Length without input, in bytes.
    pub fn length(&self) -> usize {
        let varints = [self.earned, self.rooted_ago.into(), self.bytes.into(), self.ahead, self.behind];
        HEADER + 4 + 1 + 4 + TAG_LENGTH + 1 + 8 + 4 + varints.map(varint_length).iter().sum::<usize>()
    }

    pub(super) fn parse(echo: u64, mut body: Reader<'a>) -> Option<Self> {
        let claim = Self {
            echo,
            stream: body.u32()?,
            earned: body.varint()?,
            count: body.u8()?,
            issued: body.u32()?,
            rooted_ago: u32::try_from(body.varint()?).ok()?,
            bytes: u32::try_from(body.varint()?).ok()?,
            tag: body.array()?,
            ahead: body.varint()?,
            positions: body.u8()?,
            behind: body.varint()?,
            proof: body.u64()?,
            offset: body.u32()?,
            input: body.rest(),
        };
        (!claim.input.is_empty()).then_some(claim)
    }

    /// What follows the version.
    pub(super) fn emit(&self, out: &mut Vec<u8>) {
        out.put_u8(ABBREVIATED);
        out.put_u64(self.echo);
        out.put_u32(self.stream);
        out.put_varint(self.earned);
        out.put_u8(self.count);
        out.put_u32(self.issued);
        out.put_varint(self.rooted_ago.into());
        out.put_varint(self.bytes.into());
        out.put(&self.tag);
        out.put_varint(self.ahead);
        out.put_u8(self.positions);
        out.put_varint(self.behind);
        out.put_u64(self.proof);
        out.put_u32(self.offset);
        out.put(self.input);
    }
}

/// A tag that is good only beside a user continuation of `lineage`, or the tag again from that.
fn masked(mut tag: [u8; TAG_LENGTH], lineage: Lineage) -> [u8; TAG_LENGTH] {
    let mask = lineage.echo.to_be_bytes().into_iter().chain(lineage.processing.to_be_bytes());
    tag.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
    tag
}

#[cfg(test)]
pub(super) mod tests;
