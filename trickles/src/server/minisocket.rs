//! The server's handle on one event, and what an application makes of it.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use arrayvec::ArrayVec;

use crate::continuation::Continuation;
use crate::epoch::Epoch;
use crate::time::Timestamp;
use crate::user_continuation::{Lineage, UserContinuation};
use crate::wire::{Form, Input, Run, Runs, room};

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

/// What an event asks of the application.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Demand {
    /// What follows: the stream opens or brings input ([`Application::input`]).
    Next,
    /// To store a chunk of input that is taken in any order ([`Application::store`]).
    Store,
    /// Output, nothing else.
    #[default]
    Output,
}

/// What follows in a stream once an application has consumed input: its next user continuation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Next {
    /// Whatever the application needs to regenerate `output` and to take the next input; at most
    /// [`MAX_STATE`](crate::user_continuation::MAX_STATE) bytes.
    pub state: Vec<u8>,
    /// The output bytes the state regenerates. A stream's ranges follow one another without gaps. An end of
    /// `u64::MAX` stands for a length that is not known yet: output is asked for as it appears.
    pub output: Range<u64>,
    /// Whether the stream's output ends at `output.end`.
    pub finished: bool,
    /// How many of the event's input bytes are consumed. The rest is presented again, with more behind it.
    pub consumed: usize,
    /// How many bytes of input, from the first that is not consumed, are taken in any order: each chunk is
    /// [stored](Application::store) by its offset, many are on their way at once, and no replica needs to have
    /// seen another. The input behind them follows once the client says that all are stored, or this server
    /// has seen it. 0 for input that is consumed from the front.
    pub any_order: u64,
}

/// An answer to an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// What follows in the stream; possible for every event but one that brings a chunk.
    Next(Next),
    /// So many bytes of the chunk are stored, from its front.
    Stored(usize),
    /// Only the output bytes that are wanted.
    Output,
}

/// An application ends a stream with an error code that its client is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stream reset by the application with code {0}")]
pub struct Reset(pub u32);

/// Why an application has no answer to input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unanswered {
    /// It ends the stream with this error code.
    Reset(u32),
    /// It needs time: the client is to ask again after so long, here or at another replica.
    Later(Duration),
}

impl From<Reset> for Unanswered {
    fn from(reset: Reset) -> Self {
        Self::Reset(reset.0)
    }
}

/// Regenerates output bytes.
pub trait Output {
    /// Fills `buffer` with the output from `offset` on as `state` determines it, and returns how many bytes
    /// there are. Fewer than asked means that there are no more for now. The same state and offset must give
    /// the same bytes, on every replica, at any time; the range asked for lies within the state's `output`.
    ///
    /// What `buffer` holds before is left from other answers, perhaps to other clients: all that is counted has to
    /// have been written.
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
    /// [`Unanswered`]: the stream ends, or the event will come again.
    fn input(&mut self, event: &Event<'_>) -> Result<Next, Unanswered>;

    /// Stores the event's input by its offset, as announced by [`Next::any_order`], and says how many bytes
    /// are stored, from the chunk's front. The client does not present these again; once all are stored the stream
    /// goes on with [`input`](Self::input) at the first offset behind them. Unless this server has seen all of them
    /// stored that is the client's word: an application that must be sure checks what it has stored.
    ///
    /// Chunks come in any order, more than once, from several replicas at the same time, and the network can repeat
    /// one after the end has been shown.
    ///
    /// # Errors
    /// [`Unanswered`]: the stream ends, or the chunk will come again.
    fn store(&mut self, event: &Event<'_>) -> Result<usize, Unanswered> {
        let _ = event;
        Ok(0)
    }

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

/// Output bytes a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// The state that regenerates them.
    pub state: &'a [u8],
    /// All that this state regenerates.
    pub output: Range<u64>,
    /// The bytes.
    pub range: Range<u64>,
}

/// Output ranges with what regenerates them.
pub(super) type States<'a> = ArrayVec<(Range<u64>, &'a [u8]), 3>;

/// Input bytes, borrowed from the request or not.
#[derive(Clone, Debug)]
pub(super) struct Taken<'a> {
    pub(super) offset: u64,
    pub(super) bytes: Cow<'a, [u8]>,
    pub(super) fin: bool,
}

/// One authenticated request that awaits its answer.
///
/// It is answered by [`Server::respond`](super::Server::respond), refused by
/// [`refuse`](super::Server::refuse), or ignored by dropping it; each takes it, so none can happen twice.
/// [`park`](super::Server::park) puts the answer off.
#[derive(Debug)]
#[must_use = "an event that is dropped is not answered"]
pub struct Minisocket<'a> {
    pub(super) client: SocketAddr,
    pub(super) now: Timestamp,
    pub(super) demand: Demand,
    pub(super) input: Option<Taken<'a>>,
    pub(super) echo: u64,
    pub(super) request_length: usize,
    pub(super) packet_size: u16,
    /// The presented continuation; in an opening, one that carries the new flow's names.
    pub(super) continuation: Continuation,
    pub(super) plan: Plan,
    pub(super) runs: Runs,
    pub(super) presented: Option<UserContinuation<'a>>,
    /// A newer one, which takes the input.
    pub(super) cached: Option<UserContinuation<'static>>,
    /// What follows has this lineage, if it does not begin one.
    pub(super) lineage: Option<Lineage>,
    /// Frames that go into the first packet of the answer, whatever else does.
    pub(super) front: Vec<u8>,
    /// Whether the reply is bounded by 3 times the request: the client has not shown it receives there.
    pub(super) unproven: bool,
    /// While the stream opens, the name its client gave it.
    pub(super) opened_as: Option<u64>,
    pub(super) shard: u64,
}

impl<'a> Minisocket<'a> {
    /// What happened.
    pub fn event(&self) -> Event<'_> {
        let user = self.user_continuation();
        Event {
            stream: self.continuation.stream,
            client: self.client,
            now: self.now,
            state: user.map(|user| &user.state[..]),
            output: user.map_or(0..0, |user| user.output.clone()),
            input: self.input.as_ref().map(|input| Input {
                offset: input.offset,
                bytes: &input.bytes,
                fin: input.fin,
            }),
        }
    }

    /// What the event asks of the application.
    pub fn demand(&self) -> Demand {
        self.demand
    }

    /// Whether its answer tells the client something, whatever output there is: it is not to wait for that.
    pub fn has_news(&self) -> bool {
        !self.front.is_empty()
    }

    /// The user continuation that takes the input.
    pub(super) fn user_continuation(&self) -> Option<&UserContinuation<'_>> {
        // `or` would ask for equal lifetimes of what the two borrow.
        match &self.cached {
            Some(cached) => Some(cached),
            None => self.presented.as_ref(),
        }
    }

    /// Output ranges with the states that regenerate them. What the client has presented comes first: the same
    /// bytes of another processing of the input are not those it asks for.
    pub(super) fn states<'s>(&'s self, next: Option<&'s Next>) -> States<'s> {
        let newer = next.map(|next| (next.output.clone(), &next.state[..]));
        let cached = self.cached.as_ref().map(|user| (user.output.clone(), &user.state[..]));
        let behind = cached.iter().chain(&newer).map(|(output, _)| output.start).min();
        let presented = self.presented.as_ref().map(|user| {
            // Output without a known end lasts until it is said how it goes on.
            let open = user.output.end == u64::MAX;
            let end = behind.filter(|_| open).unwrap_or(user.output.end);
            (user.output.start..end.max(user.output.start), &user.state[..])
        });
        presented.into_iter().chain(newer).chain(cached).collect()
    }

    /// The output bytes the answer has room for, at most. `next`: what follows, if the answer says so. An
    /// application that needs time for its output prepares these.
    pub fn wanted<'s>(&'s self, next: Option<&'s Next>) -> Vec<Wanted<'s>> {
        let states = self.states(next);
        let mut all = Vec::new();
        for (run, wants) in self.runs.iter() {
            let mut left = self.most_packets(run) * room(self.packet_size, Form::Absent) as u64;
            for want in wants {
                let mut at = want.start;
                while at < want.end && left > 0 {
                    let covering = states.iter().find(|(output, _)| output.contains(&at));
                    let Some((output, state)) = covering else { break };
                    let end = want.end.min(output.end).min(at.saturating_add(left));
                    all.push(Wanted { state, output: output.clone(), range: at..end });
                    left -= end - at;
                    at = end;
                }
            }
        }
        all
    }

    /// How many packets a run can have emitted.
    fn most_packets(&self, run: Run) -> u64 {
        let epoch = match &self.plan {
            Plan::Open { packets, .. } => return u64::from(*packets),
            Plan::Grant { lost: Some((lost, next, _)) } if run.first > *lost => next,
            Plan::Grant { .. } => &self.continuation.epoch,
        };
        let numbers = epoch.share(&run.positions());
        numbers.end - numbers.start
    }

    /// The same, independent of the datagram it came in.
    pub fn into_owned(self) -> Minisocket<'static> {
        let own = |input: Taken<'a>| Taken { bytes: Cow::Owned(input.bytes.into_owned()), ..input };
        Minisocket {
            input: self.input.map(own),
            presented: self.presented.map(UserContinuation::into_owned),
            client: self.client,
            now: self.now,
            demand: self.demand,
            echo: self.echo,
            request_length: self.request_length,
            packet_size: self.packet_size,
            continuation: self.continuation,
            plan: self.plan,
            runs: self.runs,
            cached: self.cached,
            lineage: self.lineage,
            front: self.front,
            unproven: self.unproven,
            opened_as: self.opened_as,
            shard: self.shard,
        }
    }
}
