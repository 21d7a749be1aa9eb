//! Many forks of one flow at once, each position claimed where it is worth most.

use std::collections::BTreeMap;
use std::ops::Range;

use trickles::epoch::{CurveId, Epoch, SlowStartExit, adopts};

use super::honest::{self, HELLO, RTT, claim_in_order, in_avoidance};
use super::{Outcome, Strategy};
use crate::lab::{Choices, Kind, Lab, Liar, Meter, Spec, Train, after_loss, most_carried, runs_of};

const ROUNDS: usize = 30;

/// How one position is best claimed.
type Choice = (Kind, Option<SlowStartExit>);

/// A client that looks at every fork it could open.
struct Forker {
    lab: Lab,
    liar: Liar,
    adopts: bool,
    /// How often a position is claimed in any way at all instead of the best one, in percent.
    whims: u64,
    choices: Choices,
}

impl Forker {
    /// The first number that is missing in a train's fork.
    fn gap(&self, train: &Train, gaps: &mut BTreeMap<(u64, bool), u64>) -> u64 {
        let fields = &train.fields;
        let gap = || self.liar.gap(&fields.epoch, fields.tag);
        *gaps.entry((fields.tag, fields.epoch.exit.is_some())).or_insert_with(gap)
    }

    /// The ways to claim `position`, each with how many numbers it owns that way.
    fn ways(&self, train: &Train, position: u64, gap: u64) -> Vec<(u64, Choice)> {
        let epoch = train.fields.epoch;
        let one = position..position + 1;
        let owned = |epoch: &Epoch| epoch.share(&one).end - epoch.share(&one).start;
        let mut ways = Vec::new();
        if position < gap {
            let kind = Kind::Continue { proven: gap };
            ways.push((owned(&epoch), (kind, epoch.exit)));
        }
        let window = u64::from(epoch.window(gap - epoch.base));
        for back in [0, 1, 2, 3, window / 16, window / 8, window / 4, window / 2] {
            let lost = gap.min(position).saturating_sub(1 + back).max(epoch.base);
            let Some(next) = after_loss(&epoch, lost, RTT.as_micros() as u32) else { continue };
            if lost < position && position < next.base {
                let kind = Kind::Recover { lost, rtt: RTT.as_micros() as u32 };
                ways.push((owned(&next), (kind, epoch.exit)));
            }
        }
        ways
    }

    /// Positions before a train's own that its claim may adopt as well.
    fn adopted(&self, train: &Train, kind: Kind, own: &[Range<u64>]) -> Vec<Range<u64>> {
        let Kind::Recover { lost, rtt } = kind else { return Vec::new() };
        let Some(next) = after_loss(&train.fields.epoch, lost, rtt).filter(|_| self.adopts) else {
            return Vec::new();
        };
        let count: u64 = own.iter().map(|run| run.end - run.start).sum();
        let mut numbers = 0;
        let lowest = lost.max(train.fields.earned) + 1;
        let orphans = (lowest..own[0].start.min(train.fields.first))
            .filter(|position| !self.lab.ledger.is_granted(train.fields.flow, *position))
            .take_while(|position| {
                let share = next.share(&(*position..*position + 1));
                numbers += share.end - share.start;
                adopts(count, numbers)
            });
        let mut runs = runs_of(orphans, 32);
        runs.truncate(8 - own.len());
        runs
    }

    /// Claims what arrived in the last round trip; returns what that brings.
    fn round(&mut self, flight: &[Train]) -> Vec<Train> {
        let (mut gaps, mut got) = (BTreeMap::new(), Vec::new());
        for train in flight {
            let gap = self.gap(train, &mut gaps);
            let mut plan: Vec<(Choice, Vec<u64>)> = Vec::new();
            for position in train.numbers() {
                // Of equal ways the first: nothing lost.
                let mut ways = self.ways(train, position, gap);
                ways.retain(|(owned, _)| *owned > 0);
                let best = match self.choices.chance(self.whims) {
                    true if !ways.is_empty() => Some(*self.choices.pick(&ways)),
                    _ => ways.into_iter().rev().max_by_key(|(owned, _)| *owned),
                };
                let Some((_, choice)) = best else { continue };
                match plan.iter_mut().find(|(planned, _)| *planned == choice) {
                    Some((_, positions)) => positions.push(position),
                    None => plan.push((choice, vec![position])),
                }
            }
            for ((kind, exit), positions) in plan {
                for own in runs_of(positions, 32).chunks(4) {
                    let mut runs = self.adopted(train, kind, own);
                    runs.extend_from_slice(own);
                    // Windows reduced from different numbers are forks too.
                    let carried = match kind {
                        Kind::Recover { lost, .. } if self.choices.chance(self.whims) => {
                            let most = most_carried(&train.fields.epoch, lost);
                            Some(1 + self.choices.below(most.into()) as u32)
                        }
                        _ => None,
                    };
                    let spec = Spec { exit, carried, ..Spec::new(train, kind, runs) };
                    let answer = self.liar.claim(&mut self.lab, &spec);
                    self.liar.receive(&answer);
                    got.extend(answer.trains);
                }
            }
        }
        self.lab.wait(RTT);
        got
    }
}

/// Declares a different first loss wherever that is worth a packet more, or on a whim.
pub(super) struct Losses {
    /// Where slow start is left, in packets.
    pub(super) window: u32,
    pub(super) adopts: bool,
}

impl Losses {
    fn attempts(&self) -> u64 {
        if self.window < 50 { 20 } else { 4 }
    }

    /// What forking obtains, in kB/s.
    fn attack(&self, whims: u64, seed: u64) -> f64 {
        let (lab, liar, mut flight) = in_avoidance(self.window, RTT);
        let window = flight[0].fields.epoch.growth.window0;
        let before = lab.ledger.granted();
        let meter = Meter::start(&lab);
        let mut forker = Forker { lab, liar, adopts: self.adopts, whims, choices: Choices::seeded(seed) };
        for _ in 0..ROUNDS {
            flight = forker.round(&flight);
        }
        let (positions, packets) = forker.lab.ledger.granted();
        let (positions, packets) = (positions - before.0, packets - before.1);
        // However slow it is: more for a position than forks of one flow have together.
        if packets as f64 > 1.5 * positions as f64 + f64::from(window) / 0.3 {
            return f64::INFINITY;
        }
        meter.read(&forker.lab).rate()
    }
}

impl Strategy for Losses {
    fn name(&self) -> String {
        let window = if self.window < 50 { "small" } else { "large" };
        let means = if self.adopts { "adopts all it may" } else { "declares other losses" };
        format!("forks a {window} window, {means}")
    }

    fn strength(&self) -> String {
        format!("{ROUNDS} round trips, {} ways to choose", self.attempts())
    }

    /// Sections 8.2 and 8.3: forks share the positions of one flow, and a loss leaves each less than it had.
    fn run(&self) -> Outcome {
        let attack = |attempt| self.attack(attempt * 5, attempt);
        let obtained = (0..self.attempts()).map(attack).fold(0.0, f64::max);
        let honest = honest::avoidance(self.window, ROUNDS, RTT).rate();
        Outcome::rate(obtained, honest, honest)
    }
}

/// Leaves slow start at many places at once.
pub(super) struct Exits;

impl Strategy for Exits {
    fn name(&self) -> String {
        "forks by declared ends of slow start".into()
    }

    fn strength(&self) -> String {
        format!("{EXITED} round trips, 5 forks, window 150")
    }

    /// Section 8.3: a position owns at most two numbers, which is what it owns in slow start.
    fn run(&self) -> Outcome {
        let (lab, liar, flight) = in_slow_start();
        let meter = Meter::start(&lab);
        let epoch = flight[0].fields.epoch;
        let at = (flight[0].fields.first - epoch.base) as u32;
        let mut forker = Forker { lab, liar, adopts: false, whims: 0, choices: Choices::seeded(0) };
        let mut fresh = Vec::new();
        for train in &flight {
            for position in train.numbers() {
                // A handful of forks, positions dealt out among them; one goes on in slow start.
                let fork = position % 5;
                let exit = (fork > 0).then_some(SlowStartExit { position: at, rtt: 1000 * fork as u32 });
                let kind = Kind::Continue { proven: train.fields.end() };
                let spec = Spec { exit, ..Spec::one(train, kind, position..position + 1) };
                let answer = forker.liar.claim(&mut forker.lab, &spec);
                assert!(answer.packets > 0);
                forker.liar.receive(&answer);
                fresh.extend(answer.trains);
            }
        }
        forker.lab.wait(RTT);
        for _ in 1..EXITED {
            fresh = forker.round(&fresh);
        }
        let (mut lab, mut client, flight) = in_slow_start();
        let honest = claim_in_order(&mut lab, &mut client, flight, EXITED, RTT).rate();
        Outcome::rate(meter.read(&forker.lab).rate(), honest, honest)
    }
}

const EXITED: usize = 5;

fn in_slow_start() -> (Lab, Liar, Vec<Train>) {
    let mut lab = Lab::new();
    let mut liar = Liar::connect(&mut lab, 1, CurveId::Cubic, HELLO);
    let flight = liar.grow(&mut lab, 150, RTT);
    (lab, liar, flight)
}
