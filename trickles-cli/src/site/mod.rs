//! A static file service over HTTP/1.1 that keeps nothing between calls.
//!
//! Everything a conventional server would remember about a connection is in the *state*: bytes of at most
//! [`MAX_STATE`] that the client carries. [`Site::input`] turns a state and some input into the next state;
//! [`Site::output`] regenerates any part of a response from its state alone, so that any replica that
//! serves the same files (the same inodes) can continue any response at any byte.
//!
//! The service answers `GET` and `HEAD`, conditional requests and single byte ranges. A directory is
//! answered with its `index.html`; names are UTF-8; a query is ignored.

mod conditions;
mod files;
mod request;
mod response;
#[cfg(test)]
mod tests;

use std::io;
use std::ops::Range;
use std::path::Path;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use files::{Files, Found};
use request::{Head, Method};
use response::{Answer, Response, Status};

/// The longest state, in bytes.
pub const MAX_STATE: usize = 700;

/// The longest line of a request head, in bytes.
///
/// [`Site::input`] leaves an incomplete line unconsumed, so it must be offered at least this much input when
/// that much is there.
pub const MAX_LINE: usize = request::MAX_LINE;

/// Tells a state of this layout of [`State`] from one that other software issued.
const LAYOUT: u8 = 1;

/// What remains of a connection between two calls.
#[derive(Debug, Serialize, Deserialize)]
enum State {
    /// A request head of which some lines have arrived.
    Head(Head),
    /// A response, and nothing yet of the next request.
    Response(Response),
}

impl State {
    fn encode(&self) -> Vec<u8> {
        postcard::to_stdvec(&(LAYOUT, self)).expect("a vector takes any state")
    }

    fn decode(state: &[u8]) -> Result<Self, OutputError> {
        match postcard::from_bytes(state) {
            Ok((LAYOUT, state)) => Ok(state),
            _ => Err(OutputError::Invalid),
        }
    }
}

/// What follows from some input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Next {
    /// How many bytes of the input are dealt with; the rest is to be presented again, followed by more.
    pub consumed: usize,
    /// The state with which that input is to be presented, and from which `output` is regenerated.
    pub state: Vec<u8>,
    /// The stream offsets of the response, empty when the input does not complete a request.
    pub output: Range<u64>,
    /// Whether the stream ends at `output.end`.
    pub finished: bool,
}

/// Why output cannot be regenerated.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// The file is no longer the one that the response began with.
    #[error("the file changed during the response")]
    Changed,
    /// The bytes are not a state with a response, or the offset lies outside of that response.
    #[error("not a response, or not an offset in it")]
    Invalid,
    /// The file could not be read; another attempt may succeed.
    #[error("cannot read the file")]
    Read(#[from] io::Error),
}

/// The files below one directory, served over HTTP.
///
/// The only thing kept from call to call is a bounded cache of open files, which affects no result except
/// that a file that was replaced can still be read to its end.
#[derive(Debug)]
pub struct Site {
    files: Files,
}

impl Site {
    /// Serves the directory `root`; nothing outside of it can be reached, not even through symbolic links.
    ///
    /// # Errors
    ///
    /// When `root` is not a directory that can be opened.
    pub fn open(root: &Path) -> io::Result<Self> {
        Ok(Self { files: Files::open(root)? })
    }

    /// Takes in `input`, the bytes from the current input offset on; answers at most one request.
    ///
    /// `state` is the state that the preceding input led to, `None` when the stream opens. `fin`: the client
    /// sends nothing after `input`. `produced`: the stream offset of the next byte of output. A bad request
    /// leads to a response that says so. When nothing is consumed, produced or finished, more input is
    /// needed.
    pub fn input(
        &mut self,
        state: Option<&[u8]>,
        input: &[u8],
        fin: bool,
        produced: u64,
        now: SystemTime,
    ) -> Next {
        let head = match state.map(State::decode).transpose() {
            Ok(Some(State::Response(response))) if !response.keep_alive() => {
                let state = State::Response(response).encode();
                return Next { consumed: input.len(), state, output: produced..produced, finished: true };
            }
            Ok(Some(State::Head(head))) => Ok(head),
            Ok(Some(State::Response(_)) | None) => Ok(Head::default()),
            Err(_) => Err(Status::InternalError),
        };
        let (head, read) = match head {
            Ok(mut head) => {
                let read = head.read(input);
                (head, read)
            }
            Err(status) => (Head::default(), Err(status)),
        };
        let (mut consumed, answer) = match read {
            Ok((consumed, true)) => (consumed, self.answer(&head)),
            Ok((consumed, false)) if fin && (head.begun() || consumed < input.len()) => {
                (consumed, Answer::Status(Status::BadRequest))
            }
            Ok((consumed, false)) => {
                let state = State::Head(head).encode();
                return Next { consumed, state, output: produced..produced, finished: fin };
            }
            Err(status) => (0, Answer::Status(status)),
        };
        let keep_alive = !head.ends_stream() && !answer.ends_stream();
        if !keep_alive {
            consumed = input.len();
        }
        // `fin` does not show in the response: it may arrive only with a retransmission of the request.
        let finished = !keep_alive || (fin && consumed == input.len());
        let response = Response::new(answer, produced, now, keep_alive, head.method() == Some(Method::Head));
        let output = response.output();
        tracing::debug!(?head, status = response.status(), "request");
        Next { consumed, state: State::Response(response).encode(), output, finished }
    }

    /// Fills `buffer` with output from stream offset `offset` on; returns how many bytes that are, fewer
    /// than asked for only at the end of the response in `state`.
    ///
    /// # Errors
    ///
    /// When the response cannot be continued as it began; `buffer` then holds nothing of value.
    pub fn output(&mut self, state: &[u8], offset: u64, buffer: &mut [u8]) -> Result<usize, OutputError> {
        match State::decode(state)? {
            State::Response(response) => response.read(&mut self.files, offset, buffer),
            State::Head(_) => Err(OutputError::Invalid),
        }
    }

    /// What to answer to a complete request head.
    fn answer(&mut self, head: &Head) -> Answer {
        let request = match head.check() {
            Ok(request) => request,
            Err(status) => return Answer::Status(status),
        };
        let index = request.path.is_empty() || request.path.ends_with('/');
        let path = format!("{}{}", request.path, if index { "index.html" } else { "" });
        match self.files.find(&path) {
            Ok(Found::File(identity)) => head.conditions.select(path, identity, request.method),
            Ok(Found::Directory) if !index => Answer::Moved(path),
            Ok(Found::Directory | Found::Missing) => Answer::Status(Status::NotFound),
            Err(error) => {
                tracing::warn!(?path, %error, "cannot open");
                Answer::Status(Status::InternalError)
            }
        }
    }
}
