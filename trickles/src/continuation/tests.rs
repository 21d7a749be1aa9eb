use std::net::IpAddr;
use std::ops::Range;

use proptest::prelude::*;

use super::*;
use crate::epoch::RTT_BOUNDS;
use crate::key_ring::{KeyRing, Purpose, Seal};

/// Where fields lie in a body.
const CURVE: usize = 32;
const EXIT: Range<usize> = 65..73;
const ROOTED: Range<usize> = 94..98;

prop_compose! {
    fn epochs()(
        curve in prop_oneof![Just(CurveId::Cubic), Just(CurveId::Reno)],
        base in prop_oneof![1..1000u64, 1..MAX_NUMBER],
        window0 in prop_oneof![1..20u32, 1..=MAX_WINDOW],
        (ssthresh, w_max, k, rtt) in any::<(u32, u32, u32, u32)>(),
        flight in any::<u32>(),
        exit in prop::option::of((0..1000u32, RTT_BOUNDS)),
    ) -> Epoch {
        let growth = Growth { window0, ssthresh, w_max, k, rtt };
        let flight = u64::from(flight).min(base - 1) as u32;
        let epoch = Epoch { curve, base, growth, flight, exit: None };
        let exit = exit.map(|(position, rtt)| SlowStartExit { position, rtt });
        Epoch { exit: exit.filter(|&exit| epoch.admits(exit)), ..epoch }
    }
}

prop_compose! {
    pub(crate) fn continuations()(
        (key, birth_key, issuer) in any::<(u16, u16, u32)>(),
        (stream, flow, tag) in any::<(u64, u64, u64)>(),
        epoch in epochs(),
        // Within the epoch, and from there back to just before the flight.
        (first, earned) in (prop_oneof![0..100u64, 0..MAX_POSITION], any::<prop::sample::Index>()),
        (count, port, bytes) in (1..=u8::MAX, any::<u16>(), any::<u32>()),
        (issued, held) in (any::<u64>(), 0..u64::from(u32::MAX)),
    ) -> Continuation {
        let issued = Timestamp::from_micros(issued);
        let rooted = issued - Duration::from_micros(held);
        let first = epoch.base + first;
        let lowest = epoch.first_position() - 1;
        let earned = match usize::try_from(first - lowest) {
            Ok(choices) => lowest + earned.index(choices) as u64,
            Err(_) => lowest,
        };
        Continuation {
            key, birth_key, issuer, stream, flow, tag, epoch,
            first, count, earned, issued, rooted, port, bytes,
        }
    }
}

fn some_continuation() -> Continuation {
    let growth = Growth { window0: 10, ssthresh: u32::MAX, w_max: 0, k: 0, rtt: 0 };
    Continuation {
        key: 1,
        birth_key: 2,
        issuer: 3,
        stream: 4,
        flow: 5,
        tag: 6,
        epoch: Epoch { curve: CurveId::Cubic, base: 1000, growth, flight: 30, exit: None },
        first: 1200,
        count: 8,
        earned: 1190,
        issued: Timestamp::from_micros(1 << 50),
        rooted: Timestamp::from_micros((1 << 50) - 7),
        port: 443,
        bytes: 9600,
    }
}

fn seal(service: &[u8], secret: u8) -> Seal {
    Seal { ring: KeyRing::new(&[(1, [secret; 32])]).unwrap(), service: service.into() }
}

fn is_authentic(seal: &Seal, client: IpAddr, sealed: &[u8]) -> bool {
    let (body, tag) = sealed.split_last_chunk::<TAG_LENGTH>().unwrap();
    seal.verify(seal.ring.signing(), Purpose::Continuation, Some(client), body, tag)
}

fn sealed(seal: &Seal, client: IpAddr, continuation: &Continuation) -> Sealed {
    let body = continuation.encode();
    let tag = seal.tag(seal.ring.signing(), Purpose::Continuation, Some(client), &body);
    [&body[..], &tag].concat().try_into().unwrap()
}

proptest! {
    #[test]
    fn bodies_are_read_as_they_were_written(continuation in continuations()) {
        let body = continuation.encode();
        prop_assert_eq!(Continuation::decode(&body), Some(continuation));
        prop_assert_eq!(Continuation::decode(&body).map(|read| read.encode()), Some(body));
    }

    /// Whoever holds another continuation of the epoch needs no more.
    #[test]
    fn an_abbreviated_continuation_is_restored_from_another_of_its_epoch(
        continuation in continuations(),
        (first, count, later) in (0..1u64 << 40, 1..=u8::MAX, 0..1u64 << 39),
        distance in prop_oneof![0..1000u64, 0..(1u64 << 24) - 1],
        tag in any::<[u8; TAG_LENGTH]>(),
    ) {
        let epoch = continuation.epoch;
        let train = continuation.first.max(epoch.base + 1);
        // An own position has earned it.
        let earned = train - 1 - distance.min(train - 1 - epoch.base);
        let bytes = continuation.bytes >> 8;
        let continuation = Continuation { first: train, earned, bytes, ..continuation };
        let issued = continuation.issued.as_micros();
        let other = Continuation {
            key: 0,
            issuer: 0,
            epoch: Epoch { exit: None, ..epoch },
            first: epoch.base + first,
            count,
            earned: epoch.base - 1,
            issued: Timestamp::from_micros(issued.saturating_add(later)),
            rooted: Timestamp::ZERO,
            port: 0,
            bytes: 0,
            ..continuation
        };
        let numbers = continuation.first..continuation.end();
        let restored = other.restore(&continuation.abbreviate(&tag), numbers.clone(), epoch.exit);
        let sealed = [&continuation.encode()[..], &tag].concat();
        prop_assert_eq!(restored, Some((sealed.try_into().unwrap(), continuation)));
        // With other numbers it is another continuation, and below the epoch none.
        let shifted = numbers.start + 1..numbers.end + 1;
        let shifted = other.restore(&continuation.abbreviate(&tag), shifted, epoch.exit);
        prop_assert_ne!(shifted.map(|(_, fields)| fields), Some(continuation));
        let below = epoch.base - 1..epoch.base;
        prop_assert_eq!(other.restore(&continuation.abbreviate(&tag), below, epoch.exit), None);
    }

    #[test]
    fn hostile_abbreviations_are_refused_or_harmless(
        continuation in continuations(),
        fields in any::<[u8; ABBREVIATED_LENGTH]>(),
        (start, length) in (prop_oneof![any::<u64>(), 0..1u64 << 50], 0..400u64),
    ) {
        for start in [start, continuation.epoch.base.saturating_add(start)] {
            let numbers = start..start.saturating_add(length);
            let restored = continuation.restore(&fields, numbers.clone(), continuation.epoch.exit);
            if let Some((sealed, fields)) = restored {
                prop_assert_eq!(Continuation::peek(&sealed), Some(fields));
                prop_assert_eq!(fields.first..fields.end(), numbers);
            }
        }
    }

    /// A client evaluates what an unauthenticated continuation says.
    #[test]
    fn hostile_fields_are_refused_or_harmless(
        continuation in continuations(),
        changes in prop::collection::vec((0..BODY_LENGTH, any::<u8>()), 0..6),
        now: u64,
        rtt: u32,
    ) {
        let mut body = continuation.encode();
        changes.into_iter().for_each(|(at, byte)| body[at] = byte);
        if let Some(read) = Continuation::decode(&body) {
            let now = Timestamp::from_micros(now);
            prop_assert!(read.earned < read.first && read.first < read.end());
            prop_assert!(read.age(now) == now.since(read.issued) && read.rooted <= read.issued);
            read.bytes_per_number();
            let acked = read.first - read.epoch.base;
            for position in [read.earned, read.first, read.end(), u64::MAX] {
                prop_assert!(read.epoch.share_start(position) >= read.epoch.base);
            }
            read.epoch.exit_number();
            read.epoch.recover(read.first, read.epoch.growth.window0, rtt);
            read.epoch.restart(acked, rtt, now);
            read.epoch.resume(acked, rtt, rtt, now);
        }
    }

    #[test]
    fn a_seal_holds_for_one_client_one_service_and_one_key(
        continuation in continuations(),
        address: [u8; 4],
        other in any::<[u8; 16]>().prop_map(IpAddr::from),
    ) {
        let ours = seal(b"files", 7);
        let client = IpAddr::from(address);
        let good = sealed(&ours, client, &continuation);
        prop_assert!(is_authentic(&ours, client, &good));
        let mapped = std::net::Ipv4Addr::from(address).to_ipv6_mapped();
        prop_assert!(is_authentic(&ours, mapped.into(), &good));
        prop_assert_eq!(sealed(&ours, mapped.into(), &continuation), good);
        prop_assume!(other.to_canonical() != client);
        prop_assert!(!is_authentic(&ours, other, &good));
        for (service, secret) in [(&b"file"[..], 7), (b"filet", 7), (b"", 7), (b"files", 8)] {
            prop_assert!(!is_authentic(&seal(service, secret), client, &good));
        }
    }
}

#[test]
fn no_bit_of_a_sealed_continuation_can_be_changed() {
    let (ours, client) = (seal(b"files", 7), IpAddr::from([192, 0, 2, 1]));
    let good = sealed(&ours, client, &some_continuation());
    for bit in 0..8 * SEALED_LENGTH {
        let mut forged = good;
        forged[bit / 8] ^= 1 << (bit % 8);
        assert!(!is_authentic(&ours, client, &forged), "bit {bit}");
    }
    for bit in 0..32 {
        let neighbour = IpAddr::from((u32::from_be_bytes([192, 0, 2, 1]) ^ 1 << bit).to_be_bytes());
        assert!(!is_authentic(&ours, neighbour, &good), "{neighbour}");
    }
    assert_eq!(Continuation::peek(&good), Some(some_continuation()));
}

#[test]
fn fields_out_of_bounds_are_refused() {
    let refused = |change: fn(&mut Continuation)| {
        let mut continuation = some_continuation();
        change(&mut continuation);
        Continuation::decode(&continuation.encode()).is_none()
    };
    let changes: [fn(&mut Continuation); 12] = [
        |c| (c.epoch.base, c.first, c.earned) = (MAX_NUMBER, MAX_NUMBER + 1, MAX_NUMBER),
        |c| c.epoch.flight = 1001,
        |c| c.epoch.growth.window0 = 0,
        |c| c.epoch.growth.window0 = MAX_WINDOW + 1,
        |c| c.first = c.epoch.base + MAX_POSITION,
        |c| c.count = 0,
        |c| c.earned = c.first,
        |c| c.earned = c.epoch.base - 32,
        |c| c.epoch.exit = Some(SlowStartExit { position: 5, rtt: RTT_BOUNDS.start - 1 }),
        |c| c.epoch.exit = Some(SlowStartExit { position: 5, rtt: RTT_BOUNDS.end }),
        |c| c.epoch.exit = Some(SlowStartExit { position: MAX_WINDOW, rtt: 1000 }),
        |c| {
            c.epoch.growth.ssthresh = 15;
            c.epoch.exit = Some(SlowStartExit { position: 5, rtt: 1000 });
        },
    ];
    for (index, change) in changes.into_iter().enumerate() {
        assert!(refused(change), "change {index}");
    }
    let mut strange = some_continuation().encode();
    strange[CURVE] = 3;
    assert_eq!(Continuation::decode(&strange), None);
    strange[CURVE] = 1;
    strange[EXIT].copy_from_slice(&[0; 8]);
    assert_eq!(Continuation::decode(&strange), Some(some_continuation()));
}

#[test]
fn positions_of_the_flight_before_the_epoch_can_have_earned_a_train() {
    for earned in [1000 - 31, 999, 1000, 1199] {
        let continuation = Continuation { earned, ..some_continuation() };
        assert_eq!(Continuation::decode(&continuation.encode()), Some(continuation));
    }
}

/// A root too old to be told is as old as can be: saturation must not make it younger.
#[test]
fn a_distant_root_does_not_come_closer() {
    for age in [u64::from(u32::MAX), 1 << 40] {
        let issued = some_continuation().issued;
        let rooted = issued - Duration::from_micros(age);
        let body = Continuation { rooted, ..some_continuation() }.encode();
        assert_eq!(body[ROOTED], u32::MAX.to_be_bytes());
        assert_eq!(Continuation::decode(&body).unwrap().rooted, Timestamp::ZERO);
    }
}

/// The layout, and the tag as another implementation of HMAC-SHA-256 computes it.
#[test]
fn layout_and_tag_are_fixed() {
    let mut continuation = some_continuation();
    continuation.epoch.exit = Some(SlowStartExit { position: 5, rtt: 1000 });
    let client = IpAddr::from([192, 0, 2, 1]);
    let hex: String =
        sealed(&seal(b"files", 7), client, &continuation).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        hex,
        concat!(
            "0001",
            "0002",
            "00000003",
            "0000000000000004",
            "0000000000000005",
            "0000000000000006",
            "01",
            "00000000000003e8",
            "0000000a",
            "ffffffff",
            "00000000",
            "00000000",
            "00000000",
            "0000001e",
            "00000005",
            "000003e8",
            "0000000000c8",
            "08",
            "0000000000be",
            "0004000000000000",
            "00000007",
            "01bb",
            "00002580",
            "fdf880e3d078242ad2b1fc4a09bfc87f",
        )
    );
}
