//! What every attack has in common.

use std::cmp::Ordering;
use std::fmt;

/// What an attack came to, all in one unit.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// What the numbers count.
    pub unit: &'static str,
    /// What the attacker got.
    pub obtained: f64,
    /// What an honest client has in its place, where there is such a thing.
    pub honest: Option<f64>,
    /// The most that the design allows.
    pub bound: f64,
}

impl Outcome {
    /// Of an attack on throughput, in thousand bytes of UDP payload a second.
    pub fn rate(obtained: f64, honest: f64, bound: f64) -> Self {
        Self { unit: "kB/s", obtained, honest: Some(honest), bound }
    }

    /// Of an attack that must not obtain anything at all.
    pub fn none_of(unit: &'static str, obtained: u64) -> Self {
        Self { unit, obtained: obtained as f64, honest: None, bound: 0.0 }
    }

    /// Whether the attacker got no more than the bound, but for rounding.
    pub fn holds(&self) -> bool {
        self.obtained <= self.bound * (1.0 + 1e-9)
    }

    /// Orders attempts at one attack by how close they come to their bounds.
    pub fn closer(&self, other: &Self) -> Ordering {
        (self.obtained * other.bound).total_cmp(&(other.obtained * self.bound))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { unit, obtained, honest, bound } = *self;
        let ratio = match honest {
            Some(honest) if honest > 0.0 => format!("{:.2}", obtained / honest),
            _ => "-".into(),
        };
        let verdict = if self.holds() { "holds" } else { "VIOLATED" };
        let digits = if obtained.fract() == 0.0 && bound.fract() == 0.0 { 0 } else { 2 };
        write!(f, "{obtained:>10.digits$} {unit:<16} | {ratio:>7} | {bound:>10.digits$} | {verdict}")
    }
}

/// A way to attack.
pub trait Attack: Send + Sync {
    /// What is done, in a few words.
    fn name(&self) -> String;

    /// How hard it is tried.
    fn strength(&self) -> String;

    /// Does it.
    ///
    /// # Errors
    /// When it cannot be carried out on this machine, which says nothing of its outcome.
    fn run(&self) -> anyhow::Result<Outcome>;
}
