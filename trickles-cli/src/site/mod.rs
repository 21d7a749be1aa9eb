//! A static file service over HTTP/1.1 that keeps nothing between calls.
//!
//! Everything a conventional server would remember about a connection is in the *state*: bytes of at most
//! [`MAX_STATE`] that the client carries. [`Site::input`] turns a state and some input into the next state;
//! [`Site::output`] regenerates any part of a response from its state alone, so that any replica that
//! serves the same files (the same inodes) can continue any response at any byte.
//!
//! The service answers `GET` and `HEAD`, conditional requests and single byte ranges. A directory is
//! answered with its `index.html`; names are UTF-8; a query is ignored.
//!
//! With [`Site::allow_uploads`] it answers `PUT`, too: [`Site::store`] puts chunks of the content into a
//! hidden file, in any order and at any replica, and that takes the name when all is there. Directories are
//! not made: without one, and in the place of one, the answer is 409. The content needs a `Content-Length`,
//! 411 otherwise, and is checked against the SHA-256 digest in `Repr-Digest` or `Content-Digest`, 422
//! otherwise. A symbolic link is replaced, not followed.

mod conditions;
mod files;
mod put;
mod request;
mod response;
mod sweep;
#[cfg(test)]
mod tests;
mod uploads;
mod verify;

use std::io;
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use files::{Files, Found};
use request::{Head, Method, Read, Request};
use response::{Answer, Response, Status};
use uploads::{Upload, Uploads, is_reserved};

/// The longest state, in bytes.
pub const MAX_STATE: usize = 700;

/// The longest line of a request head, in bytes.
///
/// [`Site::input`] leaves an incomplete line unconsumed, so it must be offered at least this much input when
/// that much is there.
pub const MAX_LINE: usize = request::MAX_LINE;

/// Tells a state of this layout of [`State`] from one that other software issued.
const LAYOUT: u8 = 2;

/// What remains of a connection between two calls.
#[derive(Debug, Serialize, Deserialize)]
enum State {
    /// A request head of which some lines have arrived.
    Head(Head),
    /// A response, and nothing yet of the next request.
    Response(Response),
    /// An upload of which some may be stored.
    Upload(Upload),
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

/// Some input.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The name of the stream, which no other has.
    pub stream: u64,
    /// The state that the preceding input led to, `None` when the stream opens.
    pub state: Option<&'a [u8]>,
    /// The stream offset of the first of `bytes`.
    pub offset: u64,
    /// The bytes.
    pub bytes: &'a [u8],
    /// Whether the client sends nothing after them.
    pub fin: bool,
    /// The stream offset of the next byte of output.
    pub produced: u64,
    /// The time.
    pub now: SystemTime,
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
    /// How many bytes of input are to be [stored](Site::store) before the rest is presented with `state`.
    pub any_order: u64,
}

/// The same input is to be presented again after this time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Later(pub Duration);

/// Why a chunk of an upload is not stored.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The state is not that of an upload, or uploads are not allowed.
    #[error("not an upload")]
    Invalid,
    /// The chunk could not be written.
    #[error("cannot write the file")]
    Write(#[from] io::Error),
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
/// What is kept from call to call is bounded and need not last: open files, so that one that was replaced can
/// still be read to its end, and results about the most recent uploads.
#[derive(Debug)]
pub struct Site {
    files: Files,
    /// `None` if they are not allowed.
    uploads: Option<Uploads>,
}

impl Site {
    /// Serves the directory `root`; nothing outside of it can be reached, not even through symbolic links.
    ///
    /// # Errors
    ///
    /// When `root` is not a directory that can be opened.
    pub fn open(root: &Path) -> io::Result<Self> {
        Ok(Self { files: Files::open(root)?, uploads: None })
    }

    /// Allows everybody to upload files of up to `limit` bytes, and to replace files by them. Removes what
    /// uploads that were abandoned a day ago have left, from time to time.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn allow_uploads(&mut self, limit: u64, now: SystemTime) -> io::Result<()> {
        self.uploads = Some(Uploads::new(self.files.root().try_clone()?, limit, now));
        Ok(())
    }

    /// Takes in input, the bytes from the current input offset on; answers at most one request.
    ///
    /// A bad request leads to a response that says so. When nothing is consumed, produced or finished, more
    /// input is needed.
    ///
    /// # Errors
    ///
    /// [`Later`] when the answer takes time.
    pub fn input(&mut self, input: Input<'_>) -> Result<Next, Later> {
        match input.state.map(State::decode).transpose() {
            Ok(Some(State::Response(response))) if !response.keep_alive() => {
                let state = State::Response(response).encode();
                let output = input.produced..input.produced;
                Ok(Next { consumed: input.bytes.len(), state, output, finished: true, any_order: 0 })
            }
            Ok(Some(State::Upload(upload))) => {
                let answer = self.complete(&upload, input.stream)?;
                Ok(respond(answer, &input, 0, upload.keep_alive, false))
            }
            Ok(Some(State::Head(head))) => self.head(head, &input),
            Ok(Some(State::Response(_)) | None) => self.head(Head::default(), &input),
            Err(_) => Ok(respond(Answer::Status(Status::InternalError), &input, 0, false, false)),
        }
    }

    /// Takes in lines of a request head.
    fn head(&mut self, mut head: Head, input: &Input<'_>) -> Result<Next, Later> {
        let Input { bytes, fin, produced, .. } = *input;
        // An opening can have a forged source. Nothing is written before the client has shown that it is there.
        let hold = input.state.is_none() && self.uploads.is_some();
        let (consumed, read) = match head.read(bytes, hold) {
            Ok(read) => read,
            Err(status) => return Ok(respond(Answer::Status(status), input, 0, false, false)),
        };
        if read == Read::Whole {
            return self.request(&head, input, consumed);
        }
        if read == Read::Part && fin && (head.begun() || consumed < bytes.len()) {
            return Ok(respond(Answer::Status(Status::BadRequest), input, consumed, false, false));
        }
        let finished = fin && read == Read::Part;
        let state = State::Head(head).encode();
        Ok(Next { consumed, state, output: produced..produced, finished, any_order: 0 })
    }

    /// Answers a complete head, the first `consumed` bytes of the input being the end of it.
    fn request(&mut self, head: &Head, input: &Input<'_>, consumed: usize) -> Result<Next, Later> {
        let answer = match (head.check(), &mut self.uploads) {
            (Err(status), _) => Answer::Status(status),
            (Ok(request), Some(uploads)) if request.method == Method::Put => {
                let held = (input.bytes.len() - consumed) as u64;
                if input.fin && head.content_length().is_ok_and(|length| length > held) {
                    // The rest will not come.
                    return Ok(respond(Answer::Status(Status::BadRequest), input, consumed, false, false));
                }
                let places = (input.offset.saturating_add(consumed as u64), input.produced);
                match uploads.accept(head, request, input.stream, places, input.now) {
                    Ok(upload) if upload.length > 0 => {
                        let (output, any_order) = (upload.output(), upload.length);
                        let state = State::Upload(upload).encode();
                        return Ok(Next { consumed, state, output, finished: false, any_order });
                    }
                    Ok(upload) => uploads.complete(&upload, input.stream)?,
                    Err(status) => Answer::Status(status),
                }
            }
            (Ok(request), uploads) if matches!(request.method, Method::Put | Method::Other) => {
                Answer::MethodNotAllowed { uploads: uploads.is_some() }
            }
            (Ok(request), _) => self.find(head, request),
        };
        let keep_alive = !head.ends_stream() && !answer.ends_stream();
        tracing::debug!(?head, "request");
        Ok(respond(answer, input, consumed, keep_alive, head.method() == Some(Method::Head)))
    }

    /// What to answer to a request that reads.
    fn find(&mut self, head: &Head, request: &Request) -> Answer {
        let index = request.path.is_empty() || request.path.ends_with('/');
        let path = format!("{}{}", request.path, if index { "index.html" } else { "" });
        if is_reserved(&path) {
            return Answer::Status(Status::NotFound);
        }
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

    /// Stores `bytes`, the input of `stream` from `offset` on, as [`Next::any_order`] announced it with
    /// `state`; returns how many of them are stored, from the front.
    ///
    /// # Errors
    ///
    /// When they cannot be stored.
    pub fn store(
        &mut self,
        stream: u64,
        state: &[u8],
        offset: u64,
        bytes: &[u8],
    ) -> Result<usize, StoreError> {
        match (State::decode(state), &self.uploads) {
            (Ok(State::Upload(upload)), Some(uploads)) => Ok(uploads.store(&upload, stream, offset, bytes)?),
            _ => Err(StoreError::Invalid),
        }
    }

    /// Answers an upload all of which is stored.
    fn complete(&mut self, upload: &Upload, stream: u64) -> Result<Answer, Later> {
        match &mut self.uploads {
            Some(uploads) => uploads.complete(upload, stream),
            None => Ok(Answer::MethodNotAllowed { uploads: false }),
        }
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
            State::Upload(upload) => upload.read(offset, buffer).ok_or(OutputError::Invalid),
            State::Head(_) => Err(OutputError::Invalid),
        }
    }
}

/// The response, once `consumed` bytes of the input have led to it.
fn respond(answer: Answer, input: &Input<'_>, consumed: usize, keep_alive: bool, head_only: bool) -> Next {
    // What follows the last request is dropped.
    let consumed = if keep_alive { consumed } else { input.bytes.len() };
    // `fin` does not show in the response: it may arrive only with a retransmission of the request.
    let finished = !keep_alive || (input.fin && consumed == input.bytes.len());
    let response = Response::new(answer, input.produced, input.now, keep_alive, head_only);
    let output = response.output();
    tracing::debug!(status = response.status(), "response");
    Next { consumed, state: State::Response(response).encode(), output, finished, any_order: 0 }
}
