//! Numbers obtained with few bytes, and spent on many.

use trickles::epoch::CurveId;
use trickles::wire::{BASE_PACKET_SIZE, DATA_OVERHEAD, Form, room};

use super::honest::{self, RTT, slow_start};
use super::openings::SLOT;
use super::{Outcome, Strategy};
use crate::lab::{Answer, Haul, Kind, Lab, Liar, Meter, Spec, Train, runs_of};

/// Claims every position by itself and wants a few bytes for it: of one, each packet stands for two numbers. Returns the
/// answers, received.
fn claim_each(lab: &mut Lab, liar: &mut Liar, flight: &[Train], want: u64) -> Vec<Answer> {
    let mut answers = Vec::new();
    for train in flight {
        for position in train.numbers() {
            let kind = Kind::Continue { proven: train.fields.end() };
            let spec = Spec { want, ..Spec::one(train, kind, position..position + 1) };
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

/// What an honest client obtains in the last of so many round trips of slow start.
pub(super) fn last_round(rounds: usize) -> f64 {
    Haul { bytes: slow_start(rounds).bytes - slow_start(rounds - 1).bytes, time: RTT }.rate()
}

/// Wants full packets for all of a flight, the last of so many round trips.
///
/// Section 6.13: that brings twice what was received of late, and three times what is sent. `counted`: how much more
/// what was received counts for than it was.
pub(super) fn want_full(
    lab: &mut Lab,
    liar: &Liar,
    flight: &[Train],
    rounds: usize,
    counted: usize,
) -> Outcome {
    let received: usize = flight.iter().flat_map(|train| &train.packets).map(|packet| packet.bytes).sum();
    lab.wait(RTT);
    let meter = Meter::start(lab);
    let mut sent = 0;
    for train in flight {
        let spec = Spec::in_order(train, train.numbers());
        sent += liar.request(&spec).unwrap().len();
        liar.claim(lab, &spec);
    }
    lab.wait(RTT);
    let bound = Haul { bytes: (2 * counted * received + 3 * sent) as u64, time: RTT };
    Outcome::rate(meter.read(lab).rate(), last_round(rounds), bound.rate())
}

/// A Hello so short that its answer is one packet, which stands for a whole window.
const SHORT_HELLO: usize = 300;

/// Grows a window in packets of a byte, then wants full ones.
pub(super) struct Tiny {
    /// Whether each stands behind a full packet, and hence counts as full (section 6.17).
    pub(super) behind_full: bool,
}

impl Strategy for Tiny {
    fn name(&self) -> String {
        let how = if self.behind_full { "pairs of a full and a tiny packet" } else { "tiny packets" };
        format!("grows its window in {how}, then wants full ones")
    }

    fn strength(&self) -> String {
        format!("6 round trips of 1 byte a {}", if self.behind_full { "full packet" } else { "packet" })
    }

    fn run(&self) -> Outcome {
        const ROUNDS: usize = 6;
        let full = (room(BASE_PACKET_SIZE, Form::Abbreviated) - DATA_OVERHEAD) as u64;
        let (hello, want, packets) =
            if self.behind_full { (BASE_PACKET_SIZE.into(), full + 1, 2) } else { (SHORT_HELLO, 1, 1) };
        let mut lab = Lab::new();
        let mut liar = Liar::connect(&mut lab, 1, CurveId::Cubic, hello);
        let mut flight = liar.trains.clone();
        for _ in 0..ROUNDS {
            lab.wait(RTT);
            flight = trains(&claim_each(&mut lab, &mut liar, &flight, want));
        }
        assert!(flight.iter().all(|train| train.packets.len() == packets));
        want_full(&mut lab, &liar, &flight, ROUNDS + 1, packets)
    }
}

/// The same, presenting the opening's train, which counts as full and serves for positions behind it.
pub(super) struct TinyBehindTheOpening;

impl Strategy for TinyBehindTheOpening {
    fn name(&self) -> String {
        "the same, presenting the opening instead".into()
    }

    fn strength(&self) -> String {
        "up to 6 round trips of 1 byte a packet".into()
    }

    /// Sections 5.8 and 6.13: the opening serves for 64 positions behind its own, each of which brings two full
    /// packets at most.
    fn run(&self) -> Outcome {
        let outcome = |rounds| {
            let mut lab = Lab::new();
            let mut liar = Liar::connect(&mut lab, 1, CurveId::Cubic, SHORT_HELLO);
            let birth = liar.trains[0].clone();
            let mut flight = vec![birth.clone()];
            for _ in 0..rounds {
                lab.wait(RTT);
                let answers = claim_each(&mut lab, &mut liar, &flight, 1);
                flight = trains(&answers);
            }
            lab.wait(RTT);
            let meter = Meter::start(&lab);
            let proven = flight.last().unwrap().fields.end();
            for run in runs_of(flight.iter().flat_map(Train::numbers), 16) {
                liar.claim(&mut lab, &Spec::one(&birth, Kind::Continue { proven }, run));
            }
            lab.wait(RTT);
            let bound = Haul { bytes: 64 * 2 * u64::from(BASE_PACKET_SIZE), time: RTT };
            Outcome::rate(meter.read(&lab).rate(), last_round(rounds + 1), bound.rate())
        };
        (1..=6).map(outcome).max_by(Outcome::closer).unwrap()
    }
}

/// Opens again and again with one small packet that stands for ten numbers, and claims them all in the end.
pub(super) struct Banked;

impl Banked {
    const OPENINGS: u16 = 20;
}

impl Strategy for Banked {
    fn name(&self) -> String {
        "banks openings of one packet each and spends them all".into()
    }

    fn strength(&self) -> String {
        format!("{} openings spent in a round trip", Self::OPENINGS)
    }

    /// Sections 5.21 and 6.15: an opening is worth no more than a new connection, which has its window to
    /// spend as well.
    fn run(&self) -> Outcome {
        let mut lab = Lab::new();
        let mut liar = Liar::connect(&mut lab, 1, CurveId::Cubic, SHORT_HELLO);
        let mut bank = liar.trains.clone();
        for _ in 1..Self::OPENINGS {
            lab.wait(SLOT);
            let spec = Spec { want: 1, ..Spec::one(&bank[0], Kind::Resume { rtt: 1000 }, 0..10) };
            let answer = liar.claim(&mut lab, &spec);
            assert_eq!((answer.packets, answer.trains[0].fields.count), (1, 10));
            liar.receive(&answer);
            bank.extend(answer.trains);
        }
        let meter = Meter::start(&lab);
        lab.wait(RTT);
        liar.claim_all(&mut lab, &bank);
        let as_many = honest::connections(Self::OPENINGS, 1).rate();
        Outcome::rate(meter.read(&lab).rate(), slow_start(1).rate(), as_many)
    }
}
