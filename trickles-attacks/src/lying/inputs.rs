//! Input that the server does not take, and that earns positions all the same.

use trickles::epoch::CurveId;
use trickles::server::Server;
use trickles::wire::Input;

use super::honest::{HELLO, RTT, claim_in_order, slow_start};
use super::sizes::want_full;
use super::{Outcome, Strategy};
use crate::lab::{Lab, Liar, Meter, RANGE, Spec, Train, key_ring};

const ROUNDS: usize = 6;

/// What is said of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inputs {
    /// It begins far behind what the server can know of.
    Ahead,
    /// All of a range is stored, of which nothing is.
    Stored,
    /// It follows what the newest user continuation has consumed, under the first one.
    OldState,
    /// It lies behind the range that is taken in any order, or across its end.
    Beyond,
    /// It is the same chunk, at two replicas.
    Copies,
}

/// Numbers that a train brought.
fn numbers(trains: &[Train]) -> u64 {
    trains.iter().map(|train| train.numbers().end - train.numbers().start).sum()
}

/// What an honest client has been granted after so many round trips.
fn honest_numbers(rounds: usize) -> u64 {
    let mut lab = Lab::new();
    let mut client = Liar::connect(&mut lab, 1, CurveId::Cubic, HELLO);
    let flight = client.trains.clone();
    lab.wait(RTT);
    claim_in_order(&mut lab, &mut client, flight, rounds, RTT);
    numbers(&client.trains)
}

impl Inputs {
    /// Claims every position of a flow with such input, several times, for some round trips.
    fn inflate(self, lab: &mut Lab) -> (Liar, Vec<Train>) {
        let mut liar = Liar::connect(lab, 1, CurveId::Cubic, HELLO);
        let opened = liar.user.clone();
        let mut replica = Server::new(Default::default(), key_ring(), lab.filter.clone(), [8; 16]);
        let mut flight = liar.trains.clone();
        let mut announced = self == Self::Ahead || self == Self::OldState;
        let mut end = 4;
        for _ in 0..ROUNDS {
            lab.wait(RTT);
            let mut got = Vec::new();
            for train in &flight {
                for position in train.numbers() {
                    let user = if announced && self != Self::OldState { &liar.user } else { &opened };
                    let say = |offset, bytes| {
                        let input = Input { offset, bytes, fin: false };
                        let spec = Spec { user: Some(user), ..Spec::show(train, position, input) };
                        liar.request(&spec).unwrap()
                    };
                    let requests = match self {
                        // A range begins behind `GET` and `PUT`.
                        _ if !announced => [say(4, &b"PUT\n"[..]), say(4, b"PUT\n")],
                        Self::Ahead => [say(1 << 40, b"x"), say(u64::MAX - 1, b"x")],
                        Self::Stored => [say(8 + RANGE, b""), say(8 + RANGE, b"")],
                        Self::OldState => [say(end, b"x"), say(4, b"x")],
                        Self::Beyond => [say(9 + RANGE, b"x"), say(7 + RANGE, b"xyz")],
                        Self::Copies => [say(8, b"x"), say(8, b"x")],
                    };
                    announced = true;
                    end += 1;
                    for request in requests {
                        let answer = lab.exchange(&request, liar.address);
                        if self == Self::Copies {
                            std::mem::swap(&mut lab.server, &mut replica);
                        }
                        liar.receive(&answer);
                        got.extend(answer.trains);
                    }
                }
            }
            flight = got;
        }
        (liar, flight)
    }
}

impl Strategy for Inputs {
    fn name(&self) -> String {
        let what = match self {
            Self::Ahead => "grows its window with input that is refused",
            Self::Stored => "says that a range is stored of which nothing is",
            Self::OldState => "shows input ahead under its first state",
            Self::Beyond => "sends chunks behind their range and across its end",
            Self::Copies => "sends copies of a chunk to two replicas",
        };
        what.into()
    }

    fn strength(&self) -> String {
        format!("{ROUNDS} round trips, each twice")
    }

    /// Section 6.29: input that is refused takes a position and its answer a number, like any other.
    fn run(&self) -> Outcome {
        let mut lab = Lab::new();
        let meter = Meter::start(&lab);
        let (mut liar, flight) = self.inflate(&mut lab);
        let inflated = numbers(&liar.trains) > honest_numbers(ROUNDS);
        lab.wait(RTT);
        liar.claim_all(&mut lab, &flight);
        // More numbers are a larger window, however few bytes they brought so far.
        let obtained = if inflated { f64::INFINITY } else { meter.read(&lab).rate() };
        let honest = slow_start(ROUNDS + 1).rate();
        Outcome::rate(obtained, honest, honest)
    }
}

/// Full packets wanted with a window that refused input has grown.
pub(super) struct RefusedThenFull;

impl Strategy for RefusedThenFull {
    fn name(&self) -> String {
        "grows a window by refused input, then wants full ones".into()
    }

    fn strength(&self) -> String {
        format!("the last of {} round trips", ROUNDS + 1)
    }

    fn run(&self) -> Outcome {
        let mut lab = Lab::new();
        let (liar, flight) = Inputs::Ahead.inflate(&mut lab);
        want_full(&mut lab, &liar, &flight, ROUNDS + 1, 1)
    }
}
