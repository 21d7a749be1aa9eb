//! The core's own clock type: time is always an input, never read.

use std::ops::{Add, Sub};
use std::time::Duration;

/// A moment, in microseconds since an origin the caller fixes.
///
/// Servers use the Unix epoch, since continuations carry their issue time from one replica to another;
/// a client may use any origin, since its timestamps never leave it.
///
/// ```
/// use std::time::Duration;
/// use trickles::time::Timestamp;
/// let start = Timestamp::from_micros(5);
/// assert_eq!(start + Duration::from_micros(7), Timestamp::from_micros(12));
/// assert_eq!(start.since(Timestamp::from_micros(9)), Duration::ZERO);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The origin.
    pub const ZERO: Self = Self(0);
    /// The far future: a timer that is not set.
    pub const NEVER: Self = Self(u64::MAX);

    /// `micros`: microseconds since the origin.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// `millis`: milliseconds since the origin; saturates.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1000))
    }

    /// Microseconds since the origin.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Whole milliseconds since the origin.
    pub const fn as_millis(self) -> u64 {
        self.0 / 1000
    }

    /// Time elapsed since `earlier`; zero when `earlier` lies in the future.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    /// Saturates at [`Timestamp::NEVER`].
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;

    /// Saturates at [`Timestamp::ZERO`].
    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)))
    }
}
