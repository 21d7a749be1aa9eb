//! Which positions to claim next, and with which continuation (docs/protocol.md sections 5 and 7).

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use arrayvec::ArrayVec;

use super::flow::{Flow, HeldTrain};
use super::run::Run;
use crate::continuation::Continuation;
use crate::epoch::adopts;
use crate::wire::{ClaimKind, MAX_EMIT, MAX_GRANT, MAX_RUNS, MAX_TRAIN};

/// How many runs are looked at for those to be presented again: those with input do not count.
const MAX_REPEAT_SEARCH: usize = 32;
/// Numbers a probe asks for again at most: gently, the path may be in trouble.
const PROBE_NUMBERS: u64 = 16;

/// Positions to claim together.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    /// Which of the [held](Flow::held) continuations to present.
    pub(crate) held: usize,
    pub(crate) kind: ClaimKind,
    /// Ascending runs.
    pub(crate) runs: ArrayVec<Owner, MAX_RUNS>,
    /// How many numbers they own.
    pub(crate) numbers: u64,
    /// In a flight: positions of the presented train, and numbers owned by adopted ones.
    own: u64,
    adopted: u64,
    /// Whether the last run is the evidence for those before it.
    pub(crate) has_evidence: bool,
    /// Whether there are more positions, which this claim cannot take however long it waits.
    pub(crate) is_full: bool,
}

/// Positions in a row and the numbers that they own.
#[derive(Clone, Debug)]
pub(crate) struct Owner {
    pub(crate) positions: Range<u64>,
    pub(crate) numbers: Range<u64>,
}

/// How far `rooted` may lag behind: a small part of what any server that is not overrun remembers.
const RENEWAL: Duration = Duration::from_millis(100);
/// The same when it costs a round trip: still a part of what they remember.
const LATE_RENEWAL: Duration = Duration::from_secs(1);
/// How many continuations are looked at for the one to present.
pub(super) const MAX_PRESENTABLE: usize = 16;

impl Flow {
    /// The positions to claim next for about `numbers` packets, two trains at most: in ascending order, what a loss left
    /// over before anything of the new epoch.
    pub(crate) fn select(&self, numbers: u64) -> Option<Selection> {
        self.select_flight(numbers).or_else(|| self.select_prefix(numbers))
    }

    /// Positions of the flight that a loss ended, train by train, each adopting what was lost before it.
    fn select_flight(&self, numbers: u64) -> Option<Selection> {
        let parent = self.parent?;
        let first = parent.lost + 1;
        let unclaimed = self.claimed.first_gap(first, self.epoch.base)?.start;
        let from = self.held.partition_point(|held| held.fields.end() <= unclaimed);
        let flight = self.held.range(from..).take_while(|held| held.fields.epoch.base == parent.epoch.base);
        flight.zip(from..).find_map(|(train, held)| {
            let trained = train.fields.first.max(first)..train.fields.end().min(self.epoch.base);
            let own = self.claimed.first_gap(trained.start, trained.end)?;
            let own = self.cut(own, numbers);
            let lowest = first.max(train.fields.earned + 1);
            let own_count = own.positions.end - own.positions.start;
            let (mut runs, adopted) = self.adopt(lowest..own.positions.start, own_count);
            runs.push(own);
            let numbers = count(&runs);
            let kind = parent.recover();
            (numbers > 0).then_some(Selection {
                held,
                kind,
                runs,
                numbers,
                own: own_count,
                adopted,
                has_evidence: true,
                is_full: false,
            })
        })
    }

    /// Positions of the proven prefix. The first ones of an epoch adopt what is left of the flight before it.
    fn select_prefix(&self, numbers: u64) -> Option<Selection> {
        let unclaimed = self.claimed.first_gap(self.epoch.base, self.prefix)?;
        let mut own = self.cut(unclaimed.clone(), numbers);
        let shared_end = self.epoch.base + u64::from(self.epoch.growth.window0);
        let mut runs = ArrayVec::new();
        let start = own.positions.start;
        if self.epoch.flight > 0 && start < shared_end && self.has_unclaimed_flight() {
            self.shorten(&mut own, shared_end);
            let flight = self.epoch.first_position()..self.epoch.base;
            (runs, _) = self.adopt(flight, own.positions.end - start);
        }
        let lowest = runs.first().map_or(start, |run: &Owner| run.positions.start);
        let held = self.present(lowest, start).or_else(|| {
            runs.clear();
            self.present(start, start)
        })?;
        let limit = self.held[held].fields.end() + MAX_TRAIN;
        if own.positions.end > limit {
            self.shorten(&mut own, limit);
            runs.clear();
        }
        let has_evidence = !runs.is_empty();
        let behind = own.positions.end..unclaimed.end;
        runs.push(own);
        if numbers > MAX_TRAIN && !has_evidence && !behind.is_empty() {
            let next = self.cut(behind, numbers - MAX_TRAIN);
            if next.positions.end <= limit {
                runs.push(next);
            }
        }
        let is_full = runs.last().is_some_and(|run| run.positions.end < unclaimed.end);
        let numbers = count(&runs);
        let kind = ClaimKind::Continue { proven: self.prefix, proof: self.proof };
        Some(Selection { held, kind, runs, numbers, own: 0, adopted: 0, has_evidence, is_full })
    }

    /// Whether there are proven positions that are yet to be claimed.
    pub(crate) fn has_unclaimed(&self) -> bool {
        self.claimed.first_gap(self.epoch.base, self.prefix).is_some()
    }

    /// Whether a loss left positions that are yet to be claimed or adopted.
    pub(crate) fn has_unclaimed_flight(&self) -> bool {
        self.claimed.first_gap(self.epoch.first_position(), self.epoch.base).is_some()
    }

    /// Unclaimed positions of `range` that a claim of `own` positions may adopt, lowest first, and how many
    /// numbers they own.
    fn adopt(&self, range: Range<u64>, own: u64) -> (ArrayVec<Owner, MAX_RUNS>, u64) {
        const MAX_ADOPTED_RUNS: usize = 3;
        let (mut runs, mut numbers, mut positions) = (ArrayVec::new(), 0, 0);
        for gap in self.claimed.gaps(range.start..range.end.max(range.start)) {
            let mut end = gap.start;
            let mut share = 0..0;
            while end < gap.end.min(gap.start + MAX_TRAIN) && positions + (end - gap.start) + own < MAX_GRANT
            {
                let more = self.epoch.share(&(gap.start..end + 1));
                if !adopts(own, numbers + (more.end - more.start)) {
                    break;
                }
                share = more;
                end += 1;
            }
            if !share.is_empty() {
                numbers += share.end - share.start;
                positions += end - gap.start;
                runs.push(Owner { positions: gap.start..end, numbers: share });
            }
            if end < gap.end || runs.len() >= MAX_ADOPTED_RUNS {
                break;
            }
        }
        (runs, numbers)
    }

    /// The shortest prefix of `positions` that owns at least `numbers` numbers, or all that fits into a train.
    fn cut(&self, positions: Range<u64>, numbers: u64) -> Owner {
        let most = positions.end.min(positions.start + MAX_TRAIN);
        let start = self.share_start(positions.start);
        // Mostly the window is the same at both ends, and then every position owns one number.
        let likely = positions.start..most.min(positions.start.saturating_add(numbers.max(1)));
        if likely.start >= self.epoch.base && !likely.is_empty() {
            let last = self.epoch.share_start(likely.end);
            if last - start == likely.end - likely.start {
                return Owner { positions: likely, numbers: start..last };
            }
        }
        let (mut end, mut share) = (positions.start, start..start);
        for next in self.epoch.shares_from(start, positions.start..most) {
            let is_enough = share.end - start >= numbers || next.end - start > MAX_TRAIN;
            if end > positions.start && is_enough {
                break;
            }
            (end, share.end) = (end + 1, next.end);
        }
        Owner { positions: positions.start..end, numbers: share }
    }

    /// Leaves only positions before `end`.
    fn shorten(&self, owner: &mut Owner, end: u64) {
        if end < owner.positions.end {
            owner.positions.end = end;
            owner.numbers.end = self.epoch.share_start(end).max(owner.numbers.start);
        }
    }

    /// A continuation of the epoch that serves for positions from `lowest` on and for `highest`: the newest, but rather
    /// one whose train was full, since that earns an answer its length (docs/protocol.md 6.13). Once `rooted` lags behind,
    /// one of a train that begins at or before `highest`, if there is one: a claim of that proves the train (6.10).
    fn present(&self, lowest: u64, highest: u64) -> Option<usize> {
        let serves = |held: &HeldTrain| {
            held.fields.epoch.base == self.epoch.base
                && held.fields.earned < lowest
                && highest < held.fields.end() + MAX_TRAIN
        };
        let fullness = |index: usize| self.held[index].fields.bytes_per_number();
        let best = |end: usize| {
            let mut best: Option<usize> = None;
            for (index, _) in (0..end)
                .rev()
                .zip(self.held.range(..end).rev())
                .filter(|(_, held)| serves(held))
                .take(MAX_PRESENTABLE)
            {
                if best.is_none_or(|best| fullness(index) > fullness(best)) {
                    best = Some(index);
                }
                if fullness(index) >= self.fullest {
                    break;
                }
            }
            best
        };
        let fullest = best(self.held.len())?;
        let fields = &self.held[fullest].fields;
        let lag = fields.issued.since(fields.rooted);
        if lag < RENEWAL {
            return Some(fullest);
        }
        let begun = self.held.partition_point(|held| held.fields.first <= highest);
        let earns = |index: usize| fullness(index) >= fullness(fullest);
        best(begun).filter(|&index| lag >= LATE_RENEWAL || earns(index)).or(Some(fullest))
    }

    /// Earlier runs to present again beside `selection`: those no answer of has been seen, newest first in the
    /// search, oldest first in the result.
    pub(crate) fn repeats(
        &self,
        selection: &Selection,
        user_continuation: &Arc<[u8]>,
    ) -> ArrayVec<usize, MAX_RUNS> {
        let mut repeats = ArrayVec::<usize, MAX_RUNS>::new();
        let depth = self.depth();
        let Some(lowest) = selection.runs.first().map(|run| run.positions.start) else { return repeats };
        let mut positions: u64 =
            selection.runs.iter().map(|run| run.positions.end - run.positions.start).sum();
        let mut numbers = selection.numbers;
        let mut adopted = selection.adopted;
        let presented: &Continuation = &self.held[selection.held].fields;
        let floor = presented.epoch.base.max(presented.earned + 1);
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

    /// The oldest runs without an answer, to be presented again on their own: first those that are to be since they were
    /// [doubted](Run::doubted).
    pub(crate) fn probe(&self) -> Option<(Selection, ArrayVec<usize, MAX_RUNS>)> {
        let again = |(index, run)| Some((index, self.present_again(run)?));
        let unseen = || self.runs.iter().enumerate().filter(|(_, run)| run.is_unseen());
        let delayed = unseen().filter(|(_, run)| run.is_due()).find_map(again);
        let (start, (held, kind, limit)) = delayed.or_else(|| unseen().find_map(again))?;
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
        let selection = Selection {
            held,
            kind,
            runs: ArrayVec::new(),
            numbers: 0,
            own: 0,
            adopted: 0,
            has_evidence: false,
            is_full: false,
        };
        (!indices.is_empty()).then_some((selection, indices))
    }

    /// How to claim an earlier run by itself: continuation, kind, and the bound on positions.
    fn present_again(&self, run: &Run) -> Option<(usize, ClaimKind, u64)> {
        let last = run.positions.end - 1;
        let newest = |base: u64| {
            self.held.iter().rposition(move |held| {
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
        let kind = parent.recover();
        let held = self.held.iter().position(|held| {
            let fields = &held.fields;
            let own_start = fields.first.max(run.positions.start);
            let before = self.epoch.share(&(run.positions.start..own_start));
            fields.epoch.base == parent.epoch.base
                && fields.earned < run.positions.start
                && (fields.first..fields.end()).contains(&last)
                && adopts(run.positions.end - own_start, before.end - before.start)
        })?;
        Some((held, kind, run.positions.end))
    }
}

/// How many numbers `runs` own.
fn count(runs: &[Owner]) -> u64 {
    runs.iter().map(|run| run.numbers.end - run.numbers.start).sum()
}
