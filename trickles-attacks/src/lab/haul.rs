//! How much was received, and how fast.

use std::iter::Sum;
use std::time::Duration;

use trickles::time::Timestamp;

use super::Lab;

/// What a client received in some time of the laboratory's.
#[derive(Clone, Copy, Debug, Default)]
pub struct Haul {
    /// UDP payload of numbered packets.
    pub bytes: u64,
    pub time: Duration,
}

impl Haul {
    /// Thousand bytes a second.
    pub fn rate(self) -> f64 {
        self.bytes as f64 / 1000.0 / self.time.as_secs_f64()
    }
}

/// Of several servers during the same time.
impl Sum for Haul {
    fn sum<I: Iterator<Item = Self>>(hauls: I) -> Self {
        hauls.fold(Self::default(), |sum, haul| Self {
            bytes: sum.bytes + haul.bytes,
            time: sum.time.max(haul.time),
        })
    }
}

/// Measures what a server emits from a moment on.
#[derive(Clone, Copy, Debug)]
pub struct Meter {
    emitted: u64,
    since: Timestamp,
}

impl Meter {
    pub fn start(lab: &Lab) -> Self {
        Self { emitted: lab.emitted, since: lab.now }
    }

    pub fn read(&self, lab: &Lab) -> Haul {
        Haul { bytes: lab.emitted - self.emitted, time: lab.now.since(self.since) }
    }
}
