//! What Trickles needs of an async runtime, and everything above it that no runtime should have to repeat.
//!
//! The protocol itself lives in the crate `trickles`, which knows no sockets and no clocks. This crate moves
//! its datagrams and minds its time:
//! - [`ByteStream`]: a client's stream with `poll_read`, `poll_write` and `poll_shutdown`, driven by a
//!   background task; [`StreamBuilder`], which opens it with other options than the default ones, and [`Endpoint`],
//!   which opens any number of them on one socket;
//! - [`EventServer`]: a server on a UDP socket, as a loop around an application or as a stream of events;
//! - [`Handler`] and [`serve()`]: an application whose answers are `async`, on top of these events;
//! - [`Runtime`], [`AsyncUdpSocket`] and [`AsyncTimer`]: the traits a runtime implements, and [`Datagrams`], the part
//!   of a socket that is the same in all of them.
//!
//! Applications use a crate for their runtime, such as `trickles-tokio`.

mod clock;
mod datagrams;
mod error;
#[cfg(test)]
mod fake;
mod handler;
mod receive;
mod runtime;
mod send;
mod server;
mod socket;
mod stream;

pub use datagrams::Datagrams;
pub use error::io_error;
pub use handler::{Answer, BROKEN, Handler, Request, Serve, serve};
pub use quinn_udp as udp;
pub use runtime::{AsyncTimer, AsyncUdpSocket, Runtime};
pub use server::{
    Event, EventServer, EventStats, Minisocket, Piece, Prepared, ServerHandle, TricklesServer, replay_filter,
};
pub use socket::{bind, bind_many};
pub use stream::{ByteStream, Connect, Endpoint, RuntimeStream, StreamBuilder, StreamOptions};

/// Fresh random bytes, which neither the peer nor anybody else can foresee.
fn seed() -> std::io::Result<[u8; 16]> {
    let mut seed = [0; 16];
    getrandom::fill(&mut seed)?;
    Ok(seed)
}
