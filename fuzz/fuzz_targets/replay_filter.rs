//! See `trickles_attacks::fuzz`.
#![cfg_attr(fuzzing, no_main)]

trickles_fuzz::target!("replay_filter");
