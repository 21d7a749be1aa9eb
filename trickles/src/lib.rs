//! Sans-IO core of Trickles, a TCP-like transport over UDP whose servers keep no per-connection state.
//!
//! Everything a server would remember of a connection travels to its client inside authenticated
//! [continuations](continuation) and comes back with the next request, so any server that holds the
//! [keys](key_ring) can answer any packet. A [`Client`](client::Client) keeps the connection, a
//! [`Server`](server::Server) only answers, and an [`Application`](server::Application) regenerates whatever
//! bytes are asked for. The protocol is specified in `docs/protocol.md`.
//!
//! Nothing here reads a clock, opens a socket, draws a random number or spawns a thread: time and datagrams are
//! inputs, and equal inputs give equal bytes. A client is driven by one law, stated in [`client`].
//!
//! ```
//! use std::{net::SocketAddr, ops::Range, sync::Arc};
//! use trickles::client::{Client, ClientConfig};
//! use trickles::key_ring::KeyRing;
//! use trickles::replay::{FilterConfig, FingerprintFilter};
//! use trickles::server::{Application, Event, Next, Outbox, Output, Reset, Server, ServerConfig, Unanswered};
//! use trickles::time::Timestamp;
//!
//! /// Says hello to whoever connects.
//! struct Hello;
//! impl Application for Hello {
//!     fn input(&mut self, _: &Event<'_>) -> Result<Next, Unanswered> {
//!         Ok(Next { state: b"hello".to_vec(), output: 0..5, finished: true, ..Next::default() })
//!     }
//! }
//! impl Output for Hello {
//!     fn read(&mut self, state: &[u8], _: Range<u64>, at: u64, buffer: &mut [u8]) -> Result<usize, Reset> {
//!         buffer.copy_from_slice(&state[at as usize..at as usize + buffer.len()]);
//!         Ok(buffer.len())
//!     }
//! }
//!
//! let now = Timestamp::from_millis(1_000);
//! let config = FilterConfig { cells_per_generation: 1 << 10, ..FilterConfig::default() };
//! let filter = Arc::new(FingerprintFilter::new(config, [1; 16], now));
//! let mut server = Server::new(ServerConfig::default(), KeyRing::new(&[(1, [2; 32])])?, filter, [3; 16]);
//! let mut client = Client::new(ClientConfig::default(), [4; 16], now);
//!
//! let address: SocketAddr = "192.0.2.1:5000".parse()?;
//! let (mut datagram, mut outbox) = (Vec::new(), Outbox::default());
//! while client.poll_transmit(now, &mut datagram) {
//!     server.handle(&datagram, address, now, &mut Hello, &mut outbox)?;
//!     outbox.packets().for_each(|packet| client.handle_datagram(packet, now));
//!     outbox.clear();
//! }
//! let mut buffer = [0; 16];
//! assert_eq!(client.read(&mut buffer)?, Some(5));
//! assert_eq!(&buffer[..5], b"hello");
//! assert_eq!(client.read(&mut buffer)?, Some(0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod client;
pub mod continuation;
pub mod epoch;
pub mod key_ring;
mod nonce;
mod ranges;
pub mod replay;
pub mod server;
pub mod stats;
pub mod time;
pub mod user_continuation;
pub mod wire;
