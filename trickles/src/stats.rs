//! What became of received datagrams: network input never is an error, it is discarded and counted.

use std::iter::Sum;

/// Why a received datagram had no effect. Order of the checks: docs/protocol.md section 6.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
#[repr(usize)]
pub enum Discard {
    /// Not a datagram of this protocol, or of a type this end does not take.
    Malformed,
    /// Another protocol version.
    Version,
    /// Sealed under a key that is not in the ring.
    UnknownKey,
    /// The authentication tag does not match.
    Forged,
    /// Issued in the future, beyond the tolerated clock skew.
    Future,
    /// Authentic but too old: answered with Refresh.
    Stale,
    /// A field is out of its bounds.
    Field,
    /// The proof of receipt does not match.
    Proof,
    /// The declared round-trip time contradicts the continuation's age.
    Rtt,
    /// A Restart or Resume before its time.
    Early,
    /// The user continuation is forged, expired, or not of this stream.
    UserContinuation,
    /// All that was claimed had been granted before.
    Spent,
    /// What an abbreviated claim leaves out is not remembered, or it was made from something else.
    Forgotten,
    /// Another service label.
    NoService,
    /// A Hello beyond the number that is answered a second.
    Limited,
    /// Not from the peer of this stream, or not an answer to one of its requests.
    Unrelated,
}

/// Number of [`Discard`] variants.
const KINDS: usize = Discard::Unrelated as usize + 1;

/// Counters of one server or client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Datagrams received.
    pub received: u64,
    /// Datagrams handed out for sending.
    pub sent: u64,
    /// UDP payload bytes handed out for sending.
    pub sent_bytes: u64,
    /// Requests that reached the application.
    pub events: u64,
    discards: [u64; KINDS],
}

impl Stats {
    /// How often a datagram was discarded for this reason.
    pub fn discarded(&self, reason: Discard) -> u64 {
        self.discards[reason as usize]
    }

    /// How many datagrams were discarded in all.
    pub fn discarded_total(&self) -> u64 {
        self.discards.iter().sum()
    }

    fn add(mut self, other: &Self) -> Self {
        let Self { received, sent, sent_bytes, events, discards } = other;
        self.received += received;
        self.sent += sent;
        self.sent_bytes += sent_bytes;
        self.events += events;
        for (sum, count) in self.discards.iter_mut().zip(discards) {
            *sum += count;
        }
        self
    }

    pub(crate) fn discard(&mut self, reason: Discard) {
        self.discards[reason as usize] += 1;
    }
}

/// The counters of several servers, such as those of one process, as if they were one.
impl Sum for Stats {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| sum.add(&one))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_summed_one_by_one() {
        let mut one = Stats { received: 1, sent: 2, sent_bytes: 3, events: 4, ..Stats::default() };
        one.discard(Discard::Spent);
        let mut other = Stats { received: 10, sent: 20, sent_bytes: 30, events: 40, ..Stats::default() };
        other.discard(Discard::Spent);
        other.discard(Discard::Forged);
        let sum: Stats = [one, other].into_iter().sum();
        assert_eq!((sum.received, sum.sent, sum.sent_bytes, sum.events), (11, 22, 33, 44));
        assert_eq!((sum.discarded(Discard::Spent), sum.discarded(Discard::Forged)), (2, 1));
        assert_eq!(sum.discarded_total(), 3);
    }
}
