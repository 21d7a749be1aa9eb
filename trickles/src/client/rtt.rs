//! Round-trip times (RFC 9002 section 5) and the end of slow start (HyStart++, RFC 9406).

use std::time::Duration;

use crate::epoch::RTT_BOUNDS;
use crate::time::Timestamp;

/// Floor of the variance term of the probe time-out: schedulers are not more punctual than this.
const GRANULARITY: Duration = Duration::from_millis(10);
/// Samples that make a minimum (RFC 9406: N_RTT_SAMPLE).
const SAMPLES: u32 = 8;
/// Probe time-out before there is a sample.
const INITIAL: Duration = Duration::from_millis(300);

#[derive(Clone, Debug, Default)]
pub(crate) struct Rtt {
    smoothed: Option<Duration>,
    /// The newest samples.
    newest: [Duration; 4],
    variation: Duration,
    /// Smallest sample of the epoch.
    epoch_min: Option<Duration>,
    epoch_samples: u32,
    /// Smallest sample of all.
    path_min: Option<Duration>,
}

impl Rtt {
    pub(crate) fn sample(&mut self, sample: Duration) {
        let sample = sample.max(Duration::from_micros(1));
        self.epoch_samples = self.epoch_samples.saturating_add(1);
        self.epoch_min = Some(self.epoch_min.map_or(sample, |min| min.min(sample)));
        self.path_min = Some(self.path_min.map_or(sample, |min| min.min(sample)));
        self.newest.rotate_right(1);
        self.newest[0] = sample;
        let Some(smoothed) = self.smoothed else {
            self.newest = [sample; 4];
            self.smoothed = Some(sample);
            self.variation = sample / 2;
            return;
        };
        self.variation = (self.variation * 3 + smoothed.abs_diff(sample)) / 4;
        self.smoothed = Some((smoothed * 7 + sample) / 8);
    }

    /// A new epoch: its minimum starts from what is smoothed.
    pub(crate) fn start_epoch(&mut self) {
        self.epoch_min = None;
        self.epoch_samples = 0;
    }

    pub(crate) fn smoothed(&self) -> Duration {
        self.smoothed.unwrap_or(INITIAL / 3)
    }

    /// The path's own round trip: the smallest sample.
    pub(crate) fn shortest(&self) -> Duration {
        self.path_min.unwrap_or(self.smoothed())
    }

    /// What queues have added to the path's own round trip of late.
    pub(crate) fn queueing(&self) -> Duration {
        self.smoothed().saturating_sub(self.shortest())
    }

    /// What a queue that stands just now adds: the least that it has added to one of the newest samples.
    pub(crate) fn standing(&self) -> Duration {
        self.newest.into_iter().min().unwrap_or_default().saturating_sub(self.shortest())
    }

    pub(crate) fn probe_timeout(&self) -> Duration {
        self.smoothed.map_or(INITIAL, |smoothed| smoothed + (self.variation * 4).max(GRANULARITY))
    }

    /// What is declared of this epoch, in microseconds; 0 before there is a sample. Somewhat less than the
    /// minimum, since the age of every continuation presented with it must not be smaller, and at most
    /// 8/5 of the path's own, since half of what it counts must not exceed the age of any claim after the queue has
    /// drained.
    pub(crate) fn declared(&self) -> u32 {
        self.declared_below(Duration::MAX)
    }

    /// The same, of a minimum of at most `limit`: while a queue drains, continuations come that are younger than any
    /// before.
    pub(crate) fn declared_below(&self, limit: Duration) -> u32 {
        let Some((min, path)) = self.epoch_min.or(self.smoothed).zip(self.path_min) else { return 0 };
        let min =
            if self.epoch_samples < SAMPLES { path } else { min.min(path * 8 / 5).min(limit.max(path)) };
        let margin = (self.variation * 2).clamp(min / 8, min / 2);
        let micros = u32::try_from((min - margin).as_micros()).unwrap_or(u32::MAX);
        micros.clamp(RTT_BOUNDS.start, RTT_BOUNDS.end - 1)
    }
}

const MIN_THRESHOLD: Duration = Duration::from_millis(4);
const MAX_THRESHOLD: Duration = Duration::from_millis(16);
/// Conservative slow start grows by one packet for this many.
const GROWTH_DIVISOR: u64 = 4;
/// Into how many parts a round trip is divided. RFC 9406 measures whole rounds, since windows that leave as bursts make a
/// queue for part of each; these do not, and what fills a path in the middle of a round is seen as soon.
const PARTS: u32 = 16;

/// Watches round-trip times during slow start, part by part: each of so many samples and so long a time.
///
/// Where the smallest sample of a part shows a queue, slow start is conservative; where that of the next part does too, it
/// is over. RFC 9406 is conservative for 5 rounds. Here what conservative slow start holds back stays owed to the flow and
/// returns when it ends, so a long one would end in a burst.
#[derive(Clone, Debug, Default)]
pub(crate) struct SlowStart {
    /// When the part began.
    since: Timestamp,
    samples: u32,
    part_min: Option<Duration>,
    /// The smallest sample of the parts before.
    lowest: Option<Duration>,
    /// Packets allowed in flight while it is conservative, in quarters.
    limit: Option<u64>,
}

impl SlowStart {
    /// Packets that may be in flight while slow start is conservative.
    pub(crate) fn flight_limit(&self) -> Option<u64> {
        self.limit.map(|limit| limit / GROWTH_DIVISOR)
    }

    /// Counts arrived packets.
    pub(crate) fn acknowledged(&mut self, packets: u64) {
        self.limit = self.limit.map(|limit| limit + packets);
    }

    /// Takes a sample, while `in_flight` packets are out. Returns whether slow start is over.
    pub(crate) fn sample(&mut self, sample: Duration, in_flight: impl Fn() -> u64, now: Timestamp) -> bool {
        self.samples += 1;
        let min = self.part_min.map_or(sample, |min| min.min(sample));
        let lowest = self.lowest.unwrap_or(min);
        let is_queueing = min >= lowest + (lowest / 8).clamp(MIN_THRESHOLD, MAX_THRESHOLD);
        self.part_min = Some(min);
        self.limit = self.limit.filter(|_| is_queueing);
        if self.samples < SAMPLES || now.since(self.since) < lowest / PARTS {
            return false;
        }
        let is_over = self.limit.is_some();
        let limit = self.limit.or_else(|| is_queueing.then(|| (in_flight() + 1) * GROWTH_DIVISOR));
        *self = Self { since: now, samples: 0, part_min: None, lowest: Some(lowest.min(min)), limit };
        is_over
    }
}

/// Spreads claims over the round trip, so that a window does not leave as one burst.
#[derive(Clone, Debug)]
pub(crate) struct Pacer {
    /// When the next claim may leave.
    next: Timestamp,
}

impl Pacer {
    pub(crate) fn new() -> Self {
        Self { next: Timestamp::ZERO }
    }

    pub(crate) fn next(&self) -> Timestamp {
        self.next
    }

    /// Forgets what may be caught up: nothing leaves at once.
    pub(crate) fn restart(&mut self, now: Timestamp) {
        self.next = self.next.max(now);
    }

    /// Counts a claim for `packets` at `now`; `interval` is the time one packet takes at the pacing rate, and
    /// `burst` how far a late claim may catch up.
    pub(crate) fn claimed(&mut self, packets: u64, interval: Duration, burst: Duration, now: Timestamp) {
        let factor = u32::try_from(packets).unwrap_or(u32::MAX);
        self.next = self.next.max(now - burst) + interval.saturating_mul(factor);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_stands_if_the_newest_samples_all_show_it() {
        let mut rtt = Rtt::default();
        assert_eq!(rtt.standing(), Duration::ZERO);
        let mut after = |millis: &[u64]| {
            millis.iter().for_each(|&millis| rtt.sample(Duration::from_millis(millis)));
            rtt.start_epoch();
            rtt.standing().as_millis()
        };
        assert_eq!(after(&[40, 80]), 0);
        assert_eq!(after(&[70, 60, 90]), 20);
        // In short epochs too.
        assert_eq!(after(&[75]), 20);
        assert_eq!(after(&[75]), 20);
        assert_eq!(after(&[75]), 35);
        assert_eq!(after(&[40]), 0);
    }

    /// Milliseconds after which slow start ends, if there is a sample every millisecond, of so many.
    fn ends_at(round_trip: impl Fn(u64) -> u64) -> Option<u64> {
        let mut slow_start = SlowStart::default();
        (1..4000).find(|&at| {
            slow_start.sample(Duration::from_millis(round_trip(at)), || 400, Timestamp::from_millis(at))
        })
    }

    #[test]
    fn a_queue_that_grows_in_the_middle_of_a_round_ends_slow_start_within_it() {
        assert_eq!(ends_at(|_| 100), None);
        // 13 ms are more than an eighth; two parts of 8 samples have to show them.
        let end = ends_at(|at| if at < 1010 { 100 } else { 113 }).unwrap();
        assert!((1010 + 16..1010 + 26).contains(&end), "{end}");
        assert_eq!(ends_at(|at| if at < 1010 { 100 } else { 112 }), None);
    }

    #[test]
    fn delays_that_vary_do_not_end_it() {
        // One in 8 finds no queue.
        assert_eq!(ends_at(|at| if at % 8 == 0 { 100 } else { 140 }), None);
        // What is over within two parts is no queue either.
        assert_eq!(ends_at(|at| if (1010..1022).contains(&at) { 140 } else { 100 }), None);
    }

    #[test]
    fn growth_is_slow_while_a_queue_may_be_growing() {
        let mut slow_start = SlowStart::default();
        let mut at = 0;
        let mut part = |slow_start: &mut SlowStart, round_trip| {
            for _ in 0..13 {
                at += 1;
                let now = Timestamp::from_millis(at);
                assert!(!slow_start.sample(Duration::from_millis(round_trip), || 400, now));
            }
        };
        part(&mut slow_start, 100);
        assert_eq!(slow_start.flight_limit(), None);
        part(&mut slow_start, 120);
        assert_eq!(slow_start.flight_limit(), Some(401));
        slow_start.acknowledged(8);
        assert_eq!(slow_start.flight_limit(), Some(403));
        part(&mut slow_start, 100);
        assert_eq!(slow_start.flight_limit(), None);
    }
}
