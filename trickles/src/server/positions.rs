//! Which round-trip times and positions a claim may declare (docs/protocol.md section 5).

use std::ops::Range;
use std::time::Duration;

use super::admit::Refusal;
use crate::continuation::Continuation;
use crate::epoch::curve::{MAX_WINDOW, counted};
use crate::epoch::{Epoch, MAX_POSITION, RTT_BOUNDS, adopts};
use crate::stats::Discard;
use crate::wire::{MAX_TRAIN, Run, Runs};

/// Positions before this one, relative to base, own nothing but positions of their epoch
/// (docs/protocol.md section 5.2).
const END: u64 = MAX_POSITION - MAX_WINDOW as u64;

pub(super) fn check_rtt(rtt: u32, skewed_age: Duration) -> Result<(), Refusal> {
    if !RTT_BOUNDS.contains(&rtt) {
        return Err(Discard::Field.into());
    }
    if Duration::from_micros(u64::from(rtt)) > skewed_age { Err(Discard::Rtt.into()) } else { Ok(()) }
}

/// As [`check_rtt`], where zero stands for no sample yet.
pub(super) fn check_declared(rtt: u32, skewed_age: Duration) -> Result<u32, Refusal> {
    if rtt != 0 {
        check_rtt(rtt, skewed_age)?;
    }
    Ok(rtt)
}

/// An overstated round-trip time shows in claims that come back sooner than half of what it counts.
pub(super) fn half_exceeds(rtt: u32, skewed_age: Duration) -> bool {
    Duration::from_micros(u64::from(counted(rtt)) / 2) > skewed_age
}

pub(super) fn check_continue(runs: &Runs, continuation: &Continuation, proven: u64) -> Result<(), Refusal> {
    let epoch = &continuation.epoch;
    let span = runs.span();
    let own = count(runs, |position| position >= epoch.base);
    let adopted = owned(runs, epoch, epoch.first_position()..epoch.base);
    let sane = runs.are_bounded()
        && span.start > continuation.earned
        && span.start >= epoch.first_position()
        && span.end <= continuation.end() + MAX_TRAIN
        && span.end <= proven
        && proven.saturating_sub(epoch.base) <= END;
    // What is left of the flight is adopted by claims for the numbers it shares.
    let sharing =
        span.start >= epoch.base || span.end.saturating_sub(epoch.base) <= u64::from(epoch.growth.window0);
    if own > 0 && sane && sharing && adopts(own, adopted) { Ok(()) } else { Err(Discard::Field.into()) }
}

pub(super) fn check_recover(
    runs: &Runs,
    continuation: &Continuation,
    lost: u64,
    next: &Epoch,
) -> Result<(), Refusal> {
    let span = runs.span();
    // Ending inside the presented train is the evidence that the flight got that far.
    let own_start = continuation.first.max(lost + 1);
    let own = count(runs, |position| position >= own_start);
    let adopted = owned(runs, next, lost + 1..own_start);
    let sane = runs.are_bounded()
        && span.start > continuation.earned
        && span.start >= continuation.epoch.base
        && span.end <= continuation.end().min(next.base)
        && lost.saturating_sub(continuation.epoch.base) <= END
        && count(runs, |position| position == lost) == 0;
    if own > 0 && sane && adopts(own, adopted) { Ok(()) } else { Err(Discard::Field.into()) }
}

/// How many claimed positions there are of some kind.
fn count(runs: &Runs, which: impl Fn(u64) -> bool) -> u64 {
    runs.iter().flat_map(|(run, _)| run.positions()).filter(|&position| which(position)).count() as u64
}

/// How many numbers the claimed ones among `positions` own.
fn owned(runs: &Runs, epoch: &Epoch, positions: Range<u64>) -> u64 {
    let within = |run: Run| {
        let run = run.positions();
        run.start.max(positions.start)..run.end.min(positions.end)
    };
    let shares = runs.iter().map(|(run, _)| within(run)).filter(|part| !part.is_empty());
    shares.map(|part| epoch.share(&part)).map(|share| share.end - share.start).sum()
}
