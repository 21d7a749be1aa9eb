//! Invariants 6 and 7: what a server can be made to send elsewhere, and that it remembers nobody.

use std::net::SocketAddr;
use std::time::Duration;

use proptest::prelude::*;
use trickles::epoch::CurveId;
use trickles::key_ring::KeyRing;
use trickles::server::ServerConfig;
use trickles::stats::Discard;
use trickles::wire::{
    BASE_PACKET_SIZE, Claim, ClaimKind, DATA_OVERHEAD, Form, Run, Runs, TRAIN_HEADER, room,
};
use trickles::wire::{Hello, Input, Request};

use crate::cases;
use trickles_attacks::lab::liar::hello;
use trickles_attacks::lab::{Kind, Lab, Liar, Spec, small_filter};

fn length(answer: &[Vec<u8>]) -> usize {
    answer.iter().map(Vec::len).sum()
}

/// A flow with a window of some size and claims of all kinds that would be answered if they came from it.
fn claims(lab: &mut Lab, window: u32, padding: usize, want: u64) -> (Liar, Vec<Vec<u8>>) {
    let mut liar = Liar::connect(lab, 1, CurveId::Cubic, 4200);
    let flight = liar.grow(lab, window, Duration::from_millis(250));
    let train = flight.last().unwrap();
    let numbers = train.numbers();
    let lost = flight[0].fields.first;
    let kinds = [
        (Kind::Continue { proven: numbers.end }, numbers.end - 1..numbers.end),
        (Kind::Continue { proven: numbers.end }, numbers.start..numbers.end.min(numbers.start + 32)),
        (Kind::Recover { lost, rtt: 1000 }, numbers.start.max(lost + 1)..numbers.end),
        (Kind::Restart { attempt: 0, rtt: 1000 }, 0..2),
        (Kind::Resume { rtt: 1000 }, 0..10),
    ];
    let requests = kinds.map(|(kind, run)| {
        let spec = Spec { want, length: padding, ..Spec::new(train, kind, vec![run]) };
        liar.request(&spec).unwrap()
    });
    (liar, requests.to_vec())
}

fn other_port(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip(), address.port() + 1)
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn a_hello_brings_at_most_three_times_its_length(
        padded in prop_oneof![0usize..300, 300usize..9000],
        input in proptest::collection::vec(any::<u8>(), 0..1200),
        packet_size in 1000u16..=9000,
        service in proptest::collection::vec(any::<u8>(), 0..3),
        fin in any::<bool>(),
    ) {
        let mut lab = Lab::new();
        let input = Input { offset: 0, bytes: &input, fin };
        let hello =
            Hello { echo: 1, curve: CurveId::Reno, packet_size, stream_id: 2, service: &service, input };
        let mut datagram = Vec::new();
        Request::Hello(hello).emit(padded, &mut datagram);
        let answer = lab.raw(&datagram, Liar::at(1).address);
        prop_assert!(!answer.is_empty());
        prop_assert!(length(&answer) <= 3 * datagram.len(), "{} for {}", length(&answer), datagram.len());
    }

    #[test]
    fn another_port_gets_at_most_three_times_the_request(
        window in 20u32..200,
        padding in 0usize..6000,
        want in prop_oneof![Just(u64::from(u32::MAX)), 1..9000u64],
        kind in 0usize..5,
    ) {
        let mut lab = Lab::new();
        let (liar, requests) = claims(&mut lab, window, padding, want);
        let answer = lab.raw(&requests[kind], other_port(liar.address));
        prop_assert!(!answer.is_empty());
        prop_assert!(length(&answer) <= 3 * requests[kind].len());
    }

    #[test]
    fn another_address_gets_nothing(window in 20u32..200, kind in 0usize..5, address in any::<[u8; 4]>()) {
        let mut lab = Lab::new();
        let (liar, requests) = claims(&mut lab, window, 0, 100_000);
        prop_assume!(liar.address.ip() != std::net::IpAddr::from(address));
        let elsewhere = SocketAddr::new(address.into(), liar.address.port());
        prop_assert!(lab.raw(&requests[kind], elsewhere).is_empty());
        prop_assert_eq!(lab.discarded(Discard::Forged), 1);
        prop_assert!(!lab.raw(&requests[kind], liar.address).is_empty(), "nothing was spent");
    }

    #[test]
    fn a_forged_or_stale_or_unknown_continuation_brings_less_than_the_request(
        window in 20u32..200,
        kind in 0usize..5,
        padding in 0usize..2000,
        bit in 0usize..8 * trickles::continuation::SEALED_LENGTH,
        retired in any::<bool>(),
        cut in proptest::option::of(130usize..300),
    ) {
        let mut lab = Lab::new();
        let (liar, requests) = claims(&mut lab, window, padding, 100_000);
        let mut forged = requests[kind].clone();
        forged[10 + bit / 8] ^= 1 << (bit % 8);
        prop_assert!(length(&lab.raw(&forged, liar.address)) < forged.len());
        if retired {
            lab.server.set_key_ring(KeyRing::new(&[(2, [5; 32])]).unwrap());
        } else {
            lab.wait(Duration::from_secs(31));
        }
        let mut late = requests[kind].clone();
        late.truncate(cut.unwrap_or(usize::MAX));
        let answer = lab.raw(&late, liar.address);
        prop_assert!(length(&answer) < late.len());
        let refresh = TRAIN_HEADER + Form::Whole.length();
        prop_assert_eq!(answer.is_empty(), late.len() <= refresh && !retired, "{}", late.len());
    }
}

/// A claim whose wants end a few bytes before each packet is full: padding counts.
#[test]
fn padding_counts_against_the_bound_for_another_port() {
    let mut lab = Lab::new();
    let mut liar = Liar::connect(&mut lab, 1, CurveId::Cubic, 4200);
    let flight = liar.grow(&mut lab, 100, Duration::from_millis(10));
    let train = flight.last().unwrap();
    let epoch = train.fields.epoch;
    let proven = train.fields.end();
    let proof = liar.proof(&epoch, train.fields.tag, proven).unwrap();
    // Each piece leaves room for a data frame's header but not for a byte behind it.
    let piece = (room(BASE_PACKET_SIZE, Form::Absent) - 2 * DATA_OVERHEAD) as u64;
    let wants: Vec<_> = (0..16).map(|index| index * 2000..index * 2000 + piece).collect();
    let mut runs = Runs::default();
    assert!(runs.push(Run { first: train.fields.first, count: 20 }, &wants));
    let claim = Claim {
        echo: 5,
        continuation: &train.sealed,
        kind: ClaimKind::Continue { proven, proof },
        exit: None,
        packet_size: BASE_PACKET_SIZE,
        runs,
        user_continuation: &liar.user,
        input: None,
        presumed: false,
    };
    let mut datagram = Vec::new();
    Request::Claim(claim).emit(6000, &mut datagram);
    let answer = lab.exchange(&datagram, other_port(liar.address));
    assert!(answer.bytes <= 3 * datagram.len(), "{} for {}", answer.bytes, datagram.len());
}

/// The longest answer to the shortest request: what the server remembers of the stream is longer than that.
#[test]
fn refused_input_brings_at_most_three_times_the_request_at_another_port() {
    let mut lab = Lab::new();
    let liar = Liar::connect(&mut lab, 1, CurveId::Cubic, 4200);
    let train = liar.trains[0].clone();
    lab.wait(Duration::from_millis(10));
    let request = |position, offset, bytes, length| {
        let input = Input { offset, bytes, fin: false };
        liar.request(&Spec { length, ..Spec::show(&train, position, input) }).unwrap()
    };
    let first = train.fields.first;
    let taken = lab.exchange(&request(first, 4, b"BIG\n", 1200), liar.address);
    assert!(taken.user.is_some_and(|user| user.len() > 700));
    let mut told = 0;
    for (position, length) in (first + 1..train.fields.end()).zip([0, 280, 300, 310, 320, 330, 600, 1200]) {
        let datagram = request(position, 100, b"x", length);
        let answer = lab.exchange(&datagram, other_port(liar.address));
        assert!(answer.bytes <= 3 * datagram.len(), "{} for {}", answer.bytes, datagram.len());
        told += usize::from(answer.user.is_some());
    }
    assert!(told > 0, "a longer request is told how far the input has got");
}

/// Section 6.3.
#[test]
fn what_anybody_can_ask_for_is_answered_so_often_a_second_and_no_more() {
    let config = ServerConfig { hellos_per_second: 80, notices_per_second: 16, ..ServerConfig::default() };
    let mut lab = Lab::with(config, small_filter());
    let liars: Vec<Liar> = (0..10).map(|port| Liar::connect(&mut lab, port, CurveId::Cubic, 4200)).collect();
    assert!(lab.raw(&hello(CurveId::Cubic, 11, 4200), Liar::at(11).address).is_empty());
    assert_eq!(lab.discarded(Discard::Limited), 1);
    lab.wait(Duration::from_millis(13));
    assert!(!lab.raw(&hello(CurveId::Cubic, 11, 4200), Liar::at(11).address).is_empty());

    lab.wait(Duration::from_secs(31));
    let refreshed = liars.iter().filter(|liar| {
        let train = &liar.trains[0];
        let claim = liar.request(&Spec::in_order(train, train.numbers())).unwrap();
        !lab.raw(&claim, liar.address).is_empty()
    });
    assert_eq!(refreshed.count(), 2, "an eighth of a second's");
    assert_eq!(lab.discarded(Discard::Stale), 10);
}

/// Section 6.3. Whatever else is told, it is told those whose requests are authentic and new.
#[test]
fn refusals_are_told_so_often_a_second_and_keep_nothing_else_from_being_told() {
    let config = ServerConfig { refusals_per_second: 80, notices_per_second: 8, ..ServerConfig::default() };
    let mut lab = Lab::with(config, small_filter());
    let mut liar = Liar::connect(&mut lab, 1, CurveId::Cubic, 4200);
    let train = liar.trains[0].clone();
    let claim = liar.request(&Spec::in_order(&train, train.numbers())).unwrap();
    let answer = lab.exchange(&claim, liar.address);
    liar.receive(&answer);
    assert!(answer.packets > 0);
    let repeated = (0..100).filter(|_| !lab.raw(&claim, liar.address).is_empty());
    assert_eq!(repeated.count(), 10, "an eighth of a second's");
    assert_eq!(lab.discarded(Discard::Spent), 100);

    lab.wait(Duration::from_secs(31));
    let stale = liar.request(&Spec::in_order(&answer.trains[0], answer.trains[0].numbers())).unwrap();
    assert!(!lab.raw(&stale, liar.address).is_empty(), "Refresh has an allowance of its own");
}

#[test]
fn memory_is_the_same_after_many_clients() {
    let mut lab = Lab::new();
    let (filter, state) = (lab.filter.memory(), size_of_val(&lab.server));
    for client in 0..5000u16 {
        lab.wait(Duration::from_millis(1));
        let mut liar = Liar::connect(&mut lab, client, CurveId::Cubic, 1200);
        let trains = liar.trains.clone();
        assert!(!liar.claim_all(&mut lab, &trains).is_empty());
        lab.ledger = trickles_attacks::lab::Ledger::default();
    }
    assert_eq!(lab.filter.memory(), filter);
    // What a server holds it holds inline, in its key ring and in the filter.
    assert!(state < 1024, "{state}");
    assert_eq!(lab.server.stats().received, 10_000);
    assert_eq!(lab.raw(&hello(CurveId::Cubic, 1, 1200), Liar::at(1).address).len(), 3);
}
