//! Lies about the round-trip time, which is the speed of CUBIC's clock.

use std::time::Duration;

use trickles::epoch::{CurveId, SlowStartExit};
use trickles::stats::Discard;

use super::honest::{self, HELLO, RTT, WINDOW, claim_in_order, in_avoidance};
use super::{Outcome, Strategy};
use crate::lab::{Haul, Lab, Liar, Meter, Spec, Train};

const ROUNDS: usize = 200;

/// Where a round-trip time is declared.
#[derive(Clone, Copy)]
enum Declared {
    AtALoss,
    AtTheEndOfSlowStart,
}

/// Waits on a path of `path` until `rtt` is credible, declares it, and goes on for so many round trips.
fn declare(path: Duration, rtt: Duration, declared: Declared, rounds: usize) -> (Lab, Haul) {
    let mut lab = Lab::new();
    let mut liar = Liar::connect(&mut lab, 1, CurveId::Cubic, HELLO);
    let flight = liar.grow(&mut lab, WINDOW, path);
    lab.wait(rtt.saturating_sub(path));
    let rtt = rtt.as_micros() as u32;
    let flight = match declared {
        Declared::AtALoss => liar.recover_all(&mut lab, flight[0].fields.first, rtt, &flight),
        Declared::AtTheEndOfSlowStart => leave_slow_start(&mut lab, &mut liar, &flight, rtt),
    };
    lab.wait(path);
    let haul = claim_in_order(&mut lab, &mut liar, flight, rounds, path);
    (lab, haul)
}

/// Claims a flight that was received whole, and declares that slow start ended before it.
fn leave_slow_start(lab: &mut Lab, liar: &mut Liar, flight: &[Train], rtt: u32) -> Vec<Train> {
    let mut got = Vec::new();
    for train in flight {
        let position = (flight[0].fields.first - train.fields.epoch.base) as u32;
        let exit = Some(SlowStartExit { position, rtt });
        let answer = liar.claim(lab, &Spec { exit, ..Spec::in_order(train, train.numbers()) });
        liar.receive(&answer);
        got.extend(answer.trains);
    }
    got
}

/// How much longer than what is borne out ever after a declared round trip may be: half of what it counts on CUBIC's
/// clock, a quarter more.
pub(super) const BELIEVED: f64 = 1.6;

/// Waits once, so that a round trip seems longer, and runs CUBIC's clock at up to twice the speed of RFC 9438.
pub(super) struct WaitedFor;

impl WaitedFor {
    const FACTORS: [f64; 2] = [1.3, BELIEVED];
}

impl Strategy for WaitedFor {
    fn name(&self) -> String {
        "waits once, declares up to 1.6 round trips as one".into()
    }

    fn strength(&self) -> String {
        format!("{ROUNDS} round trips, loss and exit")
    }

    /// Section 6.1, check 11: what is declared is at most 1.6 times what is borne out ever after. So a round trip
    /// brings at most what it brings a client on a path that much longer. An honest one declares an eighth less.
    fn run(&self) -> Outcome {
        let outcome = |declared| {
            let attack = |factor| declare(RTT, RTT.mul_f64(factor), declared, ROUNDS).1.rate();
            let candid =
                |path: Duration, share| declare(path, path.mul_f64(share), declared, ROUNDS).1.rate();
            let obtained = Self::FACTORS.into_iter().map(attack).fold(0.0, f64::max);
            Outcome::rate(obtained, candid(RTT, 0.875), BELIEVED * candid(RTT.mul_f64(BELIEVED), 1.0))
        };
        let both = [Declared::AtALoss, Declared::AtTheEndOfSlowStart].map(outcome);
        both.into_iter().max_by(Outcome::closer).unwrap()
    }
}

/// The same with a wait that the next claims do not bear out.
pub(super) struct NotBorneOut;

impl Strategy for NotBorneOut {
    fn name(&self) -> String {
        "waits once, declares more than 1.6 round trips as one".into()
    }

    fn strength(&self) -> String {
        "20 round trips, 3 waits".into()
    }

    /// Section 6.1, check 11: every claim sooner than half of what it counts is refused.
    fn run(&self) -> Outcome {
        const ROUNDS: usize = 20;
        let mut obtained = 0.0_f64;
        for rtt in {
            let most = RTT.mul_f64(BELIEVED);
            [most + Duration::from_micros(200), most + Duration::from_millis(1), 4 * RTT]
        } {
            for declared in [Declared::AtALoss, Declared::AtTheEndOfSlowStart] {
                let (lab, haul) = declare(RTT, rtt, declared, ROUNDS);
                obtained = obtained.max(haul.rate());
                assert!(haul.bytes > 0 || lab.discarded(Discard::Rtt) > 0, "refused for another reason");
            }
        }
        Outcome::rate(obtained, honest::avoidance(WINDOW, ROUNDS, RTT).rate(), 0.0)
    }
}

/// A round-trip time longer than what it is presented with is old, or out of bounds.
pub(super) struct NotWaitedFor;

impl Strategy for NotWaitedFor {
    fn name(&self) -> String {
        "declares a round trip that it did not wait for".into()
    }

    fn strength(&self) -> String {
        "6 values, loss and exit".into()
    }

    /// Sections 5.7 and 5.12.
    fn run(&self) -> Outcome {
        let values = [40_001, 50_000, 60_000_000, u32::MAX, 0, 9];
        let (mut lab, mut liar, flight) = in_avoidance(WINDOW, RTT);
        let meter = Meter::start(&lab);
        for rtt in values {
            liar.recover_all(&mut lab, flight[0].fields.first, rtt, &flight);
        }
        let at_a_loss = meter.read(&lab).bytes;
        let mut lab = Lab::new();
        let mut liar = Liar::connect(&mut lab, 1, CurveId::Cubic, HELLO);
        let flight = liar.grow(&mut lab, WINDOW, RTT);
        let meter = Meter::start(&lab);
        for rtt in values {
            leave_slow_start(&mut lab, &mut liar, &flight, rtt);
        }
        lab.wait(RTT);
        let mut obtained = meter.read(&lab);
        obtained.bytes += at_a_loss;
        Outcome::rate(obtained.rate(), honest::avoidance(WINDOW, 1, RTT).rate(), 0.0)
    }
}
