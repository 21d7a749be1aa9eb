//! The replay filter under load: whether it refuses what is fresh, and what it does when it is full.
//!
//! Time is virtual, the load seeded, and the filter the one that servers have.

mod false_positives;
mod load;
mod overload;
#[cfg(test)]
mod tests;

use trickles::replay::FilterConfig;

use crate::Attack;
pub use false_positives::{Measured, predicted};
use load::DESIGN_RATE;

const KEY: [u8; 16] = *b"known to nobody!";
/// Client prefixes 0 to this.
const PREFIXES: u64 = 4096;

/// All of them.
pub fn attacks() -> Vec<Box<dyn Attack>> {
    let config = FilterConfig::default();
    vec![
        Box::new(false_positives::DesignLoad::default()),
        Box::new(false_positives::Calibration { config, rate: DESIGN_RATE, look_ups: 20_000_000 }),
        Box::new(overload::Flood::new(config, 10 * DESIGN_RATE, 300_000_000)),
        Box::new(overload::Neighbour::new(config, DESIGN_RATE, 10_000_000)),
    ]
}
