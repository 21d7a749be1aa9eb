//! Losses that did not happen, and flights of which little arrived or that are claimed late.

use std::collections::BTreeSet;

use super::honest::{self, RTT, WINDOW, in_avoidance};
use super::{Outcome, Strategy};
use crate::lab::{Kind, Lab, Liar, Meter, Spec, Train, after_loss, runs_of, with_adopted};

const ROUNDS: usize = 20;

/// A loss that did not happen in every flight.
pub(super) struct InventedLosses;

impl Strategy for InventedLosses {
    fn name(&self) -> String {
        "invents a loss in every round trip".into()
    }

    fn strength(&self) -> String {
        format!("{ROUNDS} round trips, 3 places")
    }

    /// Section 8.3: a position owns at most one number in a recovery, less on average.
    fn run(&self) -> Outcome {
        let attack = |place: fn(usize) -> usize| {
            let (mut lab, mut liar, mut flight) = in_avoidance(WINDOW, RTT);
            let meter = Meter::start(&lab);
            for _ in 0..ROUNDS {
                flight.sort_by_key(|train| train.fields.first);
                let Some(train) = flight.get(place(flight.len())) else { break };
                let lost = train.fields.first;
                let before: Vec<Train> =
                    flight.iter().take_while(|train| train.fields.end() <= lost).cloned().collect();
                liar.claim_all(&mut lab, &before);
                flight = liar.recover_all(&mut lab, lost, RTT.as_micros() as u32, &flight);
                lab.wait(RTT);
            }
            meter.read(&lab).rate()
        };
        let places: [fn(usize) -> usize; 3] = [|_| 0, |trains| trains / 2, |trains| trains.saturating_sub(1)];
        let obtained = places.into_iter().map(attack).fold(0.0, f64::max);
        let honest = honest::avoidance(WINDOW, ROUNDS, RTT).rate();
        Outcome::rate(obtained, honest, honest)
    }
}

/// A flight of which only the end arrives: all of it is claimed nevertheless, and a little more than allowed.
pub(super) struct InventedAdoption;

impl Strategy for InventedAdoption {
    fn name(&self) -> String {
        "claims a flight of which a tenth arrived".into()
    }

    fn strength(&self) -> String {
        "2 round trips, and more than it may".into()
    }

    /// Section 5.11: a position that arrived adopts others of at most two numbers, besides its own.
    fn run(&self) -> Outcome {
        let (mut lab, mut liar, flight) = in_avoidance(WINDOW, RTT);
        let (lost, rtt) = (flight[0].fields.first, RTT.as_micros() as u32);
        let next = after_loss(&flight[0].fields.epoch, lost, rtt).unwrap();
        let arrived = next.base - u64::from(next.flight) / 10;
        let kind = Kind::Recover { lost, rtt };
        let mut orphans: BTreeSet<u64> = (lost + 1..arrived).collect();
        let mut claim = |lab: &mut Lab, liar: &mut Liar, train: &Train, kind, own: u64| {
            let lowest = (lost + 1).max(train.fields.earned + 1);
            let own = own..own + 1;
            // More than it may adopt is refused as a whole.
            let greedy = runs_of(orphans.range(lowest..).copied().take(150), 64);
            let greedy = [&greedy[..], std::slice::from_ref(&own)].concat();
            let runs = with_adopted(&next, orphans.range(lowest..).copied(), own);
            for runs in [greedy, runs.clone()] {
                let answer = liar.claim(lab, &Spec::new(train, kind, runs));
                liar.receive(&answer);
            }
            orphans.retain(|position| !runs.iter().any(|run| run.contains(position)));
        };
        let meter = Meter::start(&lab);
        for train in flight.iter().filter(|train| train.fields.end() > arrived) {
            for own in train.fields.first.max(arrived)..train.fields.end() {
                claim(&mut lab, &mut liar, train, kind, own);
            }
        }
        lab.wait(RTT);
        let birth = liar.trains.iter().find(|train| train.fields.epoch.base == next.base).unwrap().clone();
        let proven = liar.gap(&next, birth.fields.tag);
        for own in next.base..proven.min(next.base + u64::from(next.growth.window0)) {
            claim(&mut lab, &mut liar, &birth, Kind::Continue { proven }, own);
        }
        lab.wait(RTT);
        let obtained = meter.read(&lab);
        let packet = flight[0].packets[0].bytes as u64;
        // Each that arrived brings at most three, and so does each of these.
        let packets = (3 + 9) * u64::from(next.flight) / 10;
        let bound = (packets * packet) as f64 / 1000.0 / obtained.time.as_secs_f64();
        let honest = honest::avoidance(WINDOW, 2, RTT).rate();
        Outcome::rate(obtained.rate(), honest, bound)
    }
}

/// Of a flight behind an invented loss a part is held back, and claimed later in other ways as well.
pub(super) struct LateAdoption;

#[derive(Clone, Copy)]
struct Late {
    /// The share held back.
    held: f64,
    /// For so many round trips.
    delay: u32,
    /// From the front of the flight, or from its end.
    front: bool,
}

impl Late {
    fn attack(self) -> f64 {
        const FLIGHTS: usize = 4;
        let (mut lab, mut liar, mut flight) = in_avoidance(WINDOW, RTT);
        let meter = Meter::start(&lab);
        for _ in 0..FLIGHTS {
            flight = self.pass(&mut lab, &mut liar, &flight);
            for _ in 0..2 {
                flight = liar.claim_all(&mut lab, &flight);
                lab.wait(RTT);
            }
            if flight.is_empty() {
                break;
            }
        }
        meter.read(&lab).rate()
    }

    /// Takes one flight through an invented loss; returns what that brought of the next epoch.
    fn pass(self, lab: &mut Lab, liar: &mut Liar, flight: &[Train]) -> Vec<Train> {
        let (lost, rtt) = (flight[0].fields.first, RTT.as_micros() as u32);
        let next = after_loss(&flight[0].fields.epoch, lost, rtt).unwrap();
        let count = (f64::from(next.flight) * self.held) as u64;
        let held = if self.front { lost + 1..lost + 1 + count } else { next.base - count..next.base };
        let mut got = Vec::new();
        let mut claim = |lab: &mut Lab, train: &Train, kind, late: bool| {
            let positions = train.numbers().filter(|&at| at > lost && held.contains(&at) == late);
            for run in runs_of(positions, 32) {
                let answer = liar.claim(lab, &Spec::one(train, kind, run));
                liar.receive(&answer);
                got.extend(answer.trains);
            }
        };
        let as_declared = Kind::Recover { lost, rtt };
        flight.iter().for_each(|train| claim(lab, train, as_declared, false));
        lab.wait(RTT * self.delay);
        for train in flight {
            let unharmed = Kind::Continue { proven: train.fields.end() };
            for kind in [as_declared, Kind::Recover { lost: lost + 1, rtt }, unharmed] {
                claim(lab, train, kind, true);
                claim(lab, train, kind, false);
            }
        }
        lab.wait(RTT);
        // Once more, adopted by the next epoch's own.
        got.retain(|train| train.fields.epoch.base == next.base);
        got.sort_by_key(|train| train.fields.first);
        if let Some(birth) = got.first() {
            let proven = liar.gap(&next, birth.fields.tag);
            for own in (next.base..proven.min(next.base + u64::from(next.growth.window0))).step_by(8) {
                let runs = with_adopted(&next, held.clone(), own..own + 1);
                let answer = liar.claim(lab, &Spec::new(birth, Kind::Continue { proven }, runs));
                liar.receive(&answer);
            }
        }
        got
    }
}

impl Strategy for LateAdoption {
    fn name(&self) -> String {
        "claims what it held back of a flight, late, in all ways".into()
    }

    fn strength(&self) -> String {
        "4 flights, 12 ways to hold back".into()
    }

    /// Section 8.1: however late, a flight is granted exactly its share of the next epoch.
    fn run(&self) -> Outcome {
        let mut obtained = 0.0_f64;
        for held in [0.25, 0.5, 0.9] {
            for delay in [1, 3] {
                for front in [false, true] {
                    obtained = obtained.max(Late { held, delay, front }.attack());
                }
            }
        }
        let honest = honest::avoidance(WINDOW, ROUNDS, RTT).rate();
        Outcome::rate(obtained, honest, honest)
    }
}
