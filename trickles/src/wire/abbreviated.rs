//! Abbreviated claims: what brings input to a server that remembers the rest of it from earlier requests with input
//! of the stream (docs/protocol.md 2.20).

use std::time::Duration;

use arrayvec::ArrayVec;

use super::codec::{Reader, VARINT_END, Write, varint_length};
use super::request::{
    ABBREVIATED_CONTINUE, ABBREVIATED_RECOVER, Claim, ClaimKind, Input, MAX_RUNS, Run, Runs,
};
use super::{HEADER, nearest};
use crate::continuation::{Continuation, ROOTED_STEP};
use crate::epoch::{Epoch, MAX_POSITION};
use crate::key_ring::TAG_LENGTH;
use crate::time::Timestamp;
use crate::user_continuation::Mask;

/// How many bits of a moment travel, in microseconds: what is older than some seconds is to be presented whole.
const MOMENT_BITS: u32 = 24;
/// The bits that say how many runs there are; the others are of the epoch tag.
const RUNS: u8 = MAX_RUNS as u8 - 1;

/// What an abbreviated claim asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AbbreviatedKind {
    /// As in [`ClaimKind::Continue`].
    Continue {
        /// How many numbers are proven behind the last claimed position.
        behind: u64,
    },
    /// As in [`ClaimKind::Recover`].
    Recover {
        /// The first lost position, less the base.
        lost: u64,
        /// Packets that the path is found to have held.
        carried: u32,
        /// Smallest round-trip time of the epoch, in microseconds.
        rtt: u32,
    },
}

/// A claim without wants that brings input, without what the server remembers: of the presented continuation what is the
/// same throughout its epoch, the user continuation, and the packet size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AbbreviatedClaim<'a> {
    /// Value the answer repeats.
    pub echo: u64,
    /// The lowest bits of the stream tag.
    pub stream: u16,
    /// Bits 3 to 7 of the epoch tag.
    pub epoch: u8,
    /// The position that earned the first number of the presented continuation's train, less the one before the flight
    /// that the epoch began with: 0 for the train that opened the epoch.
    pub earned: u64,
    /// How many numbers that train has.
    pub count: u8,
    /// When it was issued: the lowest 24 bits.
    pub issued: u32,
    /// From `rooted` to that, in [steps](ROOTED_STEP).
    pub rooted_ago: u32,
    /// UDP payload bytes of the train.
    pub bytes: u32,
    /// The continuation's tag, masked for the user continuation that takes the input and for the proof.
    pub tag: [u8; TAG_LENGTH],
    /// The runs of claimed positions: how far each begins behind the one before it, the first one behind `earned`, and how
    /// many positions it has.
    pub runs: ArrayVec<(u64, u8), MAX_RUNS>,
    /// What is asked for.
    pub kind: AbbreviatedKind,
    /// The input, at least one byte and no end.
    pub input: Input<'a>,
}

impl<'a> AbbreviatedClaim<'a> {
    /// Most bytes that an abbreviated Continue of one run has besides the input.
    pub const OVERHEAD: usize = HEADER + 2 + 1 + 8 + 1 + 3 + 8 + 8 + TAG_LENGTH + 8 + 1 + 8 + 8;

    /// How many bytes one should have. An answer has up to three times as many, whatever the presented train has earned: that
    /// is enough for one packet with a whole continuation, without which the position would be refused.
    pub const LEAST: usize = 64;

    /// For how long after it has come a continuation can be presented like this: a quarter of what the bits that travel of
    /// its time tell apart.
    pub const MAX_AGE: Duration = Duration::from_micros(1 << (MOMENT_BITS - 2));

    /// What is to be said of `claim`, with `input`, to a server that remembers the epoch of `presented`, its
    /// continuation, and a user continuation with this [mask](crate::user_continuation::UserContinuation::mask). `None`
    /// if the claim is not of the kind that can be abbreviated.
    pub fn of(claim: &Claim<'_>, input: Input<'a>, presented: &Continuation, mask: &Mask) -> Option<Self> {
        let Continuation { epoch, earned, first, .. } = *presented;
        let relative = (earned + 1).checked_sub(epoch.first_position())?;
        if input.fin
            || input.offset >= VARINT_END
            || claim.presumed
            || claim.exit != epoch.exit
            || train_start(&epoch, earned) != first
            || claim.runs.is_empty()
        {
            return None;
        }
        let (mut runs, mut end) = (ArrayVec::new(), earned);
        for (run, wants) in claim.runs.iter() {
            if !wants.is_empty() {
                return None;
            }
            runs.push((run.first.checked_sub(end)?, run.count));
            end = run.positions().end;
        }
        let (kind, proof) = match claim.kind {
            ClaimKind::Continue { proven, proof } => {
                (AbbreviatedKind::Continue { behind: proven.checked_sub(end)? }, proof)
            }
            ClaimKind::Recover { lost, carried, rtt, proof } => {
                (AbbreviatedKind::Recover { lost: lost.checked_sub(epoch.base)?, carried, rtt }, proof)
            }
            ClaimKind::Restart { .. } | ClaimKind::Resume { .. } => return None,
        };
        let (_, tag) = claim.continuation.split_last_chunk()?;
        Some(Self {
            echo: claim.echo,
            stream: presented.stream as u16,
            epoch: epoch_bits(presented.tag),
            earned: relative,
            count: presented.count,
            issued: presented.issued.as_micros() as u32 % (1 << MOMENT_BITS),
            rooted_ago: Some(presented.rooted_ago())
                .filter(|ago| ago.is_multiple_of(ROOTED_STEP))
                .map(|ago| ago / ROOTED_STEP)?,
            bytes: presented.bytes,
            tag: masked(tag, mask, proof),
            runs,
            kind,
            input,
        })
    }

    /// Whether it can be about the epoch with this tag.
    pub fn is_of(&self, epoch: u64) -> bool {
        self.epoch == epoch_bits(epoch)
    }

    /// The presented continuation, `None` if no server has sealed that one. `remembered`: another continuation of its epoch
    /// from the same issuer, `port`: where the client is.
    pub fn presented(&self, remembered: &Continuation, port: u16, now: Timestamp) -> Option<Continuation> {
        if self.earned > MAX_POSITION {
            return None;
        }
        let issued = Timestamp::from_micros(nearest(self.issued.into(), MOMENT_BITS, now.as_micros()));
        let earned = (remembered.epoch.first_position() + self.earned).checked_sub(1)?;
        let fields = Continuation {
            first: train_start(&remembered.epoch, earned),
            count: self.count,
            earned,
            issued,
            port,
            bytes: self.bytes,
            ..*remembered
        };
        let ago = self.rooted_ago.checked_mul(ROOTED_STEP)?;
        fields.rooted_before(ago)
    }

    /// The claimed positions, and up to which number receipt is proven, if these are the fields of the `presented`
    /// continuation.
    pub fn claimed(&self, presented: &Continuation) -> Option<(Runs, u64)> {
        let (mut runs, mut end) = (Runs::default(), presented.earned);
        for &(gap, count) in &self.runs {
            let run = Run { first: end.checked_add(gap)?, count };
            if !runs.push(run, &[]) {
                return None;
            }
            end = run.positions().end;
        }
        let proven = match self.kind {
            AbbreviatedKind::Continue { behind } => end.checked_add(behind)?,
            AbbreviatedKind::Recover { lost, .. } => presented.epoch.base.checked_add(lost)?,
        };
        Some((runs, proven))
    }

    /// The tag of the presented continuation, if the user continuation that is remembered has this `mask`, and receipt of
    /// what is proven this `proof`.
    pub fn tag(&self, mask: &Mask, proof: u64) -> [u8; TAG_LENGTH] {
        masked(&self.tag, mask, proof)
    }

    /// What is claimed of the positions, with what [`claimed`](Self::claimed) says is proven.
    pub fn kind(&self, proven: u64, proof: u64) -> ClaimKind {
        match self.kind {
            AbbreviatedKind::Continue { .. } => ClaimKind::Continue { proven, proof },
            AbbreviatedKind::Recover { carried, rtt, .. } => {
                ClaimKind::Recover { lost: proven, carried, rtt, proof }
            }
        }
    }

    /// Length without input, in bytes.
    pub fn length(&self) -> usize {
        let kind = match self.kind {
            AbbreviatedKind::Continue { behind } => varint_length(behind),
            AbbreviatedKind::Recover { lost, carried, rtt } => {
                varint_length(lost) + varint_length(carried.into()) + varint_length(rtt.into())
            }
        };
        let runs: usize = self.runs.iter().map(|&(gap, _)| varint_length(gap) + 1).sum();
        let offset = varint_length(self.input.offset);
        let train = [self.earned, self.rooted_ago.into(), self.bytes.into()].map(varint_length);
        HEADER + 2 + 1 + 1 + 3 + train.iter().sum::<usize>() + TAG_LENGTH + runs + kind + offset
    }

    pub(super) fn parse(recovers: bool, echo: u64, mut body: Reader<'a>) -> Option<Self> {
        let stream = body.u16()?;
        let runs_and_epoch = body.u8()?;
        let claim = Self {
            echo,
            stream,
            epoch: runs_and_epoch / (RUNS + 1),
            earned: body.varint()?,
            count: body.u8()?,
            issued: u32::from(body.u8()?) << 16 | u32::from(body.u16()?),
            rooted_ago: short_varint(&mut body)?,
            bytes: short_varint(&mut body)?,
            tag: body.array()?,
            runs: (0..=runs_and_epoch & RUNS)
                .map(|_| Some((body.varint()?, body.u8()?)))
                .collect::<Option<_>>()?,
            kind: match recovers {
                false => AbbreviatedKind::Continue { behind: body.varint()? },
                true => AbbreviatedKind::Recover {
                    lost: body.varint()?,
                    carried: short_varint(&mut body)?,
                    rtt: short_varint(&mut body)?,
                },
            },
            input: Input { offset: body.varint()?, bytes: body.rest(), fin: false },
        };
        (!claim.input.bytes.is_empty()).then_some(claim)
    }

    /// What follows the version.
    pub(super) fn emit(&self, out: &mut Vec<u8>) {
        out.put_u8(match self.kind {
            AbbreviatedKind::Continue { .. } => ABBREVIATED_CONTINUE,
            AbbreviatedKind::Recover { .. } => ABBREVIATED_RECOVER,
        });
        out.put_u64(self.echo);
        out.put_u16(self.stream);
        out.put_u8((self.epoch % 32 * (RUNS + 1)) | (self.runs.len().max(1) as u8 - 1));
        out.put_varint(self.earned);
        out.put_u8(self.count);
        out.put(&self.issued.to_be_bytes()[1..]);
        out.put_varint(self.rooted_ago.into());
        out.put_varint(self.bytes.into());
        out.put(&self.tag);
        for &(gap, count) in &self.runs {
            out.put_varint(gap);
            out.put_u8(count);
        }
        match self.kind {
            AbbreviatedKind::Continue { behind } => out.put_varint(behind),
            AbbreviatedKind::Recover { lost, carried, rtt } => {
                out.put_varint(lost);
                out.put_varint(carried.into());
                out.put_varint(rtt.into());
            }
        }
        out.put_varint(self.input.offset);
        out.put(self.input.bytes);
    }
}

/// The first number of the train that begins with what `earned` owns. The one before all others earns the opening.
fn train_start(epoch: &Epoch, earned: u64) -> u64 {
    if earned < epoch.first_position() { epoch.base } else { epoch.share_start(earned) }
}

fn epoch_bits(tag: u64) -> u8 {
    tag as u8 / (RUNS + 1)
}

fn short_varint(reader: &mut Reader<'_>) -> Option<u32> {
    u32::try_from(reader.varint()?).ok()
}

/// A tag that is good only beside one user continuation and with one proof, or the tag again from that.
fn masked(tag: &[u8; TAG_LENGTH], mask: &Mask, proof: u64) -> [u8; TAG_LENGTH] {
    (u128::from_be_bytes(*tag) ^ u128::from_be_bytes(*mask) ^ u128::from(proof)).to_be_bytes()
}

#[cfg(test)]
pub(super) mod tests;
