//! At which rate packets arrive, and so how many a path holds.

use std::time::Duration;

use super::losses::MIN_REORDER;
use crate::time::Timestamp;

/// The highest rate of an epoch.
#[derive(Clone, Debug, Default)]
pub(super) struct ArrivalRate {
    /// Since when packets are being counted.
    since: Timestamp,
    count: u64,
    /// Packets a second.
    highest: f64,
}

impl ArrivalRate {
    /// Counts a packet, of however many numbers: these are what the path carries.
    pub(super) fn arrived(&mut self) {
        self.count += 1;
    }

    /// Measures over a part of the round trip: a path that is not full yet brings packets in bursts.
    pub(super) fn measure(&mut self, smoothed: Duration, now: Timestamp) {
        let elapsed = now.since(self.since);
        if elapsed >= (smoothed / 4).max(MIN_REORDER) {
            self.highest = self.highest.max(self.count as f64 / elapsed.as_secs_f64());
            (self.since, self.count) = (now, 0);
        }
    }

    /// Forgets how high it was.
    pub(super) fn start_epoch(&mut self) {
        self.highest = 0.0;
    }

    /// How many packets are on the path at this rate.
    pub(super) fn held(&self, smoothed: Duration) -> u32 {
        (self.highest * smoothed.as_secs_f64()) as u32
    }
}
