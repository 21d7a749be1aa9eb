//! Trickles for futures-io: streams over UDP whose servers keep no state about their clients.
//!
//! A client has a [`TricklesStream`], which is read and written like a TCP stream. A [`Server`] answers every
//! datagram on its own, with the help of an application that can produce any part of its output again: it may
//! be restarted at any time, and replaced by any server that holds the same keys, while its clients go on.
//! The application is an [`Application`](trickles::server::Application), which answers at once, or a
//! [`Handler`], whose answers are `async`; or it takes [`Event`]s from the server as from any stream.
//!
//! # Which runtimes
//! Sockets and timers are those of async-io, whose reactor has a thread of its own, and the task that drives a
//! stream runs on the threads of async-global-executor. So both types work on every executor: async-std's,
//! smol's, or a plain `block_on`. Nothing has to be started, and no executor has to be named. async-std itself
//! is discontinued ([RUSTSEC-2025-0052]): this crate serves the programs that use it, and does not depend on it.
//!
//! For tokio there is the crate `trickles-tokio`.
//!
//! [RUSTSEC-2025-0052]: https://rustsec.org/advisories/RUSTSEC-2025-0052.html

mod runtime;
mod server;
mod stream;

pub use server::Server;
pub use stream::TricklesStream;
/// The protocol, with the configuration of both sides and what an application implements.
pub use trickles;
#[doc(inline)]
pub use trickles_driver::{
    Answer, BROKEN, Endpoint, Event, EventServer, EventStats, Handler, Minisocket, Piece, Prepared, Request,
    Serve, ServerHandle, StreamBuilder, TricklesServer, bind_many, replay_filter, serve,
};
