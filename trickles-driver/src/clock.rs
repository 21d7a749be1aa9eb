//! The one place that reads the system's clocks.

use std::time::{Duration, Instant, SystemTime};

use trickles::time::Timestamp;

/// A clock that never steps: what the system's monotonic clock has counted since `origin`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: Instant,
    at_origin: Timestamp,
}

impl Clock {
    /// Counts from zero: for clients, whose timestamps never leave them.
    pub(crate) fn from_zero() -> Self {
        Self { origin: instant(), at_origin: Timestamp::ZERO }
    }

    /// Counts from the Unix epoch: for servers, whose timestamps other replicas read.
    ///
    /// The system's wall clock is read here and never again, so setting it later has no effect.
    #[expect(clippy::disallowed_methods, reason = "the origin of a server's time")]
    pub(crate) fn unix() -> Self {
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { origin: instant(), at_origin: Timestamp::ZERO + since_epoch }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.at_origin + instant().saturating_duration_since(self.origin)
    }

    /// `at` as the runtime's timers take it, or `None` if it is too far away for them.
    pub(crate) fn instant(&self, at: Timestamp) -> Option<Instant> {
        self.origin.checked_add(at.since(self.at_origin))
    }

    /// The moment `delay` after this one.
    pub(crate) fn after(delay: Duration) -> Instant {
        instant() + delay
    }
}

#[expect(clippy::disallowed_methods, reason = "everything else takes time as an input")]
fn instant() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn converts_timestamps_to_instants_and_back() {
        for clock in [Clock::from_zero(), Clock::unix()] {
            let at = clock.at_origin + Duration::from_millis(250);
            assert_eq!(clock.instant(at), clock.origin.checked_add(Duration::from_millis(250)));
            assert_eq!(clock.instant(clock.at_origin), Some(clock.origin));
            assert!(clock.now() >= clock.at_origin);
        }
    }

    #[test]
    fn server_time_counts_from_the_unix_epoch() {
        let beginning_of_2024 = Timestamp::from_millis(1_704_067_200_000);
        assert!(Clock::unix().now() > beginning_of_2024);
    }
}
