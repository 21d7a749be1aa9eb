//! Every attack on Trickles that its tests know.
//!
//! An [`Attack`] is run and measured: what the attacker obtained, what an honest client has in its place, and
//! the bound that the design promises. `cargo run --release -p trickles-attacks` runs all of them and prints
//! one table; `cargo test -p trickles-attacks` asserts the bounds, with the invariants of docs/protocol.md
//! section 8 beside them.
//!
//! * [`lying`]: clients that claim what they like, in virtual time, on a path without congestion.
//! * [`fuzz`]: what the fuzzers of `fuzz/` run, a function of arbitrary bytes each.
//! * [`filter`]: the replay filter at the load it is made for, and beyond.
//! * [`floods`]: floods on real sockets, beside an honest client.
//! * [`lab`]: the server without a network around it, its ledger, and the client that can claim anything.

mod attack;
pub mod filter;
pub mod floods;
pub mod forge;
pub mod fuzz;
pub mod lab;
pub mod lying;

pub use attack::{Attack, Outcome};
