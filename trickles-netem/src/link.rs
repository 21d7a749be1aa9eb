use std::{collections::BTreeMap, time::Duration};

use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

use crate::{
    Path, Stats,
    bottleneck::Bottleneck,
    fate::{CopyFate, Fate, checksum},
};

/// One direction of an emulated network, carrying datagrams that each have a tag of type `T`.
///
/// Time does not run backwards: a `now` before an earlier one counts as that earlier one.
#[derive(Clone, Debug)]
pub struct Link<T = ()> {
    path: Path,
    rng: ChaCha8Rng,
    clock: Duration,
    bottleneck: Bottleneck,
    lost_before: bool,
    /// Copies on their way, by time of delivery and then by order of sending.
    in_flight: BTreeMap<(Duration, u64), Delivery<T>>,
    launched: u64,
    stats: Stats,
}

/// A datagram that comes out of a [`Link`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery<T = ()> {
    /// When it arrives, since the start of the emulation.
    pub at: Duration,
    /// The payload, as offered unless `corrupted`.
    pub payload: Vec<u8>,
    /// Whether the queue marked it (ECN codepoint CE).
    pub congestion_experienced: bool,
    /// Whether bits of the payload were flipped. A receiver cannot know: this is for a test to tell.
    pub corrupted: bool,
    /// The tag it was offered with.
    pub tag: T,
}

impl<T: Clone> Link<T> {
    /// An empty link. All chance derives from `seed`.
    ///
    /// # Panics
    ///
    /// When a field of `path` is outside its documented range.
    pub fn new(path: Path, seed: u64) -> Self {
        path.assert_valid();
        Link {
            path,
            rng: ChaCha8Rng::seed_from_u64(seed),
            clock: Duration::ZERO,
            bottleneck: Bottleneck::default(),
            lost_before: false,
            in_flight: BTreeMap::new(),
            launched: 0,
            stats: Stats::default(),
        }
    }

    /// The path in force.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Changes the path for datagrams offered from here on. Those accepted before keep their schedule, and
    /// go through the bottleneck first.
    ///
    /// # Panics
    ///
    /// When a field of `path` is outside its documented range.
    pub fn set_path(&mut self, path: Path) {
        path.assert_valid();
        self.bottleneck.change_rate();
        self.path = path;
    }

    /// Offers a datagram to the link at time `now`. The queue may mark it when it is `ecn_capable` (ECN
    /// codepoint ECT). Its copies carry the `tag` along, for instance the addresses.
    pub fn send(&mut self, now: Duration, payload: Vec<u8>, ecn_capable: bool, tag: T) {
        let fate = Fate::draw(&mut self.rng);
        let index = self.stats.offered_packets;
        self.stats.offered_packets += 1;
        self.stats.offered_bytes += payload.len() as u64;
        self.clock = self.clock.max(now);

        if self.path.down {
            self.stats.dropped_down += 1;
            return;
        }
        if payload.len() > self.path.largest {
            self.stats.dropped_large += 1;
            return;
        }

        let Some(departure) = self.bottleneck.admit(self.clock, payload.len(), &self.path) else {
            self.stats.dropped_queue += 1;
            return;
        };
        let waiting = self.bottleneck.waiting_bytes();
        self.stats.max_queue_bytes = self.stats.max_queue_bytes.max(waiting);
        let congestion_experienced =
            ecn_capable && self.path.mark_threshold.is_some_and(|threshold| waiting > threshold);
        self.stats.ce_marked += u64::from(congestion_experienced);

        self.lost_before = fate.loss.happens(self.path.loss_after(self.lost_before));
        if self.lost_before || self.path.drop_packets.contains(&index) {
            self.stats.dropped_loss += 1;
            return;
        }

        let at = departure.saturating_add(self.path.delay);
        let delivery = Delivery { at, payload, congestion_experienced, corrupted: false, tag };
        let [original, second] = fate.copies;
        if fate.duplicate.happens(self.path.duplicate) {
            self.stats.duplicated += 1;
            self.launch(delivery.clone(), second);
        }
        self.launch(delivery, original);
    }

    /// When the next datagram arrives, `None` when none is on its way.
    pub fn next_delivery(&self) -> Option<Duration> {
        self.in_flight.first_key_value().map(|(&(at, _), _)| at)
    }

    /// Takes out the next datagram that has arrived by `now`. Datagrams come out in the order of their
    /// arrival, and in the order of sending when they arrive together.
    pub fn deliver(&mut self, now: Duration) -> Option<Delivery<T>> {
        self.clock = self.clock.max(now);
        let first = self.in_flight.first_entry()?;
        if first.key().0 > self.clock {
            return None;
        }
        let delivery = first.remove();
        self.stats.delivered_packets += 1;
        self.stats.delivered_bytes += delivery.payload.len() as u64;
        self.stats.corrupted_delivered += u64::from(delivery.corrupted);
        Some(delivery)
    }

    /// What the link has done so far.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    fn launch(&mut self, mut copy: Delivery<T>, fate: CopyFate) {
        if !copy.payload.is_empty() && fate.corrupt.happens(self.path.corrupt) {
            let before = checksum(&copy.payload);
            fate.damage.damage(&mut copy.payload, self.path.corrupt_bits);
            if self.path.verify_checksum && checksum(&copy.payload) != before {
                self.stats.dropped_checksum += 1;
                return;
            }
            copy.corrupted = true;
        }

        copy.at = copy.at.saturating_add(fate.jitter.up_to(self.path.jitter));
        if fate.reorder.happens(self.path.reorder) {
            self.stats.reordered += 1;
            copy.at = copy.at.saturating_add(self.path.reorder_delay);
        }
        self.in_flight.insert((copy.at, self.launched), copy);
        self.launched += 1;
    }
}
