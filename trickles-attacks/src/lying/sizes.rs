//! Numbers obtained with few bytes, and spent on many.

use trickles::epoch::CurveId;

use super::claims::RTT;
use super::{Outcome, Strategy};
use crate::lab::liar::count_packets;
use crate::lab::{Answer, Kind, Lab, Liar, Spec, Train};

fn bytes(answers: &[Answer]) -> usize {
    answers.iter().map(|answer| answer.bytes).sum()
}

/// Claims every position by itself and wants one byte for it, so that each packet stands for two numbers.
/// Returns the answers, received.
fn claim_tiny(lab: &mut Lab, liar: &mut Liar, flight: &[Train]) -> Vec<Answer> {
    let mut answers = Vec::new();
    for train in flight {
        for position in train.numbers() {
            let kind = Kind::Continue { proven: train.fields.end() };
            let spec = Spec { want: 1, ..Spec::one(train, kind, position..position + 1) };
            let answer = liar.claim(lab, &spec);
            liar.receive(&answer);
            answers.push(answer);
        }
    }
    answers
}

fn trains(answers: &[Answer]) -> Vec<Train> {
    answers.iter().flat_map(|answer| &answer.trains).cloned().collect()
}

/// Bytes an honest client has got after so many round trips.
fn honest_bytes(rounds: usize) -> u64 {
    let mut lab = Lab::new();
    let mut liar = Liar::connect(&mut lab, 1, CurveId::Cubic, 12_000);
    let mut flight = liar.trains.clone();
    for _ in 0..rounds {
        lab.wait(RTT);
        flight = liar.claim_all(&mut lab, &flight);
    }
    liar.trains.iter().flat_map(|train| &train.packets).map(|packet| packet.bytes as u64).sum()
}

/// Grows a window in tiny packets, then wants full ones.
pub(super) struct Tiny;

impl Strategy for Tiny {
    fn name(&self) -> &'static str {
        "grows its window in tiny packets, then wants full ones"
    }

    fn run(&self) -> Outcome {
        const ROUNDS: usize = 6;
        let mut lab = Lab::new();
        let mut liar = Liar::connect(&mut lab, 1, CurveId::Cubic, 300);
        let mut flight = liar.trains.clone();
        let mut received = 0;
        for _ in 0..ROUNDS {
            lab.wait(RTT);
            let answers = claim_tiny(&mut lab, &mut liar, &flight);
            received = bytes(&answers);
            flight = trains(&answers);
        }
        lab.wait(RTT);
        let (mut obtained, mut sent) = (0, 0);
        for train in &flight {
            let spec = Spec::in_order(train, train.numbers());
            sent += liar.request(&spec).unwrap().len();
            obtained += liar.claim(&mut lab, &spec).bytes;
        }
        let honest = honest_bytes(ROUNDS + 1) - honest_bytes(ROUNDS);
        let bound = (2 * received + 3 * sent) as f64;
        Outcome { unit: "bytes", obtained: obtained as f64, honest: Some(honest as f64), bound }
    }
}

/// The same, presenting the opening's train, which counts as full and serves for positions behind it.
pub(super) struct TinyBehindTheOpening;

impl Strategy for TinyBehindTheOpening {
    fn name(&self) -> &'static str {
        "the same, presenting the opening instead"
    }

    fn run(&self) -> Outcome {
        const ROUNDS: usize = 2;
        let mut lab = Lab::new();
        let mut liar = Liar::connect(&mut lab, 1, CurveId::Cubic, 300);
        let birth = liar.trains[0].clone();
        let mut flight = vec![birth.clone()];
        for _ in 0..ROUNDS {
            lab.wait(RTT);
            let answers = claim_tiny(&mut lab, &mut liar, &flight);
            flight = trains(&answers);
        }
        lab.wait(RTT);
        let mut obtained: usize =
            liar.trains.iter().flat_map(|train| &train.packets).map(|packet| packet.bytes).sum();
        for train in &flight {
            let kind = Kind::Continue { proven: train.fields.end() };
            obtained += liar.claim(&mut lab, &Spec::new(&birth, kind, vec![train.numbers()])).bytes;
        }
        let honest = honest_bytes(ROUNDS + 1) as f64;
        Outcome { unit: "bytes", obtained: obtained as f64, honest: Some(honest), bound: honest }
    }
}

/// Opens again and again with one small packet that stands for ten numbers, and claims them all in the end.
pub(super) struct Banked;

impl Strategy for Banked {
    fn name(&self) -> &'static str {
        "banks openings of one packet each and spends them all"
    }

    fn run(&self) -> Outcome {
        const OPENINGS: u64 = 20;
        let mut lab = Lab::new();
        let mut liar = Liar::connect(&mut lab, 1, CurveId::Cubic, 300);
        let mut bank = liar.trains.clone();
        for _ in 1..OPENINGS {
            lab.wait(std::time::Duration::from_millis(200));
            let spec = Spec { want: 1, ..Spec::one(&bank[0], Kind::Resume { rtt: 1000 }, 0..10) };
            let answer = liar.claim(&mut lab, &spec);
            assert_eq!((answer.packets, answer.trains[0].fields.count), (1, 10));
            liar.receive(&answer);
            bank.extend(answer.trains);
        }
        let got = liar.claim_all(&mut lab, &bank);
        let obtained = count_packets(&bank) + count_packets(&got);
        // As many new connections have had ten packets each, and get twenty for those.
        Outcome::packets(obtained, 30 * OPENINGS, 30.0 * OPENINGS as f64)
    }
}
