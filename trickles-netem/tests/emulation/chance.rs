//! Measured frequencies over many datagrams, and the determinism of it all. Seeds are fixed.

use std::{collections::BTreeSet, time::Duration};

use trickles_netem::{Link, Path};

use crate::{drain, flood, run, tags};

const COUNT: u64 = 100_000;
const MS: Duration = Duration::from_millis(1);

fn assert_near(measured: f64, expected: f64, tolerance: f64) {
    assert!((measured - expected).abs() <= tolerance, "measured {measured}, expected {expected}");
}

fn share(count: u64) -> f64 {
    count as f64 / COUNT as f64
}

/// The positions lost, and the mean number lost in a row.
fn losses(path: Path, seed: u64) -> (BTreeSet<u64>, f64) {
    let (deliveries, _) = run(path, seed, COUNT);
    let arrived: BTreeSet<_> = tags(&deliveries).into_iter().collect();
    let lost: BTreeSet<_> = (0..COUNT).filter(|tag| !arrived.contains(tag)).collect();
    let bursts = lost.iter().filter(|&&tag| tag == 0 || !lost.contains(&(tag - 1))).count();
    let mean = lost.len() as f64 / bursts as f64;
    (lost, mean)
}

#[test]
fn independent_losses_have_the_rate_and_the_natural_burst_length() {
    for loss in [0.001, 0.01, 0.1, 0.5, 0.9] {
        let (lost, burst) = losses(Path { loss, ..Path::default() }, 7);
        // Four standard deviations of a binomial share.
        let tolerance = 4.0 * (loss * (1.0 - loss) / COUNT as f64).sqrt();
        assert_near(share(lost.len() as u64), loss, tolerance);
        let natural = 1.0 / (1.0 - loss);
        assert_near(burst, natural, 0.05 * natural);
    }
}

#[test]
fn loss_bursts_have_the_rate_and_the_length() {
    for (loss, length) in [(0.01, 3.0), (0.05, 5.0), (0.2, 10.0), (0.6, 4.0)] {
        let (lost, burst) = losses(Path { loss, burst: length, ..Path::default() }, 7);
        assert_near(share(lost.len() as u64), loss, 0.15 * loss);
        assert_near(burst, length, 0.1 * length);
    }
}

#[test]
fn no_loss_and_total_loss_are_certain_even_in_bursts() {
    let mut link = Link::new(Path { loss: 1.0, burst: 50.0, ..Path::default() }, 7);
    flood(&mut link, 100, 32);
    assert_eq!(link.stats().dropped_loss, 100);

    link.set_path(Path { loss: 0.0, ..link.path().clone() });
    flood(&mut link, 100, 32);
    assert_eq!(link.stats().dropped_loss, 100);
    assert_eq!(drain(&mut link).len(), 100);
}

#[test]
fn duplicates_have_the_rate_and_equal_the_original() {
    let (deliveries, link) = run(Path { duplicate: 0.1, ..Path::default() }, 7, COUNT);
    let stats = link.stats();
    assert_near(share(stats.duplicated), 0.1, 0.004);
    assert_eq!(stats.delivered_packets, COUNT + stats.duplicated);
    let repeated = deliveries.windows(2).filter(|pair| pair[0] == pair[1]).count();
    assert_eq!(repeated as u64, stats.duplicated);
}

#[test]
fn reordering_has_the_rate_and_the_delay() {
    let path = Path { delay: 10 * MS, reorder: 0.05, reorder_delay: 3 * MS, ..Path::default() };
    let (deliveries, link) = run(path, 7, COUNT);
    let held = deliveries.iter().filter(|delivery| delivery.at == 13 * MS).count() as u64;
    let rest = deliveries.iter().filter(|delivery| delivery.at == 10 * MS).count() as u64;
    assert_eq!((held, rest), (link.stats().reordered, COUNT - held));
    assert_near(share(held), 0.05, 0.003);
}

#[test]
fn jitter_is_uniform_and_reorders() {
    let path = Path { delay: 10 * MS, jitter: 8 * MS, ..Path::default() };
    let (deliveries, _) = run(path, 7, COUNT);
    let mut octets = [0; 8];
    for delivery in &deliveries {
        octets[(delivery.at - 10 * MS).as_nanos() as usize * 8 / 8_000_001] += 1;
    }
    for count in octets {
        assert_near(share(count), 0.125, 0.005);
    }
    assert!(!deliveries.is_sorted_by_key(|delivery| delivery.tag));
}

#[test]
fn jitter_reaches_both_ends() {
    let path = Path { jitter: Duration::from_nanos(3), ..Path::default() };
    let (deliveries, _) = run(path, 7, 1_000);
    let times: BTreeSet<_> = deliveries.iter().map(|delivery| delivery.at.as_nanos()).collect();
    assert!(times.into_iter().eq(0..=3));
}

fn stormy() -> Path {
    Path {
        rate: Some(50_000_000),
        queue: 1_000_000,
        mark_threshold: Some(500_000),
        delay: 20 * MS,
        jitter: 5 * MS,
        loss: 0.1,
        burst: 3.0,
        duplicate: 0.1,
        reorder: 0.1,
        reorder_delay: 7 * MS,
        corrupt: 0.2,
        corrupt_bits: 8,
        verify_checksum: false,
        ..Path::default()
    }
}

#[test]
fn same_seed_gives_the_same_to_the_byte() {
    let (first, first_link) = run(stormy(), 11, 20_000);
    let (second, second_link) = run(stormy(), 11, 20_000);
    assert_eq!(first, second);
    assert_eq!(first_link.stats(), second_link.stats());

    let (other, _) = run(stormy(), 12, 20_000);
    assert_ne!(first, other);
}

/// A change here breaks every recorded seed.
#[test]
fn fates_of_a_seed_are_fixed_for_good() {
    let chances = Path {
        loss: 0.5,
        burst: 2.5,
        duplicate: 0.5,
        reorder: 0.5,
        corrupt: 0.5,
        corrupt_bits: 8,
        ..Path::default()
    };
    let path = Path { jitter: MS, reorder_delay: 2 * MS, verify_checksum: false, ..chances };
    let mut link = Link::new(path, 2);
    for tag in 0..12 {
        link.send(Duration::ZERO, vec![0; 3], false, tag);
    }
    let arrivals: Vec<_> = drain(&mut link)
        .iter()
        .map(|delivery| (delivery.at.as_nanos(), delivery.tag, delivery.payload[..].try_into().unwrap()))
        .collect();
    let expected: [(u128, u64, [u8; 3]); 8] = [
        (178_854, 9, [40, 132, 4]),
        (309_785, 1, [48, 2, 0]),
        (654_466, 11, [0, 0, 0]),
        (789_251, 0, [0, 64, 0]),
        (2_112_931, 4, [35, 136, 98]),
        (2_138_420, 10, [0, 0, 0]),
        (2_469_822, 10, [0, 8, 130]),
        (2_617_460, 11, [132, 1, 100]),
    ];
    assert_eq!(arrivals, expected);
}

#[test]
fn one_probability_does_not_shift_the_fates_of_others() {
    let base = Path { loss: 0.1, burst: 4.0, ..Path::default() };
    let (lost, _) = losses(base.clone(), 5);
    let noisy = Path {
        jitter: MS,
        duplicate: 0.3,
        reorder: 0.3,
        reorder_delay: MS,
        corrupt: 0.3,
        corrupt_bits: 8,
        verify_checksum: false,
        ..base.clone()
    };
    assert_eq!(losses(noisy, 5).0, lost);

    // Nor does a scripted drop, which ends no burst and starts none.
    let victim = (0..COUNT).find(|tag| !lost.contains(tag)).unwrap();
    let (with_script, _) = losses(Path { drop_packets: [victim].into(), ..base }, 5);
    assert!(with_script.difference(&lost).eq([&victim]));
    assert_eq!(with_script.len(), lost.len() + 1);
}

#[test]
fn an_outage_does_not_shift_later_fates() {
    let path = Path { loss: 0.3, jitter: MS, ..Path::default() };
    let (deliveries, _) = run(path.clone(), 5, 1_000);
    let later: Vec<_> = deliveries.into_iter().filter(|delivery| delivery.tag >= 100).collect();

    let mut link = Link::new(Path { down: true, ..path.clone() }, 5);
    for tag in 0..1_000 {
        if tag == 100 {
            link.set_path(path.clone());
        }
        link.send(Duration::ZERO, vec![0; 32], false, tag);
    }
    assert_eq!(drain(&mut link), later);
}
