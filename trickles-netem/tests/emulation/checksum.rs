//! Corruption, and the UDP checksum that catches most of it.

use std::time::Duration;

use trickles_netem::{Link, Path};

use crate::drain;

const COUNT: u64 = 100_000;
const SIZE: usize = 61;

/// A payload of odd length that differs from packet to packet.
fn payload(tag: u64) -> Vec<u8> {
    let mut state = tag;
    std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    })
    .take(SIZE)
    .collect()
}

fn corrupted(path: Path) -> Link<u64> {
    let mut link = Link::new(path, 3);
    for tag in 0..COUNT {
        link.send(Duration::ZERO, payload(tag), false, tag);
    }
    link
}

/// The checksum of a whole UDP datagram over IPv4, with the carries added as RFC 1071 does.
fn udp_checksum(payload: &[u8]) -> u16 {
    let length = (payload.len() + 8) as u8;
    let mut bytes = vec![10, 0, 0, 1, 10, 0, 0, 2, 0, 17, 0, length, 0xc0, 0, 0x11, 0x51, 0, length, 0, 0];
    bytes.extend(payload);
    bytes.resize(bytes.len().next_multiple_of(2), 0);
    let mut sum: u32 = bytes.chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(word[1])).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[test]
fn checksum_drops_nearly_all_corruption_and_passes_only_equal_checksums() {
    let mut link = corrupted(Path { corrupt: 1.0, corrupt_bits: 8, ..Path::default() });
    let deliveries = drain(&mut link);
    for delivery in &deliveries {
        let sent = payload(delivery.tag);
        assert!(delivery.corrupted);
        assert_ne!(delivery.payload, sent);
        assert_eq!(udp_checksum(&delivery.payload), udp_checksum(&sent));
    }
    let stats = link.stats();
    assert_eq!(stats.dropped_checksum + stats.corrupted_delivered, COUNT);
    assert_eq!(stats.corrupted_delivered, deliveries.len() as u64);
    assert!((1..COUNT / 50).contains(&stats.corrupted_delivered), "{stats:?}");
}

#[test]
fn without_the_checksum_all_corruption_arrives() {
    let mut unchecked =
        corrupted(Path { corrupt: 1.0, corrupt_bits: 8, verify_checksum: false, ..Path::default() });
    let deliveries = drain(&mut unchecked);
    assert_eq!(unchecked.stats().corrupted_delivered, COUNT);

    let mut counts = [0_u64; 8];
    let mut undetected = 0;
    for delivery in &deliveries {
        let sent = payload(delivery.tag);
        let bits: u32 = delivery.payload.iter().zip(&sent).map(|(a, b)| (a ^ b).count_ones()).sum();
        counts[bits as usize - 1] += 1;
        undetected += u64::from(udp_checksum(&delivery.payload) == udp_checksum(&sent));
    }
    // Each of 1 to 8 bits is as likely as any other.
    assert!(counts.iter().all(|count| count.abs_diff(COUNT / 8) < COUNT / 200), "{counts:?}");

    // The same seed with the checksum on lets through exactly those that no checksum detects.
    let mut checked = corrupted(Path { corrupt: 1.0, corrupt_bits: 8, ..Path::default() });
    assert_eq!(drain(&mut checked).len() as u64, undetected);
}

#[test]
fn corruption_has_the_rate() {
    let mut link =
        corrupted(Path { corrupt: 0.02, corrupt_bits: 8, verify_checksum: false, ..Path::default() });
    for delivery in drain(&mut link) {
        assert_eq!(delivery.corrupted, delivery.payload != payload(delivery.tag));
    }
    let share = link.stats().corrupted_delivered as f64 / COUNT as f64;
    assert!((share - 0.02).abs() < 0.002, "{share}");
}

#[test]
fn an_empty_payload_has_nothing_to_corrupt() {
    let mut link = Link::new(Path { corrupt: 1.0, corrupt_bits: 8, ..Path::default() }, 3);
    link.send(Duration::ZERO, Vec::new(), false, ());
    assert!(!link.deliver(Duration::ZERO).unwrap().corrupted);
}

#[test]
fn a_single_byte_can_lose_no_more_than_its_bits() {
    let mut link =
        Link::new(Path { corrupt: 1.0, corrupt_bits: 8, verify_checksum: false, ..Path::default() }, 3);
    for _ in 0..1_000 {
        link.send(Duration::ZERO, vec![0], false, ());
    }
    let deliveries = drain(&mut link);
    assert!(deliveries.iter().all(|delivery| delivery.payload != [0]));
    assert!(deliveries.iter().any(|delivery| delivery.payload == [0xff]));
}
