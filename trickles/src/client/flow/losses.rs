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

/// How far packets may be overtaken before they are lost (RFC 8985, section 6.2): by a few where the path has not been
/// seen to reorder any, and for some time where it has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tolerance {
    pub(super) seen: bool,
    /// For how long, in eighths of the round-trip time.
    eighths: u32,
}

impl Default for Tolerance {
    fn default() -> Self {
        Self { seen: false, eighths: 2 }
    }
}

impl Tolerance {
    /// What was declared lost has come after all.
    pub(super) fn widen(&mut self) {
        const MOST: u32 = 8;
        *self = Self { seen: true, eighths: (2 * self.eighths).min(MOST) };
    }

    /// Whether so many packets have overtaken `gap` that its numbers are lost, `arrivals` being how many have come so far.
    fn is_exceeded(self, gap: &Gap, arrivals: u64) -> bool {
        const MANY: u64 = 3;
        gap.arrivals.is_some_and(|before| !self.seen && arrivals >= before + MANY)
    }

    /// When the numbers of `gap` are lost.
    fn end(self, gap: &Gap, arrivals: u64, smoothed: Duration) -> Timestamp {
        if self.is_exceeded(gap, arrivals) {
            return gap.since;
        }
        gap.since + (smoothed / 8 * self.eighths).max(MIN_REORDER)
    }
}

/// Numbers that have been overtaken.
#[derive(Clone, Debug)]
pub(super) struct Gap {
    numbers: Range<u64>,
    since: Timestamp,
    /// How many packets had come before the one that overtook them, if that says something of the path.
    arrivals: Option<u64>,
    /// When that one was claimed; zero if that says nothing, since all are claimed later.
    claimed: Timestamp,
}

impl Flow {
    /// Notes numbers that have arrived, in answer to `echo`, as the highest or as late.
    pub(super) fn note_gap(&mut self, numbers: &Range<u64>, echo: u64, now: Timestamp) {
        if numbers.start < self.highest {
            let at = self.gaps.partition_point(|gap| gap.numbers.end <= numbers.start);
            let gap = self.gaps.get(at).filter(|gap| gap.numbers.start <= numbers.start);
            // What was claimed later than what has overtaken it is not late, nor is an answer to a claim made anew.
            if let (Some(gap), Some(index)) = (gap, self.run_index(numbers.start))
                && let first = self.runs[index].first
                && (first.echo == echo && first.at <= gap.claimed)
            {
                self.tolerance.seen = true;
            }
            self.close_gap(numbers);
        } else {
            if numbers.start > self.highest {
                let claimed = self.run_index(numbers.start).map(|index| self.runs[index].first.at);
                let (arrivals, claimed) = (claimed.map(|_| self.arrivals), claimed.unwrap_or_default());
                self.gaps.push_back(Gap {
                    numbers: self.highest..numbers.start,
                    since: now,
                    arrivals,
                    claimed,
                });
            }
            self.highest = numbers.end;
        }
        self.arrivals += 1;
    }

    /// The server keeps answers for a while, and others overtake them.
    pub(crate) fn note_hold(&mut self) {
        self.tolerance.seen = true;
    }

    /// Numbers that others have overtaken are claimed only `now`: they are late a round trip on.
    pub(super) fn claim_gap(&mut self, numbers: Range<u64>, now: Timestamp, smoothed: Duration) {
        self.close_gap(&numbers);
        self.open_gap(Gap { numbers, since: now + smoothed, arrivals: None, claimed: Timestamp::ZERO });
    }

    fn open_gap(&mut self, gap: Gap) {
        if !gap.numbers.is_empty() {
            let at = self.gaps.partition_point(|other| other.numbers.start < gap.numbers.start);
            self.gaps.insert(at, gap);
        }
    }

    /// Takes `numbers` out of the gaps.
    fn close_gap(&mut self, numbers: &Range<u64>) {
        let mut at = self.gaps.partition_point(|gap| gap.numbers.end <= numbers.start);
        while let Some(gap) = self.gaps.get_mut(at).filter(|gap| gap.numbers.start < numbers.end) {
            let behind = Gap { numbers: numbers.end..gap.numbers.end.max(numbers.end), ..*gap };
            gap.numbers.end = numbers.start.max(gap.numbers.start);
            if gap.numbers.is_empty() {
                self.gaps.remove(at);
            } else {
                at += 1;
            }
            self.open_gap(behind);
        }
    }

    /// When the next number is to be declared lost.
    pub(crate) fn next_loss(&self, smoothed: Duration) -> Option<Timestamp> {
        let gap = self.gaps.iter().map(|gap| self.tolerance.end(gap, self.arrivals, smoothed)).min();
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
        self.tolerance.seen |= any;
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
        let (tolerance, arrivals) = (self.tolerance, self.arrivals);
        let mut overtaken: Vec<Gap> = Vec::new();
        self.gaps.retain(|gap| {
            let is_over = tolerance.end(gap, arrivals, smoothed) <= now;
            if is_over {
                overtaken.push(gap.clone());
            }
            !is_over
        });
        let request_loss = self.request_loss;
        let mut again = false;
        let mut expired: Vec<Range<u64>> = Vec::new();
        // What overtook a number may have been claimed before it: then it is not late yet.
        for gap in overtaken {
            let range = &gap.numbers;
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
                let is_exceeded = tolerance.is_exceeded(&gap, arrivals);
                // It was claimed later than what has overtaken it, or an answer to another claim may bring it.
                let is_undecided = run.first.at > gap.claimed
                    || run.granted_to.is_some()
                    || run.parked.or(delayed).is_some()
                    || (run.input.is_some() && run.last.at > gap.claimed);
                let is_early = if is_exceeded { is_undecided } else { due > now };
                if is_early {
                    let since = if is_exceeded { gap.since } else { due };
                    self.open_gap(Gap { numbers, since, arrivals: None, ..gap });
                } else if run.is_unseen()
                    && now.since(run.first.at) < smoothed * MAX_DOUBT
                    && may_be_unheard(run.presented, request_loss)
                {
                    run.doubted = Some(now);
                    again = true;
                    self.open_gap(Gap { numbers, since: now + smoothed, arrivals: None, ..gap });
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
