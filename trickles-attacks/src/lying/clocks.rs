//! Clocks of replicas that differ: what is old at one is young at another.

use std::time::Duration;

use trickles::epoch::CurveId;

use super::honest::{self, HELLO};
use super::round_trips::BELIEVED;
use super::{Outcome, Strategy};
use crate::lab::{Haul, Lab, Liar, SKEW, Train};

/// A short path, on which the difference matters most.
const PATH: Duration = Duration::from_millis(2);
const ROUNDS: usize = 400;
/// Where slow start is left, in packets.
const WINDOW: u32 = 60;

/// Between two replicas, one of which is ahead, overstates its round trip as far as their clocks let it.
pub(super) struct Clocks {
    pub(super) ahead: Duration,
}

/// Which replica is asked in a round trip: 0, or 1 which is ahead.
type Turns = fn(usize) -> usize;

impl Clocks {
    const TURNS: [Turns; 3] = [|_| 0, |_| 1, |round| round % 2];

    fn attack(&self, rtt: Duration, turns: Turns) -> f64 {
        let mut labs = [Lab::replica(1, SKEW), Lab::replica(2, SKEW)];
        labs[1].wait(self.ahead);
        let wait = |labs: &mut [Lab; 2], time| labs.iter_mut().for_each(|lab| lab.wait(time));
        let mut liar = Liar::connect(&mut labs[0], 1, CurveId::Cubic, HELLO);
        let before = labs[0].now;
        let flight = liar.grow(&mut labs[0], WINDOW, PATH);
        let passed = labs[0].now.since(before);
        labs[1].wait(passed);
        // Until it is believed by the one that is ahead.
        let age = PATH + self.ahead + SKEW;
        wait(&mut labs, rtt.saturating_sub(age));
        let lost = flight[0].fields.first;
        let mut flight = liar.recover_all(&mut labs[1], lost, rtt.as_micros() as u32, &flight);
        wait(&mut labs, PATH);
        let mut bytes = 0;
        for round in 0..ROUNDS {
            flight = liar.claim_all(&mut labs[turns(round)], &flight);
            bytes += flight
                .iter()
                .flat_map(|train: &Train| &train.packets)
                .map(|packet| packet.bytes as u64)
                .sum::<u64>();
            wait(&mut labs, PATH);
        }
        Haul { bytes, time: PATH * ROUNDS as u32 }.rate()
    }
}

impl Strategy for Clocks {
    fn name(&self) -> String {
        format!("overstates its round trip, a clock {} ms ahead", self.ahead.as_millis())
    }

    fn strength(&self) -> String {
        format!("{ROUNDS} round trips of {PATH:?}, 12 ways")
    }

    /// Sections 6.1 and 6.8: whatever is declared, half of what it counts passes between issue and claim, or seems to, by
    /// `max_skew` at most for each claim: around a cycle of replicas the differences of clocks cancel.
    fn run(&self) -> Outcome {
        let rtts = [PATH, SKEW, PATH + SKEW, PATH + self.ahead + SKEW].map(|age| age.mul_f64(BELIEVED));
        let attempts = rtts.into_iter().flat_map(|rtt| Self::TURNS.map(|turns| self.attack(rtt, turns)));
        let obtained = attempts.fold(0.0, f64::max);
        let path = (PATH + SKEW).mul_f64(BELIEVED);
        let bound = honest::avoidance(WINDOW, ROUNDS, path).rate() * path.div_duration_f64(PATH);
        Outcome::rate(obtained, honest::avoidance(WINDOW, ROUNDS, PATH).rate(), bound)
    }
}
