//! Trickles for tokio: streams over UDP whose servers keep no state about their clients.
//!
//! A client has a [`TricklesStream`], which is read and written like a TCP stream. A [`Server`] answers every
//! datagram on its own, with the help of an application that can produce any part of its output again: it may
//! be restarted at any time, and replaced by any server that holds the same keys, while its clients go on.
//! The application is an [`Application`](trickles::server::Application), which answers at once, or a
//! [`Handler`], whose answers are `async`; or it takes [`Event`]s from the server as from any stream.

mod runtime;
mod server;
mod socket;
mod stream;

pub use server::Server;
pub use stream::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, TricklesStream, WriteHalf};
/// The protocol, with the configuration of both sides and what an application implements.
pub use trickles;
#[doc(inline)]
pub use trickles_driver::{
    Answer, BROKEN, Endpoint, Event, EventServer, EventStats, Handler, Minisocket, Piece, Prepared, Request,
    Serve, ServerHandle, StreamBuilder, TricklesServer, bind_many, replay_filter, serve,
};

/// The README's examples compile.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
