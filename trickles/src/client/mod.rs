//! The client: it keeps all state of a connection and all of its timers.
//!
//! # Driving it
//! Hand in one input ([`handle_datagram`](Client::handle_datagram), [`handle_timeout`](Client::handle_timeout)
//! or an application's [`read`](Client::read), [`write`](Client::write), [`shutdown`](Client::shutdown)) with
//! `now`; then call [`poll_transmit`](Client::poll_transmit) until it has nothing to send, and wait for the
//! next input or the time [`poll_timeout`](Client::poll_timeout) names. That is the whole contract.

mod abbreviation;
mod assembler;
mod claims;
mod flow;
mod input;
mod outputs;
mod receive;
mod rtt;
mod run;
mod step;
mod timers;
mod transmit;
mod upload;

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use abbreviation::Abbreviation;
use assembler::Assembler;
use flow::Flow;
use input::SendBuffer;
use outputs::Outputs;
use rtt::{Pacer, Rtt, SlowStart};

use crate::epoch::CurveId;
use crate::nonce;
use crate::stats::Stats;
use crate::time::Timestamp;
use crate::wire::{self, BASE_PACKET_SIZE};
use step::Step;
use upload::Upload;

/// How a client behaves.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// The service asked for, at most 255 bytes.
    pub service: Vec<u8>,
    /// The congestion curve.
    pub curve: CurveId,
    /// Size of packets, in bytes of UDP payload; 1200 if there is none. Half of the attempts to open a stream, or to
    /// take it up after silence, ask for 1200: a path that carries less than this gets those through.
    pub packet_size: Option<u16>,
    /// Most received bytes held for the application, those it has not read included; at least 64 KiB. It
    /// bounds what is in flight, so it should cover rate times round trip, and not by far exceed what
    /// the socket's own buffer holds.
    pub receive_buffer: usize,
    /// Most written bytes held until the server has consumed them. It bounds what is in flight, as
    /// `receive_buffer` does in the other direction.
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
            packet_size: None,
            receive_buffer: 2 << 20,
            send_buffer: 1 << 20,
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
    /// The stream was reset from this side.
    #[error("stream reset by this client")]
    Aborted,
    /// The server's application consumes nothing of as much input as a request can hold.
    #[error("the server consumes none of the input it is shown")]
    InputRefused,
    /// The application's state has expired.
    #[error("the stream was idle for longer than the server keeps its state valid")]
    Expired,
}

/// Values that tell answers to this client's requests from anything else: nobody off the path can guess one.
#[derive(Clone, Copy)]
struct Echo {
    secret: u64,
    next: u64,
}

impl Echo {
    fn fresh(&mut self) -> u64 {
        self.next += 1;
        self.secret.wrapping_add(self.next)
    }

    fn is_ours(&self, echo: u64) -> bool {
        (1..=self.next).contains(&self.count(echo))
    }

    /// The how manyth of ours it is.
    fn count(&self, echo: u64) -> u64 {
        echo.wrapping_sub(self.secret)
    }
}

/// How an epoch is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OpeningKind {
    Hello,
    Restart { attempt: u8 },
    Resume,
}

/// A request for a new epoch.
#[derive(Clone, Debug)]
struct Opening {
    kind: OpeningKind,
    /// When it is to be sent (again).
    send_at: Timestamp,
    /// The requests sent: any of them may be answered.
    sent: VecDeque<OpeningSent>,
}

#[derive(Clone, Debug)]
struct OpeningSent {
    sent: run::Sent,
    wants: arrayvec::ArrayVec<std::ops::Range<u64>, { crate::wire::MAX_WANTS }>,
    user_continuation: std::sync::Arc<[u8]>,
    input: bool,
    packet_size: u16,
}

/// One stream, as its client sees it.
pub struct Client {
    config: ClientConfig,
    /// What the path carries, as far as is known.
    packet_size: u16,
    echo: Echo,
    stream_id: u64,
    /// The server's name for the stream, once it has answered.
    stream: Option<u64>,
    flow: Option<Flow>,
    opening: Option<Opening>,
    rtt: Rtt,
    slow_start: SlowStart,
    pacer: Pacer,
    assembler: Assembler,
    outputs: Outputs,
    input: SendBuffer,
    /// Memory for the input of one request, empty between two of them.
    copied: Vec<u8>,
    upload: Upload,
    abbreviation: Abbreviation,
    /// Whether the last claim carried input: output gets its turn too.
    input_last: bool,
    /// Whether the server had fewer bytes than were asked for last.
    short: bool,
    /// The echo value of the Hello that was answered first.
    welcome: Option<u64>,
    /// Those of others.
    stray_hellos: Vec<u64>,
    failure: Option<Failure>,
    /// What the server is to be told of the reset.
    parting: Option<u32>,
    /// Hints that the stream cannot go on, in a row.
    refusals: u32,
    now: Timestamp,
    /// Since when positions wait to be claimed: since the oldest arrived, or since a claim left some over.
    ready_since: Option<Timestamp>,
    /// Last arrival, or first request after a pause.
    active: Timestamp,
    /// When something last showed that the server is there, or the stream had nothing outstanding.
    progress: Timestamp,
    /// Probe time-outs in a row.
    backoff: u32,
    /// When the probe timeout last expired.
    probed: Timestamp,
    probe: bool,
    /// Whether a numbered packet has come without a mark of congestion.
    unmarked: bool,
    /// The server asked to be left alone until then.
    pending_until: Timestamp,
    /// The Restart or Resume that this was about: it may be answered yet.
    parked_opening: Option<Opening>,
    /// Resume was refused: not before then again.
    resume_after: Timestamp,
    stats: Stats,
}

impl Client {
    /// Opens a stream. `seed`: 16 random bytes that no other stream has.
    pub fn new(config: ClientConfig, seed: [u8; 16], now: Timestamp) -> Self {
        let mut input = SendBuffer::new(config.send_buffer.max(config.early_input.len()));
        input.write(&config.early_input);
        let hello = Opening { kind: OpeningKind::Hello, send_at: now, sent: VecDeque::new() };
        Self {
            packet_size: config.packet_size.unwrap_or(BASE_PACKET_SIZE),
            echo: Echo { secret: nonce::prf(&seed, &[1]), next: 0 },
            stream_id: nonce::prf(&seed, &[2]),
            stream: None,
            flow: None,
            opening: Some(hello),
            rtt: Rtt::default(),
            slow_start: SlowStart::default(),
            pacer: Pacer::new(),
            assembler: Assembler::new(config.receive_buffer),
            outputs: Outputs::default(),
            input,
            copied: Vec::new(),
            upload: Upload::new(),
            abbreviation: Abbreviation::new(),
            input_last: false,
            short: true,
            welcome: None,
            stray_hellos: Vec::new(),
            failure: None,
            parting: None,
            refusals: 0,
            now,
            ready_since: None,
            active: now,
            progress: now,
            backoff: 0,
            probed: Timestamp::ZERO,
            probe: false,
            unmarked: false,
            pending_until: Timestamp::ZERO,
            parked_opening: None,
            resume_after: Timestamp::ZERO,
            stats: Stats::default(),
            config,
        }
    }

    /// Where this stream's echo values begin: those of its requests are the numbers after it, one for each request sent.
    /// It tells whose answer a datagram is where several streams share a socket. As unpredictable as they are, and to be
    /// kept as secret.
    pub fn echo_origin(&self) -> u64 {
        self.echo.secret
    }

    /// Whether a datagram repeats the echo value of one of this stream's requests. If it does not,
    /// [`handle_datagram`](Self::handle_datagram) discards it.
    pub fn expects(&self, datagram: &[u8]) -> bool {
        wire::echo(datagram).is_some_and(|echo| self.echo.is_ours(echo))
    }

    /// Takes the network's word that nobody listens at the server's address (an ICMP error). A hint only: it
    /// ends an attempt to connect when it is repeated, never a stream.
    pub fn handle_unreachable(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        if self.flow.is_none() {
            self.refused(Failure::Refused);
        }
    }

    fn refused(&mut self, failure: Failure) {
        const HINTS: u32 = 3;
        self.refusals += 1;
        if self.refusals >= HINTS {
            self.failure.get_or_insert(failure);
        } else if let Some(opening) = &mut self.opening {
            let pause = Duration::from_millis(50) * self.refusals;
            opening.send_at = opening.send_at.min(self.now + pause);
        }
    }

    /// To be called when the time [`poll_timeout`](Self::poll_timeout) named has come. Earlier does no harm.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        if self.failure.is_some() {
            return;
        }
        if self.deadline().is_some_and(|deadline| deadline <= self.now) {
            self.failure = Some(Failure::TimedOut);
            return;
        }
        self.detect_losses();
        self.end_patience();
        if self.probe_at().is_some_and(|at| at <= self.now) {
            self.probe_timeout();
        }
    }

    /// Writes the next datagram into `out`, which is cleared first; whether there is one.
    pub fn poll_transmit(&mut self, now: Timestamp, out: &mut Vec<u8>) -> bool {
        self.now = self.now.max(now);
        out.clear();
        let sent = self.transmit(out);
        if sent {
            self.stats.sent += 1;
            self.stats.sent_bytes += out.len() as u64;
        }
        sent
    }

    /// When the client wants to be woken; `None` when only an input can change anything.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        if self.failure.is_some() {
            return self.parting.map(|_| self.now);
        }
        let step = match self.step() {
            Step::Wait(at) => Some(at),
            Step::Idle => None,
            _ => Some(self.now),
        };
        let loss = self.flow.as_ref().and_then(|flow| flow.next_loss(self.rtt.smoothed()));
        let parked = self.flow.as_ref().and_then(|flow| flow.parked_until(false));
        step.into_iter().chain(loss).chain(parked).chain(self.probe_at()).chain(self.deadline()).min()
    }

    /// Whether the server's application has answered.
    pub fn is_connected(&self) -> bool {
        self.outputs.newest().is_some()
    }

    /// Why the stream failed, if it did.
    pub fn failure(&self) -> Option<Failure> {
        self.failure
    }

    /// Whether [`read`](Self::read) has something to say: bytes, the end, or a failure.
    pub fn is_readable(&self) -> bool {
        self.assembler.readable() > 0 || self.failure.is_some() || self.is_at_end()
    }

    fn is_at_end(&self) -> bool {
        self.outputs.end().is_some_and(|end| self.assembler.read_offset() >= end)
    }

    /// Moves received bytes into `buffer`: how many, 0 at the end of the stream (or for an empty buffer),
    /// `None` when there are none yet.
    ///
    /// # Errors
    /// [`Failure`], once all that arrived before it has been read.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<Option<usize>, Failure> {
        let count = self.assembler.read(buffer);
        if count > 0 {
            self.outputs.delivered(self.assembler.read_offset());
        }
        self.read_result(count, buffer.is_empty())
    }

    /// Copies into `buffer` what [`read`](Self::read) would move there, and says what it would say.
    ///
    /// # Errors
    /// Those of [`read`](Self::read).
    pub fn peek(&self, buffer: &mut [u8]) -> Result<Option<usize>, Failure> {
        self.read_result(self.assembler.peek(buffer), buffer.is_empty())
    }

    fn read_result(&self, count: usize, nothing_asked: bool) -> Result<Option<usize>, Failure> {
        match self.failure {
            _ if count > 0 || nothing_asked || self.is_at_end() => Ok(Some(count)),
            Some(failure) => Err(failure),
            None => Ok(None),
        }
    }

    /// Queues bytes for the server's application: how many were taken, `None` when the buffer is full.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn write(&mut self, bytes: &[u8]) -> Result<Option<usize>, WriteError> {
        if let Some(failure) = self.failure {
            return Err(failure.into());
        }
        if self.input.is_finished() || self.outputs.is_closed() {
            return Err(WriteError::Closed);
        }
        let count = self.input.write(bytes);
        Ok((count > 0 || bytes.is_empty()).then_some(count))
    }

    /// Ends the input. The output stays open.
    pub fn shutdown(&mut self) {
        self.input.finish();
    }

    /// Abandons the stream: the server's application is told `code`, once and without a guarantee. Reading and
    /// writing fail from here on. A stream that is just forgotten is closed as well.
    pub fn reset(&mut self, code: u32) {
        if self.failure.is_none() {
            self.failure = Some(Failure::Aborted);
            self.parting = Some(code);
        }
    }

    /// Whether there is room for [`write`](Self::write), or it would fail.
    pub fn is_writable(&self) -> bool {
        !self.input.is_full()
            || self.input.is_finished()
            || self.failure.is_some()
            || self.outputs.is_closed()
    }

    /// Whether the server's application has consumed all that was written, the end of input included, or will
    /// never take it.
    pub fn is_flushed(&self) -> bool {
        (self.input.is_flushed() && !self.owes_completion()) || self.outputs.is_closed()
    }

    /// Whether the server is yet to be told, or to confirm, that all it takes in any order is stored.
    fn owes_completion(&self) -> bool {
        self.outputs.newest().is_some_and(|newest| newest.any_order().is_some())
    }

    /// What became of the datagrams received.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// The congestion window in packets, and the smoothed round-trip time.
    pub fn congestion(&self) -> (u32, Duration) {
        (self.flow.as_ref().map_or(0, Flow::window), self.rtt.smoothed())
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

impl fmt::Debug for Client {
    /// Leaves out the echo values, by which others could answer in the server's place, and what is transferred.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("stream", &self.stream)
            .field("failure", &self.failure)
            .field("stats", &self.stats)
            .finish_non_exhaustive()
    }
}
