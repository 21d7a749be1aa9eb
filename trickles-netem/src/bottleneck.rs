use std::{collections::VecDeque, time::Duration};

use crate::Path;

/// A drop-tail queue in front of a serialising link, computed ahead: a datagram's departure is fixed when it
/// arrives.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bottleneck {
    /// When the last accepted datagram is through, rounded down to the nanosecond.
    free_at: Duration,
    /// What the rounding of `free_at` cut off, in nanoseconds times the rate. Carried on, it keeps the rate
    /// of a busy link exact over any number of datagrams.
    remainder: u128,
    /// Start of serialisation and size in bytes of the datagrams that wait.
    waiting: VecDeque<(Duration, usize)>,
    waiting_bytes: usize,
}

impl Bottleneck {
    /// Takes a datagram of `payload` bytes and returns when it is serialised, or `None` when the queue has no
    /// room for it. `now` must not decrease.
    pub(crate) fn admit(&mut self, now: Duration, payload: usize, path: &Path) -> Option<Duration> {
        while let Some(&(start, bytes)) = self.waiting.front()
            && start <= now
        {
            self.waiting.pop_front();
            self.waiting_bytes -= bytes;
        }

        let bytes = payload + path.overhead;
        let start = now.max(self.free_at);
        if start > now {
            if self.waiting_bytes + bytes > path.queue {
                return None;
            }
            self.waiting.push_back((start, bytes));
            self.waiting_bytes += bytes;
        }

        if now > self.free_at {
            self.remainder = 0;
        }
        self.free_at = start.saturating_add(self.serialise(bytes, path.rate));
        Some(self.free_at)
    }

    /// Bytes waiting as of the last datagram.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// Forgets the remainder, which is in units of the old rate.
    pub(crate) fn change_rate(&mut self) {
        self.remainder = 0;
    }

    fn serialise(&mut self, bytes: usize, rate: Option<u64>) -> Duration {
        let Some(rate) = rate.map(u128::from) else { return Duration::ZERO };
        let work = bytes as u128 * 8 * 1_000_000_000 + self.remainder;
        self.remainder = work % rate;
        Duration::from_nanos(u64::try_from(work / rate).unwrap_or(u64::MAX))
    }
}
