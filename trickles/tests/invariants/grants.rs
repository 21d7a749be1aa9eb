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

    /// A lineage that lives as slowly as it may: each step presents the newest train, just before that is too
    /// old, and claims one of the positions held back or one of its own. After every step it tries to be
    /// granted again all it ever was granted, with everything it holds.
    #[test]
    fn no_position_is_granted_twice_to_a_lineage_that_delays_every_step(
        held_back in 6u64..10,
        order in any::<u64>(),
        earliness in prop_oneof![Just(1u64), 1..400u64],
    ) {
        let mut choices = Choices(order);
        let config = ServerConfig { freshness: Duration::from_secs(600), ..ServerConfig::default() };
        let mut lab = Lab::with(config, filter(1 << 10, 10_000));
        keep_filter_busy(&mut lab, Duration::from_secs(25));
        let mut liar = Liar::connect(&mut lab, 1, CurveId::Reno, 4200);
        let birth = liar.trains[0].clone();
        let (flow, base) = (birth.fields.flow, birth.fields.first);
        let mut claimed = Vec::new();
        let mut waiting: Vec<u64> = (base..base + held_back).collect();
        let mut refreshed = 0;
        for step in 0..16 {
            // The filter remembers ten seconds at least; a quarter of what it remembers now is fresh.
            let limit = lab.horizon() / 4;
            let newest = liar.trains.last().unwrap().clone();
            let due = newest.fields.issued + limit - Duration::from_millis(earliness);
            if step > 0 {
                lab.wait(due.since(lab.now).min(Duration::from_secs(3)));
            }
            let own = newest.fields.first;
            let position = match choices.below(3) {
                0 | 1 if !waiting.is_empty() => waiting.remove(choices.below(waiting.len() as u64) as usize),
                _ => own,
            };
            let gap = liar.gap(&birth.fields.epoch, birth.fields.tag);
            let candidates = [position, own, *claimed.first().unwrap_or(&base)];
            for position in candidates.into_iter().filter(|position| *position < gap) {
                for train in [&newest, &birth] {
                    let spec = Spec::one(train, Kind::Continue { proven: gap }, position..position + 1);
                    let answer = liar.claim(&mut lab, &spec);
                    refreshed += answer.trains.iter().filter(|train| train.refresh).count();
                    if answer.trains.iter().any(|train| !train.refresh) {
                        claimed.push(position);
                        liar.receive(&answer);
                    }
                }
            }
            for &position in &claimed {
                for train in liar.trains.clone() {
                    let spec = Spec::one(&train, Kind::Continue { proven: gap }, position..position + 1);
                    let answer = liar.claim(&mut lab, &spec);
                    prop_assert!(answer.trains.iter().all(|train| train.refresh), "granted again: {position}");
                    refreshed += answer.trains.len();
                }
            }
            keep_filter_busy(&mut lab, Duration::ZERO);
        }
        prop_assert!(claimed.iter().all(|&position| lab.ledger.is_granted(flow, position)));
        prop_assert!(claimed.len() >= 2 && refreshed > 0, "{} claimed, {refreshed} refreshed", claimed.len());
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
