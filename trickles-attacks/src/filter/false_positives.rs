//! Whether positions that nobody was granted are refused.

use std::sync::OnceLock;
use std::time::Duration;

use anyhow::ensure;
use siphasher::sip::SipHasher24;
use trickles::replay::{FilterConfig, FingerprintFilter, ReplayFilter};
use trickles::time::Timestamp;

use super::load::{DESIGN_RATE, Load};
use super::{KEY, PREFIXES};
use crate::lab::EPOCH;
use crate::{Attack, Outcome};

/// Look-ups for each train of the load: so many that one look-up sees much the same state as the next, and so
/// few that the look-ups of a measurement see every state between two rotations.
const LOOK_UPS_A_TRAIN: u64 = 30;

/// What was found in look-ups of blocks never granted, while a load went on.
///
/// The unit of chance is the block. A false positive is a block whose cell is taken for another's, and then
/// as many of its positions are refused as the other had granted: up to 32 at once, so counting positions
/// would count one event 32 times. Since every position belongs to one block, and is refused only if its
/// block is a false positive, the share of blocks bounds the share of positions.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    /// Blocks looked up.
    pub look_ups: u64,
    /// Of those, the ones with any position shown as granted.
    pub found: u64,
    /// How far back the filter remembered, on average over prefixes and time.
    pub horizon: Duration,
    /// The same at the worst moment of the worst prefix.
    pub shortest: Duration,
    /// Blocks that the load touched in each second.
    pub blocks_a_second: f64,
}

impl Measured {
    /// The share of false positives that is exceeded with a confidence of 95 %: the rate at which so few or
    /// fewer would be found in one of 20 measurements (the exact bound for Poisson counts).
    pub fn upper_bound(&self) -> f64 {
        let at_most_found = |mean: f64| {
            let terms = (1..=self.found).scan((-mean).exp(), |term, k| {
                *term *= mean / k as f64;
                Some(*term)
            });
            (-mean).exp() + terms.sum::<f64>()
        };
        let (mut low, mut high) = (0.0, 10.0 + 3.0 * self.found as f64);
        for _ in 0..60 {
            let middle = (low + high) / 2.0;
            if at_most_found(middle) > 0.05 { low = middle } else { high = middle }
        }
        high / self.look_ups as f64
    }
}

/// Fills `filter` until every prefix has both generations in use, and looks up fresh blocks from there on.
pub(super) fn measure(filter: &impl ReplayFilter, load: &mut Load, look_ups: u64) -> Measured {
    while (0..PREFIXES).any(|prefix| filter.horizon(prefix, load.now()) == Duration::MAX) {
        for _ in 0..1000 {
            let train = load.train();
            train.ask(filter, train.at);
        }
    }
    let (mut found, mut horizon, mut shortest) = (0, Duration::ZERO, Duration::MAX);
    let trains = look_ups.div_ceil(LOOK_UPS_A_TRAIN);
    for _ in 0..trains {
        let train = load.train();
        train.ask(filter, train.at);
        let here = filter.horizon(train.prefix, train.at);
        horizon += here;
        shortest = shortest.min(here);
        for _ in 0..LOOK_UPS_A_TRAIN {
            let (prefix, flow, block) = load.fresh();
            found += u64::from(filter.granted(prefix, flow, block) != 0);
        }
    }
    Measured {
        look_ups: trains * LOOK_UPS_A_TRAIN,
        found,
        horizon: horizon / trains as u32,
        shortest,
        blocks_a_second: load.blocks as f64 / load.elapsed().as_secs_f64(),
    }
}

/// The share of false positives when both generations are as full as they get, 60 %: the fingerprints that a
/// look-up compares, each equal by a chance of 2^-32.
///
/// Buckets of eight cells are taken as filled independently of each other. A look-up compares what is in the
/// first, and goes on to the next of four while they are full.
pub fn predicted() -> f64 {
    let mean: f64 = 8.0 * 0.6;
    let mut term = (-mean).exp();
    let (mut below_eight, mut cells) = (0.0, 0.0);
    for count in 0..8 {
        below_eight += term;
        cells += f64::from(count) * term;
        term *= mean / f64::from(count + 1);
    }
    let full: f64 = 1.0 - below_eight;
    let in_a_bucket = cells + 8.0 * full;
    let compared = in_a_bucket * (0..4).map(|before| full.powi(before)).sum::<f64>();
    2.0 * compared / 2f64.powi(32)
}

/// Counts the fresh blocks refused at the design load, with the default filter.
#[derive(Default)]
pub(super) struct DesignLoad(OnceLock<Measured>);

impl DesignLoad {
    /// Enough that even one found leaves the bound below 1e-7.
    const LOOK_UPS: u64 = 50_000_000;
}

impl Attack for DesignLoad {
    fn name(&self) -> String {
        "Filter at 1M positions/s: fresh positions refused".into()
    }

    fn strength(&self) -> String {
        match self.0.get() {
            Some(measured) => format!(
                "{} of {}M found, 32 MiB, {:.0}-{:.0} s",
                measured.found,
                measured.look_ups / 1_000_000,
                measured.shortest.as_secs_f64(),
                measured.horizon.as_secs_f64(),
            ),
            None => format!("{}M blocks", Self::LOOK_UPS / 1_000_000),
        }
    }

    fn run(&self) -> anyhow::Result<Outcome> {
        let filter = FingerprintFilter::new(FilterConfig::default(), KEY, EPOCH);
        ensure!(filter.memory() == 32 << 20, "the default filter has another size than shown here");
        let measured = measure(&filter, &mut Load::new(1, 0..PREFIXES, DESIGN_RATE), Self::LOOK_UPS);
        let measured = self.0.get_or_init(|| measured);
        Ok(Outcome {
            unit: "in 10M, at 95 %",
            obtained: measured.upper_bound() * 1e7,
            honest: None,
            bound: 1.0,
        })
    }
}

/// Shows that false positives are found where there are some: the same measurement of a filter that is given
/// 32 bits of a hash in place of flow and block, which is wrong as often as those bits agree.
pub(super) struct Calibration {
    pub(super) config: FilterConfig,
    pub(super) rate: u64,
    pub(super) look_ups: u64,
}

impl Calibration {
    /// What was found and what the number of blocks remembered in a shard predicts.
    pub(super) fn measure(&self) -> (f64, f64) {
        let filter = Cut(FingerprintFilter::new(self.config, KEY, EPOCH));
        let measured = measure(&filter, &mut Load::new(2, 0..PREFIXES, self.rate), self.look_ups);
        let remembered =
            measured.blocks_a_second * measured.horizon.as_secs_f64() / self.config.shards as f64;
        (measured.found as f64, measured.look_ups as f64 * remembered / 2f64.powi(32))
    }
}

impl Attack for Calibration {
    fn name(&self) -> String {
        "The same with 32 bits of a hash: differs from prediction".into()
    }

    fn strength(&self) -> String {
        format!("{}M blocks", self.look_ups / 1_000_000)
    }

    fn run(&self) -> anyhow::Result<Outcome> {
        let (found, predicted) = self.measure();
        let obtained = (found / predicted - 1.0).abs() * 100.0;
        Ok(Outcome { unit: "%", obtained, honest: None, bound: 15.0 })
    }
}

struct Cut<F>(F);

impl<F> Cut<F> {
    fn cut(flow: u64, block: u64) -> u64 {
        let bytes = [flow.to_le_bytes(), block.to_le_bytes()].concat();
        SipHasher24::new_with_key(&KEY).hash(&bytes) >> 32
    }
}

impl<F: ReplayFilter> ReplayFilter for Cut<F> {
    fn granted(&self, shard: u64, flow: u64, block: u64) -> u32 {
        self.0.granted(shard, Self::cut(flow, block), 0)
    }

    fn grant(&self, shard: u64, flow: u64, block: u64, mask: u32, now: Timestamp) -> u32 {
        self.0.grant(shard, Self::cut(flow, block), 0, mask, now)
    }

    fn horizon(&self, shard: u64, now: Timestamp) -> Duration {
        self.0.horizon(shard, now)
    }
}
