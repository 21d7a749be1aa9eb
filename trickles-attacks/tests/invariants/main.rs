//! The invariants of the protocol, each as properties of a server that is driven datagram by datagram.
//!
//! A property that fails prints its smallest input and stores its seed below `proptest-regressions`, from where
//! every later run replays it first. `PROPTEST_CASES` sets how many cases there are, `PROPTEST_RNG_SEED` makes
//! two runs draw the same ones.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod amplification;
mod grants;
mod hostile;
mod lineage;
mod numbers;
mod proofs;
mod remembered;
mod robustness;

use proptest::prelude::ProptestConfig;

/// `PROPTEST_CASES`, or `cases`.
fn cases(cases: u32) -> ProptestConfig {
    let given = std::env::var_os("PROPTEST_CASES").is_some();
    if given { ProptestConfig::default() } else { ProptestConfig::with_cases(cases) }
}
