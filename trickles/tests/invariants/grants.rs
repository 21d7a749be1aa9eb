//! Invariant 2: no position of a flow is granted twice. The ledger of the laboratory watches.

use std::time::Duration;

use proptest::prelude::*;
use trickles::epoch::{CurveId, SlowStartExit};
use trickles::replay::FilterConfig;
use trickles::server::ServerConfig;

use crate::cases;
use crate::lab::liar::hello;
use crate::lab::{Answer, Choices, Kind, Lab, Liar, Spec, Train, runs_of};

/// A flow under attack: everything ever sent, to be replayed.
struct Attack {
    lab: Lab,
    liar: Liar,
    sent: Vec<Vec<u8>>,
    choices: Choices,
}

impl Attack {
    fn new(mut lab: Lab, seed: u64) -> Self {
        let liar = Liar::connect(&mut lab, 1, CurveId::Cubic, 4200);
        Self { lab, liar, sent: Vec::new(), choices: Choices(seed) }
    }

    fn send(&mut self, datagram: Vec<u8>) -> Answer {
        let answer = self.lab.exchange(&datagram, self.liar.address);
        self.sent.push(datagram);
        answer
    }

    /// A train, a new one more likely than an old one.
    fn some_train(&mut self) -> Train {
        let count = self.liar.trains.len() as u64;
        let back = match self.choices.below(3) {
            0 => self.choices.below(count),
            _ => self.choices.below(count.min(6)),
        };
        self.liar.trains[(count - 1 - back) as usize].clone()
    }

    /// One of the few exits that the forks of this flow declare.
    fn some_exit(&mut self, train: &Train) -> Option<SlowStartExit> {
        if train.fields.epoch.exit.is_some() {
            return train.fields.epoch.exit;
        }
        let position = (train.fields.earned.saturating_sub(train.fields.epoch.base)) as u32 / 8 * 8;
        let exit = SlowStartExit { position, rtt: 500 + 100 * self.choices.below(2) as u32 };
        (train.fields.epoch.admits(exit) && self.choices.chance(15)).then_some(exit)
    }

    /// Claims positions at and around a train, in one fork or another.
    fn claim(&mut self) -> Option<Answer> {
        let train = self.some_train();
        let exit = self.some_exit(&train);
        let epoch = trickles::epoch::Epoch { exit, ..train.fields.epoch };
        let gap = self.liar.gap(&epoch, train.fields.tag);
        let own = train.fields.first..train.fields.end();
        let lowest = (train.fields.earned + 1).max(epoch.first_position());
        let mut positions: Vec<u64> = Vec::new();
        let continues = own.start < gap && self.choices.chance(60);
        let kind = if continues {
            positions.extend(own.start..own.end.min(gap));
            Kind::Continue { proven: gap }
        } else {
            let bound = gap.min(own.end - 1);
            let lost = bound - self.choices.below((bound - epoch.base).min(12) + 1);
            let next = epoch.recover(lost, 400)?;
            positions.extend(own.start.max(lost + 1)..own.end.min(next.base));
            Kind::Recover { lost, rtt: 400 }
        };
        // Keep some of them, and adopt or present again some before them.
        let percent = 30 + self.choices.below(71);
        positions.retain(|_| self.choices.chance(percent));
        let before = lowest + self.choices.below(own.start.saturating_sub(lowest) + 1)..own.start;
        let most = self.choices.below(4) as usize;
        let mut all: Vec<u64> = before.take(most).chain(positions).collect();
        if let Kind::Recover { lost, .. } = kind {
            all.retain(|&position| position != lost);
        }
        let mut runs = runs_of(all, 1 + self.choices.below(32));
        while runs.len() > 8 {
            runs.remove(self.choices.below(runs.len() as u64) as usize);
        }
        if runs.is_empty() {
            return None;
        }
        let want = if self.choices.chance(20) { 1 + self.choices.below(3000) } else { u64::from(u32::MAX) };
        let spec = Spec { exit, want, ..Spec::new(&train, kind, runs) };
        let datagram = self.liar.request(&spec)?;
        Some(self.send(datagram))
    }

    fn open(&mut self) -> Option<Answer> {
        let train = self.some_train();
        let kind = match self.choices.chance(50) {
            true => Kind::Restart { attempt: self.choices.below(2) as u8, rtt: 400 },
            false => Kind::Resume { rtt: 400 },
        };
        let datagram = self.liar.request(&Spec::one(&train, kind, 0..1 + self.choices.below(10)))?;
        Some(self.send(datagram))
    }

    fn step(&mut self) {
        let pause = match self.choices.below(40) {
            0 => 300_000,
            1 => 1_500_000,
            _ => self.choices.below(2000),
        };
        self.lab.wait(Duration::from_micros(pause));
        let answer = match self.choices.below(20) {
            0 => self.open(),
            1..4 if !self.sent.is_empty() => {
                let datagram = self.choices.pick(&self.sent).clone();
                Some(self.send(datagram))
            }
            4 => {
                // Others use the filter too.
                let stranger = 100 + self.choices.below(50) as u16;
                let mut other = Liar::connect(&mut self.lab, stranger, CurveId::Reno, 4200);
                let trains = other.trains.clone();
                other.claim_all(&mut self.lab, &trains);
                None
            }
            _ => self.claim(),
        };
        for train in answer.into_iter().flat_map(|answer| answer.trains) {
            let (first, lossy) = (train.fields.first, self.choices.chance(20));
            let seed = self.choices.word();
            self.liar.receive_train(&train, |number| !lossy || (seed >> ((number - first) % 64)) & 3 != 0);
        }
    }
}

/// Certainly fresh where a generation of the filter lasts ten seconds: a quarter of that.
const FRESH: Duration = Duration::from_millis(2500);

fn filter(cells: usize, generation: u64) -> FilterConfig {
    FilterConfig { cells_per_generation: cells, shards: 1, generation: Duration::from_millis(generation) }
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn no_position_is_granted_twice_whatever_is_presented(
        (cells, generation) in prop_oneof![
            3 => Just((1 << 12, 120_000)),
            2 => Just((1 << 12, 2_000)),
            1 => Just((64, 2_000)),
        ],
        seed in any::<u64>(),
    ) {
        let mut lab = Lab::with(ServerConfig::default(), filter(cells, generation));
        lab.ledger.forgets = true;
        let mut attack = Attack::new(lab, seed);
        for _ in 0..300 {
            attack.step();
        }
        let (positions, packets) = attack.lab.ledger.granted();
        prop_assert!(positions >= 20 && packets >= 20, "the attack never got going: {positions} positions");
    }

    /// A lineage that lives as slowly as it may: at each step it claims the lowest of the positions held back,
    /// presenting its newest train just before that is too old. Positions above were granted in the beginning;
    /// after every step it claims them again with all it holds, the filter forgetting meanwhile.
    #[test]
    fn no_position_is_granted_twice_to_a_lineage_that_delays_every_step(
        held_back in 6u64..10,
        earliness in prop_oneof![Just(1u64), 1..400u64],
        skips in 0u64..30,
        seed in any::<u64>(),
    ) {
        let mut choices = Choices(seed);
        let config = ServerConfig { freshness: Duration::from_secs(600), ..ServerConfig::default() };
        let mut lab = Lab::with(config, filter(1 << 10, 10_000));
        keep_filter_busy(&mut lab, Duration::from_secs(20 + choices.below(10)));
        let mut liar = Liar::connect(&mut lab, 1, CurveId::Reno, 4200);
        let birth = liar.trains[0].clone();
        let (flow, base) = (birth.fields.flow, birth.fields.first);
        let mut granted: Vec<u64> = (base + held_back..base + 10).collect();
        let answer = liar.claim(&mut lab, &Spec::in_order(&birth, base + held_back..base + 10));
        prop_assert!(answer.packets > 0);
        keep_filter_busy(&mut lab, Duration::ZERO);
        let (mut newest, mut refreshed, mut steps) = (birth.clone(), 0, 0);
        let proven = Kind::Continue { proven: base + 10 };
        for position in base..base + held_back {
            if steps > 0 && choices.chance(skips) {
                continue;
            }
            let due = newest.fields.issued + FRESH - Duration::from_millis(earliness);
            lab.wait(due.since(lab.now));
            let answer = liar.claim(&mut lab, &Spec::one(&newest, proven, position..position + 1));
            if let Some(train) = answer.trains.first().filter(|train| !train.refresh) {
                newest = train.clone();
                granted.push(position);
                steps += 1;
            }
            liar.receive(&answer);
            for &position in &granted {
                for train in liar.trains.clone().into_iter().filter(|train| !train.refresh) {
                    let answer = liar.claim(&mut lab, &Spec::one(&train, proven, position..position + 1));
                    prop_assert!(answer.trains.iter().all(|train| train.refresh), "granted again: {}", position);
                    refreshed += answer.trains.len();
                }
            }
            keep_filter_busy(&mut lab, Duration::ZERO);
        }
        prop_assert!(granted.iter().all(|&position| lab.ledger.is_granted(flow, position)));
        prop_assert!(steps > 0, "the lineage never got going; {} refreshed", refreshed);
    }
}

/// A lineage that claims all in order, but late: its trains reach back to no position before the one that
/// earned them, however long ago that was granted.
#[test]
fn a_late_train_does_not_reach_back() {
    let config = ServerConfig { freshness: Duration::from_secs(600), ..ServerConfig::default() };
    let mut lab = Lab::with(config, filter(1 << 12, 10_000));
    keep_filter_busy(&mut lab, Duration::from_secs(25));
    let mut liar = Liar::connect(&mut lab, 1, CurveId::Reno, 4200);
    let birth = liar.trains[0].fields;
    let mut flight = liar.trains.clone();
    for _ in 0..9 {
        lab.wait(FRESH - Duration::from_millis(1));
        flight = liar.claim_all(&mut lab, &flight);
        assert!(!flight.is_empty());
        keep_filter_busy(&mut lab, Duration::ZERO);
        let proven = liar.gap(&birth.epoch, birth.tag);
        let newest: Vec<Train> = flight.iter().rev().take(2).chain(flight.first()).cloned().collect();
        let before = birth.first..flight[0].fields.first.min(birth.first + 60);
        let attempts = newest.iter().flat_map(|train| before.clone().map(move |position| (train, position)));
        for (train, position) in attempts {
            let answer =
                liar.claim(&mut lab, &Spec::one(train, Kind::Continue { proven }, position..position + 1));
            assert!(answer.trains.is_empty(), "{position}");
        }
    }
}

/// Lets time pass with a stranger's connection every second, so that generations succeed one another.
fn keep_filter_busy(lab: &mut Lab, time: Duration) {
    for _ in 0..=time.as_secs() {
        lab.wait(Duration::from_secs(u64::from(!time.is_zero())));
        let mut stranger = Liar::at(7);
        stranger.receive(&lab.exchange(&hello(CurveId::Reno, 0, 4200), stranger.address));
        let trains = stranger.trains.clone();
        stranger.claim_all(lab, &trains);
    }
}
