//! What lying brings: clients that claim what they like, on a path without congestion, so that the protocol
//! alone bounds what they obtain.
//!
//! `cargo test --test lying -- --nocapture` prints the table. Nothing in it is random.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../common/mod.rs"]
mod common;
mod lab;

mod claims;
mod findings;
mod forks;
mod inputs;
mod openings;
mod sizes;

use std::fmt;

/// What a strategy came to, all in one unit.
struct Outcome {
    unit: &'static str,
    obtained: f64,
    /// What an honest client has in its place.
    honest: f64,
    /// What the design allows.
    bound: f64,
}

impl Outcome {
    fn packets(obtained: u64, honest: u64, bound: f64) -> Self {
        Self { unit: "packets", obtained: obtained as f64, honest: honest as f64, bound }
    }

    fn holds(&self) -> bool {
        self.obtained <= self.bound
    }
}

/// A way to lie.
trait Strategy {
    fn name(&self) -> &'static str;
    fn run(&self) -> Outcome;
}

struct Row<'a>(&'a str, &'a Outcome);

impl fmt::Display for Row<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(name, Outcome { unit, obtained, honest, bound }) = self;
        let ratio = if *honest > 0.0 { format!("{:.2}", obtained / honest) } else { "-".into() };
        let verdict = if self.1.holds() { "holds" } else { "VIOLATED" };
        write!(
            f,
            "{name:<54} | {obtained:>9.0} {unit:<7} | {honest:>9.0} | {ratio:>5} | {bound:>9.0} | {verdict}"
        )
    }
}

#[test]
fn no_lie_brings_more_than_the_design_allows() {
    let strategies: [&dyn Strategy; 26] = [
        &claims::Replay,
        &claims::Resplit,
        &forks::Losses { window: 300, adopts: false },
        &forks::Losses { window: 300, adopts: true },
        &forks::Losses { window: 16, adopts: false },
        &forks::Losses { window: 16, adopts: true },
        &forks::Exits,
        &claims::InventedLosses,
        &claims::InventedAdoption,
        &claims::OverstatedRtt,
        &claims::ImpossibleRtt,
        &claims::TooSoonForItsRtt,
        &openings::Expired,
        &openings::RestartBomb,
        &openings::RestartsInSlowStart,
        &openings::ResumeBomb,
        &openings::RefreshBomb,
        &sizes::Tiny,
        &sizes::TinyBehindTheOpening,
        &sizes::Banked,
        &inputs::Inputs::Ahead,
        &inputs::Inputs::Stored,
        &inputs::Inputs::OldState,
        &inputs::Inputs::Beyond,
        &inputs::Inputs::Copies,
        &inputs::RefusedThenFull,
    ];
    println!("{:<54} | {:>17} | {:>9} | {:>5} | {:>9} |", "strategy", "obtained", "honest", "ratio", "bound");
    let outcomes = strategies.map(|strategy| {
        let outcome = strategy.run();
        println!("{}", Row(strategy.name(), &outcome));
        (strategy.name(), outcome)
    });
    let violated: Vec<&str> =
        outcomes.iter().filter(|(_, outcome)| !outcome.holds()).map(|(name, _)| *name).collect();
    assert!(violated.is_empty(), "{violated:?}");
}
