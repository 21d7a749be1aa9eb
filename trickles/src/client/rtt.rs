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
        let Some(smoothed) = self.smoothed else {
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

    /// What queues have added to the path's own round trip of late.
    pub(crate) fn queueing(&self) -> Duration {
        let path = self.path_min.unwrap_or_default();
        self.smoothed.map_or(Duration::ZERO, |smoothed| smoothed.saturating_sub(path))
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
/// RFC 9406 takes 5. Here what conservative slow start holds back stays owed to the flow and returns when it
/// ends, so a long one would end in a burst.
const CONSERVATIVE_ROUNDS: u32 = 2;

/// Watches round-trip times during slow start. A round ends when the number that was next to be claimed at its
/// beginning arrives.
#[derive(Clone, Debug, Default)]
pub(crate) struct SlowStart {
    round_end: u64,
    samples: u32,
    round_min: Option<Duration>,
    last_min: Option<Duration>,
    conservative: Option<Conservative>,
}

#[derive(Clone, Copy, Debug)]
struct Conservative {
    baseline: Duration,
    rounds: u32,
    /// Packets allowed in flight, in quarters.
    limit: u64,
}

impl SlowStart {
    /// Packets that may be in flight while slow start is conservative.
    pub(crate) fn flight_limit(&self) -> Option<u64> {
        self.conservative.map(|state| state.limit / GROWTH_DIVISOR)
    }

    /// Counts arrived packets.
    pub(crate) fn acknowledged(&mut self, packets: u64) {
        if let Some(state) = &mut self.conservative {
            state.limit += packets;
        }
    }

    /// Takes the sample of a train that begins at `number`, while `in_flight` packets are out and numbers up
    /// to `next` have been claimed. Returns whether slow start is over.
    pub(crate) fn sample(
        &mut self,
        number: u64,
        next: u64,
        in_flight: impl Fn() -> u64,
        sample: Duration,
    ) -> bool {
        if number >= self.round_end {
            self.round_end = next;
            self.last_min = self.round_min.take();
            self.samples = 0;
            if let Some(state) = &mut self.conservative {
                state.rounds += 1;
                if state.rounds > CONSERVATIVE_ROUNDS {
                    return true;
                }
            }
        }
        self.samples += 1;
        let min = self.round_min.map_or(sample, |min| min.min(sample));
        self.round_min = Some(min);
        let Some(last) = self.last_min.filter(|_| self.samples >= SAMPLES) else { return false };
        match self.conservative {
            None if min >= last + (last / 8).clamp(MIN_THRESHOLD, MAX_THRESHOLD) => {
                let limit = (in_flight() + 1) * GROWTH_DIVISOR;
                self.conservative = Some(Conservative { baseline: min, rounds: 0, limit });
            }
            Some(state) if min < state.baseline => self.conservative = None,
            _ => {}
        }
        false
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
