//! At which rate packets arrive, and so how many a path holds.

use std::ops::Range;
use std::time::Duration;

use super::losses::MIN_REORDER;
use crate::time::Timestamp;

/// The highest rate of an epoch, and how far apart the packets of a train come.
#[derive(Clone, Debug, Default)]
pub(super) struct ArrivalRate {
    /// Since when packets are being counted.
    since: Timestamp,
    count: u64,
    /// So many packets in so many microseconds.
    highest: (u64, u64),
    /// Which number follows in a train that has begun, and when the one before it came.
    follows: Option<(u64, Timestamp)>,
    spacing: Duration,
}

impl ArrivalRate {
    /// Counts a packet, of however many numbers: these are what the path carries. `left`: how many numbers of its
    /// train follow.
    pub(super) fn arrived(&mut self, numbers: &Range<u64>, left: u8, now: Timestamp) {
        self.count += 1;
        if let Some((_, before)) = self.follows.filter(|(number, _)| *number == numbers.start) {
            self.spacing = (self.spacing * 7 + now.since(before)) / 8;
        }
        self.follows = (left > 0).then_some((numbers.end, now));
    }

    /// How long after one another the packets of a train come: what a path takes for one of them, if they are not
    /// held up by others.
    pub(super) fn spacing(&self) -> Duration {
        self.spacing
    }

    /// Measures over a part of the round trip: a path that is not full yet brings packets in bursts.
    pub(super) fn measure(&mut self, smoothed: Duration, now: Timestamp) {
        let elapsed = now.since(self.since);
        if elapsed >= (smoothed / 4).max(MIN_REORDER) {
            let (packets, micros) = self.highest;
            let elapsed = micros_of(elapsed);
            if u128::from(self.count) * u128::from(micros) >= u128::from(packets) * u128::from(elapsed) {
                self.highest = (self.count, elapsed);
            }
            (self.since, self.count) = (now, 0);
        }
    }

    /// Forgets how high it was.
    pub(super) fn start_epoch(&mut self) {
        self.highest = (0, 0);
    }

    /// How many packets are on the path at this rate.
    pub(super) fn held(&self, smoothed: Duration) -> u32 {
        let (packets, micros) = self.highest;
        let held = u128::from(packets) * u128::from(micros_of(smoothed)) / u128::from(micros.max(1));
        u32::try_from(held).unwrap_or(u32::MAX)
    }
}

fn micros_of(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
