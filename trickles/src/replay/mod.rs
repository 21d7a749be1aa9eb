//! The replay filter: what a server remembers of the positions it has granted.
//!
//! A *position* is a packet number of a flow, seen as the right to be answered once. The filter is asked by
//! *block*: 32 consecutive numbers and a mask with one bit for each, so that a train costs two or three
//! look-ups. Memory is fixed when the filter is made; what does not fit shortens how far back it remembers.
//!
//! Errors have one safe direction. Refusing a fresh position costs its client one lost packet. Granting a
//! position twice is never allowed, so every doubt must end in a refusal or a shorter
//! [`horizon`](ReplayFilter::horizon).
//!
//! ```
//! use std::time::Duration;
//! use trickles::replay::{FilterConfig, FingerprintFilter, ReplayFilter, blocks};
//! use trickles::time::Timestamp;
//!
//! let now = Timestamp::from_millis(1000);
//! let config = FilterConfig { cells_per_generation: 1 << 10, ..FilterConfig::default() };
//! let filter = FingerprintFilter::new(config, [7; 16], now);
//! let (shard, flow) = (0x0a00_0001, 0x5eed);
//! let grant = |numbers| -> u32 {
//!     blocks(numbers).map(|(block, mask)| filter.grant(shard, flow, block, mask, now).count_ones()).sum()
//! };
//! assert_eq!(grant(30..70), 40);
//! assert_eq!(grant(60..75), 5);
//! assert_eq!(filter.horizon(shard, now), Duration::MAX);
//! ```

mod fingerprint;
#[cfg(test)]
mod granted;
#[cfg(test)]
#[cfg(not(loom))]
mod interrupts;
#[cfg(test)]
#[cfg(loom)]
mod models;
#[cfg(test)]
#[cfg(not(loom))]
mod races;
mod shard;
mod table;
#[cfg(test)]
#[cfg(not(loom))]
mod tests;

use std::ops::Range;
use std::time::Duration;

pub use fingerprint::{FilterConfig, FingerprintFilter};

use crate::time::Timestamp;

/// Every primitive at which threads meet. In unit tests the atomics can be interrupted between any two
/// operations; under `cfg(loom)` the model checker's take the place of all of them.
mod sync {
    #[cfg(all(test, not(loom)))]
    pub(super) use super::interrupts::AtomicU64;
    #[cfg(all(test, loom))]
    pub(super) use loom::{sync::Mutex, sync::atomic::AtomicU64, thread::yield_now};
    #[cfg(not(test))]
    pub(super) use std::sync::atomic::AtomicU64;
    pub(super) use std::sync::atomic::Ordering;
    #[cfg(not(all(test, loom)))]
    pub(super) use std::{sync::Mutex, thread::yield_now};
}

/// Packet numbers in a block: number = `block * BLOCK_NUMBERS + bit`.
pub const BLOCK_NUMBERS: u64 = 32;

/// The first block that holds no packet number. Blocks from here to `u64::MAX` are free for marks that are
/// granted once a flow but are not packet numbers.
pub const FIRST_MARK_BLOCK: u64 = 1 << 59;

/// Remembers which positions have been granted.
///
/// In every method `shard` is any value that stands for the client's address prefix; an implementation may
/// keep separate memory for different values, so that a client who fills the filter shortens the horizon of
/// few others. **A position must be named with the same `shard` every time**, or it can be granted once for
/// each. `flow` is the flow tag, `block` a packet number divided by [`BLOCK_NUMBERS`], and bit `i` of a mask
/// stands for number `block * BLOCK_NUMBERS + i`.
///
/// No method fails or blocks on I/O. `now` may differ between threads and go backwards.
pub trait ReplayFilter: Send + Sync {
    /// Tells which positions of a block are granted already, changing nothing.
    ///
    /// The answer may be out of date when it arrives: only [`grant`](Self::grant) decides. A set bit may be
    /// a false positive, and one that another thread is about to be granted counts as granted.
    fn granted(&self, shard: u64, flow: u64, block: u64) -> u32;

    /// Grants the positions of `mask` not granted yet, and returns exactly those: a subset of `mask`.
    ///
    /// Test and mark are one step. Of any number of concurrent calls that name a position exactly one gets
    /// it, and none that starts later, as long as the filter remembers (see [`horizon`](Self::horizon)).
    ///
    /// `now` ages the filter. One far in the future is safe but costly: the horizon is zero for callers
    /// with an earlier clock once the generation holding that grant is discarded.
    fn grant(&self, shard: u64, flow: u64, block: u64, mask: u32, now: Timestamp) -> u32;

    /// How far back the filter certainly remembers: every position granted under this `shard` with a
    /// timestamp later than `now - horizon` is still known.
    ///
    /// [`Duration::MAX`] while nothing has been forgotten, since nothing was granted before the filter was
    /// made. Zero means that nothing is certain, so a claim is fresh only if its age is *strictly* below the
    /// limit derived from this. The value is never too large; too small only sends clients to Refresh.
    ///
    /// It can shrink between a look at the horizon and the grant, when other clients fill the filter. Ask
    /// again after [`grant`](Self::grant) and emit nothing if the claim is no longer fresh: the second answer
    /// holds for that grant.
    fn horizon(&self, shard: u64, now: Timestamp) -> Duration;
}

/// Cuts a range of packet numbers into blocks, in ascending order: pairs of block and non-empty mask.
///
/// ```
/// use trickles::replay::blocks;
/// assert_eq!(blocks(31..66).collect::<Vec<_>>(), [(0, 1 << 31), (1, u32::MAX), (2, 0b11)]);
/// assert_eq!(blocks(5..5).count(), 0);
/// ```
pub fn blocks(numbers: Range<u64>) -> impl Iterator<Item = (u64, u32)> {
    let mut next = numbers.start;
    std::iter::from_fn(move || {
        let count =
            numbers.end.checked_sub(next).filter(|&left| left > 0)?.min(BLOCK_NUMBERS - next % BLOCK_NUMBERS);
        let mask = (u32::MAX >> (BLOCK_NUMBERS - count)) << (next % BLOCK_NUMBERS);
        let block = next / BLOCK_NUMBERS;
        next += count;
        Some((block, mask))
    })
}

/// Remembers nothing and grants everything, every time.
///
/// It exists to measure what a filter costs and to show in tests what happens without one. A server that
/// uses it answers every replayed packet.
#[derive(Clone, Copy, Debug, Default)]
pub struct NullFilter;

impl ReplayFilter for NullFilter {
    fn granted(&self, _shard: u64, _flow: u64, _block: u64) -> u32 {
        0
    }

    fn grant(&self, _shard: u64, _flow: u64, _block: u64, mask: u32, _now: Timestamp) -> u32 {
        mask
    }

    /// [`Duration::MAX`], although nothing is remembered: no claim shall be too old for a measurement.
    fn horizon(&self, _shard: u64, _now: Timestamp) -> Duration {
        Duration::MAX
    }
}
