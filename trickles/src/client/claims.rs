//! Which positions to claim next, and with which continuation (docs/protocol.md sections 5 and 7).

use std::ops::Range;
use std::sync::Arc;

use arrayvec::ArrayVec;

use super::flow::{Flow, HeldTrain};
use super::run::Run;
use crate::epoch::{Epoch, adopts};
use crate::wire::{ClaimKind, MAX_EMIT, MAX_GRANT, MAX_RUNS, MAX_TRAIN};

/// How many runs are looked at for those to be presented again: those with input do not count.
const MAX_REPEAT_SEARCH: usize = 32;
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
    /// In a flight: positions of the presented train, and numbers owned by adopted ones.
    own: u64,
    adopted: u64,
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
        let unclaimed = self.claimed.first_gap(first, self.epoch.base)?.start;
        let from = self.held.partition_point(|held| held.fields.end() <= unclaimed);
        let flight = self.held.range(from..).take_while(|held| held.fields.epoch.base == parent.epoch.base);
        flight.into_iter().find_map(|train| {
            let trained = train.fields.first.max(first)..train.fields.end().min(self.epoch.base);
            let own = self.claimed.first_gap(trained.start, trained.end)?;
            let own = cut(&self.epoch, own, numbers);
            let lowest = first.max(train.fields.earned + 1);
            let (mut runs, adopted) = self.adopt(lowest..own.start, own.end - own.start);
            let own_count = own.end - own.start;
            runs.push(own);
            let numbers = self.count(&runs);
            let kind = ClaimKind::Recover { lost: parent.lost, rtt: parent.rtt, proof: parent.proof };
            (numbers > 0).then_some(Selection { train, kind, runs, numbers, own: own_count, adopted })
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
            (runs, _) = self.adopt(self.epoch.first_position()..self.epoch.base, own.end - own.start);
        }
        let train = self.present(runs.first().unwrap_or(&own).start, own.start).or_else(|| {
            runs.clear();
            self.present(own.start, own.start)
        })?;
        let limit = train.fields.end() + MAX_TRAIN;
        if own.end > limit {
            own.end = limit;
            runs.clear();
        }
        runs.push(own);
        let numbers = self.count(&runs);
        let kind = ClaimKind::Continue { proven: self.prefix, proof: self.proof };
        Some(Selection { train, kind, runs, numbers, own: 0, adopted: 0 })
    }

    /// Whether a loss left positions that are yet to be claimed or adopted.
    pub(crate) fn has_unclaimed_flight(&self) -> bool {
        self.claimed.first_gap(self.epoch.first_position(), self.epoch.base).is_some()
    }

    /// Unclaimed positions of `range` that a claim of `own` positions may adopt, lowest first, and how many
    /// numbers they own.
    fn adopt(&self, range: Range<u64>, own: u64) -> (ArrayVec<Range<u64>, MAX_RUNS>, u64) {
        const MAX_ADOPTED_RUNS: usize = 3;
        let (mut runs, mut numbers, mut positions) = (ArrayVec::new(), 0, 0);
        for gap in self.claimed.gaps(range.start..range.end.max(range.start)) {
            let mut end = gap.start;
            let mut owned = 0;
            while end < gap.end.min(gap.start + MAX_TRAIN) && positions + (end - gap.start) + own < MAX_GRANT
            {
                let more = self.epoch.share(&(gap.start..end + 1));
                if !adopts(own, numbers + (more.end - more.start)) {
                    break;
                }
                owned = more.end - more.start;
                end += 1;
            }
            if owned > 0 {
                numbers += owned;
                positions += end - gap.start;
                runs.push(gap.start..end);
            }
            if end < gap.end || runs.len() >= MAX_ADOPTED_RUNS {
                break;
            }
        }
        (runs, numbers)
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
        let mut adopted = selection.adopted;
        let floor = selection.train.fields.epoch.base.max(selection.train.fields.earned + 1);
        for (index, run) in self.runs.iter().enumerate().rev().take(MAX_REPEAT_SEARCH) {
            let room = repeats.len() + selection.runs.len() < MAX_RUNS && (repeats.len() as u32) < depth;
            if !room {
                break;
            }
            let unseen = run.is_unseen() && run.input.is_none();
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
                if !adopts(selection.own, adopted + owned) {
                    continue;
                }
                adopted += owned;
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
        let again = |(index, run)| Some((index, self.present_again(run)?));
        let (start, (train, kind, limit)) =
            self.runs.iter().enumerate().filter(|(_, run)| run.is_unseen()).find_map(again)?;
        let first = &self.runs[start];
        let mut indices = ArrayVec::<usize, MAX_RUNS>::new();
        let mut numbers = 0;
        for (index, run) in self.runs.iter().enumerate().skip(start) {
            let alike =
                run.input == first.input && Arc::ptr_eq(&run.user_continuation, &first.user_continuation);
            numbers += run.numbers.end - run.numbers.start;
            let further = index > start;
            if further && (!alike || run.input.is_some() || numbers > PROBE_NUMBERS) {
                break;
            }
            if !run.is_unseen() || run.positions.end > limit || indices.is_full() {
                break;
            }
            indices.push(index);
        }
        let selection = Selection { train, kind, runs: ArrayVec::new(), numbers: 0, own: 0, adopted: 0 };
        (!indices.is_empty()).then_some((selection, indices))
    }

    /// How to claim an earlier run by itself: continuation, kind, and the bound on positions.
    fn present_again(&self, run: &Run) -> Option<(&HeldTrain, ClaimKind, u64)> {
        let last = run.positions.end - 1;
        let newest = |base: u64| {
            self.held.iter().rev().find(move |held| {
                let fields = &held.fields;
                fields.epoch.base == base
                    && fields.earned < run.positions.start
                    && last < fields.end() + MAX_TRAIN
            })
        };
        if run.positions.start >= self.epoch.base {
            let kind = ClaimKind::Continue { proven: self.prefix, proof: self.proof };
            return Some((newest(self.epoch.base)?, kind, self.prefix));
        }
        let parent = self.parent?;
        if run.positions.start < parent.epoch.base {
            return None;
        }
        if last < parent.lost {
            let kind = ClaimKind::Continue { proven: parent.lost, proof: parent.proof };
            return Some((newest(parent.epoch.base)?, kind, parent.lost));
        }
        let kind = ClaimKind::Recover { lost: parent.lost, rtt: parent.rtt, proof: parent.proof };
        let train = self.held.iter().find(|held| {
            let fields = &held.fields;
            let own_start = fields.first.max(run.positions.start);
            let before = self.epoch.share(&(run.positions.start..own_start));
            fields.epoch.base == parent.epoch.base
                && fields.earned < run.positions.start
                && (fields.first..fields.end()).contains(&last)
                && adopts(run.positions.end - own_start, before.end - before.start)
        })?;
        Some((train, kind, run.positions.end))
    }
}

/// The shortest prefix of `positions` that owns at least `numbers` numbers, or all that fits into a train.
fn cut(epoch: &Epoch, positions: Range<u64>, numbers: u64) -> Range<u64> {
    let most = positions.end.min(positions.start + MAX_TRAIN);
    let (mut end, mut owned) = (positions.start, 0);
    for share in epoch.shares(positions.start..most) {
        let with_share = owned + (share.end - share.start);
        if end > positions.start && (owned >= numbers || with_share > MAX_TRAIN) {
            break;
        }
        (end, owned) = (end + 1, with_share);
    }
    positions.start..end
}
