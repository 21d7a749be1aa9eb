//! See `trickles_attacks::fuzz`.
#![cfg_attr(fuzzing, no_main)]

trickles_fuzz::target!("replicas");
