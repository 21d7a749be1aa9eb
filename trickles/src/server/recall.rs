//! Claims that leave out what the server remembers of their stream (docs/protocol.md 6.32).

use super::Server;
use super::admit::{Arrival, Refusal};
use crate::continuation::Continuation;
use crate::epoch::SlowStartExit;
use crate::key_ring::Purpose;
use crate::stats::Discard;
use crate::wire::{AbbreviatedClaim, Claim, ClaimKind, Input, Notice, Runs};

/// What a claim asks for, whichever continuation it presents.
pub(super) struct Asked<'a> {
    pub(super) echo: u64,
    pub(super) kind: ClaimKind,
    pub(super) exit: Option<SlowStartExit>,
    pub(super) packet_size: u16,
    pub(super) runs: Runs,
    pub(super) presents: Presents<'a>,
    pub(super) input: Option<Input<'a>>,
    /// As in [`Claim`].
    pub(super) presumed: bool,
}

/// The user continuation that a claim presents.
pub(super) enum Presents<'a> {
    /// This one.
    Sealed(&'a [u8]),
    /// The one that is remembered of its stream.
    Remembered,
}

impl<'a> From<Claim<'a>> for Asked<'a> {
    fn from(claim: Claim<'a>) -> Self {
        let Claim { echo, kind, exit, packet_size, runs, user_continuation, input, presumed, .. } = claim;
        let presents = Presents::Sealed(user_continuation);
        Self { echo, kind, exit, packet_size, runs, presents, input, presumed }
    }
}

impl Server {
    /// The continuation that an abbreviated claim presents, authentic, and what it asks for.
    pub(super) fn recall<'a>(
        &self,
        claim: &AbbreviatedClaim<'a>,
        arrival: Arrival,
    ) -> Result<(Continuation, Asked<'a>), Refusal> {
        let forgotten = Refusal(Discard::Forgotten, Some(Notice::Forgotten));
        let remembered = self.inputs.recall(claim.stream, arrival.now);
        let Some(remembered) = remembered.filter(|remembered| !remembered.user.input_closed) else {
            return Err(forgotten);
        };
        let (mask, from) = (remembered.user.mask(), arrival.from);
        let mut candidates = remembered.issued.iter().rev().filter(|(issued, _)| claim.is_of(issued.tag));
        let authentic = candidates.find_map(|(issued, size)| {
            let continuation = claim.presented(issued, from.port(), arrival.now)?;
            let (runs, proven) = claim.claimed(&continuation)?;
            let proof = self.proof(&continuation, proven);
            let (keys, body) = (self.seal.ring.get(continuation.key)?, continuation.encode());
            let tag = claim.tag(&mask, proof);
            let verified = self.seal.verify(keys, Purpose::Continuation, Some(from.ip()), &body, &tag);
            verified.then_some((continuation, runs, claim.kind(proven, proof), *size))
        });
        let Some((continuation, runs, kind, packet_size)) = authentic else { return Err(forgotten) };
        let asked = Asked {
            echo: claim.echo,
            kind,
            exit: continuation.epoch.exit,
            packet_size,
            runs,
            presents: Presents::Remembered,
            input: Some(claim.input),
            presumed: false,
        };
        Ok((continuation, asked))
    }
}
