//! The filter servers use: sharded tables of keyed fingerprints.

use std::fmt;
use std::time::Duration;

use siphasher::sip::SipHasher24;

use super::ReplayFilter;
use super::shard::Shard;
use super::table::{CELLS_PER_BUCKET, PROBED_BUCKETS, Slot};
use crate::time::Timestamp;

/// The smallest table in which the buckets probed for one block are all different.
const MIN_SHARD_CELLS: usize = CELLS_PER_BUCKET * PROBED_BUCKETS;
const MAX_SHARD_CELLS: usize = 1 << 30;

/// Size and pace of a [`FingerprintFilter`].
///
/// A cell remembers up to 32 consecutive packet numbers of a flow. A shard whose clients are granted `p`
/// positions a second in long runs fills a generation in about `0.5 * 32 * cells / p` seconds, `cells` being
/// that shard's; sooner than [`generation`](Self::generation) is overload and shortens the horizon to that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilterConfig {
    /// Cells of 8 bytes in each of the two generations, all shards together. Each shard's part is rounded up
    /// to a power of two, to 32 at least and 2^30 at most.
    pub cells_per_generation: usize,
    /// Independent parts; zero counts as one. With more of them a client that fills its own harms fewer
    /// others, and a rotation pauses one caller for a shorter time, but each remembers less.
    pub shards: usize,
    /// Age at which a generation is succeeded by an empty one. Without overload the horizon is always at
    /// least this long.
    pub generation: Duration,
}

impl Default for FilterConfig {
    /// 2^21 cells (32 MiB for both generations), 16 shards, 120 s.
    fn default() -> Self {
        Self { cells_per_generation: 1 << 21, shards: 16, generation: Duration::from_secs(120) }
    }
}

/// A [`ReplayFilter`] of fixed size, for any number of threads.
///
/// Each shard has two generations of cells, and each cell holds a 32-bit keyed fingerprint of a flow and
/// block with the 32 bits of that block. A generation is succeeded when it is old or 60 % full, or when the
/// four buckets open to some block are full; the generation before is then forgotten.
///
/// A position never granted is refused with a probability of about 3e-9 (two generations, some six
/// fingerprints compared in each), independent of the load because a fuller generation is succeeded.
///
/// Calls are lock-free, with two exceptions: the call that rotates a shard pauses to clear its table while
/// other calls proceed, and a call that finds no room waits for that, or for a thread that was suspended
/// inside a call since the generation before. The shard count also bounds how much threads contend: each
/// call changes one word of its shard twice.
///
/// At most 65 535 threads may be inside calls on one shard at the same time.
pub struct FingerprintFilter {
    shards: Box<[Shard]>,
    /// What shards are chosen with: a mask and an odd factor.
    spread: (u64, u64),
    hasher: SipHasher24,
}

impl FingerprintFilter {
    /// An empty filter, its memory allocated and cleared at once. Aborts if there is not enough.
    ///
    /// `key` must be secret and serve nothing else: who knows it can fill chosen buckets.
    pub fn new(config: FilterConfig, key: [u8; 16], now: Timestamp) -> Self {
        let shards = config.shards.max(1);
        let cells = config.cells_per_generation.div_ceil(shards).clamp(MIN_SHARD_CELLS, MAX_SHARD_CELLS);
        let buckets = cells.next_power_of_two() / CELLS_PER_BUCKET;
        let hasher = SipHasher24::new_with_key(&key);
        Self {
            shards: (0..shards).map(|_| Shard::new(buckets, config.generation, now)).collect(),
            spread: (hasher.hash(b"mask"), hasher.hash(b"factor") | 1),
            hasher,
        }
    }

    /// Bytes taken by the cells of both generations of all shards. It never changes.
    pub fn memory(&self) -> usize {
        self.shards.iter().map(Shard::memory).sum()
    }

    fn shard(&self, shard: u64) -> &Shard {
        &self.shards[self.shard_index(shard)]
    }

    /// By multiplication with a secret, so that prefixes in a row do not meet and nobody can choose whom to meet from
    /// the outset. No digest: there is little to be won by finding out, since who has many prefixes meets everybody.
    fn shard_index(&self, shard: u64) -> usize {
        let (mask, factor) = self.spread;
        let once = (shard ^ mask).wrapping_mul(factor);
        let twice = (once ^ (once >> 32)).wrapping_mul(factor);
        ((u128::from(twice) * self.shards.len() as u128) >> 64) as usize
    }

    fn slot(&self, flow: u64, block: u64) -> Slot {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&flow.to_le_bytes());
        bytes[8..].copy_from_slice(&block.to_le_bytes());
        Slot::from_hash(self.hasher.hash(&bytes))
    }
}

impl ReplayFilter for FingerprintFilter {
    fn granted(&self, shard: u64, flow: u64, block: u64) -> u32 {
        self.shard(shard).granted(self.slot(flow, block))
    }

    fn grant(&self, shard: u64, flow: u64, block: u64, mask: u32, now: Timestamp) -> u32 {
        self.shard(shard).grant(self.slot(flow, block), mask, now)
    }

    fn horizon(&self, shard: u64, now: Timestamp) -> Duration {
        self.shard(shard).horizon(now)
    }
}

impl fmt::Debug for FingerprintFilter {
    /// Leaves out the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FingerprintFilter")
            .field("shards", &self.shards.len())
            .field("memory", &self.memory())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_prefixes_are_spread_over_all_shards_by_the_key() {
        let mut places = std::collections::BTreeSet::new();
        for key in 0..100 {
            let shards = 16 - usize::from(key % 4);
            let config = FilterConfig { cells_per_generation: 1, shards, ..FilterConfig::default() };
            let filter = FingerprintFilter::new(config, [key; 16], Timestamp::ZERO);
            // As of IPv4, of IPv6, and far apart.
            for (first, stride) in [(0, 1), (0, 256), (1 << 63 | 0x2001_0db8 << 16, 1), (0, 1 << 40)] {
                let mut counts = vec![0; shards];
                (0..1600).for_each(|prefix| counts[filter.shard_index(first + prefix * stride)] += 1);
                assert!(counts.iter().all(|count| (40..200).contains(count)), "{key} {stride} {counts:?}");
            }
            places.insert((0..8).map(|prefix| filter.shard_index(prefix)).collect::<Vec<_>>());
        }
        assert_eq!(places.len(), 100, "no key is like another");
    }
}
