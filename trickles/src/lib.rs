//! Sans-IO core of Trickles.

pub mod client;
pub mod continuation;
pub mod epoch;
pub mod key_ring;
mod nonce;
pub mod replay;
pub mod server;
pub mod stats;
pub mod time;
pub mod user_continuation;
pub mod wire;
