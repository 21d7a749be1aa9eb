//! Congestion epochs: the span between two congestion events, and who owns which packet numbers in it
//! (docs/protocol.md section 5).
//!
//! Client and server evaluate the same closed forms, which is why they agree on every number without the
//! server remembering one. `window` and `allowed` count packets; positions are packet numbers.

pub mod curve;
#[cfg(test)]
mod golden;

use std::ops::Range;

use arrayvec::ArrayVec;

use crate::time::Timestamp;
pub use curve::{Curve, CurveId, Growth};

/// Bound on positions within an epoch: beyond it a flow needs a new epoch.
pub const MAX_POSITION: u64 = 1 << 47;
/// Bound on packet numbers; leaves room for any arithmetic within an epoch.
pub const MAX_NUMBER: u64 = 1 << 63;
/// Largest window an epoch can be born with, in packets (RFC 6928).
pub const INITIAL_WINDOW: u32 = 10;
/// Window after a Restart, in packets.
pub const RESTART_WINDOW: u32 = 2;
/// Bounds of a declared round-trip time, in microseconds.
pub const RTT_BOUNDS: Range<u32> = 10..60_000_001;

/// End of slow start as the client declares it (HyStart++, RFC 9406).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlowStartExit {
    /// The first position, relative to the epoch's base, that grows by congestion avoidance.
    pub position: u32,
    /// Smallest round-trip time of the epoch until then, in microseconds.
    pub rtt: u32,
}

/// The parameters of an epoch, equal in all its continuations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epoch {
    /// The congestion curve.
    pub curve: CurveId,
    /// First packet number.
    pub base: u64,
    /// Parameters of the window function.
    pub growth: Growth,
    /// Size of the flight that ended the epoch before: the positions directly below `base` that own the
    /// first `window0` numbers. Zero for an epoch born of Hello, Restart, Resume or Refresh.
    pub flight: u32,
    /// Declared end of slow start.
    pub exit: Option<SlowStartExit>,
}

impl Epoch {
    /// An epoch that follows none: `window0` packets (at least 1), slow start without bound.
    pub fn born(curve: CurveId, base: u64, window0: u32) -> Self {
        let growth = Growth { window0, ssthresh: u32::MAX, w_max: 0, k: 0, rtt: 0 };
        Self { curve, base, growth, flight: 0, exit: None }
    }

    /// First number of an epoch born at `now`, not below `floor`.
    pub fn birth_base(now: Timestamp, floor: u64) -> u64 {
        (now.as_millis().min(MAX_NUMBER >> 21) << 20).max(floor).max(1)
    }

    /// The congestion window, in packets, once `acked` packets of the epoch are acknowledged.
    pub fn window(&self, acked: u64) -> u32 {
        let curve = curve::curve(self.curve);
        match self.exit {
            Some(exit) if acked > u64::from(exit.position) => {
                curve.window(&self.after_exit(exit), acked - u64::from(exit.position))
            }
            _ => curve.window(&self.growth, acked),
        }
    }

    /// How many numbers of the epoch may have been emitted by then: `allowed(0) = window0`.
    pub fn allowed(&self, acked: u64) -> u64 {
        acked + u64::from(self.window(acked))
    }

    /// Whether a declared exit lies within slow start and its round-trip time within bounds.
    pub fn admits(&self, exit: SlowStartExit) -> bool {
        let reached = u64::from(self.growth.window0) + u64::from(exit.position);
        reached < u64::from(self.growth.ssthresh)
            && reached <= u64::from(curve::MAX_WINDOW)
            && RTT_BOUNDS.contains(&exit.rtt)
    }

    /// The first number whose nonce depends on the declared exit.
    pub fn exit_number(&self) -> Option<u64> {
        self.exit.map(|exit| self.base + self.allowed(u64::from(exit.position)))
    }

    /// The round-trip time that rules growth, in microseconds; zero when none was declared.
    pub fn rtt(&self) -> u32 {
        self.exit.map_or(self.growth.rtt, |exit| exit.rtt)
    }

    /// The lowest number that can be a position of this epoch: the start of the flight before it.
    pub fn first_position(&self) -> u64 {
        self.base.saturating_sub(u64::from(self.flight))
    }

    /// The number from which `position` owns numbers; those of `position + 1` begin where its own end.
    ///
    /// Positions below `base` belong to the flight that ended the epoch before and share its first
    /// `window0` numbers, rounded up: the first survivor always emits.
    pub fn share_start(&self, position: u64) -> u64 {
        match position.checked_sub(self.base) {
            Some(acked) => self.base + self.allowed(acked.min(MAX_POSITION)),
            None => {
                let rank = u64::from(self.flight).saturating_sub(self.base - position);
                let window0 = u64::from(self.growth.window0);
                self.base + (rank * window0).div_ceil(u64::from(self.flight).max(1))
            }
        }
    }

    /// The numbers owned by a contiguous run of positions; those of consecutive runs are consecutive.
    pub fn share(&self, positions: &Range<u64>) -> Range<u64> {
        let start = self.share_start(positions.start);
        start..self.share_start(positions.end).max(start)
    }

    /// The numbers that each of `positions` owns, in order.
    ///
    /// The window mostly stays the same over a run, and then each position owns one number: evaluating it at
    /// both ends of the run tells, and where it grows, halving finds the place.
    pub fn shares(&self, positions: Range<u64>) -> impl Iterator<Item = Range<u64>> + use<> {
        self.shares_from(self.share_start(positions.start), positions)
    }

    /// The same, if the first number is known to be `start`.
    pub(crate) fn shares_from(
        &self,
        mut start: u64,
        positions: Range<u64>,
    ) -> impl Iterator<Item = Range<u64>> + use<> {
        let epoch = *self;
        let mut position = positions.start;
        // Positions ahead where the start of the share is known, the nearest last.
        let mut ahead = ArrayVec::<(u64, u64), 65>::new();
        if !positions.is_empty() {
            ahead.push((positions.end, epoch.share_start(positions.end)));
        }
        std::iter::from_fn(move || {
            let (mut known, mut end) = *ahead.last()?;
            while known > position + 1 && (position < epoch.base || end - start != known - position) {
                known = position + (known - position) / 2;
                end = epoch.share_start(known);
                ahead.push((known, end));
            }
            let share = start..if known == position + 1 { end } else { start + 1 };
            (position, start) = (position + 1, share.end);
            if position == known {
                ahead.pop();
            }
            Some(share)
        })
    }

    /// The epoch that follows when `lost` is the first lost position: proportional rate reduction over the
    /// flight, in closed form. `carried`: the packets that the path is found to have held, from which the window is
    /// reduced; `rtt`: microseconds. `None` when `lost` is not a position of this epoch, or `carried` is 0 or more
    /// than the window there.
    pub fn recover(&self, lost: u64, carried: u32, rtt: u32) -> Option<Self> {
        let lost = lost.checked_sub(self.base).filter(|&lost| lost < MAX_POSITION)?;
        let window = self.window(lost);
        let base = self.base.checked_add(self.allowed(lost)).filter(|&base| base < MAX_NUMBER)?;
        if !(1..=window).contains(&carried) {
            return None;
        }
        let growth = curve::curve(self.curve).after_loss(&self.ruling(lost), carried, rtt);
        Some(Self { curve: self.curve, base, growth, flight: window.saturating_sub(1), exit: None })
    }

    /// The epoch a Restart opens at `now`, presented at the position `acked` relative to `base`.
    pub fn restart(&self, acked: u64, rtt: u32, now: Timestamp) -> Option<Self> {
        let growth = curve::curve(self.curve).after_timeout(&self.ruling(acked), self.window(acked), rtt);
        self.opened(acked, growth, now)
    }

    /// The epoch a Resume or Refresh opens at `now` with at most `window0` packets: nothing was lost, so
    /// the slow-start threshold stays.
    pub fn resume(&self, acked: u64, window0: u32, rtt: u32, now: Timestamp) -> Option<Self> {
        let window0 = window0.min(self.window(acked)).clamp(1, INITIAL_WINDOW);
        let growth = curve::curve(self.curve).resumed(&self.ruling(acked), window0, rtt);
        self.opened(acked, growth, now)
    }

    fn opened(&self, acked: u64, growth: Growth, now: Timestamp) -> Option<Self> {
        // Positions up to 192 past the presented train may have been granted, each for two numbers.
        let floor = self.base.checked_add(2 * self.allowed(acked + 256))?;
        let base = Self::birth_base(now, floor);
        (base < MAX_NUMBER).then_some(Self { curve: self.curve, base, growth, flight: 0, exit: None })
    }

    fn after_exit(&self, exit: SlowStartExit) -> Growth {
        let curve = curve::curve(self.curve);
        let window = curve.window(&self.growth, u64::from(exit.position));
        curve.after_slow_start_exit(&self.growth, window, exit.rtt)
    }

    /// The growth that rules at `acked`: the declared exit replaces it.
    fn ruling(&self, acked: u64) -> Growth {
        match self.exit {
            Some(exit) if acked > u64::from(exit.position) => self.after_exit(exit),
            _ => self.growth,
        }
    }
}

/// Whether a claim of `own` positions may adopt lost ones that own `numbers`: enough for the numbers of an
/// epoch to spread from one claim to the next however much of a flight was lost, and no burst.
pub fn adopts(own: u64, numbers: u64) -> bool {
    numbers <= (own + own / 2).max(2)
}

#[cfg(test)]
mod tests;
