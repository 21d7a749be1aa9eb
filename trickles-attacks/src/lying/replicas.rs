//! Replicas that share keys: the same claims and openings at all of them.

use std::collections::BTreeSet;
use std::time::Duration;

use trickles::epoch::CurveId;

use super::honest::{self, HELLO, RTT, WINDOW, slow_start};
use super::openings::{SLOT, align};
use super::{Outcome, Strategy};
use crate::lab::{Haul, Kind, Lab, Liar, Meter, SKEW, Spec, Train};

const ROUNDS: usize = 10;

/// Several servers of a service and what is measured at each.
struct Service {
    labs: Vec<Lab>,
    meters: Vec<Meter>,
}

impl Service {
    fn new(replicas: usize, shared: bool) -> Self {
        let first = Lab::replica(1, SKEW);
        let seeds = 2..=replicas as u8;
        let others: Vec<Lab> =
            seeds.map(|seed| if shared { first.beside(seed) } else { Lab::replica(seed, SKEW) }).collect();
        let labs: Vec<Lab> = [first].into_iter().chain(others).collect();
        let meters = labs.iter().map(Meter::start).collect();
        Self { labs, meters }
    }

    fn wait(&mut self, time: Duration) {
        self.labs.iter_mut().for_each(|lab| lab.wait(time));
    }

    fn start(&mut self) {
        self.meters = self.labs.iter().map(Meter::start).collect();
    }

    fn haul(&self) -> Haul {
        self.meters.iter().zip(&self.labs).map(|(meter, lab)| meter.read(lab)).sum()
    }

    /// Claims every train in order at every replica, at `first` before the others.
    fn claim_everywhere(&mut self, liar: &mut Liar, flight: &[Train], first: usize) -> Vec<Train> {
        let (mut got, mut seen) = (Vec::new(), BTreeSet::new());
        for train in flight {
            for index in 0..self.labs.len() {
                let replica = (first + index) % self.labs.len();
                let answer = liar.claim(&mut self.labs[replica], &Spec::in_order(train, train.numbers()));
                liar.receive(&answer);
                let new = |train: &Train| seen.insert((train.fields.tag, train.fields.first));
                got.extend(answer.trains.into_iter().filter(new));
            }
        }
        got
    }

    /// A flow in congestion avoidance at the first replica.
    fn in_avoidance(&mut self) -> (Liar, Vec<Train>) {
        let before = self.labs[0].now;
        let mut liar = Liar::connect(&mut self.labs[0], 1, CurveId::Cubic, HELLO);
        let flight = liar.enter_avoidance(&mut self.labs[0], WINDOW, RTT);
        let passed = self.labs[0].now.since(before);
        self.labs[1..].iter_mut().for_each(|lab| lab.wait(passed));
        (liar, flight)
    }
}

/// Every claim goes to every replica.
pub(super) struct Copies {
    pub(super) replicas: usize,
    /// All have one filter.
    pub(super) shared: bool,
}

impl Copies {
    fn attack(&self, avoidance: bool, rounds: usize) -> f64 {
        let mut service = Service::new(self.replicas, self.shared);
        let (mut liar, mut flight) = if avoidance {
            service.in_avoidance()
        } else {
            let liar = Liar::connect(&mut service.labs[0], 1, CurveId::Cubic, HELLO);
            let flight = liar.trains.clone();
            service.wait(RTT);
            (liar, flight)
        };
        service.start();
        for _ in 0..rounds {
            flight = service.claim_everywhere(&mut liar, &flight, 0);
            service.wait(RTT);
        }
        service.haul().rate()
    }
}

impl Strategy for Copies {
    fn name(&self) -> String {
        let filters = if self.shared { "one filter" } else { "a filter each" };
        format!("sends every claim to {} replicas with {filters}", self.replicas)
    }

    fn strength(&self) -> String {
        format!("{ROUNDS} round trips, 6 of slow start")
    }

    /// Section 6.12: what does not share a filter grants a position once each; by section 8.1 under the same
    /// numbers, so that it never multiplies.
    fn run(&self) -> Outcome {
        const SLOW_START: usize = 6;
        let factor = if self.shared { 1.0 } else { self.replicas as f64 };
        let outcome = |obtained, honest: f64| Outcome::rate(obtained, honest, factor * honest);
        let in_slow_start = outcome(self.attack(false, SLOW_START), slow_start(SLOW_START).rate());
        let after = outcome(self.attack(true, ROUNDS), honest::avoidance(WINDOW, ROUNDS, RTT).rate());
        [in_slow_start, after].into_iter().max_by(Outcome::closer).unwrap()
    }
}

/// At every replica another loss is declared; each fork is claimed at its own replica and then at all others.
pub(super) struct Forks {
    pub(super) replicas: usize,
}

impl Strategy for Forks {
    fn name(&self) -> String {
        format!("keeps a fork of its own at each of {} replicas", self.replicas)
    }

    fn strength(&self) -> String {
        format!("{ROUNDS} round trips, every fork at all")
    }

    /// Sections 6.12 and 8.2: each replica grants the positions of one flow.
    fn run(&self) -> Outcome {
        let mut service = Service::new(self.replicas, false);
        let (mut liar, flight) = service.in_avoidance();
        service.start();
        let mut forks: Vec<Vec<Train>> = Vec::new();
        for (replica, lab) in service.labs.iter_mut().enumerate() {
            forks.push(match replica.checked_sub(1) {
                None => liar.claim_all(lab, &flight),
                Some(behind) => {
                    let lost = flight[0].fields.first + behind as u64;
                    liar.recover_all(lab, lost, RTT.as_micros() as u32, &flight)
                }
            });
        }
        service.wait(RTT);
        for _ in 1..ROUNDS {
            for (replica, fork) in forks.iter_mut().enumerate() {
                *fork = service.claim_everywhere(&mut liar, fork, replica);
            }
            service.wait(RTT);
        }
        let honest = honest::avoidance(WINDOW, ROUNDS, RTT).rate();
        Outcome::rate(service.haul().rate(), honest, self.replicas as f64 * honest)
    }
}

/// Opens at all replicas in every slot, their clocks a little apart so that no opening is another's copy, and
/// sends every claim of each to all of them.
pub(super) struct Openings {
    pub(super) replicas: usize,
}

impl Openings {
    const SLOTS: usize = 2;
}

impl Strategy for Openings {
    fn name(&self) -> String {
        format!("opens at {} replicas in every slot, goes on at all", self.replicas)
    }

    fn strength(&self) -> String {
        format!("{} slots, clocks 5 ms apart", Self::SLOTS)
    }

    /// Sections 5.22 and 6.12: once a slot and server, each no more than a new connection, which can send its
    /// claims to all replicas as well.
    fn run(&self) -> Outcome {
        let rounds = SLOT.div_duration_f64(RTT) as usize;
        let mut service = Service::new(self.replicas, false);
        let mut liar = Liar::connect(&mut service.labs[0], 1, CurveId::Cubic, HELLO);
        let flight = liar.grow(&mut service.labs[0], 40, RTT);
        align(&mut service.labs[0]);
        let now = service.labs[0].now + SLOT;
        for (index, lab) in service.labs.iter_mut().enumerate() {
            lab.now = now + Duration::from_millis(5) * index as u32;
        }
        service.start();
        let mut flights = Vec::new();
        for _ in 0..Self::SLOTS {
            for lab in &mut service.labs {
                let resume = Spec::one(flight.last().unwrap(), Kind::Resume { rtt: 0 }, 0..10);
                let answer = liar.claim(lab, &resume);
                liar.receive(&answer);
                flights.push(answer.trains);
            }
            for _ in 0..rounds {
                service.wait(RTT);
                for flight in &mut flights {
                    *flight = service.claim_everywhere(&mut liar, flight, 0);
                }
            }
        }
        let opened: Haul = (1..=Self::SLOTS)
            .map(|slots| {
                // With its Hello's answer.
                let haul = honest::connections(1, slots * rounds);
                Haul { bytes: haul.bytes + 12_000, ..haul }
            })
            .sum();
        let connections = opened.rate() * (self.replicas * self.replicas) as f64;
        Outcome::rate(service.haul().rate(), slow_start(Self::SLOTS * rounds).rate(), connections)
    }
}
