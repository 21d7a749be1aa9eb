//! Any sequence of claims to a server, from a client that has received what it was sent: whatever it presents,
//! no position is granted twice. The ledger of the laboratory watches.

#![allow(clippy::unwrap_used, reason = "a laboratory may panic")]

use std::time::Duration;

use trickles::continuation::Continuation;
use trickles::epoch::{CurveId, SlowStartExit};
use trickles::replay::FilterConfig;
use trickles::server::ServerConfig;
use trickles::user_continuation::UserContinuation;
use trickles::wire::Input;

use crate::lab::{Answer, Choices, Endless, Kind, Lab, Liar, Spec, Train, after_loss, most_carried, runs_of};

const MOST_STEPS: usize = 300;

pub(super) fn run(bytes: &[u8]) {
    let mut choices = Choices::from_bytes(bytes);
    let (cells, seconds) = *choices.pick(&[(1 << 10, 120), (1 << 10, 2), (64, 2)]);
    let generation = Duration::from_secs(seconds);
    let filter = FilterConfig { cells_per_generation: cells, shards: 1, generation };
    let mut lab = Lab::with(ServerConfig::default(), filter);
    lab.ledger.forgets = true;
    let mut attack = Claims::new(lab, choices);
    for _ in 0..MOST_STEPS {
        if attack.choices.is_spent() {
            break;
        }
        attack.step();
    }
}

/// A flow under attack: everything ever sent, to be replayed.
pub struct Claims {
    /// The server; its ledger panics when something is granted twice.
    pub lab: Lab,
    liar: Liar,
    /// With what an abbreviated one has presented.
    sent: Vec<(Vec<u8>, Option<Continuation>)>,
    choices: Choices,
}

impl Claims {
    /// A flow on this server.
    pub fn new(mut lab: Lab, choices: Choices) -> Self {
        let liar = Liar::connect(&mut lab, 1, CurveId::Cubic, 4200);
        Self { lab, liar, sent: Vec::new(), choices }
    }

    fn send(&mut self, datagram: Vec<u8>, abbreviated: Option<Continuation>) -> Answer {
        let answer = match &abbreviated {
            Some(presented) => {
                self.lab.exchange_presenting(&mut Endless, presented, &datagram, self.liar.address)
            }
            None => self.lab.exchange(&datagram, self.liar.address),
        };
        self.sent.push((datagram, abbreviated));
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
            let next = after_loss(&epoch, lost, 400)?;
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
        let carried = match kind {
            Kind::Recover { lost, .. } if self.choices.chance(30) => {
                Some(self.choices.below(u64::from(most_carried(&epoch, lost)) + 2) as u32)
            }
            _ => None,
        };
        let spec = Spec { exit, carried, want, ..Spec::new(&train, kind, runs) };
        if self.choices.chance(30) {
            let user = UserContinuation::peek(&self.liar.user)?;
            let input = Input { offset: user.input.start, bytes: &[7; 300], fin: false };
            let spec = Spec { input: Some(input), want: 0, ..spec };
            if let Some(datagram) = self.liar.abbreviated(&spec) {
                return Some(self.send(datagram, Some(train.fields)));
            }
            let datagram = self.liar.request(&spec)?;
            return Some(self.send(datagram, None));
        }
        let datagram = self.liar.request(&spec)?;
        Some(self.send(datagram, None))
    }

    fn open(&mut self) -> Option<Answer> {
        let train = self.some_train();
        let kind = match self.choices.chance(50) {
            true => Kind::Restart { attempt: self.choices.below(2) as u8, rtt: 400 },
            false => Kind::Resume { rtt: 400 },
        };
        let datagram = self.liar.request(&Spec::one(&train, kind, 0..1 + self.choices.below(10)))?;
        Some(self.send(datagram, None))
    }

    /// One attempt.
    pub fn step(&mut self) {
        let pause = match self.choices.below(40) {
            0 => 300_000,
            1 => 1_500_000,
            _ => self.choices.below(2000),
        };
        self.lab.wait(Duration::from_micros(pause));
        let answer = match self.choices.below(20) {
            0 => self.open(),
            1..4 if !self.sent.is_empty() => {
                let (datagram, abbreviated) = self.choices.pick(&self.sent).clone();
                Some(self.send(datagram, abbreviated))
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
        if let Some(user) = answer.as_ref().and_then(|answer| answer.user.as_ref()) {
            self.liar.user.clone_from(user);
        }
        for train in answer.into_iter().flat_map(|answer| answer.trains) {
            let (first, lossy) = (train.fields.first, self.choices.chance(20));
            let seed = self.choices.word();
            self.liar.receive_train(&train, |number| !lossy || (seed >> ((number - first) % 64)) & 3 != 0);
        }
    }
}
