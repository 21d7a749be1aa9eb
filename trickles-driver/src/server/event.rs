//! Events, and the handles with which they are answered.

use std::fmt;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use trickles::server::{AnswerError, Next, Output, Reply, Reset};
use trickles::wire::Input;

use super::prepared::Prepared;
use super::shared::Shared;
use super::slots::Ticket;

/// Something that a client wants of a server.
#[derive(Debug)]
pub enum Event {
    /// A stream opens; it may bring input already. [`answer`](Minisocket::answer) it.
    Opened(Minisocket),
    /// Input. [`answer`](Minisocket::answer) it.
    Input(Minisocket),
    /// A chunk of input that is taken in any order. [`store`](Minisocket::store) it.
    Chunk(Minisocket),
    /// Nothing but output is wanted. [`send`](Minisocket::send) it.
    OutputWanted(Minisocket),
    /// The client abandons a stream. A hint: it may be lost or repeated, and most clients close by forgetting.
    Closed {
        /// Server-made name of the stream.
        stream: u64,
        /// Application error code.
        code: u32,
    },
}

impl Event {
    /// Can park the event while somebody else has it.
    pub(crate) fn parker(&self) -> Option<Parker> {
        let (Self::Opened(of) | Self::Input(of) | Self::Chunk(of) | Self::OutputWanted(of)) = self else {
            return None;
        };
        Some(Parker { shared: of.shared.clone(), ticket: of.ticket })
    }
}

/// The handle on one event.
///
/// It is used up by exactly one of [`answer`](Self::answer), [`store`](Self::store), [`send`](Self::send),
/// [`refuse`](Self::refuse) and [`ignore`](Self::ignore), from any task or thread; dropping it ignores the
/// event, and its client asks again. Before that it can be [parked](Self::park).
///
/// The server keeps the request behind it in one of a fixed number of slots. A client that repeats its request
/// meanwhile causes no second event; the answer then goes to its newest request. When a client asks for
/// something else instead, the event is superseded; and when no slot is free, the parked event that was asked
/// for longest ago is evicted and its client told to come again. The handle is then void, and answering it does
/// nothing, as if the answer were lost on its way ([counted](super::EventStats::void)). Whoever keeps handles
/// should drop those that are [void](Self::voided).
///
/// An answer leaves at once. What a full socket does not take is lost, as it might be in the network.
#[must_use = "an event that is dropped is not answered"]
pub struct Minisocket {
    shared: Arc<Shared>,
    ticket: Ticket,
    /// Whether the slot is still its own to give back.
    open: bool,
    occasion: Occasion,
}

/// What an event is about.
#[derive(Debug)]
pub(super) struct Occasion {
    stream: u64,
    client: SocketAddr,
    pub(super) state: Option<Vec<u8>>,
    output: Range<u64>,
    input: Option<(u64, Vec<u8>, bool)>,
}

impl Occasion {
    pub(super) fn of(event: &trickles::server::Event<'_>) -> Self {
        Self {
            stream: event.stream,
            client: event.client,
            state: event.state.map(Vec::from),
            output: event.output.clone(),
            input: event.input.map(|input| (input.offset, input.bytes.into(), input.fin)),
        }
    }
}

impl Minisocket {
    pub(super) fn new(shared: Arc<Shared>, ticket: Ticket, occasion: Occasion) -> Self {
        Self { shared, ticket, open: true, occasion }
    }

    /// Server-made name of the stream. With the input's offset it identifies input that is repeated.
    pub fn stream(&self) -> u64 {
        self.occasion.stream
    }

    /// Where the request came from.
    pub fn client(&self) -> SocketAddr {
        self.occasion.client
    }

    /// The state of the user continuation; `None` when the stream opens.
    pub fn state(&self) -> Option<&[u8]> {
        self.occasion.state.as_deref()
    }

    /// The output bytes that state regenerates; empty when the stream opens.
    pub fn output(&self) -> Range<u64> {
        self.occasion.output.clone()
    }

    /// Input not consumed yet as far as the state knows. Processed at least once: it may be repeated.
    pub fn input(&self) -> Option<Input<'_>> {
        let input = self.occasion.input.as_ref();
        input.map(|(offset, bytes, fin)| Input { offset: *offset, bytes, fin: *fin })
    }

    /// Whether the answer tells the client something, whatever output there is: it is not to wait for that.
    pub fn has_news(&self) -> bool {
        self.shared.has_news(self.ticket)
    }

    /// The output bytes the answer has room for, to be filled in and then used as the `output` of the answer.
    /// `next`: what follows, if the answer says so.
    pub fn wanted(&self, next: Option<&Next>) -> Prepared {
        self.shared.wanted(self.ticket, next)
    }

    /// Says what follows in the stream; possible for every event but a chunk.
    ///
    /// `output` regenerates the bytes wanted, of which as many are sent as it has. It is called while the
    /// server is locked: what takes time is better [prepared](Self::wanted), and what it does with other
    /// minisockets of the server would wait for ever.
    ///
    /// # Errors
    /// [`AnswerError`] if the answer breaks the contract; the event is then ignored.
    pub fn answer(self, next: Next, output: &mut dyn Output) -> Result<(), AnswerError> {
        self.reply(Reply::Next(next), output)
    }

    /// Says that so many bytes of a chunk are stored, from its front. `output` as for
    /// [`answer`](Self::answer): the request may ask for some, too.
    ///
    /// # Errors
    /// [`AnswerError`] if that is more than it has, or the event is no chunk; the event is then ignored.
    pub fn store(self, stored: usize, output: &mut dyn Output) -> Result<(), AnswerError> {
        self.reply(Reply::Stored(stored), output)
    }

    /// Sends the output that is wanted. `output` as for [`answer`](Self::answer).
    ///
    /// # Errors
    /// [`AnswerError`] if more than output is wanted; the event is then ignored.
    pub fn send(self, output: &mut dyn Output) -> Result<(), AnswerError> {
        self.reply(Reply::Output, output)
    }

    pub(crate) fn reply(mut self, reply: Reply, output: &mut dyn Output) -> Result<(), AnswerError> {
        self.open = false;
        self.shared.reply(self.ticket, reply, output)
    }

    /// Ends the stream with an error code that its client is told.
    pub fn refuse(mut self, code: u32) {
        self.open = false;
        self.shared.refuse(self.ticket, Reset(code));
    }

    /// Gives no answer. The client asks again when it comes to think that the request was lost.
    pub fn ignore(self) {}

    /// Tells the client at once that the answer takes time, and to ask again if it has not come after `delay`.
    /// The event can still be answered. It may be evicted from then on.
    pub fn park(&mut self, delay: Duration) {
        self.shared.park(self.ticket, delay);
    }

    /// Whether the event has been superseded or evicted.
    pub fn is_void(&self) -> bool {
        self.shared.is_void(self.ticket)
    }

    /// Waits until the event is superseded or evicted. Of several that wait for one event only the last is
    /// woken.
    pub async fn voided(&self) {
        poll_fn(|cx| self.shared.poll_voided(self.ticket, cx)).await;
    }
}

impl Drop for Minisocket {
    fn drop(&mut self) {
        if self.open {
            self.shared.release(self.ticket);
        }
    }
}

impl fmt::Debug for Minisocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Minisocket").field("event", &self.occasion).finish_non_exhaustive()
    }
}

/// Parks an event from outside.
pub(crate) struct Parker {
    shared: Arc<Shared>,
    ticket: Ticket,
}

impl Parker {
    /// Parks the event, unless it has been answered.
    pub(crate) fn park(self) {
        self.shared.park(self.ticket, self.shared.pending);
    }
}
