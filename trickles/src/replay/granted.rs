//! What tests with more than one thread check: a position is granted again only when it is forgotten.

use std::time::Duration;

use crate::time::Timestamp;

/// A call that was granted something, and the latest timestamp whose grants the horizon showed after it to be
/// forgotten, both in microseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Granted {
    pub(super) now: u64,
    pub(super) forgotten: Option<u64>,
}

impl Granted {
    /// `horizon` is asked once.
    pub(super) fn new(now: u64, horizon: impl FnOnce(Timestamp) -> Duration) -> Self {
        const LATE: u64 = 1 << 50;
        let horizon = horizon(Timestamp::from_micros(LATE));
        Self { now, forgotten: (horizon != Duration::MAX).then(|| LATE - horizon.as_micros() as u64) }
    }

    /// Whether the same position may have been granted to both, whichever came first.
    pub(super) fn allows(self, other: Self) -> bool {
        self.forgot(other) || other.forgot(self)
    }

    /// Whether the position may have been granted here after the other grant.
    pub(super) fn forgot(self, earlier: Self) -> bool {
        self.forgotten.is_some_and(|newest| earlier.now <= newest)
    }
}
