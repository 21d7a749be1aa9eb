use std::{collections::BTreeSet, time::Duration};

/// What a [`Link`](crate::Link) does to datagrams, in one direction.
///
/// The default is a perfect path: unlimited rate, no delay, nothing lost. Set what differs:
///
/// ```
/// use std::time::Duration;
/// use trickles_netem::Path;
///
/// let dsl = Path {
///     rate: Some(16_000_000),
///     queue: 64 * 1024,
///     delay: Duration::from_millis(12),
///     ..Path::default()
/// };
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Path {
    /// Rate of the bottleneck in bits per second, `None` for unlimited. Not zero.
    pub rate: Option<u64>,
    /// Bytes that may wait in the drop-tail queue in front of the bottleneck, each datagram counted with its
    /// [`overhead`](Self::overhead). The datagram being serialised does not count.
    pub queue: usize,
    /// Bytes added to the payload length for rate and queue. The default of 28 is an IPv4 and a UDP header.
    pub overhead: usize,
    /// Waiting bytes above which an ECN-capable datagram is marked, itself included. `None` never marks.
    pub mark_threshold: Option<usize>,
    /// Time from the end of serialisation to delivery.
    pub delay: Duration,
    /// Largest extra delay. Every copy gets one of its own, uniform in `0..=jitter`, so copies may overtake
    /// each other.
    pub jitter: Duration,
    /// Probability, in `0.0..=1.0`, that the medium behind the bottleneck loses a datagram.
    pub loss: f64,
    /// Mean number of datagrams lost in a row (Gilbert model), finite and at least 1. Up to
    /// `1 / (1 - loss)`, the mean that independent losses have anyway, losses are independent.
    pub burst: f64,
    /// Datagrams to lose besides, by their position among all datagrams ever offered to the link, from 0.
    /// They use up queue and rate and take no part in the loss bursts.
    pub drop_packets: BTreeSet<u64>,
    /// Probability, in `0.0..=1.0`, that the medium makes a second copy of a datagram.
    pub duplicate: f64,
    /// Probability, in `0.0..=1.0`, that a copy is held back by [`reorder_delay`](Self::reorder_delay).
    pub reorder: f64,
    /// Extra delay of the copies chosen by [`reorder`](Self::reorder).
    pub reorder_delay: Duration,
    /// Probability, in `0.0..=1.0`, that distinct random bits of a copy's payload are flipped. An empty
    /// payload has none to flip.
    pub corrupt: f64,
    /// Most bits flipped in a corrupted copy, at least 1. Any number from 1 to it is as likely. One bit, the
    /// default, never escapes the UDP checksum; of several some do.
    pub corrupt_bits: u8,
    /// Drops a corrupted copy when its UDP checksum tells, as the receiving kernel would.
    pub verify_checksum: bool,
    /// Swallows datagrams with more bytes of payload than this, and tells nobody.
    pub largest: usize,
    /// Swallows every datagram offered. Those already on their way still arrive.
    pub down: bool,
}

impl Default for Path {
    fn default() -> Self {
        Path {
            rate: None,
            queue: usize::MAX,
            overhead: 28,
            mark_threshold: None,
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            loss: 0.0,
            burst: 1.0,
            drop_packets: BTreeSet::new(),
            duplicate: 0.0,
            reorder: 0.0,
            reorder_delay: Duration::ZERO,
            corrupt: 0.0,
            corrupt_bits: 1,
            verify_checksum: true,
            largest: usize::MAX,
            down: false,
        }
    }
}

impl Path {
    /// Panics when a field is outside its documented range.
    pub(crate) fn assert_valid(&self) {
        for (name, probability) in [
            ("loss", self.loss),
            ("duplicate", self.duplicate),
            ("reorder", self.reorder),
            ("corrupt", self.corrupt),
        ] {
            assert!((0.0..=1.0).contains(&probability), "{name} is no probability: {probability}");
        }
        assert!(
            self.burst.is_finite() && self.burst >= 1.0,
            "burst is below 1 or not finite: {}",
            self.burst
        );
        assert!(self.rate != Some(0), "a rate of zero never sends: use `down` for an outage");
    }

    /// Probability that a datagram is lost, given whether the one before it was: the two transitions of a
    /// Gilbert chain with mean burst length `burst` whose long-run share of losses is `loss`.
    pub(crate) fn loss_after(&self, lost_before: bool) -> f64 {
        // Certain whatever came before, and the chain below divides by `1 - loss`.
        if self.loss <= 0.0 || self.loss >= 1.0 {
            return self.loss;
        }
        let recover = (1.0 / self.burst).min(1.0 - self.loss);
        if lost_before { 1.0 - recover } else { recover * self.loss / (1.0 - self.loss) }
    }
}
