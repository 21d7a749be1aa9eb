//! Which numbers are lost, which are merely late, and which the server has asked patience for.

use std::ops::Range;
use std::time::Duration;

use super::Flow;
use crate::client::run::Run;
use crate::time::Timestamp;

/// Floor of the reordering window: packets that leave together are handed over a scheduler tick apart.
pub(super) const MIN_REORDER: Duration = Duration::from_millis(1);

/// For how many round trips a run may be asked for again before its numbers are lost.
const MAX_DOUBT: u32 = 5;

/// Whether all of `presented` claims may well have been lost, `loss` being the share of those that are, in 1/65536.
/// Where few are lost it is rather the train in answer to them, and to ask again first would answer congestion a round
/// trip late.
fn may_be_unheard(presented: u32, loss: u32) -> bool {
    const MANY_LOST: u32 = 4000;
    const LEAST_CHANCE: u64 = 65536 / 1024;
    let chance = (1..presented.min(8)).fold(u64::from(loss), |chance, _| chance * u64::from(loss) / 65536);
    loss >= MANY_LOST && chance >= LEAST_CHANCE
}

/// Numbers that have been overtaken.
#[derive(Clone, Debug)]
pub(super) struct Gap {
    numbers: Range<u64>,
    since: Timestamp,
}

impl Flow {
    pub(super) fn note_gap(&mut self, numbers: &Range<u64>, now: Timestamp) {
        if numbers.start >= self.highest {
            if numbers.start > self.highest {
                self.gaps.push_back(Gap { numbers: self.highest..numbers.start, since: now });
            }
            self.highest = numbers.end;
            return;
        }
        self.close_gap(numbers);
    }

    pub(super) fn open_gap(&mut self, numbers: Range<u64>, since: Timestamp) {
        if !numbers.is_empty() {
            let at = self.gaps.partition_point(|gap| gap.numbers.start < numbers.start);
            self.gaps.insert(at, Gap { numbers, since });
        }
    }

    /// Takes `numbers` out of the gaps.
    pub(super) fn close_gap(&mut self, numbers: &Range<u64>) {
        let mut at = self.gaps.partition_point(|gap| gap.numbers.end <= numbers.start);
        while let Some(gap) = self.gaps.get_mut(at).filter(|gap| gap.numbers.start < numbers.end) {
            let behind = numbers.end..gap.numbers.end.max(numbers.end);
            let since = gap.since;
            gap.numbers.end = numbers.start.max(gap.numbers.start);
            if gap.numbers.is_empty() {
                self.gaps.remove(at);
            } else {
                at += 1;
            }
            self.open_gap(behind, since);
        }
    }

    fn reorder_window(&self, smoothed: Duration) -> Duration {
        (smoothed / 8 * self.reorder_eighths).max(MIN_REORDER)
    }

    /// When the next number is to be declared lost.
    pub(crate) fn next_loss(&self, smoothed: Duration) -> Option<Timestamp> {
        let gap = self.gaps.iter().map(|gap| gap.since + self.reorder_window(smoothed)).min();
        let spent = self.marked_runs().filter_map(|run| run.spent).map(|at| at + smoothed).min();
        gap.into_iter().chain(spent).min()
    }

    fn marked_runs(&self) -> impl Iterator<Item = &Run> {
        self.runs.iter().take(if self.marked { usize::MAX } else { 0 })
    }

    /// The server says that the runs claimed under `echo` were answered before.
    pub(crate) fn mark_spent(&mut self, echo: u64, now: Timestamp) {
        for run in self.runs.iter_mut().filter(|run| run.last.echo == echo && run.answered.is_none()) {
            run.spent.get_or_insert(now);
            self.marked = true;
        }
    }

    /// The server asks for patience with the runs claimed under `echo`; whether there are any.
    pub(crate) fn park(&mut self, echo: u64, until: Timestamp) -> bool {
        let mut any = false;
        for run in self.runs.iter_mut().filter(|run| run.last.echo == echo && run.answered.is_none()) {
            run.parked = Some(until);
            any = true;
        }
        self.marked |= any;
        any
    }

    /// When the first run is to be asked for again that the server has asked patience for; `input`: only
    /// those with input count.
    pub(crate) fn parked_until(&self, input: bool) -> Option<Timestamp> {
        let runs = self.marked_runs().filter(|run| run.input.is_some() || !input);
        runs.filter_map(|run| run.parked).min()
    }

    /// The first byte that the server has asked patience for.
    pub(crate) fn parked_from(&self) -> Option<u64> {
        let runs = self.marked_runs().filter(|run| run.parked.is_some());
        runs.flat_map(|run| &run.wants).map(|range| range.start).min()
    }

    /// The first byte that is on its way.
    pub(crate) fn awaited_from(&self) -> Option<u64> {
        self.runs.iter().flat_map(|run| &run.wants).map(|range| range.start).min()
    }

    /// Patience has ended where it was asked for until `now`: those runs count as just claimed; whether there
    /// are any.
    pub(crate) fn unpark(&mut self, now: Timestamp) -> bool {
        let mut any = false;
        for run in self.runs.iter_mut().filter(|run| run.parked.is_some_and(|until| until <= now)) {
            run.parked = None;
            run.delayed = Some(now);
            any = true;
        }
        self.marked = self.runs.iter().any(|run| run.parked.is_some() || run.spent.is_some());
        any
    }

    /// Whether there is anything that [`detect_losses`](Self::detect_losses) may declare lost.
    pub(crate) fn may_have_lost(&self) -> bool {
        self.marked || !self.gaps.is_empty() || self.has_lost_next()
    }

    /// Declares lost what was overtaken too long ago, and what the server says it answered long ago. Returns whether
    /// runs are to be presented again instead: so many claims are lost that theirs may all have been.
    pub(crate) fn detect_losses(
        &mut self,
        smoothed: Duration,
        now: Timestamp,
        release: &mut dyn FnMut(Range<u64>),
    ) -> bool {
        let window = self.reorder_window(smoothed);
        let mut expired: Vec<Range<u64>> = Vec::new();
        self.gaps.retain(|gap| {
            let is_expired = gap.since + window <= now;
            if is_expired {
                expired.push(gap.numbers.clone());
            }
            !is_expired
        });
        let request_loss = self.request_loss;
        let mut again = false;
        // What overtook a number may have been claimed before it: then it is not late yet.
        for range in std::mem::take(&mut expired) {
            let from = self.runs.partition_point(|run| run.numbers.end <= range.start);
            let to = self.runs.partition_point(|run| run.numbers.start < range.end).max(from);
            for at in from..to {
                let run = &mut self.runs[at];
                let numbers = run.numbers.start.max(range.start)..run.numbers.end.min(range.end);
                // What is parked is looked at again when patience ends, and what may yet be granted when that is
                // decided.
                let claimed = if run.granted_to.is_some() { run.last.at } else { run.first.at };
                let delayed = run.delayed.max(run.doubted);
                let since = run.parked.unwrap_or(delayed.map_or(claimed, |at| at.max(run.last.at)));
                let due = since + smoothed;
                if due > now {
                    self.open_gap(numbers, due);
                } else if run.is_unseen()
                    && now.since(run.first.at) < smoothed * MAX_DOUBT
                    && may_be_unheard(run.presented, request_loss)
                {
                    run.doubted = Some(now);
                    again = true;
                    self.open_gap(numbers, now + smoothed);
                } else {
                    expired.push(numbers);
                }
            }
        }
        for run in self.marked_runs().filter(|run| run.spent.is_some_and(|at| at + smoothed <= now)) {
            expired.extend(run.pending_numbers().map(|number| number..number + 1));
        }
        for range in expired {
            self.lose(range, release);
        }
        again
    }

    /// Declares the pending ones among `numbers` lost.
    pub(crate) fn lose(&mut self, numbers: Range<u64>, release: &mut dyn FnMut(Range<u64>)) {
        let mut at = self.runs.partition_point(|run| run.numbers.end <= numbers.start);
        while at < self.runs.len() && self.runs[at].numbers.start < numbers.end {
            let run = &mut self.runs[at];
            for number in run.numbers.start.max(numbers.start)..run.numbers.end.min(numbers.end) {
                if run.strike(number) {
                    run.bytes(number..number + 1, &mut *release);
                    let lost = if number >= self.epoch.base { &mut self.lost } else { &mut self.lost_before };
                    lost.insert(number..number + 1);
                }
            }
            let before = self.runs.len();
            self.retire(at, release);
            if self.runs.len() == before {
                at += 1;
            }
        }
    }

    /// Declares lost what is missing of trains that have begun to arrive: nothing has come for a while.
    pub(crate) fn lose_stragglers(&mut self, release: &mut dyn FnMut(Range<u64>)) {
        let stragglers: Vec<u64> =
            self.runs.iter().filter(|run| run.answered.is_some()).flat_map(Run::pending_numbers).collect();
        for number in stragglers {
            self.lose(number..number + 1, release);
        }
    }
}
