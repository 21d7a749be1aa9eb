use std::time::Duration;

use trickles::replay::FingerprintFilter;

use super::false_positives::{Calibration, measure};
use super::load::Load;
use super::overload::{Flood, Neighbour, Wrong};
use super::*;
use crate::lab::EPOCH;

/// The default scaled down with the load, so that it remembers as far back.
const SCALE: u64 = 32;

fn scaled() -> FilterConfig {
    let default = FilterConfig::default();
    FilterConfig { cells_per_generation: default.cells_per_generation / SCALE as usize, ..default }
}

#[test]
fn fresh_positions_are_granted_at_the_design_load() {
    let filter = FingerprintFilter::new(scaled(), KEY, EPOCH);
    let measured = measure(&filter, &mut Load::new(1, 0..PREFIXES, DESIGN_RATE / SCALE), 1_000_000);
    assert_eq!(measured.found, 0, "{measured:?}");
    assert!(measured.shortest > Duration::from_secs(20), "{measured:?}");
}

#[test]
fn a_false_positive_is_found_where_there_is_one() {
    let config = scaled();
    // A small filter remembers few blocks, so it takes many look-ups.
    let (found, predicted) =
        Calibration { config, rate: DESIGN_RATE / SCALE, look_ups: 20_000_000 }.measure();
    assert!(found > 0.0 && (found - predicted).abs() < 4.0 * predicted.sqrt(), "{found} of {predicted}");
}

#[test]
fn the_bound_is_that_of_poisson_counts() {
    let measured = |found| Measured {
        look_ups: 1,
        found,
        horizon: Duration::ZERO,
        shortest: Duration::ZERO,
        blocks_a_second: 0.0,
    };
    for (found, bound) in [(0, 2.996), (1, 4.744), (2, 6.296), (10, 16.962)] {
        assert!((measured(found).upper_bound() - bound).abs() < 0.001, "{found}");
    }
}

#[test]
fn the_cells_compared_predict_less_than_the_bound() {
    assert!((1e-9..1e-8).contains(&predicted()), "{}", predicted());
}

#[test]
fn a_full_filter_remembers_less_and_refuses_nothing() {
    let watched = Flood::new(scaled(), 10 * DESIGN_RATE / SCALE, 10_000_000).flood();
    assert_eq!(watched.wrong, Wrong::default());
    assert!(watched.forgotten > 0 && watched.forgotten < watched.replayed);
    assert!((1..10).contains(&watched.shortest.as_secs()), "{:?}", watched.shortest);
}

#[test]
fn who_fills_one_shard_harms_no_other() {
    let harm = Neighbour::new(scaled(), DESIGN_RATE / SCALE, 10_000_000 / SCALE).attack();
    assert_eq!((harm.wrong, harm.others_harmed), (Wrong::default(), 0));
    assert!((PREFIXES / 32..PREFIXES / 8).contains(&harm.sharing), "{harm:?}");
    assert!(harm.horizon.1 < harm.horizon.0 / 10, "{harm:?}");
}
