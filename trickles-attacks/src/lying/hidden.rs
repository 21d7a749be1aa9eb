//! Losses that a client hides instead of declaring them.

use std::collections::{BTreeMap, BTreeSet};

use trickles::stats::Discard;

use super::honest::{RTT, WINDOW, in_avoidance};
use super::{Outcome, Strategy};
use crate::lab::{Kind, Lab, Liar, Meter, Packet, Spec, Train, after_loss, runs_of, with_adopted};

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
    believed: u64,
}

impl Client {
    fn new(refused: u32) -> (Self, Vec<Train>) {
        let (lab, liar, flight) = in_avoidance(WINDOW, RTT);
        let (declared, missing, held) = Default::default();
        (Self { lab, liar, declared, missing, held, emitted: 0, refused, believed: 0 }, flight)
    }

    /// What an answer's way to the client leaves of it; the first packet of a train always arrives.
    fn receive(&mut self, train: &Train) {
        let first = train.packets.first().map(|packet| packet.numbers.start);
        for packet in &train.packets {
            self.emitted += 1;
            if self.emitted >= LOSS && Some(packet.numbers.start) != first {
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
    fn round(&mut self, mut flight: Vec<Train>) -> Vec<Train> {
        let in_order = |train: &Train| (train.fields.epoch.base, train.fields.first);
        if self.refused < REFUSALS {
            let brought = self.hide(&flight);
            flight.extend(brought);
            flight.sort_by_key(in_order);
        }
        let mut got = Vec::new();
        for train in &flight {
            self.claim(train, presented(train, &flight), &mut got);
        }
        self.lab.wait(RTT);
        got.iter().for_each(|train| self.receive(train));
        got.sort_by_key(in_order);
        got
    }

    /// Fills what is missing before the end of the flight: by positions held back, where these own it, and
    /// otherwise by what they own in other forks, taken for what is missing in this one. Returns what arrived in
    /// this one.
    fn hide(&mut self, flight: &[Train]) -> Vec<Train> {
        let mut brought = Vec::new();
        let Some(newest) = flight.last().filter(|train| !self.declared.contains_key(&train.fields.tag))
        else {
            return brought;
        };
        let (epoch, tag) = (newest.fields.epoch, newest.fields.tag);
        let (mut honest, mut hidden) = ((self.liar.clone(), self.missing.clone()), false);
        loop {
            let hole = self.liar.gap(&epoch, tag);
            if hole >= newest.fields.end() {
                break;
            }
            let owns = |position: &&u64| epoch.share(&(**position..**position + 1)).contains(&hole);
            if let Some(held) = self.held.iter().find(owns).copied() {
                self.held.remove(&held);
                let Some(train) = self.train_of(tag, held) else { break };
                let spec = Spec::one(&train, Kind::Continue { proven: hole }, held..held + 1);
                let answer = self.liar.claim(&mut self.lab, &spec);
                // It arrives at once: that is in its favour.
                self.liar.receive(&answer);
                honest.0.receive(&answer);
                brought.extend(answer.trains);
                if self.liar.gap(&epoch, tag) > hole {
                    continue;
                }
            }
            let Some(packet) = self.fetch(newest, hole) else { break };
            self.liar.receive_train(&Train { packets: vec![packet], ..newest.clone() }, |_| true);
            self.missing.remove(&(tag, hole));
            hidden = true;
        }
        if hidden && self.is_believed(newest) {
            self.believed += 1;
        } else if hidden {
            self.refused += 1;
            (self.liar, self.missing) = honest;
        }
        brought
    }

    /// Whether the server takes the proof up to the end of a train.
    fn is_believed(&self, train: &Train) -> bool {
        let proven = self.liar.gap(&train.fields.epoch, train.fields.tag);
        let nothing = Spec::one(train, Kind::Continue { proven }, proven - 1..proven);
        let mut server = self.lab.beside(7);
        server.exchange(&self.liar.request(&nothing).unwrap(), self.liar.address);
        server.discarded(Discard::Proof) == 0
    }

    fn train_of(&self, tag: u64, position: u64) -> Option<Train> {
        let mut newest = self.liar.trains.iter().rev();
        newest.find(|train| train.fields.tag == tag && train.numbers().contains(&position)).cloned()
    }

    /// Claims a position under a loss that makes it own `number`.
    fn fetch(&mut self, newest: &Train, number: u64) -> Option<Packet> {
        let (epoch, tag, rtt) = (newest.fields.epoch, newest.fields.tag, RTT.as_micros() as u32);
        let window = u64::from(epoch.window(number - epoch.base));
        for position in (number.saturating_sub(window).max(epoch.base)..number).rev() {
            let Some(train) = self.train_of(tag, position) else { continue };
            if !self.is_unclaimed(&train, position) {
                continue;
            }
            for lost in (number.saturating_sub(2 * window).max(epoch.base)..position).rev() {
                let Some(next) = after_loss(&epoch, lost, rtt) else { continue };
                let one = position..position + 1;
                if position >= next.base || !next.share(&one).contains(&number) {
                    continue;
                }
                let spec = Spec::one(&train, Kind::Recover { lost, rtt }, one);
                let answer = self.liar.claim(&mut self.lab, &spec);
                let mut packets = answer.trains.into_iter().flat_map(|train| train.packets);
                if let Some(packet) = packets.find(|packet| packet.numbers.contains(&number)) {
                    self.held.remove(&position);
                    return Some(packet);
                }
            }
        }
        None
    }

    /// Claims what arrived of a train, and adopts what did not.
    fn claim(&mut self, train: &Train, presented: &Train, got: &mut Vec<Train>) {
        let (epoch, tag, rtt) = (train.fields.epoch, train.fields.tag, RTT.as_micros() as u32);
        let gap = self.liar.gap(&epoch, tag);
        let lost = self.declared.get(&tag).copied().or((gap < train.fields.end()).then_some(gap));
        let mut positions: Vec<u64> =
            train.numbers().filter(|&position| self.is_unclaimed(train, position)).collect();
        if self.refused < REFUSALS && lost.is_none() {
            // Every fourth is held back.
            self.held.extend(positions.iter().filter(|&position| position % 4 == 2));
            positions.retain(|position| position % 4 != 2);
        }
        let proven = lost.unwrap_or(gap);
        let mut specs: Vec<Spec<'_>> = Vec::new();
        for run in runs_of(positions.iter().copied().filter(|&position| position < proven), 32) {
            specs.push(Spec::one(presented, Kind::Continue { proven }, run));
        }
        if let Some(lost) = lost {
            self.declared.insert(tag, lost);
            let Some(next) = after_loss(&epoch, lost, rtt) else { return };
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

    /// What it obtains in kB/s, and how often a loss stayed hidden.
    fn run(refused: u32) -> (f64, u64) {
        let (mut client, mut flight) = Self::new(refused);
        let meter = Meter::start(&client.lab);
        for _ in 0..ROUNDS {
            flight = client.round(flight);
        }
        (meter.read(&client.lab).rate(), client.believed)
    }
}

/// A continuation for the positions of a train: its own, unless that is too young for the epoch's rtt.
fn presented<'a>(train: &'a Train, flight: &'a [Train]) -> &'a Train {
    let newest = flight.iter().map(|train| train.fields.issued).max();
    let of_the_epoch =
        |other: &&Train| other.fields.tag == train.fields.tag && Some(other.fields.issued) < newest;
    match flight.iter().rev().find(of_the_epoch) {
        Some(older) if Some(train.fields.issued) == newest => older,
        _ => train,
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
        let (honest, _) = Client::run(REFUSALS);
        Outcome::rate(Client::run(0).0, honest, honest)
    }
}

/// The same, and how often it is believed.
pub(super) struct BelievedProofs;

impl Strategy for BelievedProofs {
    fn name(&self) -> String {
        "proves that lost packets arrived, by nonces of other forks".into()
    }

    fn strength(&self) -> String {
        HiddenLosses.strength()
    }

    /// Section 8.4: nobody can prove what was not received.
    fn run(&self) -> Outcome {
        Outcome::none_of("flights believed", Client::run(0).1)
    }
}
