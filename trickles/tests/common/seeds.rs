//! Runs whose chance comes from a seed: `TRICKLES_RUNS` sets how many there are, `TRICKLES_SEED` replays one.

use std::fmt::Debug;
use std::panic::{RefUnwindSafe, catch_unwind, resume_unwind};

use super::pattern;

/// A deterministic stream of choices.
pub struct Choices {
    seed: u64,
    made: u64,
}

impl Choices {
    pub fn new(seed: u64) -> Self {
        Self { seed, made: 0 }
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.made += 1;
        let bytes: Vec<u8> = (0..8).map(|byte| pattern(self.seed, self.made * 8 + byte)).collect();
        u64::from_le_bytes(bytes.try_into().unwrap()) % bound
    }

    /// A share from 0 to `most`; the ends are as likely as anything between them.
    pub fn share(&mut self, most: f64) -> f64 {
        match self.below(4) {
            0 => 0.0,
            1 => most,
            _ => self.below(1000) as f64 / 1000.0 * most,
        }
    }
}

fn number(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} is not a number: {value}")))
}

/// The outcomes of one run for each seed; there are `runs` of them unless the environment says otherwise.
pub fn outcomes<T: Debug>(runs: u64, run: impl Fn(u64) -> T + RefUnwindSafe) -> Vec<T> {
    if let Some(seed) = number("TRICKLES_SEED") {
        let outcome = run(seed);
        println!("{outcome:?}");
        return vec![outcome];
    }
    let seeds = 0..number("TRICKLES_RUNS").unwrap_or(runs);
    let one = |seed| match catch_unwind(|| run(seed)) {
        Ok(outcome) => outcome,
        Err(panic) => {
            println!("failed with TRICKLES_SEED={seed}");
            resume_unwind(panic);
        }
    };
    seeds.map(one).collect()
}
