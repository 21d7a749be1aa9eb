//! Rate, queue, marking, outages and scripted drops: nothing here is left to chance.

use std::time::Duration;

use trickles_netem::{Link, Path};

use crate::{drain, flood, tags};

const MS: Duration = Duration::from_millis(1);

/// 125 bytes on the wire take 1 ms at 1 Mbit/s.
const SIZE: usize = 97;

fn megabit() -> Path {
    Path { rate: Some(1_000_000), ..Path::default() }
}

#[test]
fn default_path_delivers_at_once_and_in_order() {
    let mut link = Link::new(Path::default(), 1);
    flood(&mut link, 100, SIZE);
    let deliveries = drain(&mut link);
    assert!(deliveries.iter().all(|delivery| delivery.at == Duration::ZERO));
    assert!(deliveries.iter().map(|delivery| delivery.tag).eq(0..100));
}

#[test]
fn rate_is_exact() {
    for rate in [1, 9_600, 7_777_777, 10_000_000, 999_999_937, 100_000_000_000] {
        let mut link = Link::new(Path { rate: Some(rate), delay: 3 * MS, ..Path::default() }, 1);
        flood(&mut link, 1_000, 1_201);
        for (sent, delivery) in (1..).zip(drain(&mut link)) {
            let nanos = sent * (1_201 + 28) * 8 * 1_000_000_000 / u128::from(rate);
            assert_eq!(delivery.at, 3 * MS + Duration::from_nanos(nanos.try_into().unwrap()));
        }
        assert_eq!(link.stats().delivered_packets, 1_000);
        assert_eq!(link.stats().delivered_bytes, 1_201_000);
    }
}

#[test]
fn rate_is_exact_when_sent_back_to_back() {
    let mut link = Link::new(Path { rate: Some(7_777_777), ..Path::default() }, 1);
    let mut now = Duration::ZERO;
    for _ in 0..1_000 {
        link.send(now, vec![0; SIZE], false, ());
        now = link.next_delivery().unwrap();
        link.deliver(now).unwrap();
    }
    assert_eq!(now.as_nanos(), 1_000 * 125 * 8 * 1_000_000_000 / 7_777_777);
    assert_eq!(link.stats().max_queue_bytes, 0);
}

#[test]
fn idle_link_starts_at_once() {
    let mut link = Link::new(megabit(), 1);
    link.send(Duration::ZERO, vec![0; SIZE], false, ());
    link.send(10 * MS, vec![0; SIZE], false, ());
    let deliveries = drain(&mut link);
    assert_eq!(deliveries.iter().map(|delivery| delivery.at).collect::<Vec<_>>(), [MS, 11 * MS]);
}

#[test]
fn fractions_of_a_nanosecond_outlive_neither_idleness_nor_the_rate() {
    let mut link = Link::new(Path { rate: Some(600_000_000_000), ..Path::default() }, 1);
    for second in 0..1_000 {
        let now = Duration::from_secs(second);
        link.send(now, vec![0; SIZE], false, ());
        assert_eq!(link.next_delivery(), Some(now + Duration::from_nanos(1)));
        link.deliver(now + MS).unwrap();
    }

    let now = Duration::from_secs(1_000);
    link.send(now, vec![0; SIZE], false, ());
    link.set_path(Path { rate: Some(1_000), ..link.path().clone() });
    link.send(now, vec![0; SIZE], false, ());
    let last = drain(&mut link).pop().unwrap();
    assert_eq!(last.at, now + Duration::from_nanos(1) + Duration::from_secs(1));
}

#[test]
fn queue_bound_holds_to_the_byte() {
    // Besides the one in the link, four fit into 500 bytes, and one byte less loses the last.
    for (queue, accepted) in [(0, 1), (124, 1), (125, 2), (499, 4), (500, 5), (501, 5), (625, 6)] {
        let mut link = Link::new(Path { queue, ..megabit() }, 1);
        flood(&mut link, 20, SIZE);
        assert!(tags(&drain(&mut link)).into_iter().eq(0..accepted));
        assert_eq!(link.stats().dropped_queue, 20 - accepted);
        assert_eq!(link.stats().max_queue_bytes, (accepted as usize - 1) * 125);
    }
}

#[test]
fn queue_drains_at_the_rate() {
    let mut link = Link::new(Path { queue: 250, ..megabit() }, 1);
    flood(&mut link, 4, SIZE);
    assert_eq!(link.stats().dropped_queue, 1);

    // Until 1 ms the queue is full, then one of those waiting enters the link.
    link.send(MS - Duration::from_nanos(1), vec![0; SIZE], false, 4);
    assert_eq!(link.stats().dropped_queue, 2);
    link.send(MS, vec![0; SIZE], false, 5);
    assert_eq!(link.stats().dropped_queue, 2);
    link.send(MS, vec![0; SIZE], false, 6);
    assert_eq!(link.stats().dropped_queue, 3);
    assert_eq!(tags(&drain(&mut link)), [0, 1, 2, 5]);
}

#[test]
fn small_datagram_fits_where_a_large_one_does_not() {
    let mut link = Link::new(Path { queue: 100, ..megabit() }, 1);
    for (tag, size) in [(0, SIZE), (1, SIZE), (2, 72)] {
        link.send(Duration::ZERO, vec![0; size], false, tag);
    }
    assert_eq!(tags(&drain(&mut link)), [0, 2]);
}

#[test]
fn queue_marks_capable_datagrams_above_the_threshold() {
    let mut link = Link::new(Path { mark_threshold: Some(250), ..megabit() }, 1);
    for tag in 0..6 {
        link.send(Duration::ZERO, vec![0; SIZE], tag != 4, tag);
    }
    let marked: Vec<_> =
        drain(&mut link).into_iter().map(|delivery| delivery.congestion_experienced).collect();
    // The first is in the link, the third waiting makes more than 250 bytes, and number 4 is not capable.
    assert_eq!(marked, [false, false, false, true, false, true]);
    assert_eq!(link.stats().ce_marked, 2);
}

#[test]
fn outage_swallows_what_is_offered_and_spares_what_is_on_its_way() {
    let mut link = Link::new(Path { delay: 50 * MS, ..megabit() }, 1);
    link.send(Duration::ZERO, vec![0; SIZE], false, 0);
    link.set_path(Path { down: true, ..link.path().clone() });
    link.send(10 * MS, vec![0; SIZE], false, 1);
    link.send(20 * MS, vec![0; SIZE], false, 2);
    link.set_path(Path { down: false, ..link.path().clone() });
    link.send(30 * MS, vec![0; SIZE], false, 3);

    let arrivals: Vec<_> = drain(&mut link).iter().map(|delivery| (delivery.at, delivery.tag)).collect();
    assert_eq!(arrivals, [(51 * MS, 0), (81 * MS, 3)]);
    assert_eq!(link.stats().dropped_down, 2);
}

#[test]
fn what_is_too_large_for_the_path_is_swallowed() {
    let mut link = Link::new(Path { largest: SIZE, ..megabit() }, 1);
    link.send(Duration::ZERO, vec![0; SIZE + 1], false, 0);
    link.send(Duration::ZERO, vec![0; SIZE], false, 1);
    assert_eq!(drain(&mut link).iter().map(|delivery| delivery.tag).collect::<Vec<_>>(), [1]);
    assert_eq!(link.stats().dropped_large, 1);
}

#[test]
fn new_rate_applies_behind_the_backlog() {
    let mut link = Link::new(megabit(), 1);
    flood(&mut link, 3, SIZE);
    link.set_path(Path { rate: Some(2_000_000), queue: 0, ..link.path().clone() });
    link.send(Duration::ZERO, vec![0; SIZE], false, 3);
    assert_eq!(link.stats().dropped_queue, 1);
    link.set_path(Path { queue: usize::MAX, ..link.path().clone() });
    link.send(Duration::ZERO, vec![0; SIZE], false, 4);
    link.set_path(Path { rate: None, ..link.path().clone() });
    link.send(Duration::ZERO, vec![0; SIZE], false, 5);

    let last = 3 * MS + MS / 2;
    let arrivals: Vec<_> = drain(&mut link).iter().map(|delivery| (delivery.at, delivery.tag)).collect();
    assert_eq!(arrivals, [(MS, 0), (2 * MS, 1), (3 * MS, 2), (last, 4), (last, 5)]);
}

#[test]
fn scripted_drops_hit_exactly_and_use_up_rate() {
    let mut link = Link::new(Path { drop_packets: [1, 3].into(), ..megabit() }, 1);
    flood(&mut link, 5, SIZE);
    let arrivals: Vec<_> = drain(&mut link).iter().map(|delivery| (delivery.at, delivery.tag)).collect();
    assert_eq!(arrivals, [(MS, 0), (3 * MS, 2), (5 * MS, 4)]);
    assert_eq!(link.stats().dropped_loss, 2);
}

#[test]
fn nothing_arrives_early_and_time_does_not_run_backwards() {
    let mut link = Link::new(Path { delay: 10 * MS, ..Path::default() }, 1);
    link.send(5 * MS, vec![1], false, 0);
    assert_eq!(link.next_delivery(), Some(15 * MS));
    assert_eq!(link.deliver(15 * MS - Duration::from_nanos(1)), None);
    assert_eq!(link.deliver(20 * MS).unwrap().at, 15 * MS);

    link.send(Duration::ZERO, vec![2], false, 1);
    assert_eq!(link.next_delivery(), Some(30 * MS));
}

#[test]
fn unreachable_times_saturate() {
    let mut link = Link::new(Path { delay: Duration::MAX, jitter: Duration::MAX, ..megabit() }, 1);
    link.send(Duration::MAX, vec![0; SIZE], false, ());
    assert_eq!(link.next_delivery(), Some(Duration::MAX));
}

#[test]
#[should_panic(expected = "rate of zero")]
fn rate_of_zero_is_refused() {
    Link::<()>::new(Path { rate: Some(0), ..Path::default() }, 1);
}

#[test]
#[should_panic(expected = "loss is no probability")]
fn probability_above_one_is_refused() {
    Link::<()>::new(Path::default(), 1).set_path(Path { loss: 1.01, ..Path::default() });
}

#[test]
#[should_panic(expected = "corrupt is no probability")]
fn probability_not_a_number_is_refused() {
    Link::<()>::new(Path { corrupt: f64::NAN, ..Path::default() }, 1);
}

#[test]
#[should_panic(expected = "burst is below 1")]
fn burst_below_one_is_refused() {
    Link::<()>::new(Path { burst: 0.5, ..Path::default() }, 1);
}
