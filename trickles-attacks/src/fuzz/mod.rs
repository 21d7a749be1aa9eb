//! What the fuzzers run: functions of arbitrary bytes that must not panic, each with its own idea of what else
//! must hold. `fuzz/` has the programs that search through the inputs, and the inputs found so far.

mod claims;
mod client;
mod continuation;
mod corpus;
mod datagram;
mod http;
mod replay_filter;
mod replicas;

pub use claims::Claims;
pub use client::{mutate, serve_hostile};
pub use corpus::{attacks, corpus};

/// A function of arbitrary bytes.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// The name of the fuzzer's program and of its corpus.
    pub name: &'static str,
    /// What it attacks.
    pub attacks: &'static str,
    /// Panics when something is wrong.
    pub run: fn(&[u8]),
}

/// All targets.
pub const TARGETS: [Target; 7] = [
    Target { name: "datagram", attacks: "parsers of datagrams", run: datagram::run },
    Target {
        name: "continuation",
        attacks: "continuations sealed with the right key",
        run: continuation::run,
    },
    Target { name: "replay_filter", attacks: "the replay filter, beside a set", run: replay_filter::run },
    Target { name: "claims", attacks: "a server, by any sequence of claims", run: claims::run },
    Target { name: "client", attacks: "a client, by any sequence of datagrams", run: client::run },
    Target { name: "http", attacks: "the HTTP requests of `trickles serve`", run: http::run },
    Target { name: "replicas", attacks: "two replicas that must answer alike", run: replicas::run },
];

/// Runs the target of this name.
///
/// # Panics
/// When there is none, or when the target finds something.
pub fn run(name: &str, bytes: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name);
    (target.unwrap_or_else(|| panic!("no target {name}")).run)(bytes);
}
