//! Two alternating generations, and the protocol by which threads pass from one to the next.
//!
//! One word, changed by read-modify-write only, holds the number of the current generation and how many calls
//! are *pinned* to it and to the one before. Its modifications are totally ordered and each sees all that
//! went before, so every step below is "before" or "after" a rotation and no further ordering is needed.
//!
//! A grant pins the current generation, leaves out the positions set in the previous one, sets the rest in the
//! current one, and unpins. If unpinning shows the same generation, what it newly set is granted. Otherwise it
//! repeats, with only what it newly set, in the generation that now decides.
//!
//! A rotation declares generation `g - 1` forgotten, clears its table and makes that generation `g + 1`.
//!
//! *At most one grant.* Two grants in one generation: a cell's bit is set once. In `g` and `g + 1`: the first
//! unpinned before `g + 1` began and the second pinned after, so it saw the bit, or a cell cleared since, and
//! with that the declaration that `g` is forgotten. Further apart: `g` was declared forgotten before `g + 2`
//! began. The bits a repeating call does not hold against itself are those it newly set in the generation
//! just before, which nobody else can have set there.
//!
//! *At least one grant.* Of those who set a bit first in some generation, take the latest. Were it not granted
//! there, it would repeat in a later one, where it can only be stopped by a bit set in a later one still.
//!
//! *Clearing meets no writer.* Calls write only to the table of the generation they are pinned to, and no
//! rotation begins while any is pinned to the previous one. New ones pin the current one.

use std::time::Duration;

use super::sync::{AtomicU64, Mutex, Ordering, yield_now};
use super::table::{Slot, Table};
use crate::time::Timestamp;

/// 32 bits of generation above 16 bits of pins for odd generations and 16 for even ones.
#[derive(Clone, Copy)]
struct Word(u64);

const NEXT_GENERATION: u64 = 1 << 32;

impl Word {
    /// Wraps after 2^32 rotations, far beyond any call that could still compare it.
    fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// What one pin of the current generation adds to the word.
    fn pin(self) -> u64 {
        1 << (16 * (self.generation() & 1))
    }

    fn previous_pinned(self) -> bool {
        let pins = 0xffff << (16 * (!self.generation() & 1));
        self.0 & pins != 0
    }
}

struct Generation {
    table: Table,
    /// When it began, in microseconds.
    opened: AtomicU64,
    /// One more than the latest timestamp granted in it, in microseconds; zero if there is none.
    newest: AtomicU64,
}

impl Generation {
    fn new(buckets: usize, now: Timestamp) -> Self {
        Self {
            table: Table::new(buckets),
            opened: AtomicU64::new(now.as_micros()),
            newest: AtomicU64::new(0),
        }
    }
}

/// An independent part of the filter.
#[repr(align(64))]
pub(super) struct Shard {
    word: AtomicU64,
    /// `newest` over all generations forgotten.
    forgotten: AtomicU64,
    /// Held by the thread that rotates, and only ever tried.
    rotating: Mutex<()>,
    /// Indexed by the parity of the generation.
    generations: [Generation; 2],
    lifetime: Duration,
}

impl Shard {
    pub(super) fn new(buckets: usize, lifetime: Duration, now: Timestamp) -> Self {
        Self {
            word: AtomicU64::new(0),
            forgotten: AtomicU64::new(0),
            rotating: Mutex::new(()),
            generations: [Generation::new(buckets, now), Generation::new(buckets, now)],
            lifetime,
        }
    }

    pub(super) fn memory(&self) -> usize {
        self.generations.iter().map(|generation| generation.table.memory()).sum()
    }

    pub(super) fn horizon(&self, now: Timestamp) -> Duration {
        match self.forgotten.load(Ordering::Relaxed).checked_sub(1) {
            Some(newest) => now.since(Timestamp::from_micros(newest)),
            None => Duration::MAX,
        }
    }

    pub(super) fn granted(&self, slot: Slot) -> u32 {
        loop {
            let word = self.load();
            let granted = self.current(word).table.get(slot) | self.previous(word).table.get(slot);
            if self.load().generation() == word.generation() {
                return granted;
            }
        }
    }

    pub(super) fn grant(&self, slot: Slot, mask: u32, now: Timestamp) -> u32 {
        let mut wanted = mask;
        // The generation in which this call set `wanted`, if it had to repeat.
        let mut own = None;
        loop {
            let word = self.pin();
            if own != Some(word.generation().wrapping_sub(1)) {
                wanted &= !self.previous(word).table.get(slot);
            }
            let current = self.current(word);
            let set = current.table.set(slot, wanted);
            if set.is_some_and(|new| new != 0) {
                current.newest.fetch_max(now.as_micros().saturating_add(1), Ordering::Relaxed);
            }
            let moved = self.unpin(word).generation() != word.generation();
            let Some(new) = set else {
                if !self.rotate(word.generation(), now) {
                    yield_now();
                }
                continue;
            };
            wanted = new;
            if !moved {
                break;
            }
            own = Some(word.generation());
        }
        // Last, so that the horizon its caller looked at before still holds for this grant.
        let word = self.load();
        if self.is_due(word, now) {
            self.rotate(word.generation(), now);
        }
        wanted
    }

    fn is_due(&self, word: Word, now: Timestamp) -> bool {
        let current = self.current(word);
        let opened = Timestamp::from_micros(current.opened.load(Ordering::Relaxed));
        now.since(opened) >= self.lifetime || current.table.used() >= current.table.cells() as u64 * 3 / 5
    }

    /// Makes `generation` the previous one; false if that has to wait for another thread.
    fn rotate(&self, generation: u32, now: Timestamp) -> bool {
        let Ok(_guard) = self.rotating.try_lock() else { return false };
        let word = self.load();
        if word.generation() != generation {
            return true;
        }
        if word.previous_pinned() {
            return false;
        }
        let (current, recycled) = (self.current(word), self.previous(word));
        self.forgotten.fetch_max(recycled.newest.load(Ordering::Relaxed), Ordering::Relaxed);
        recycled.table.clear();
        recycled.newest.store(0, Ordering::Relaxed);
        // A thread whose clock is ahead must not find the new generation old because this one lags.
        let opened = now.as_micros().max(current.newest.load(Ordering::Relaxed).saturating_sub(1));
        recycled.opened.store(opened, Ordering::Relaxed);
        self.word.fetch_add(NEXT_GENERATION, Ordering::AcqRel);
        true
    }

    fn load(&self) -> Word {
        Word(self.word.load(Ordering::Acquire))
    }

    /// Enters the current generation; returns the word as it was.
    fn pin(&self) -> Word {
        let mut word = self.load();
        loop {
            let pinned = word.0 + word.pin();
            match self.word.compare_exchange_weak(word.0, pinned, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return word,
                Err(other) => word = Word(other),
            }
        }
    }

    /// Leaves the generation of `pinned`; returns the word as it was.
    fn unpin(&self, pinned: Word) -> Word {
        Word(self.word.fetch_sub(pinned.pin(), Ordering::AcqRel))
    }

    fn current(&self, word: Word) -> &Generation {
        &self.generations[(word.generation() & 1) as usize]
    }

    fn previous(&self, word: Word) -> &Generation {
        &self.generations[(!word.generation() & 1) as usize]
    }
}
