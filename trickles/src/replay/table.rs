//! One generation: cells in cache-line buckets.

use super::sync::{AtomicU64, Ordering};

pub(super) const CELLS_PER_BUCKET: usize = 8;
/// The first bucket and those a block continues in when it is full.
pub(super) const PROBED_BUCKETS: usize = 4;

/// Where a block is kept: the same in every generation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    /// Never zero, which marks an empty cell.
    fingerprint: u32,
    first: u32,
}

impl Slot {
    pub(super) fn from_hash(hash: u64) -> Self {
        Self { fingerprint: ((hash >> 32) as u32).max(1), first: hash as u32 }
    }
}

/// Eight cells, each a fingerprint above 32 position bits, or zero.
#[derive(Default)]
#[repr(align(64))]
struct Bucket([AtomicU64; CELLS_PER_BUCKET]);

/// A set of positions that only grows between one [`clear`](Self::clear) and the next.
///
/// A block lives in the first cell of its probe order that is empty or carries its fingerprint. All before
/// it carry others for good, so every thread agrees on that cell.
pub(super) struct Table {
    buckets: Box<[Bucket]>,
    used: AtomicU64,
}

impl Table {
    /// `buckets`: a power of two, at least [`PROBED_BUCKETS`].
    pub(super) fn new(buckets: usize) -> Self {
        Self { buckets: (0..buckets).map(|_| Bucket::default()).collect(), used: AtomicU64::new(0) }
    }

    pub(super) fn cells(&self) -> usize {
        self.buckets.len() * CELLS_PER_BUCKET
    }

    pub(super) fn memory(&self) -> usize {
        size_of_val(&*self.buckets)
    }

    /// Cells in use.
    pub(super) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// The positions set in a block.
    pub(super) fn get(&self, slot: Slot) -> u32 {
        for cell in self.probe(slot) {
            let held = cell.load(Ordering::Acquire);
            if held == 0 {
                return 0;
            }
            if held >> 32 == u64::from(slot.fingerprint) {
                return held as u32;
            }
        }
        0
    }

    /// Sets the positions of `mask` and returns those that were not set; `None` if there is no room, and
    /// then nothing is set.
    pub(super) fn set(&self, slot: Slot, mask: u32) -> Option<u32> {
        if mask == 0 {
            return Some(0);
        }
        let entry = (u64::from(slot.fingerprint) << 32) | u64::from(mask);
        for cell in self.probe(slot) {
            let mut held = cell.load(Ordering::Acquire);
            while held == 0 || held >> 32 == u64::from(slot.fingerprint) {
                match cell.compare_exchange_weak(held, held | entry, Ordering::AcqRel, Ordering::Acquire) {
                    Ok(_) => {
                        if held == 0 {
                            self.used.fetch_add(1, Ordering::Relaxed);
                        }
                        return Some(mask & !(held as u32));
                    }
                    Err(other) => held = other,
                }
            }
        }
        None
    }

    /// Empties every cell. No thread may be in [`set`](Self::set); one in [`get`](Self::get) sees any mixture.
    pub(super) fn clear(&self) {
        for cell in self.buckets.iter().flat_map(|bucket| &bucket.0) {
            // Release: who reads the zero also sees what its owner declared forgotten before clearing.
            cell.store(0, Ordering::Release);
        }
        self.used.store(0, Ordering::Relaxed);
    }

    /// The cells open to a block, in order. The odd step makes the buckets distinct, and taking it from the
    /// fingerprint keeps the overflow of a full bucket from piling up in one other.
    fn probe(&self, slot: Slot) -> impl Iterator<Item = &AtomicU64> {
        let step = (slot.fingerprint | 1) as usize;
        (0..PROBED_BUCKETS).flat_map(move |turn| {
            let bucket = (slot.first as usize).wrapping_add(step.wrapping_mul(turn));
            &self.buckets[bucket & (self.buckets.len() - 1)].0
        })
    }
}
