//! Which positions to claim next, and with which continuation (docs/protocol.md sections 5 and 7).

use std::ops::Range;
use std::sync::Arc;

use arrayvec::ArrayVec;

use super::flow::{Flow, HeldTrain};
use super::run::Run;
use crate::epoch::Epoch;
use crate::wire::{ClaimKind, MAX_EMIT, MAX_GRANT, MAX_RUNS, MAX_TRAIN};

/// Numbers a probe asks for again at most: gently, the path may be in trouble.
const PROBE_NUMBERS: u64 = 16;

/// Positions to claim together.
#[derive(Clone, Debug)]
pub(crate) struct Selection<'f> {
    /// The continuation to present.
    pub(crate) train: &'f HeldTrain,
    pub(crate) kind: ClaimKind,
    /// Ascending runs.
    pub(crate) runs: ArrayVec<Range<u64>, MAX_RUNS>,
    /// How many numbers they own.
    pub(crate) numbers: u64,
    /// Adopted positions that the claim may hold besides these.
    adoptable: u64,
}

impl Flow {
    /// The positions to claim next for about `numbers` packets: in ascending order, what a loss left over
    /// before anything of the new epoch.
    pub(crate) fn select(&self, numbers: u64) -> Option<Selection<'_>> {
        self.select_flight(numbers).or_else(|| self.select_prefix(numbers))
    }

    /// Positions of the flight that a loss ended, train by train, each adopting what was lost before it.
    fn select_flight(&self, numbers: u64) -> Option<Selection<'_>> {
        let parent = self.parent?;
        let first = parent.lost + 1;
        self.held.iter().filter(|held| held.fields.epoch.base == parent.epoch.base).find_map(|train| {
            let trained = train.fields.first.max(first)..train.fields.end().min(self.epoch.base);
            let own = self.claimed.first_gap(trained.start, trained.end)?;
            let own = cut(&self.epoch, own, numbers);
            let mut adoptable = 2 * (own.end - own.start);
            let lowest = first.max(train.fields.earned + 1);
            let mut runs = self.adopt(lowest..own.start, &mut adoptable);
            runs.push(own);
            let numbers = self.count(&runs);
            let kind = ClaimKind::Recover { lost: parent.lost, rtt: parent.rtt, proof: parent.proof };
            (numbers > 0).then_some(Selection { train, kind, runs, numbers, adoptable })
        })
    }

    /// Positions of the proven prefix. The first ones of an epoch adopt what is left of the flight before it.
    fn select_prefix(&self, numbers: u64) -> Option<Selection<'_>> {
        let own = self.claimed.first_gap(self.epoch.base, self.prefix)?;
        let mut own = cut(&self.epoch, own, numbers);
        let shared_end = self.epoch.base + u64::from(self.epoch.growth.window0);
        let mut runs = ArrayVec::new();
        if self.epoch.flight > 0 && own.start < shared_end && self.has_unclaimed_flight() {
            own.end = own.end.min(shared_end);
            let mut adoptable = 2 * (own.end - own.start);
            runs = self.adopt(self.epoch.first_position()..self.epoch.base, &mut adoptable);
        }
        let train = self.present(runs.first().unwrap_or(&own).start, own.start).or_else(|| {
            runs.clear();
            self.present(own.start, own.start)
        })?;
        own.end = own.end.min(train.fields.end() + MAX_TRAIN);
        runs.push(own);
        let numbers = self.count(&runs);
        let kind = ClaimKind::Continue { proven: self.prefix, proof: self.proof };
        Some(Selection { train, kind, runs, numbers, adoptable: 0 })
    }

    fn has_unclaimed_flight(&self) -> bool {
        self.claimed.first_gap(self.epoch.first_position(), self.epoch.base).is_some()
    }

    /// Unclaimed positions of `range` that own numbers, within `budget`, lowest first.
    fn adopt(&self, range: Range<u64>, budget: &mut u64) -> ArrayVec<Range<u64>, MAX_RUNS> {
        let mut adopted = ArrayVec::new();
        for gap in self.claimed.gaps(range.start..range.end.max(range.start)) {
            let end = gap.end.min(gap.start + (*budget).min(MAX_TRAIN));
            let run = gap.start..end;
            if run.is_empty() || adopted.len() >= 3 {
                break;
            }
            if !self.epoch.share(&run).is_empty() {
                *budget -= run.end - run.start;
                adopted.push(run);
            }
        }
        adopted
    }

    fn count(&self, runs: &[Range<u64>]) -> u64 {
        runs.iter().map(|run| self.epoch.share(run)).map(|share| share.end - share.start).sum()
    }

    /// The newest continuation of the epoch that serves for positions from `lowest` on and for `highest`.
    fn present(&self, lowest: u64, highest: u64) -> Option<&HeldTrain> {
        self.held.iter().rev().find(|held| {
            held.fields.epoch.base == self.epoch.base
                && held.fields.earned < lowest
                && highest < held.fields.end() + MAX_TRAIN
        })
    }

    /// Earlier runs to present again beside `selection`: those no answer of has been seen, newest first in the
    /// search, oldest first in the result.
    pub(crate) fn repeats(
        &self,
        selection: &Selection<'_>,
        user_continuation: &Arc<[u8]>,
    ) -> ArrayVec<usize, MAX_RUNS> {
        let mut repeats = ArrayVec::<usize, MAX_RUNS>::new();
        let depth = self.depth();
        let Some(lowest) = selection.runs.first().map(|run| run.start) else { return repeats };
        let mut positions: u64 = selection.runs.iter().map(|run| run.end - run.start).sum();
        let mut numbers = selection.numbers;
        let mut adoptable = selection.adoptable;
        let floor = selection.train.fields.epoch.base.max(selection.train.fields.earned + 1);
        for (index, run) in self.runs.iter().enumerate().rev() {
            let room = repeats.len() + selection.runs.len() < MAX_RUNS && (repeats.len() as u32) < depth;
            if !room {
                break;
            }
            let unseen = run.answered.is_none() && run.spent.is_none() && !run.input && !run.is_opening();
            let fits = run.positions.end <= lowest
                && run.positions.start >= floor
                && Arc::ptr_eq(&run.user_continuation, user_continuation);
            if !(unseen && fits && run.presented <= depth) {
                continue;
            }
            let count = run.positions.end - run.positions.start;
            let owned = run.numbers.end - run.numbers.start;
            if let ClaimKind::Recover { lost, .. } = selection.kind
                && run.positions.start > lost
            {
                if adoptable < count {
                    continue;
                }
                adoptable -= count;
            }
            positions += count;
            numbers += owned;
            if positions > MAX_GRANT || numbers > MAX_EMIT as u64 {
                break;
            }
            repeats.push(index);
        }
        repeats.reverse();
        repeats
    }

    /// The oldest runs without an answer, to be presented again on their own.
    pub(crate) fn probe(&self) -> Option<(Selection<'_>, ArrayVec<usize, MAX_RUNS>)> {
        let unseen = |run: &Run| run.answered.is_none() && run.spent.is_none() && !run.is_opening();
        let start = self.runs.iter().position(unseen)?;
        let first = &self.runs[start];
        let (train, kind, limit) = self.present_again(first)?;
        let mut indices = ArrayVec::<usize, MAX_RUNS>::new();
        let mut numbers = 0;
        for (index, run) in self.runs.iter().enumerate().skip(start) {
            let alike = run.input == first.input && Arc::ptr_eq(&run.user_continuation, &first.user_continuation);
            numbers += run.numbers.end - run.numbers.start;
            let further = index > start;
            if further && (!alike || run.input || numbers > PROBE_NUMBERS) {
                break;
            }
            if !unseen(run) || run.positions.end > limit || indices.is_full() {
                break;
            }
            indices.push(index);
        }
        let selection = Selection { train, kind, runs: ArrayVec::new(), numbers: 0, adoptable: 0 };
        (!indices.is_empty()).then_some((selection, indices))
    }

    /// How to claim an earlier run by itself: continuation, kind, and the bound on positions.
    fn present_again(&self, run: &Run) -> Option<(&HeldTrain, ClaimKind, u64)> {
        let last = run.positions.end - 1;
        let newest = |base: u64| {
            self.held.iter().rev().find(move |held| {
                let fields = &held.fields;
                fields.epoch.base == base && fields.earned < run.positions.start && last < fields.end() + MAX_TRAIN
            })
        };
        if run.positions.start >= self.epoch.base {
            let kind = ClaimKind::Continue { proven: self.prefix, proof: self.proof };
            return Some((newest(self.epoch.base)?, kind, self.prefix));
        }
        let parent = self.parent?;
        if last < parent.lost {
            let kind = ClaimKind::Continue { proven: parent.lost, proof: parent.proof };
            return Some((newest(parent.epoch.base)?, kind, parent.lost));
        }
        let kind = ClaimKind::Recover { lost: parent.lost, rtt: parent.rtt, proof: parent.proof };
        let train = self.held.iter().find(|held| {
            let fields = &held.fields;
            let own = (run.positions.end.saturating_sub(fields.first.max(run.positions.start))) * 3;
            fields.epoch.base == parent.epoch.base
                && fields.earned < run.positions.start
                && (fields.first..fields.end()).contains(&last)
                && own >= run.positions.end - run.positions.start
        })?;
        Some((train, kind, run.positions.end))
    }
}

/// The shortest prefix of `positions` that owns at least `numbers` numbers, or all that fits into a train.
fn cut(epoch: &Epoch, positions: Range<u64>, numbers: u64) -> Range<u64> {
    let start = epoch.share_start(positions.start);
    let most = positions.end.min(positions.start + MAX_TRAIN);
    let mut end = positions.start + 1;
    while end < most {
        let owned = epoch.share_start(end) - start;
        if owned >= numbers || epoch.share_start(end + 1) - start > MAX_TRAIN {
            break;
        }
        end += 1;
    }
    positions.start..end
}
