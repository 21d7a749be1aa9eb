//! What a filter is asked by many clients at once.

use std::ops::Range;
use std::time::Duration;

use trickles::replay::{ReplayFilter, blocks};
use trickles::time::Timestamp;

use crate::lab::{Choices, EPOCH};

/// Positions granted a second for which the default filter is made.
pub(super) const DESIGN_RATE: u64 = 1_000_000;

/// Trains of many flows, as fast as its rate says.
pub(super) struct Load {
    choices: Choices,
    rate: u64,
    flows: Vec<Flow>,
    positions: u64,
    /// How many blocks the trains so far have touched, each counted once.
    pub(super) blocks: u64,
}

/// In ascending order to its end, where another flow takes its place.
struct Flow {
    prefix: u64,
    tag: u64,
    left: Range<u64>,
}

#[derive(Clone, Debug)]
pub(super) struct Train {
    pub(super) prefix: u64,
    tag: u64,
    numbers: Range<u64>,
    pub(super) at: Timestamp,
}

impl Load {
    /// Of several flows under each of `prefixes`; `rate` in positions a second.
    pub(super) fn new(seed: u64, prefixes: Range<u64>, rate: u64) -> Self {
        let mut choices = Choices::seeded(seed);
        let flows = prefixes.flat_map(|prefix| [prefix; 4]).map(|prefix| Flow::new(prefix, &mut choices));
        let flows = flows.collect();
        Self { choices, rate, flows, positions: 0, blocks: 0 }
    }

    pub(super) fn now(&self) -> Timestamp {
        EPOCH + Duration::from_micros((u128::from(self.positions) * 1_000_000 / u128::from(self.rate)) as u64)
    }

    /// How much of the load there has been.
    pub(super) fn elapsed(&self) -> Duration {
        self.now().since(EPOCH)
    }

    /// 8 to 64 positions of some flow, never named before.
    pub(super) fn train(&mut self) -> Train {
        let at = self.now();
        let flow = self.choices.below(self.flows.len() as u64) as usize;
        let flow = &mut self.flows[flow];
        if flow.left.is_empty() {
            *flow = Flow::new(flow.prefix, &mut self.choices);
            // It begins inside a block.
            self.blocks += 1;
        }
        let first = flow.left.start;
        let end = flow.left.end.min(first + 8 + self.choices.below(57));
        flow.left.start = end;
        self.positions += end - first;
        self.blocks += end.div_ceil(32) - first.div_ceil(32);
        Train { prefix: flow.prefix, tag: flow.tag, numbers: first..end, at }
    }

    /// A block of no flow, under one of the prefixes: the filter cannot have been asked for it.
    pub(super) fn fresh(&mut self) -> (u64, u64, u64) {
        let flow = self.choices.below(self.flows.len() as u64) as usize;
        (self.flows[flow].prefix, self.choices.word() & !1, self.choices.word() >> 6)
    }
}

impl Flow {
    fn new(prefix: u64, choices: &mut Choices) -> Self {
        let first = choices.word() >> 8;
        // Odd: see `Load::fresh`.
        Self { prefix, tag: choices.word() | 1, left: first..first + 64 + choices.below(8192) }
    }
}

impl Train {
    pub(super) fn positions(&self) -> u64 {
        self.numbers.end - self.numbers.start
    }

    /// The same, asked for later.
    pub(super) fn delayed(self, by: Duration) -> Self {
        Self { at: self.at + by, ..self }
    }

    /// How many of its positions are granted when asked for at `now`.
    pub(super) fn ask(&self, filter: &impl ReplayFilter, now: Timestamp) -> u64 {
        let grant = |(block, mask)| filter.grant(self.prefix, self.tag, block, mask, now).count_ones();
        blocks(self.numbers.clone()).map(grant).map(u64::from).sum()
    }
}
