//! The client: it keeps all state of a connection and all of its timers.
//!
//! # Driving it
//! Hand in one input ([`handle_datagram`](Client::handle_datagram), [`handle_timeout`](Client::handle_timeout)
//! or an application's [`read`](Client::read), [`write`](Client::write), [`shutdown`](Client::shutdown)) with
//! `now`; then call [`poll_transmit`](Client::poll_transmit) until it has nothing to send, and wait for the
//! next input or the time [`poll_timeout`](Client::poll_timeout) names. That is the whole contract.

use std::time::Duration;

use crate::epoch::CurveId;
use crate::stats::Stats;
use crate::time::Timestamp;

/// How a client behaves.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// The service asked for, at most 255 bytes.
    pub service: Vec<u8>,
    /// The congestion curve.
    pub curve: CurveId,
    /// Size of packets, in bytes of UDP payload.
    pub packet_size: u16,
    /// Most received bytes held for the application, those it has not read included.
    pub receive_buffer: usize,
    /// Most written bytes held until the server has consumed them.
    pub send_buffer: usize,
    /// How long a Hello may stay unanswered.
    pub connect_timeout: Duration,
    /// How long requests may stay unanswered before the stream fails.
    pub timeout: Duration,
    /// Bytes known when connecting: they travel in the Hello, which the network may repeat.
    pub early_input: Vec<u8>,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            service: Vec::new(),
            curve: CurveId::Cubic,
            packet_size: 1200,
            receive_buffer: 4 << 20,
            send_buffer: 256 << 10,
            connect_timeout: Duration::from_secs(10),
            timeout: Duration::from_secs(30),
            early_input: Vec::new(),
        }
    }
}

/// Why a stream failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// Nobody listens at the address.
    #[error("connection refused: nobody listens at that address")]
    Refused,
    /// The server offers no such service.
    #[error("the server does not offer this service")]
    NoService,
    /// The server does not hold the key this stream was opened under.
    #[error("the server does not know the key of this stream")]
    UnknownKey,
    /// The server speaks another protocol version.
    #[error("the server speaks protocol version {0}")]
    Version(u8),
    /// No answer came in time.
    #[error("timed out waiting for the server")]
    TimedOut,
    /// The server's application ended the stream with this code.
    #[error("stream reset by the server with code {0}")]
    Reset(u32),
    /// The application's state has expired.
    #[error("the stream was idle for longer than the server keeps its state valid")]
    Expired,
}

/// One stream, as its client sees it.
#[derive(Debug)]
pub struct Client {}

impl Client {
    /// Opens a stream. `seed`: 16 random bytes that no other stream has.
    pub fn new(_config: ClientConfig, _seed: [u8; 16], _now: Timestamp) -> Self {
        Self {}
    }

    /// Takes a datagram that came from the server's address.
    pub fn handle_datagram(&mut self, _datagram: &[u8], _now: Timestamp) {}

    /// Takes the network's word that nobody listens at the server's address (an ICMP error). A hint only.
    pub fn handle_unreachable(&mut self, _now: Timestamp) {}

    /// To be called when the time [`poll_timeout`](Self::poll_timeout) named has come. Earlier does no harm.
    pub fn handle_timeout(&mut self, _now: Timestamp) {}

    /// Writes the next datagram into `out`, which is cleared first; whether there is one.
    pub fn poll_transmit(&mut self, _now: Timestamp, _out: &mut Vec<u8>) -> bool {
        false
    }

    /// When the client wants to be woken; `None` when only an input can change anything.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        None
    }

    /// Whether the server has answered.
    pub fn is_connected(&self) -> bool {
        false
    }

    /// Why the stream failed, if it did.
    pub fn failure(&self) -> Option<Failure> {
        None
    }

    /// Whether [`read`](Self::read) has something to say: bytes, the end, or a failure.
    pub fn is_readable(&self) -> bool {
        false
    }

    /// Moves received bytes into `buffer`: how many, 0 at the end of the stream (or for an empty buffer),
    /// `None` when there are none yet.
    ///
    /// # Errors
    /// [`Failure`], once all that arrived before it has been read.
    pub fn read(&mut self, _buffer: &mut [u8]) -> Result<Option<usize>, Failure> {
        Ok(None)
    }

    /// Queues bytes for the server's application: how many were taken, `None` when the buffer is full.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn write(&mut self, _bytes: &[u8]) -> Result<Option<usize>, WriteError> {
        Ok(None)
    }

    /// Ends the input. The output stays open.
    pub fn shutdown(&mut self) {}

    /// Whether the server's application has consumed all that was written, the end of input included.
    pub fn is_flushed(&self) -> bool {
        false
    }

    /// What became of the datagrams received.
    pub fn stats(&self) -> &Stats {
        unimplemented!()
    }
}

/// Why bytes cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The input was ended by [`Client::shutdown`], or the server takes no more.
    #[error("the input of this stream has ended")]
    Closed,
    /// The stream failed.
    #[error(transparent)]
    Failed(#[from] Failure),
}
