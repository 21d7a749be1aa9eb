//! Lies about what was claimed, received or lost, and when, in congestion avoidance.

use std::collections::BTreeSet;
use std::time::Duration;

use trickles::epoch::CurveId;
use trickles::stats::Discard;

use super::{Outcome, Strategy};
use crate::lab::liar::count_packets;
use crate::lab::{Kind, Lab, Liar, Spec, Train, runs_of, with_adopted};

pub(super) const RTT: Duration = Duration::from_millis(40);
const ROUNDS: usize = 20;
/// Where slow start is left, in packets.
pub(super) const WINDOW: u32 = 300;

/// A flow whose slow start is over, and its flight.
pub(super) fn in_avoidance(window: u32) -> (Lab, Liar, Vec<Train>) {
    let mut lab = Lab::new();
    let mut liar = Liar::connect(&mut lab, 1, CurveId::Cubic, 4200);
    let flight = liar.enter_avoidance(&mut lab, window, RTT);
    (lab, liar, flight)
}

/// What an honest client gets in each of so many round trips.
fn honest(rounds: usize) -> Vec<u64> {
    let (mut lab, mut liar, mut flight) = in_avoidance(WINDOW);
    let round = |_| {
        flight = liar.claim_all(&mut lab, &flight);
        lab.wait(RTT);
        count_packets(&flight)
    };
    (0..rounds).map(round).collect()
}

/// Every datagram again and again.
pub(super) struct Replay;

impl Strategy for Replay {
    fn name(&self) -> &'static str {
        "replays every datagram, at once and for rounds"
    }

    fn run(&self) -> Outcome {
        let (mut lab, mut liar, mut flight) = in_avoidance(WINDOW);
        let (mut sent, mut obtained) = (Vec::<Vec<u8>>::new(), 0);
        for _ in 0..ROUNDS {
            let mut got = Vec::new();
            for train in &flight {
                let datagram = liar.request(&Spec::in_order(train, train.numbers())).unwrap();
                for _ in 0..3 {
                    let answer = lab.exchange(&datagram, liar.address);
                    obtained += answer.packets;
                    liar.receive(&answer);
                    got.extend(answer.trains);
                }
                sent.push(datagram);
            }
            for datagram in &sent {
                obtained += lab.exchange(datagram, liar.address).packets;
            }
            flight = got;
            lab.wait(RTT);
        }
        let honest = honest(ROUNDS).iter().sum();
        Outcome::packets(obtained, honest, honest as f64)
    }
}

/// The same positions whole, in halves, one by one, from behind.
pub(super) struct Resplit;

impl Strategy for Resplit {
    fn name(&self) -> &'static str {
        "splits claims and splits them again"
    }

    fn run(&self) -> Outcome {
        let (mut lab, mut liar, mut flight) = in_avoidance(WINDOW);
        let mut obtained = 0;
        for round in 0..ROUNDS as u64 {
            let mut got = Vec::new();
            for train in &flight {
                let numbers = train.numbers();
                let middle = numbers.start + (numbers.end - numbers.start) / 2;
                let singles = numbers.clone().rev().map(|position| position..position + 1);
                let mut pieces: Vec<_> = singles.filter(|piece| (piece.start + round) % 3 == 0).collect();
                pieces.extend([middle..numbers.end, numbers.start..middle, numbers.clone()]);
                pieces.extend(numbers.map(|position| position..position + 1));
                let proven = train.fields.end();
                for piece in pieces.into_iter().filter(|piece| !piece.is_empty()) {
                    let spec = Spec::new(train, Kind::Continue { proven }, runs_of(piece, 32));
                    let answer = liar.claim(&mut lab, &spec);
                    obtained += answer.packets;
                    liar.receive(&answer);
                    got.extend(answer.trains);
                }
            }
            got.sort_by_key(|train| train.fields.first);
            flight = got;
            lab.wait(RTT);
        }
        let honest = honest(ROUNDS).iter().sum();
        Outcome::packets(obtained, honest, honest as f64)
    }
}

/// A loss that did not happen in every flight.
pub(super) struct InventedLosses;

impl Strategy for InventedLosses {
    fn name(&self) -> &'static str {
        "invents a loss in every round trip"
    }

    fn run(&self) -> Outcome {
        let (mut lab, mut liar, mut flight) = in_avoidance(WINDOW);
        let mut obtained = 0;
        for _ in 0..ROUNDS {
            flight.sort_by_key(|train| train.fields.first);
            let lost = flight[0].fields.first;
            flight = liar.recover_all(&mut lab, lost, RTT.as_micros() as u32, &flight);
            obtained += count_packets(&flight);
            if flight.is_empty() {
                break;
            }
            lab.wait(RTT);
        }
        let honest = honest(ROUNDS).iter().sum();
        Outcome::packets(obtained, honest, honest as f64)
    }
}

/// Of a flight only the last packets arrive; all the rest is claimed nevertheless, again and again.
pub(super) struct InventedAdoption;

impl Strategy for InventedAdoption {
    fn name(&self) -> &'static str {
        "claims a flight of which a tenth arrived"
    }

    fn run(&self) -> Outcome {
        let (mut lab, mut liar, flight) = in_avoidance(WINDOW);
        let (lost, rtt) = (flight[0].fields.first, RTT.as_micros() as u32);
        let next = flight[0].fields.epoch.recover(lost, rtt).unwrap();
        let arrived = next.base - u64::from(next.flight) / 10;
        let mut obtained = 0;
        let kind = Kind::Recover { lost, rtt };
        let mut orphans: BTreeSet<u64> = (lost + 1..arrived).collect();
        let mut claim = |lab: &mut Lab, liar: &mut Liar, train: &Train, kind, own: u64| {
            let lowest = (lost + 1).max(train.fields.earned + 1);
            let runs = with_adopted(&next, orphans.range(lowest..).copied(), own..own + 1);
            let answer = liar.claim(lab, &Spec::new(train, kind, runs.clone()));
            // A little more than it may adopt is refused as a whole.
            let most = runs.iter().map(|run| run.end).filter(|end| *end <= arrived).max().unwrap_or(lowest);
            let greedy = with_adopted(&next, orphans.range(most..).copied(), own..own + 1);
            let greedier = [&runs[..runs.len() - 1], &greedy].concat();
            if greedier.len() <= 8 {
                obtained += liar.claim(lab, &Spec::new(train, kind, greedier)).packets;
            }
            runs[..runs.len() - 1]
                .iter()
                .cloned()
                .flatten()
                .for_each(|position| assert!(orphans.remove(&position)));
            // Numbers from there on belong to the new epoch's own positions.
            let shared = next.base + u64::from(next.growth.window0);
            let packets = answer.trains.iter().flat_map(|train| &train.packets);
            obtained += packets.filter(|packet| packet.numbers.start < shared).count() as u64;
            liar.receive(&answer);
        };
        for train in flight.iter().filter(|train| train.fields.end() > arrived) {
            for own in train.fields.first.max(arrived)..train.fields.end() {
                claim(&mut lab, &mut liar, train, kind, own);
            }
        }
        lab.wait(RTT);
        let birth = liar.trains.iter().find(|train| train.fields.epoch.base == next.base).unwrap().clone();
        for own in next.base..next.base + u64::from(next.growth.window0) {
            let proven = liar.gap(&next, birth.fields.tag);
            if own < proven {
                claim(&mut lab, &mut liar, &birth, Kind::Continue { proven }, own);
            }
        }
        Outcome::packets(obtained, next.growth.window0.into(), next.growth.window0.into())
    }
}

/// Runs `rounds` round trips after a loss for which a round-trip time of `rtt` was waited for and declared.
fn after_overstating(rtt: Duration, rounds: usize) -> (Lab, u64) {
    let mut lab = Lab::new();
    let mut liar = Liar::connect(&mut lab, 1, CurveId::Cubic, 4200);
    let flight = liar.grow(&mut lab, WINDOW, RTT);
    lab.wait(rtt.saturating_sub(RTT));
    let lost = flight[0].fields.first;
    let mut flight = liar.recover_all(&mut lab, lost, rtt.as_micros() as u32, &flight);
    let mut obtained = 0;
    for _ in 0..rounds {
        lab.wait(RTT);
        flight = liar.claim_all(&mut lab, &flight);
        obtained += count_packets(&flight);
    }
    (lab, obtained)
}

/// Waits once, so that a round trip seems twice as long, and runs CUBIC's clock at twice its speed.
pub(super) struct OverstatedRtt;

impl Strategy for OverstatedRtt {
    fn name(&self) -> &'static str {
        "overstates its round trip twice, having waited"
    }

    fn run(&self) -> Outcome {
        const ROUNDS: usize = 100;
        let (_, obtained) = after_overstating(2 * RTT, ROUNDS);
        let slow = honest(2 * ROUNDS);
        // Its round trip `k` is as an honest client's `2 k`.
        let bound: u64 = slow.iter().skip(1).step_by(2).sum();
        Outcome::packets(obtained, slow[..ROUNDS].iter().sum(), bound as f64 * 1.01)
    }
}

/// The same with a wait that the next claims do not bear out.
pub(super) struct TooSoonForItsRtt;

impl Strategy for TooSoonForItsRtt {
    fn name(&self) -> &'static str {
        "overstates its round trip more than twice"
    }

    fn run(&self) -> Outcome {
        let (lab, obtained) = after_overstating(2 * RTT + Duration::from_millis(1), ROUNDS);
        assert!(lab.discarded(Discard::Rtt) > 0);
        Outcome::packets(obtained, honest(ROUNDS).iter().sum(), 0.0)
    }
}

/// A round-trip time longer than what it is presented with is old.
pub(super) struct ImpossibleRtt;

impl Strategy for ImpossibleRtt {
    fn name(&self) -> &'static str {
        "declares a round trip that it did not wait for"
    }

    fn run(&self) -> Outcome {
        let (mut lab, mut liar, flight) = in_avoidance(WINDOW);
        let mut obtained = 0;
        for rtt in [40_001, 50_000, 60_000_000, u32::MAX, 0, 9] {
            let got = liar.recover_all(&mut lab, flight[0].fields.first, rtt, &flight);
            obtained += count_packets(&got);
        }
        Outcome::packets(obtained, honest(1)[0], 0.0)
    }
}
