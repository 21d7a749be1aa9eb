//! Applications whose answers are `async` and whose states are typed.

mod exchange;
mod serve;
mod state;

use std::future::Future;
use std::net::SocketAddr;
use std::ops::Range;

use serde::Serialize;
use serde::de::DeserializeOwned;
use trickles::server::{Reset, Unanswered};

pub use self::serve::{Serve, serve};

/// A stream is reset with this code when its handler, or its state, is not as it should be.
pub const BROKEN: u32 = u32::MAX;

/// A server application whose answers may take time.
///
/// All it knows of a stream is a state that travels with the client, so that any replica can go on, at any
/// time. Input is processed at least once, and output may be asked for in any order and again: both methods
/// follow from their arguments, and from what is the same on all replicas.
///
/// An answer that takes longer than a few milliseconds is put off: its client is told to wait. It gets the
/// answer when there is one; meanwhile it asks again now and then, which calls nothing here. If more clients
/// wait than the server has [slots](crate::EventServer::set_event_slots), the one that asked longest ago is told
/// to come again and its future is dropped.
///
/// [`serve()`] runs it. An application that needs no time at all is better off as an
/// [`Application`](trickles::server::Application), which copies nothing.
///
/// ```
/// use std::ops::Range;
///
/// use trickles::server::{Reset, Unanswered};
/// use trickles_driver::{Answer, Handler, Request};
///
/// /// Repeats every line, in capitals.
/// struct Shout;
///
/// impl Handler for Shout {
///     type State = String;
///
///     async fn input(&self, request: Request<'_, String>) -> Result<Answer<String>, Unanswered> {
///         let Some(end) = request.input.iter().take(500).position(|&byte| byte == b'\n') else {
///             return Ok(Answer::new(0, String::new()));
///         };
///         let line = String::from_utf8_lossy(&request.input[..=end]).to_uppercase();
///         let length = line.len() as u64;
///         Ok(Answer::new(end + 1, line).output(length))
///     }
///
///     async fn output(&self, line: String, range: Range<u64>) -> Result<Vec<u8>, Reset> {
///         Ok(line.as_bytes()[range.start as usize..range.end as usize].to_vec())
///     }
/// }
/// ```
pub trait Handler: Send + Sync + 'static {
    /// What is needed to go on with a stream. With postcard it has to come to no more than
    /// [`MAX_STATE`](trickles::user_continuation::MAX_STATE) bytes; a stream with a longer one is reset
    /// ([`BROKEN`]), and so is one whose state does not decode.
    type State: Serialize + DeserializeOwned + Send;

    /// Takes the opening of a stream, or its next input, and says what follows.
    ///
    /// # Errors
    /// [`Unanswered`]: the stream ends, or the input will come again.
    fn input(
        &self,
        request: Request<'_, Self::State>,
    ) -> impl Future<Output = Result<Answer<Self::State>, Unanswered>> + Send;

    /// Regenerates output that `state` has announced: bytes `range`, counted from the first that it announced.
    /// Fewer bytes than wanted mean that there are no more for now.
    ///
    /// Where the [length is not known](Answer::output_later) the future can stay pending until there is
    /// something, for as long as it likes.
    ///
    /// # Errors
    /// [`Reset`] ends the stream: the bytes can no longer be regenerated.
    fn output(
        &self,
        state: Self::State,
        range: Range<u64>,
    ) -> impl Future<Output = Result<Vec<u8>, Reset>> + Send;

    /// Stores a chunk by its offset, as announced by [`Answer::any_order`]: how many bytes, from its front.
    /// Chunks come in any order, more than once, at several replicas at the same time, and the network can repeat one
    /// after the end of the range has been shown.
    ///
    /// # Errors
    /// [`Unanswered`]: the stream ends, or the chunk will come again.
    fn store(
        &self,
        request: Request<'_, Self::State>,
    ) -> impl Future<Output = Result<usize, Unanswered>> + Send {
        let _ = request;
        async { Ok(0) }
    }

    /// A client abandons a stream with an application error code. A hint: it may be lost or repeated, and most
    /// clients close by forgetting.
    fn reset(&self, stream: u64, code: u32) {
        let _ = (stream, code);
    }
}

/// Input for a [`Handler`], or a stream that opens.
#[derive(Clone, Debug)]
pub struct Request<'a, S> {
    /// Server-made name of the stream. With `offset` it identifies input that is repeated.
    pub stream: u64,
    /// Where it came from.
    pub client: SocketAddr,
    /// The state that all before led to; `None` when the stream opens.
    pub state: Option<S>,
    /// Input from the first byte that is not consumed, or a chunk.
    pub input: &'a [u8],
    /// Where in the stream's input that begins.
    pub offset: u64,
    /// Whether the client sends nothing behind it.
    pub fin: bool,
}

/// What follows in a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer<S> {
    state: S,
    consumed: usize,
    /// `None` for a length that is not known.
    output: Option<u64>,
    finished: bool,
    any_order: u64,
}

impl<S> Answer<S> {
    /// The first `consumed` bytes of the input are dealt with; the rest is presented again, with `state` and
    /// with more behind it. There is no output but what was announced before.
    pub fn new(consumed: usize, state: S) -> Self {
        Self { state, consumed, output: Some(0), finished: false, any_order: 0 }
    }

    /// So many bytes of output follow, regenerated from the state.
    pub fn output(self, length: u64) -> Self {
        Self { output: Some(length), ..self }
    }

    /// Output follows whose length is not known, regenerated from the state as it appears. The output of later
    /// answers of this stream replaces what has not appeared by then and is counted from the same byte.
    pub fn output_later(self) -> Self {
        Self { output: None, ..self }
    }

    /// The stream ends after this output.
    pub fn finish(self) -> Self {
        Self { finished: true, ..self }
    }

    /// So many bytes of input behind the consumed ones are [stored](Handler::store) in any order, by their
    /// offset, before those behind them are presented.
    pub fn any_order(self, length: u64) -> Self {
        Self { any_order: length, ..self }
    }
}
