//! Claims made again, cut differently, or made before what they prove has arrived.

use super::honest::{self, RTT, WINDOW, in_avoidance};
use super::{Outcome, Strategy};
use crate::lab::{Answer, Choices, Kind, Lab, Liar, Meter, Spec, Train, runs_of};

const ROUNDS: usize = 20;

/// Every datagram again and again.
pub(super) struct Replay;

impl Strategy for Replay {
    fn name(&self) -> String {
        "replays every datagram, at once and for rounds".into()
    }

    fn strength(&self) -> String {
        format!("{ROUNDS} round trips, window {WINDOW}")
    }

    /// Section 8.2: no number is granted twice.
    fn run(&self) -> Outcome {
        let (mut lab, mut liar, mut flight) = in_avoidance(WINDOW, RTT);
        let meter = Meter::start(&lab);
        let mut sent = Vec::<Vec<u8>>::new();
        for _ in 0..ROUNDS {
            let mut got = Vec::new();
            for train in &flight {
                let datagram = liar.request(&Spec::in_order(train, train.numbers())).unwrap();
                for _ in 0..3 {
                    let answer = lab.exchange(&datagram, liar.address);
                    liar.receive(&answer);
                    got.extend(answer.trains);
                }
                sent.push(datagram);
            }
            for datagram in &sent {
                lab.exchange(datagram, liar.address);
            }
            flight = got;
            lab.wait(RTT);
        }
        let honest = honest::avoidance(WINDOW, ROUNDS, RTT).rate();
        Outcome::rate(meter.read(&lab).rate(), honest, honest)
    }
}

/// The same positions whole, in halves, one by one, from behind.
pub(super) struct Resplit;

impl Strategy for Resplit {
    fn name(&self) -> String {
        "splits claims and splits them again".into()
    }

    fn strength(&self) -> String {
        format!("{ROUNDS} round trips, 4 ways to cut")
    }

    /// Section 8.1: claims that agree own the same numbers however they are cut.
    fn run(&self) -> Outcome {
        let (mut lab, mut liar, mut flight) = in_avoidance(WINDOW, RTT);
        let meter = Meter::start(&lab);
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
                    liar.receive(&answer);
                    got.extend(answer.trains);
                }
            }
            got.sort_by_key(|train| train.fields.first);
            flight = got;
            lab.wait(RTT);
        }
        let honest = honest::avoidance(WINDOW, ROUNDS, RTT).rate();
        Outcome::rate(meter.read(&lab).rate(), honest, honest)
    }
}

/// Positions whose packets are still on their way, on guessed proofs.
pub(super) struct Optimistic {
    /// Where slow start is left, in packets.
    pub(super) window: u32,
}

const GUESSES: usize = 20;

impl Optimistic {
    /// Guesses at the proof of all that was received and of what is on its way behind it.
    fn guesses(known: u64, liar: &Liar, choices: &mut Choices) -> Vec<u64> {
        let last = liar.trains.iter().rev().flat_map(|train| &train.packets).map(|packet| packet.nonce);
        let mut guesses = vec![known, 0, u64::MAX, !known];
        guesses.extend(last.take(4).map(|nonce| known ^ nonce));
        guesses.resize_with(GUESSES, || choices.word());
        guesses
    }

    /// Claims what may be claimed under the newest trains that have arrived.
    fn claim_ahead(lab: &mut Lab, liar: &Liar, received: &[Train], choices: &mut Choices) -> Vec<Answer> {
        let mut brought = Vec::new();
        for train in received.iter().rev().take(3) {
            let (epoch, tag) = (train.fields.epoch, train.fields.tag);
            let gap = liar.gap(&epoch, tag);
            let Some(known) = liar.proof(&epoch, tag, gap) else { continue };
            let farthest = train.fields.end() + 64;
            let rtt = RTT.as_micros() as u32;
            for run in runs_of(gap..farthest.max(gap), 32) {
                let ahead = [
                    // All that is claimed, all that may be, nothing.
                    Kind::Continue { proven: run.end },
                    Kind::Continue { proven: farthest },
                    Kind::Continue { proven: gap },
                    Kind::Recover { lost: gap, rtt },
                ];
                for (kind, proof) in ahead
                    .into_iter()
                    .flat_map(|kind| Self::guesses(known, liar, choices).into_iter().map(move |p| (kind, p)))
                {
                    let spec = Spec::one(train, kind, run.clone());
                    brought.push(lab.exchange(&liar.request_with_proof(&spec, proof), liar.address));
                }
            }
        }
        brought
    }
}

impl Strategy for Optimistic {
    fn name(&self) -> String {
        format!("acknowledges what is on its way, window {}", self.window)
    }

    fn strength(&self) -> String {
        format!("{ROUNDS} round trips, {GUESSES} proofs a claim")
    }

    /// Section 8.4: nobody can prove what was not received.
    fn run(&self) -> Outcome {
        let (mut lab, mut liar, mut flight) = in_avoidance(self.window, RTT);
        let meter = Meter::start(&lab);
        let mut choices = Choices::seeded(1);
        for _ in 0..ROUNDS {
            let mut on_its_way: Vec<Answer> = Vec::new();
            for train in &flight {
                on_its_way.push(liar.claim(&mut lab, &Spec::in_order(train, train.numbers())));
            }
            on_its_way.extend(Self::claim_ahead(&mut lab, &liar, &flight, &mut choices));
            lab.wait(RTT);
            on_its_way.iter().for_each(|answer| liar.receive(answer));
            flight = on_its_way.into_iter().flat_map(|answer| answer.trains).collect();
            flight.sort_by_key(|train| train.fields.first);
        }
        let honest = honest::avoidance(self.window, ROUNDS, RTT).rate();
        Outcome::rate(meter.read(&lab).rate(), honest, honest)
    }
}
