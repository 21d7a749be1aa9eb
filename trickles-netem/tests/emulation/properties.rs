//! What holds for every path and every sequence of datagrams.

use std::time::Duration;

use proptest::{collection::vec, option, prelude::*};
use trickles_netem::{Delivery, Link, Path};

use crate::drain;

fn us(count: u64) -> Duration {
    Duration::from_micros(count)
}

fn chance() -> impl Strategy<Value = f64> {
    prop_oneof![Just(0.0), 0.0..=1.0]
}

fn paths() -> impl Strategy<Value = Path> {
    let bottleneck = (option::of(1_000_u64..1_000_000_000), 0_usize..20_000, option::of(0_usize..20_000));
    let times = (0_u64..50_000, 0_u64..50_000, 0_u64..50_000).prop_map(|(a, b, c)| (us(a), us(b), us(c)));
    let chances = (chance(), 1.0..20.0, chance(), chance(), chance(), any::<bool>());
    (bottleneck, times, chances).prop_map(|(bottleneck, times, chances)| Path {
        rate: bottleneck.0,
        queue: bottleneck.1,
        mark_threshold: bottleneck.2,
        delay: times.0,
        jitter: times.1,
        reorder_delay: times.2,
        loss: chances.0,
        burst: chances.1,
        duplicate: chances.2,
        reorder: chances.3,
        corrupt: chances.4,
        corrupt_bits: 8,
        verify_checksum: chances.5,
        ..Path::default()
    })
}

/// A datagram to offer: microseconds since the one before, payload, and whether it is ECN-capable.
type Offer = (u64, Vec<u8>, bool);

fn offers() -> impl Strategy<Value = Vec<Offer>> {
    vec((0_u64..5_000, vec(any::<u8>(), 0..1_500), any::<bool>()), 0..100)
}

/// Sends the offers at their times, tagged with their position, and takes out what has arrived in between.
fn emulate(link: &mut Link<usize>, offers: &[Offer]) -> Vec<Delivery<usize>> {
    let mut now = Duration::ZERO;
    let mut deliveries = Vec::new();
    for (tag, (pause, payload, ecn_capable)) in offers.iter().enumerate() {
        now += us(*pause);
        deliveries.extend(std::iter::from_fn(|| link.deliver(now)));
        link.send(now, payload.clone(), *ecn_capable, tag);
    }
    deliveries.extend(drain(link));
    deliveries
}

proptest! {
    #[test]
    fn no_datagram_is_invented(path in paths(), offers in offers(), seed: u64) {
        let mut link = Link::new(path.clone(), seed);
        let deliveries = emulate(&mut link, &offers);
        for delivery in &deliveries {
            let (_, payload, ecn_capable) = &offers[delivery.tag];
            prop_assert_eq!(payload != &delivery.payload, delivery.corrupted);
            prop_assert!(path.corrupt > 0.0 || !delivery.corrupted);
            prop_assert!(*ecn_capable || !delivery.congestion_experienced);
            let copies = deliveries.iter().filter(|other| other.tag == delivery.tag).count();
            prop_assert!(copies <= 2);
        }
    }

    #[test]
    fn deliveries_are_in_order_of_time_and_never_early(path in paths(), offers in offers(), seed: u64) {
        let mut link = Link::new(path.clone(), seed);
        let deliveries = emulate(&mut link, &offers);
        prop_assert!(deliveries.is_sorted_by_key(|delivery| delivery.at));
        for delivery in &deliveries {
            let sent: Duration = offers[..=delivery.tag].iter().map(|(pause, ..)| us(*pause)).sum();
            prop_assert!(delivery.at >= sent + path.delay);
        }
    }

    #[test]
    fn every_datagram_is_accounted_for(path in paths(), offers in offers(), seed: u64) {
        let mut link = Link::new(path.clone(), seed);
        let deliveries = emulate(&mut link, &offers);
        let stats = link.stats();
        prop_assert_eq!(stats.offered_packets, offers.len() as u64);
        prop_assert_eq!(stats.delivered_packets, deliveries.len() as u64);
        let dropped =
            stats.dropped_queue + stats.dropped_loss + stats.dropped_down + stats.dropped_large + stats.dropped_checksum;
        prop_assert_eq!(stats.offered_packets + stats.duplicated, stats.delivered_packets + dropped);
        prop_assert!(stats.max_queue_bytes <= path.queue);
    }

    #[test]
    fn same_seed_gives_the_same(path in paths(), offers in offers(), seed: u64) {
        let (mut first, mut second) = (Link::new(path.clone(), seed), Link::new(path, seed));
        prop_assert_eq!(emulate(&mut first, &offers), emulate(&mut second, &offers));
        prop_assert_eq!(first.stats(), second.stats());
    }

    #[test]
    fn taking_out_late_changes_nothing(path in paths(), offers in offers(), seed: u64) {
        let (mut prompt, mut late) = (Link::new(path.clone(), seed), Link::new(path, seed));
        let deliveries = emulate(&mut prompt, &offers);
        let mut now = Duration::ZERO;
        for (tag, (pause, payload, ecn_capable)) in offers.into_iter().enumerate() {
            now += us(pause);
            late.send(now, payload, ecn_capable, tag);
        }
        prop_assert_eq!(deliveries, drain(&mut late));
    }
}
