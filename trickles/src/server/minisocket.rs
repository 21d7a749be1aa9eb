//! The server's handle on one event, and what an application makes of it.

use std::net::SocketAddr;
use std::ops::Range;

use crate::continuation::Continuation;
use crate::epoch::Epoch;
use crate::time::Timestamp;
use crate::user_continuation::UserContinuation;
use crate::wire::{Input, Runs};

/// What an application is told about a request.
#[derive(Clone, Debug)]
pub struct Event<'a> {
    /// Server-made name of the stream. With the input's offset it identifies input that is repeated.
    pub stream: u64,
    /// Where the request came from.
    pub client: SocketAddr,
    /// When it came.
    pub now: Timestamp,
    /// The state of the user continuation; `None` when the stream opens.
    pub state: Option<&'a [u8]>,
    /// The output bytes that state regenerates; empty when the stream opens.
    pub output: Range<u64>,
    /// Input not consumed yet as far as the state knows. Processed at least once: it may be repeated.
    pub input: Option<Input<'a>>,
}

/// What follows in a stream once an application has consumed input: its next user continuation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Next {
    /// Whatever the application needs to regenerate `output` and to take the next input; at most
    /// [`MAX_STATE`](crate::user_continuation::MAX_STATE) bytes.
    pub state: Vec<u8>,
    /// The output bytes the state regenerates. A stream's ranges follow one another without gaps.
    pub output: Range<u64>,
    /// Whether the stream's output ends at `output.end`.
    pub finished: bool,
    /// How many of the event's input bytes are consumed. The rest is presented again, with more behind it.
    pub consumed: usize,
}

/// An application ends a stream with an error code that its client is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stream reset by the application with code {0}")]
pub struct Reset(pub u32);

/// Regenerates output bytes.
pub trait Output {
    /// Fills `buffer` with the output from `offset` on as `state` determines it, and returns how many bytes
    /// there are. Fewer than asked means that there are no more for now. The same state and offset must give
    /// the same bytes, on every replica, at any time; the range asked for lies within the state's `output`.
    ///
    /// # Errors
    /// [`Reset`] ends the stream: the bytes can no longer be regenerated.
    fn read(
        &mut self,
        state: &[u8],
        output: Range<u64>,
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<usize, Reset>;
}

/// A server application that answers at once.
pub trait Application: Output {
    /// Takes the input of an event, or the opening of a stream, and says what follows.
    ///
    /// # Errors
    /// [`Reset`] ends the stream.
    fn input(&mut self, event: &Event<'_>) -> Result<Next, Reset>;

    /// The client abandons `stream` with an application error code. A hint: it may be lost or repeated, and
    /// most clients close by forgetting.
    fn reset(&mut self, stream: u64, code: u32) {
        let _ = (stream, code);
    }
}

/// What a datagram amounts to.
#[expect(clippy::large_enum_variant, reason = "it lives on the stack, one at a time")]
#[derive(Debug)]
pub enum Received<'a> {
    /// A request that awaits its answer.
    Event(Minisocket<'a>),
    /// The client abandons a stream.
    Reset {
        /// Server-made name of the stream.
        stream: u64,
        /// Application error code.
        code: u32,
    },
}

/// What the transport does with an event's answer.
#[derive(Clone, Debug)]
pub(super) enum Plan {
    /// A new epoch of which up to `packets` numbers are emitted at once.
    Open { epoch: Epoch, packets: u8, slot: Option<u64> },
    /// Positions of the presented epoch and, after a loss, of its successor.
    Grant { lost: Option<(u64, Epoch, u64)> },
}

/// One authenticated request that awaits its answer.
///
/// It is answered by [`Server::respond`](super::Server::respond), refused by
/// [`refuse`](super::Server::refuse), put off by [`park`](super::Server::park), or ignored by dropping it;
/// each takes it, so none can happen twice.
#[derive(Debug)]
#[must_use = "an event that is dropped is not answered"]
pub struct Minisocket<'a> {
    pub(super) event: Event<'a>,
    pub(super) echo: u64,
    pub(super) request_length: usize,
    pub(super) packet_size: u16,
    /// The presented continuation; in an opening, one that carries the new flow's names.
    pub(super) continuation: Continuation,
    pub(super) plan: Plan,
    pub(super) runs: Runs,
    pub(super) user_continuation: Option<UserContinuation<'a>>,
    /// Whether the reply is bounded by 3 times the request: the client has not shown it receives there.
    pub(super) unproven: bool,
    pub(super) shard: u64,
}

impl<'a> Minisocket<'a> {
    /// What happened.
    pub fn event(&self) -> &Event<'a> {
        &self.event
    }

    /// Whether the application must say what follows: the stream opens or brings input.
    pub fn wants_next(&self) -> bool {
        self.event.state.is_none() || self.event.input.is_some()
    }
}
