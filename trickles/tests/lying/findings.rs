//! Lies that bring more than the design allows, found by trying: each test fails until the server is mended.

use std::net::SocketAddr;
use std::time::Duration;

use trickles::epoch::CurveId;
use trickles::wire::{BASE_PACKET_SIZE, Claim, ClaimKind, DATA_OVERHEAD, Request, Run, Runs, room};

use crate::lab::{Kind, Lab, Liar, Spec, Train, runs_of, with_adopted};

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
    let piece = (room(BASE_PACKET_SIZE, false) - 2 * DATA_OVERHEAD) as u64;
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
    };
    let mut datagram = Vec::new();
    Request::Claim(claim).emit(6000, &mut datagram);
    let elsewhere = SocketAddr::new(liar.address.ip(), liar.address.port() + 1);
    let answer = lab.exchange(&datagram, elsewhere);
    assert!(answer.bytes <= 3 * datagram.len(), "{} for {}", answer.bytes, datagram.len());
}

/// Two forks of a flow. One goes on at once, past a range of numbers that it leaves out. The other crosses that
/// range one step in each freshness limit, always with the newest it has, and when it reaches the numbers of the
/// first, the filter has forgotten those.
#[test]
fn a_slow_fork_is_not_granted_what_a_fast_one_had() {
    let mut lab = Lab::new();
    // The filter's generation is nearly over when the flow begins.
    lab.wait(Duration::from_secs(118));
    let mut liar = Liar::connect(&mut lab, 1, CurveId::Cubic, 4200);
    let base = liar.trains[0].fields.first;
    let mut claimed = base;
    while claimed < base + 37 {
        lab.wait(Duration::from_millis(1));
        let train = liar.trains.iter().find(|train| train.numbers().contains(&claimed)).unwrap().clone();
        let end = train.fields.end().min(base + 37);
        let answer = liar.claim(&mut lab, &Spec::in_order(&train, claimed..end));
        liar.receive(&answer);
        claimed = end;
    }
    let parents = liar.trains.clone();
    lab.wait(Duration::from_millis(1));
    let flow = parents[0].fields.flow;

    let fast = Kind::Recover { lost: base + 54, rtt: 500 };
    let mut flight = claim_within(&mut lab, &mut liar, &parents, fast, base + 55, base + 84);
    let reached = flight[0].fields.first;
    for _ in 0..2 {
        lab.wait(Duration::from_millis(1));
        flight = liar.claim_all(&mut lab, &flight);
    }
    assert!(lab.ledger.is_granted(flow, reached));
    stranger(&mut lab, Duration::from_secs(3));

    let step = Duration::from_millis(29_900);
    lab.now = parents[1].fields.issued + step;
    let slow = Kind::Recover { lost: base + 37, rtt: 500 };
    let mut newest = claim_within(&mut lab, &mut liar, &parents, slow, base + 38, base + 54).pop().unwrap();
    for _ in 0..8 {
        if lab.now.since(parents[0].fields.issued) > Duration::from_secs(95) {
            stranger(&mut lab, Duration::from_millis(29_000));
        }
        lab.now = newest.fields.issued + step;
        let fields = newest.fields;
        let gap = liar.gap(&fields.epoch, fields.tag);
        let spec = if fields.first < gap {
            let before = fields.epoch.base.max(fields.earned + 1)..fields.first;
            let mut runs = if before.is_empty() { Vec::new() } else { vec![before] };
            runs.push(fields.first..fields.end().min(gap));
            Spec::new(&newest, Kind::Continue { proven: gap }, runs)
        } else {
            let kind = Kind::Recover { lost: gap, rtt: 500 };
            let next = fields.epoch.recover(gap, 500).unwrap();
            let own = fields.first..fields.end().min(next.base);
            Spec::new(&newest, kind, with_adopted(&next, gap.max(fields.earned) + 1..fields.first, own))
        };
        let answer = liar.claim(&mut lab, &spec);
        liar.receive(&answer);
        let Some(train) = answer.trains.last().filter(|train| !train.refresh) else { break };
        newest = train.clone();
    }
}

/// Claims all positions from `from` to `to` that these trains have; returns what was received.
fn claim_within(
    lab: &mut Lab,
    liar: &mut Liar,
    trains: &[Train],
    kind: Kind,
    from: u64,
    to: u64,
) -> Vec<Train> {
    let mut got = Vec::new();
    for train in trains {
        let positions = train.fields.first.max(from)..train.fields.end().min(to);
        if !positions.is_empty() {
            let answer = liar.claim(lab, &Spec::new(train, kind, runs_of(positions, 32)));
            liar.receive(&answer);
            got.extend(answer.trains);
        }
    }
    got
}

/// After a while somebody else is granted something, which lets the filter's generations pass.
fn stranger(lab: &mut Lab, after: Duration) {
    lab.wait(after);
    let mut stranger = Liar::connect(lab, 99, CurveId::Reno, 4200);
    let trains = stranger.trains.clone();
    assert!(!stranger.claim_all(lab, &trains).is_empty());
}
