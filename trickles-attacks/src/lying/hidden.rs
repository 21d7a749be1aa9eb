//! Losses that a client hides instead of declaring them.

use std::collections::{BTreeMap, BTreeSet};

use super::honest::{RTT, WINDOW, in_avoidance};
use super::{Outcome, Strategy};
use crate::lab::{Kind, Lab, Liar, Meter, Spec, Train, runs_of, with_adopted};

const ROUNDS: usize = 60;
/// One packet of so many is lost.
const LOSS: u64 = 100;
/// After so many refusals a client is honest.
const REFUSALS: u32 = 3;

/// On a lossy path, holds a few positions of every flight back. When a number is lost it claims one of them in a
/// fork where that owns the lost number, and proves with what came that nothing was lost. The number that the
/// position owns otherwise is missing then, and comes the same way a round trip later.
pub(super) struct HiddenLosses;

struct Client {
    lab: Lab,
    liar: Liar,
    /// Epochs that have ended, and the first lost position of each.
    declared: BTreeMap<u64, u64>,
    missing: BTreeSet<(u64, u64)>,
    held: BTreeSet<u64>,
    emitted: u64,
    /// How often hiding was refused; an honest client does not begin with it.
    refused: u32,
}

impl Client {
    fn new(refused: u32) -> (Self, Vec<Train>) {
        let (lab, liar, flight) = in_avoidance(WINDOW, RTT);
        let (declared, missing, held) = Default::default();
        (Self { lab, liar, declared, missing, held, emitted: 0, refused }, flight)
    }

    /// What an answer's way to the client leaves of it; the last packet of a train always arrives.
    fn receive(&mut self, train: &Train) {
        let last = train.packets.last().map(|packet| packet.numbers.start);
        for packet in &train.packets {
            self.emitted += 1;
            if self.emitted >= LOSS && Some(packet.numbers.start) != last {
                self.emitted = 0;
                self.missing.extend(packet.numbers.clone().map(|number| (train.fields.tag, number)));
            }
        }
        let missing = &self.missing;
        self.liar.receive_train(train, |number| !missing.contains(&(train.fields.tag, number)));
    }

    fn is_unclaimed(&self, train: &Train, position: u64) -> bool {
        !self.missing.contains(&(train.fields.tag, position))
            && !self.lab.ledger.is_granted(train.fields.flow, position)
    }

    /// Claims a flight, what is lost of it declared unless it can be hidden; returns what that brings.
    fn round(&mut self, flight: &[Train]) -> Vec<Train> {
        let mut got = Vec::new();
        if self.refused < REFUSALS {
            self.claim_held(flight, &mut got);
            self.hide(flight);
        }
        for train in flight {
            self.claim(train, &mut got);
        }
        self.lab.wait(RTT);
        got.iter().for_each(|train| self.receive(train));
        got.sort_by_key(|train| (train.fields.epoch.base, train.fields.first));
        got
    }

    /// What was held back and not needed.
    fn claim_held(&mut self, flight: &[Train], got: &mut Vec<Train>) {
        let Some(newest) = flight.last().filter(|train| self.holes(train).is_empty()) else { return };
        let (epoch, tag) = (newest.fields.epoch, newest.fields.tag);
        for position in std::mem::take(&mut self.held) {
            let trains = self.liar.trains.iter().rev();
            let mut trains = trains.filter(|train| train.fields.tag == tag);
            let Some(train) = trains.find(|train| train.numbers().contains(&position)).cloned() else {
                continue;
            };
            let proven = self.liar.gap(&epoch, tag);
            let answer = self
                .liar
                .claim(&mut self.lab, &Spec::one(&train, Kind::Continue { proven }, position..position + 1));
            // At once: that is in its favour.
            self.liar.receive(&answer);
            got.extend(answer.trains);
        }
    }

    /// Numbers of a train's epoch up to its end that did not arrive.
    fn holes(&self, train: &Train) -> Vec<u64> {
        let gap = self.liar.gap(&train.fields.epoch, train.fields.tag);
        let lost = self.missing.range((train.fields.tag, gap)..(train.fields.tag, train.fields.end()));
        let mut holes: BTreeSet<u64> = lost.map(|(_, number)| *number).collect();
        if gap < train.fields.end() {
            holes.insert(gap);
        }
        holes.into_iter().collect()
    }

    /// Gets the nonces of what is missing in other forks, and takes them for those of this one.
    fn hide(&mut self, flight: &[Train]) {
        let Some(newest) = flight.last() else { return };
        if self.declared.contains_key(&newest.fields.tag) {
            return;
        }
        let before = self.liar.clone();
        let mut hidden = false;
        while let Some(&hole) = self.holes(newest).first() {
            let Some(packet) = self.fetch(newest, hole) else { break };
            let taken = Train { packets: vec![packet], ..newest.clone() };
            self.liar.receive_train(&taken, |_| true);
            self.missing.remove(&(newest.fields.tag, hole));
            hidden = true;
        }
        if !hidden {
            return;
        }
        // Whether the server believes it.
        let proven = self.liar.gap(&newest.fields.epoch, newest.fields.tag);
        let own =
            newest.numbers().rev().find(|&position| position < proven && self.is_unclaimed(newest, position));
        let believed = own.is_some_and(|position| {
            let spec = Spec::one(newest, Kind::Continue { proven }, position..position + 1);
            let answer = self.liar.claim(&mut self.lab, &spec);
            self.liar.receive(&answer);
            answer.packets > 0
        });
        if !believed {
            self.refused += 1;
            self.liar = before;
        }
    }

    /// Claims a position under a loss that makes it own `number`.
    fn fetch(&mut self, newest: &Train, number: u64) -> Option<crate::lab::Packet> {
        let (epoch, tag) = (newest.fields.epoch, newest.fields.tag);
        let gap = self.liar.gap(&epoch, tag);
        let window = u64::from(epoch.window(number - epoch.base));
        let trains: Vec<Train> = self.liar.trains.iter().rev().take(40).cloned().collect();
        for train in trains.iter().filter(|train| train.fields.tag == tag) {
            for position in train.numbers().filter(|&position| position < number) {
                if !self.is_unclaimed(train, position) {
                    continue;
                }
                for lost in position.saturating_sub(window).max(epoch.base)..position.min(gap + 1) {
                    let rtt = RTT.as_micros() as u32;
                    let Some(next) = epoch.recover(lost, rtt) else { continue };
                    let one = position..position + 1;
                    if position >= next.base || !next.share(&one).contains(&number) {
                        continue;
                    }
                    let answer =
                        self.liar.claim(&mut self.lab, &Spec::one(train, Kind::Recover { lost, rtt }, one));
                    let packets = answer.trains.into_iter().flat_map(|train| train.packets);
                    if let Some(packet) = packets.into_iter().find(|packet| packet.numbers.contains(&number))
                    {
                        self.held.remove(&position);
                        return Some(packet);
                    }
                }
            }
        }
        None
    }

    /// Claims what arrived of a train, and adopts what did not.
    fn claim(&mut self, train: &Train, got: &mut Vec<Train>) {
        let (epoch, tag, rtt) = (train.fields.epoch, train.fields.tag, RTT.as_micros() as u32);
        let gap = self.liar.gap(&epoch, tag);
        let lost = self.declared.get(&tag).copied().or((gap < train.fields.end()).then_some(gap));
        let mut positions: Vec<u64> =
            train.numbers().filter(|&position| self.is_unclaimed(train, position)).collect();
        if self.refused < REFUSALS && lost.is_none() && positions.len() > 8 {
            let held = positions.remove(positions.len() / 2);
            self.held.insert(held);
        }
        let proven = lost.unwrap_or(gap);
        let mut specs: Vec<Spec<'_>> = Vec::new();
        for run in runs_of(positions.iter().copied().filter(|&position| position < proven), 32) {
            specs.push(Spec::one(train, Kind::Continue { proven }, run));
        }
        if let Some(lost) = lost {
            self.declared.insert(tag, lost);
            let Some(next) = epoch.recover(lost, rtt) else { return };
            let lowest = lost.max(train.fields.earned) + 1;
            let mut orphans: Vec<u64> = (lowest..train.fields.first.max(lowest))
                .filter(|&position| !self.lab.ledger.is_granted(train.fields.flow, position))
                .collect();
            for run in runs_of(positions.into_iter().filter(|&at| at > lost && at < next.base), 32) {
                let runs = with_adopted(&next, std::mem::take(&mut orphans).into_iter(), run);
                specs.push(Spec::new(train, Kind::Recover { lost, rtt }, runs));
            }
        }
        for spec in specs {
            got.extend(self.liar.claim(&mut self.lab, &spec).trains);
        }
    }

    fn run(refused: u32) -> f64 {
        let (mut client, mut flight) = Self::new(refused);
        let meter = Meter::start(&client.lab);
        for _ in 0..ROUNDS {
            flight = client.round(&flight);
        }
        meter.read(&client.lab).rate()
    }
}

impl Strategy for HiddenLosses {
    fn name(&self) -> String {
        "hides losses by positions held back, in other forks".into()
    }

    fn strength(&self) -> String {
        format!("{ROUNDS} round trips, 1 of {LOSS} lost")
    }

    /// Section 4.2: forks of an epoch have nonces of their own, so what one reveals proves nothing in another.
    fn run(&self) -> Outcome {
        let honest = Client::run(REFUSALS);
        Outcome::rate(Client::run(0), honest, honest)
    }
}
