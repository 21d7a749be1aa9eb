//! One flow: which numbers have arrived, which are lost, which positions are claimed, and in which epoch.

mod granted;
mod held;
mod losses;
mod rate;
mod recovery;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use self::held::HeldTrain;
use self::losses::{Gap, Tolerance};
use self::rate::ArrivalRate;
pub(crate) use self::recovery::Parent;
use super::run::{Run, mask};
use crate::continuation::Continuation;
use crate::epoch::{Epoch, INITIAL_WINDOW, SlowStartExit};
use crate::ranges::RangeSet;
use crate::time::Timestamp;
use crate::wire::{DATA_OVERHEAD, Form, MAX_RUNS, Train, room};

/// Which share of claims is supposed to be lost before it is known, in 1/65536: a loss in the first slow start that is
/// none of the answers' costs a flow many seconds.
const SUPPOSED_REQUEST_LOSS: u32 = 12_000;
/// How many claims carry a run besides its own at most.
const MAX_DEPTH: u32 = MAX_RUNS as u32 - 1;

/// What the arrival of a numbered packet meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Arrival {
    /// The numbers were not known.
    pub(crate) new: bool,
    /// Time since the claim it answers, if that is a round-trip sample.
    pub(crate) elapsed: Option<Duration>,
    /// Whether the server had fewer bytes than the claim asked for, if that can be told.
    pub(crate) short: Option<bool>,
}

/// Whether slow start has shown how much the path holds, without a loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Full {
    Unseen,
    /// The next packet counts as marked.
    Seen,
    /// The packet of this number did.
    At(u64),
}

#[derive(Debug)]
pub(crate) struct Flow {
    pub(crate) tag: u64,
    /// How many requests had been sent when the flow was opened: its numbers answer none of these.
    pub(crate) opened: u64,
    /// When that was.
    pub(crate) born: Timestamp,
    pub(crate) epoch: Epoch,
    pub(crate) parent: Option<Parent>,
    /// One past the last number of the epoch before the first missing one.
    pub(crate) prefix: u64,
    /// XOR of the nonces from the epoch's base to there.
    pub(crate) proof: u64,
    /// Arrived beyond the prefix: start, end and nonce.
    beyond: BTreeMap<u64, (u64, u64)>,
    /// Positions whose answer is on its way or has come.
    pub(crate) claimed: RangeSet,
    /// In ascending order of numbers.
    pub(crate) held: VecDeque<HeldTrain>,
    /// Most bytes per number that one of the newest of these trains has held.
    pub(crate) fullest: usize,
    /// How many have come since then that held less.
    less_full: usize,
    /// In ascending order of numbers.
    pub(crate) runs: VecDeque<Run>,
    gaps: VecDeque<Gap>,
    /// One past the highest number that has arrived.
    pub(crate) highest: u64,
    /// One past the highest number asked for: a server has no others to send.
    asked: u64,
    /// Most numbers that have been under way together.
    used: u64,
    rate: ArrivalRate,
    /// Numbers of the epoch that were claimed and are lost.
    lost: RangeSet,
    /// Those of the epoch before: if they come after all, what ended it was no loss.
    lost_before: RangeSet,
    /// The newest continuation of the epoch before, if a loss ended its slow start.
    pub(crate) cut_off: Option<HeldTrain>,
    /// The same once a Resume is to begin slow start again from it.
    pub(crate) return_to: Option<HeldTrain>,
    /// Whether a Hello has opened it.
    pub(crate) is_first: bool,
    /// Whether a queue has marked a packet since the epoch began, or one has counted as marked.
    marked_by_queue: bool,
    /// Whether slow start is over though nothing is lost.
    full: Full,
    /// Whether the newest packet stood for both numbers of a request with input.
    pub(crate) is_upload: bool,
    /// How many numbered packets have arrived.
    arrivals: u64,
    tolerance: Tolerance,
    /// Share of claims that needed to be presented again, in 1/65536.
    request_loss: u32,
    /// Answers to positions that had been answered before: the replicas share no filter.
    double_grants: u32,
    /// Whether any run may be spent or parked.
    marked: bool,
    /// Requests with input whose run is settled, to be [taken](Self::take_settled).
    settled: Vec<u64>,
    /// Where the shares of the last run's positions begin and end, in which epoch: the next claim begins there.
    evaluated: (Epoch, [(u64, u64); 2]),
    /// Runs of which some is granted, and more may be.
    undecided: usize,
}

impl Flow {
    /// A flow in the epoch of a first train.
    pub(crate) fn new(first: &Continuation) -> Self {
        Self {
            tag: first.flow,
            opened: 0,
            born: Timestamp::ZERO,
            epoch: first.epoch,
            parent: None,
            prefix: first.epoch.base,
            proof: 0,
            beyond: BTreeMap::new(),
            claimed: RangeSet::default(),
            held: VecDeque::new(),
            fullest: 0,
            less_full: 0,
            runs: VecDeque::new(),
            gaps: VecDeque::new(),
            highest: first.epoch.base,
            asked: first.epoch.base + u64::from(first.epoch.growth.window0),
            used: 0,
            rate: ArrivalRate::default(),
            lost: RangeSet::default(),
            lost_before: RangeSet::default(),
            cut_off: None,
            return_to: None,
            is_first: true,
            marked_by_queue: false,
            full: Full::Unseen,
            is_upload: false,
            arrivals: 0,
            tolerance: Tolerance::default(),
            request_loss: SUPPOSED_REQUEST_LOSS,
            double_grants: 0,
            marked: false,
            settled: Vec::new(),
            evaluated: (first.epoch, [(0, 0); 2]),
            undecided: 0,
        }
    }

    /// Enters an epoch born of Restart, Resume or Refresh; what was under way is returned.
    pub(crate) fn reborn(&mut self, first: &Continuation) -> VecDeque<Run> {
        let old = std::mem::replace(self, Self::new(first));
        self.tolerance = old.tolerance;
        self.request_loss = old.request_loss;
        self.double_grants = old.double_grants;
        self.is_first = false;
        old.runs
    }

    /// How long after one another the packets of a train come.
    pub(crate) fn spacing(&self) -> Duration {
        self.rate.spacing()
    }

    fn run_index(&self, number: u64) -> Option<usize> {
        // Answers mostly come in order.
        if self.runs.front().is_some_and(|first| first.numbers.contains(&number)) {
            return Some(0);
        }
        let at = self.runs.partition_point(|run| run.numbers.start <= number).checked_sub(1)?;
        self.runs[at].numbers.contains(&number).then_some(at)
    }

    /// The user continuation presented by the claim of a number that is awaited.
    pub(crate) fn presented(&self, number: u64) -> Option<Arc<[u8]>> {
        self.run_index(number).map(|index| self.runs[index].user_continuation.clone())
    }

    /// Notes a run as claimed.
    pub(crate) fn add_run(&mut self, run: Run, smoothed: Duration) {
        self.forgo(run.positions.start);
        self.claimed.insert(run.positions.clone());
        self.asked = self.asked.max(run.numbers.end);
        if run.positions.start >= self.epoch.base && !run.is_opening() {
            let ends = [(run.positions.start, run.numbers.start), (run.positions.end, run.numbers.end)];
            self.evaluated = (self.epoch, ends);
        }
        if run.numbers.start < self.highest {
            let overtaken = run.numbers.start..run.numbers.end.min(self.highest);
            self.claim_gap(overtaken, run.first.at, smoothed);
        }
        if run.pending != 0 {
            let after_all = self.runs.back().is_none_or(|last| last.numbers.start <= run.numbers.start);
            let at = match after_all {
                true => self.runs.len(),
                false => self.runs.partition_point(|other| other.numbers.start <= run.numbers.start),
            };
            self.runs.insert(at, run);
        }
        let first = self.runs.front().map_or(self.asked, |run| run.numbers.start);
        self.used = self.used.max(self.asked - first);
    }

    /// Whether the window is far larger than all that was ever under way: nothing shows that the path carries that, as
    /// the window grows with each packet that arrives, needed or not.
    pub(crate) fn is_underused(&self) -> bool {
        const MARGIN: u64 = 4;
        u64::from(self.window()) > MARGIN * self.used.max(INITIAL_WINDOW.into())
    }

    /// Claims what is left of the flight below `position` and owns no numbers: there is nothing to be had for
    /// it, and where trains are short it would be looked at again for every claim.
    fn forgo(&mut self, position: u64) {
        let Some(parent) = self.parent.filter(|_| position < self.epoch.base) else { return };
        let flight = parent.lost + 1..position.max(parent.lost + 1);
        let worthless = |gap: &Range<u64>| self.epoch.share(gap).is_empty();
        for gap in self.claimed.gaps(flight).filter(worthless).collect::<Vec<_>>() {
            self.claimed.insert(gap);
        }
    }

    /// Takes a numbered packet, which a queue on its way may have `marked`. `release` is told bytes that will not come
    /// after all.
    pub(crate) fn receive(
        &mut self,
        train: &Train<'_>,
        numbers: Range<u64>,
        marked: bool,
        now: Timestamp,
        release: &mut dyn FnMut(Range<u64>),
    ) -> Arrival {
        // What a flight has earned meets the queue that ended the epoch before: its marks are of the same event.
        let own = self.epoch.base + u64::from(self.epoch.growth.window0);
        let is_current = numbers.start >= own && self.is_awaited(&numbers);
        match self.full {
            // That a queue says so is another matter.
            Full::Seen | Full::At(_) if marked => self.full = Full::Unseen,
            Full::Seen if is_current => self.full = Full::At(numbers.start),
            _ => {}
        }
        let marked = marked || self.full == Full::At(numbers.start);
        let congested = marked && is_current;
        let new = congested || self.note_number(&numbers, train.nonce);
        let mut arrival = Arrival { new, elapsed: None, short: None };
        if arrival.new {
            self.rate.arrived(&numbers, train.left, now);
            self.note_gap(&numbers, train.echo, now);
        }
        for lost in [&mut self.lost, &mut self.lost_before] {
            if lost.contains(numbers.start) {
                // Declared lost too early: tolerate more reordering.
                self.tolerance.widen();
                lost.remove(numbers.clone());
            }
        }
        if congested {
            // It ends the epoch as a loss does.
            self.lost.insert(numbers.clone());
        }
        if marked {
            self.marked_by_queue = true;
            self.cut_off = None;
        }
        let Some(index) = self.run_index(numbers.start) else { return arrival };
        let run = &mut self.runs[index];
        self.is_upload = run.input.is_some() && !run.is_opening() && train.span > 1;
        // Later packets of a train measure its length; of an opening any is better than none.
        let leads = numbers.start == run.numbers.start || (run.is_opening() && run.answered.is_none());
        if run.first.echo == train.echo && leads {
            arrival.elapsed = Some(now.since(run.first.at));
        } else if run.last.echo == train.echo && leads {
            arrival.elapsed = Some(now.since(run.last.at));
        }
        match run.answered {
            None => {
                run.answered = Some(train.echo);
                run.parked = None;
                let missed = if run.first.echo == train.echo { 0 } else { 65536 };
                self.request_loss = self.request_loss - self.request_loss / 32 + missed / 32;
            }
            Some(echo) if echo != train.echo && !arrival.new => self.double_grants += 1,
            Some(_) => {}
        }
        for number in numbers.clone() {
            run.strike(number);
        }
        let end = numbers.end + u64::from(train.left);
        if !run.is_opening() && !run.wants.is_empty() {
            let filled = train.frames.length();
            // No more can be wanted of a packet than it has room for.
            let is_full = filled + DATA_OVERHEAD >= room(run.packet_size, Form::Absent);
            let fails = || {
                let mut wanted = 0;
                run.bytes(numbers.clone(), |piece| wanted += piece.end - piece.start);
                (filled as u64) < wanted
            };
            arrival.short = Some(end < run.numbers.end || (!is_full && fails()));
        }
        if run.is_opening() {
            run.pending &= mask(end.saturating_sub(run.numbers.start));
        } else {
            self.note_granted(index, end, train.echo, release);
        }
        self.retire(index, release);
        self.hand_back_before(numbers.start, train.echo, release);
        arrival
    }

    /// The epoch whose shares positions have, of which this is the first.
    fn owner(&self, position: u64) -> &Epoch {
        match &self.parent {
            Some(parent) if position <= parent.lost => &parent.epoch,
            _ => &self.epoch,
        }
    }

    /// In which form the continuation comes with the train that a position earns.
    pub(crate) fn form(&self, position: u64) -> Form {
        Form::first(self.owner(position), position)
    }

    /// Takes a run out whose numbers are all settled. Bytes that should have come with them but did not are
    /// asked for again.
    fn retire(&mut self, index: usize, release: &mut dyn FnMut(Range<u64>)) {
        if self.runs[index].pending == 0
            && let Some(run) = self.runs.remove(index)
        {
            self.undecided -= usize::from(run.granted_to.is_some());
            run.wants.into_iter().for_each(release);
            self.settled.extend(run.input);
        }
    }

    /// Tells `each` of the requests with input whose answer has come or is lost, since this was last asked.
    pub(crate) fn take_settled(&mut self, each: impl FnMut(u64)) {
        self.settled.drain(..).for_each(each);
    }

    /// Notes numbers as arrived; whether they are news.
    fn note_number(&mut self, numbers: &Range<u64>, nonce: u64) -> bool {
        if numbers.start < self.epoch.base {
            // Of the flight only what is pending is of interest.
            return self.run_index(numbers.start).is_some_and(|at| self.runs[at].is_pending(numbers.start));
        }
        if !self.is_awaited(numbers) {
            return false;
        }
        if numbers.start == self.prefix {
            self.prefix = numbers.end;
            self.proof ^= nonce;
        } else {
            self.beyond.insert(numbers.start, (numbers.end, nonce));
        }
        while let Some(entry) = self.beyond.first_entry().filter(|entry| *entry.key() == self.prefix) {
            let (end, nonce) = entry.remove();
            self.prefix = end;
            self.proof ^= nonce;
        }
        true
    }

    /// Whether numbers of the epoch have been asked for and not arrived.
    fn is_awaited(&self, numbers: &Range<u64>) -> bool {
        numbers.start >= self.prefix && numbers.end <= self.asked && !self.beyond.contains_key(&numbers.start)
    }

    pub(crate) fn measure_rate(&mut self, smoothed: Duration, now: Timestamp) {
        self.rate.measure(smoothed, now);
    }

    /// Declares the end of slow start: all positions claimed from here on grow by congestion avoidance.
    pub(crate) fn exit_slow_start(&mut self, rtt: u32) {
        let claimed = self.claimed.end().unwrap_or(0).max(self.epoch.base) - self.epoch.base;
        let Ok(position) = u32::try_from(claimed) else { return };
        let exit = SlowStartExit { position, rtt };
        if self.epoch.exit.is_none() && self.epoch.admits(exit) {
            self.epoch.exit = Some(exit);
        }
    }

    /// The same where each answer is one packet that stands for both numbers of its position: twice as many positions
    /// are under way as requests, which is what the path has shown to carry. The epoch ends as if a packet were lost,
    /// and the next one begins with as many.
    pub(crate) fn exit_slow_start_of_requests(&mut self) {
        if self.full == Full::Unseen {
            self.full = Full::Seen;
        }
    }

    /// Whether the epoch is still in its slow start.
    pub(crate) fn in_slow_start(&self) -> bool {
        let claimed = self.claimed.end().unwrap_or(0).max(self.epoch.base) - self.epoch.base;
        self.epoch.exit.is_none()
            && u64::from(self.epoch.growth.window0) + claimed < u64::from(self.epoch.growth.ssthresh)
    }

    /// The number from which a position of the epoch owns numbers.
    pub(crate) fn share_start(&self, position: u64) -> u64 {
        let (epoch, ends) = &self.evaluated;
        match ends.iter().find(|(known, _)| *known == position && *epoch == self.epoch) {
            Some(&(_, start)) => start,
            None => self.epoch.share_start(position),
        }
    }

    /// The congestion window as far as positions are claimed, in packets.
    pub(crate) fn window(&self) -> u32 {
        let next = self.claimed.end().unwrap_or(0).max(self.epoch.base);
        u32::try_from(self.share_start(next).saturating_sub(next)).unwrap_or(u32::MAX)
    }

    /// Packets that are on their way as far as is known.
    pub(crate) fn in_flight(&self) -> u64 {
        self.runs.iter().map(|run| u64::from(run.pending.count_ones())).sum()
    }

    /// How many claims carry a run besides its own, so that a lost request goes unnoticed.
    pub(crate) fn depth(&self) -> u32 {
        const LOSS_AT_DEPTH: [(u32, u32); 5] = [(1300, 2), (3500, 3), (6500, 4), (11_000, 5), (16_000, 6)];
        match self.double_grants {
            0..4 => LOSS_AT_DEPTH
                .iter()
                .find(|(loss, _)| self.request_loss < *loss)
                .map_or(MAX_DEPTH, |&(_, depth)| depth),
            _ => 0,
        }
    }
}
