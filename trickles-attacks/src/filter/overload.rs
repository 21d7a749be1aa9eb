//! What a filter does when it is full: it remembers less far back, and still neither grants twice nor refuses.

use std::sync::OnceLock;
use std::time::Duration;

use trickles::replay::{FilterConfig, FingerprintFilter, ReplayFilter};
use trickles::time::Timestamp;

use super::load::{Load, Train};
use super::{KEY, PREFIXES};
use crate::lab::{Choices, EPOCH};
use crate::{Attack, Outcome};

/// Trains that can be replayed: so many that at ten times the design load some are forgotten by then.
const RECORDED: usize = 1 << 20;

/// A filter, and what it did wrong.
pub(super) struct Watched {
    filter: FingerprintFilter,
    /// Trains granted, the newest in place of the oldest.
    recorded: Vec<Train>,
    next: usize,
    choices: Choices,
    pub(super) wrong: Wrong,
    /// Replays that were granted, all of them of trains the filter said it had forgotten.
    pub(super) forgotten: u64,
    pub(super) replayed: u64,
    /// The shortest horizon after a grant, once anything was forgotten.
    pub(super) shortest: Duration,
}

/// Positions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wrong {
    /// Fresh, and not granted.
    pub(super) refused: u64,
    /// Granted again within the horizon.
    pub(super) granted_twice: u64,
}

impl Watched {
    pub(super) fn new(config: FilterConfig) -> Self {
        Self {
            filter: FingerprintFilter::new(config, KEY, EPOCH),
            recorded: Vec::new(),
            next: 0,
            choices: Choices::seeded(4),
            wrong: Wrong::default(),
            forgotten: 0,
            replayed: 0,
            shortest: Duration::MAX,
        }
    }

    /// A train that is asked for the first time.
    pub(super) fn ask_once(&mut self, train: &Train) {
        self.wrong.refused += train.positions() - train.ask(&self.filter, train.at);
        self.shortest = self.shortest.min(self.filter.horizon(train.prefix, train.at));
    }

    /// The same, and one of those before once more.
    pub(super) fn ask(&mut self, train: Train) {
        let now = train.at;
        self.ask_once(&train);
        if self.recorded.len() < RECORDED {
            self.recorded.push(train);
        } else {
            let next = self.next % self.recorded.len();
            self.recorded[next] = train;
            self.next += 1;
        }
        let index = self.choices.below(self.recorded.len() as u64) as usize;
        self.replay(index, now);
    }

    fn replay(&mut self, index: usize, now: Timestamp) {
        let train = &mut self.recorded[index];
        let granted = train.ask(&self.filter, now);
        self.replayed += 1;
        if granted == 0 {
            return;
        }
        if now.since(train.at) < self.filter.horizon(train.prefix, now) {
            self.wrong.granted_twice += granted;
        } else {
            self.forgotten += 1;
        }
        if granted == train.positions() {
            train.at = now;
        } else {
            // Parts of it have different ages.
            self.recorded.swap_remove(index);
        }
    }

    fn horizons(&self, now: Timestamp) -> Vec<Duration> {
        (0..PREFIXES).map(|prefix| self.filter.horizon(prefix, now)).collect()
    }
}

/// More positions than the filter is made for, under all prefixes.
pub(super) struct Flood {
    config: FilterConfig,
    rate: u64,
    positions: u64,
    horizon: OnceLock<Duration>,
}

impl Flood {
    pub(super) fn new(config: FilterConfig, rate: u64, positions: u64) -> Self {
        Self { config, rate, positions, horizon: OnceLock::new() }
    }

    pub(super) fn flood(&self) -> Watched {
        let mut watched = Watched::new(self.config);
        let mut load = Load::new(3, 0..PREFIXES, self.rate);
        let mut asked = 0;
        while asked < self.positions {
            let train = load.train();
            asked += train.positions();
            watched.ask(train);
        }
        watched
    }
}

impl Attack for Flood {
    fn name(&self) -> String {
        "Filter at 10M positions/s: refused, or granted twice".into()
    }

    fn strength(&self) -> String {
        let asked = format!("{}M positions", self.positions / 1_000_000);
        match self.horizon.get() {
            Some(horizon) => format!("{asked}, horizon from {:.1} s", horizon.as_secs_f64()),
            None => asked,
        }
    }

    fn run(&self) -> anyhow::Result<Outcome> {
        let watched = self.flood();
        self.horizon.get_or_init(|| watched.shortest);
        anyhow::ensure!(watched.forgotten > 0, "the filter was never full");
        Ok(Outcome::none_of("positions", watched.wrong.refused + watched.wrong.granted_twice))
    }
}

/// One prefix claims ten times as much as all others together.
pub(super) struct Neighbour {
    config: FilterConfig,
    rate: u64,
    /// Of the others, while the attack goes on.
    positions: u64,
    seen: OnceLock<Harm>,
}

/// What one prefix did to the others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Harm {
    /// Positions of anybody's.
    pub(super) wrong: Wrong,
    /// Prefixes of other shards that are remembered less far back than without the attack.
    pub(super) others_harmed: u64,
    /// Prefixes that share the attacker's shard.
    pub(super) sharing: u64,
    /// How far back they are remembered, without the attack and with it.
    pub(super) horizon: (Duration, Duration),
}

impl Neighbour {
    const ATTACKER: u64 = PREFIXES;

    pub(super) fn new(config: FilterConfig, rate: u64, positions: u64) -> Self {
        Self { config, rate, positions, seen: OnceLock::new() }
    }

    /// Runs the same load beside the attack and without it. Only the attacker asks twice: what others ask again
    /// would weigh on their shards too.
    pub(super) fn attack(&self) -> Harm {
        let (mut quiet, mut attacked) = (Watched::new(self.config), Watched::new(self.config));
        let mut others = Load::new(5, 0..PREFIXES, self.rate);
        while (0..PREFIXES).any(|prefix| quiet.filter.horizon(prefix, others.now()) == Duration::MAX) {
            for _ in 0..1000 {
                let train = others.train();
                quiet.ask_once(&train);
                attacked.ask_once(&train);
            }
        }
        let begun = others.elapsed();
        let mut attacker = Load::new(6, Self::ATTACKER..Self::ATTACKER + 1, 10 * self.rate);
        let mut asked = 0;
        while asked < self.positions {
            let train = others.train();
            asked += train.positions();
            while attacker.now() + begun < train.at {
                attacked.ask(attacker.train().delayed(begun));
            }
            quiet.ask_once(&train);
            attacked.ask_once(&train);
        }
        let now = others.now();
        let shared = self.sharing_the_attackers_shard();
        let (without, with) = (quiet.horizons(now), attacked.horizons(now));
        let prefixes = || shared.iter().zip(without.iter().zip(&with));
        let victim = shared.iter().position(|&shares| shares).expect("4096 prefixes are in all shards");
        Harm {
            wrong: attacked.wrong,
            others_harmed: prefixes().filter(|(shares, (without, with))| !**shares && with != without).count()
                as u64,
            sharing: prefixes().filter(|(shares, _)| **shares).count() as u64,
            horizon: (without[victim], with[victim]),
        }
    }

    /// Who shares it is decided by the key and the number of shards: seen on a filter that forgets at once.
    fn sharing_the_attackers_shard(&self) -> Vec<bool> {
        let small = FilterConfig { cells_per_generation: 0, ..self.config };
        let filter = FingerprintFilter::new(small, KEY, EPOCH);
        for block in 0..1000 {
            filter.grant(Self::ATTACKER, 0, block, 1, EPOCH);
        }
        (0..PREFIXES).map(|prefix| filter.horizon(prefix, EPOCH) != Duration::MAX).collect()
    }
}

impl Attack for Neighbour {
    fn name(&self) -> String {
        "One prefix claims 10M/s: prefixes of other shards harmed".into()
    }

    fn strength(&self) -> String {
        match self.seen.get() {
            Some(harm) => format!(
                "its {} mates: {:.1} s, without {:.1} s",
                harm.sharing,
                harm.horizon.1.as_secs_f64(),
                harm.horizon.0.as_secs_f64()
            ),
            None => format!("{} of all {PREFIXES}", Self::ATTACKER),
        }
    }

    fn run(&self) -> anyhow::Result<Outcome> {
        let harm = self.seen.get_or_init(|| self.attack());
        anyhow::ensure!(harm.wrong == Wrong::default(), "{harm:?}");
        Ok(Outcome::none_of("prefixes", harm.others_harmed))
    }
}
