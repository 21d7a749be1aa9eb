//! The user continuation: opaque application state, sealed by the server, carried by the client
//! (docs/protocol.md section 3).

use std::borrow::Cow;
use std::ops::Range;

use crate::key_ring::{Purpose, Seal, TAG_LENGTH};
use crate::time::Timestamp;
use crate::wire::codec::{Reader, Write};

/// Longest application state, in bytes: with it a request still fits a 1200-byte datagram with room for input.
pub const MAX_STATE: usize = 700;
/// Length of a user continuation without its state, in bytes.
pub const OVERHEAD: usize = 2 + 8 * 5 + 1 + 8 + 8 + 4 + TAG_LENGTH;
/// Longest user continuation, in bytes.
pub const MAX_LENGTH: usize = OVERHEAD + MAX_STATE;

const FINISHED: u8 = 1;
const INPUT_CLOSED: u8 = 2;
const ANY_ORDER: u8 = 4;

/// Which processing of a stream's input a user continuation comes from (docs/protocol.md section 3.3).
///
/// Input can be processed more than once, with different results. All that follows from one presented user
/// continuation in one server without another presentation has the same lineage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lineage {
    /// The request that presented the user continuation this one goes back to.
    pub echo: u64,
    /// Which of the times that was: the request can be processed again, here or by another server.
    pub processing: u32,
}

/// What regenerates a range of a stream's output and takes its next input.
///
/// It may be presented any number of times, in any order, to any replica, until it expires: keep nothing in
/// it whose reuse matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserContinuation<'a> {
    /// Id of the key that sealed it.
    pub key: u16,
    /// The stream it belongs to.
    pub stream: u64,
    /// The output bytes the state regenerates.
    pub output: Range<u64>,
    /// Whether the stream's output ends at `output.end`.
    pub finished: bool,
    /// The input bytes it can take; all before `input.start` are consumed.
    pub input: Range<u64>,
    /// Whether these are taken in any order, each chunk by its offset, and not consumed from the front.
    pub any_order: bool,
    /// Whether the end of the input is consumed too.
    pub input_closed: bool,
    /// When it ceases to be valid.
    pub expires: Timestamp,
    /// Which processing of the input it comes from.
    pub lineage: Lineage,
    /// The application's state, at most [`MAX_STATE`] bytes.
    pub state: Cow<'a, [u8]>,
}

/// What makes a tag good only beside one user continuation (docs/protocol.md 3.12).
pub type Mask = [u8; TAG_LENGTH];

impl<'a> UserContinuation<'a> {
    /// Tells it from those that come of other processings of the input, and those that take it in another way.
    pub fn mask(&self) -> Mask {
        let kind = if self.any_order { (self.input.end as u32).max(1) } else { 0 };
        let mut mask = [0; TAG_LENGTH];
        mask[..8].copy_from_slice(&self.lineage.echo.to_be_bytes());
        mask[8..12].copy_from_slice(&self.lineage.processing.to_be_bytes());
        mask[12..].copy_from_slice(&kind.to_be_bytes());
        mask
    }

    /// Appends body and tag to `out`.
    pub(crate) fn seal(&self, seal: &Seal, out: &mut Vec<u8>) {
        let start = out.len();
        let keys = seal.ring.signing();
        out.put_u16(keys.id());
        out.put_u64(self.stream);
        out.put_u64(self.output.start);
        out.put_u64(self.output.end);
        out.put_u64(self.input.start);
        out.put_u64(self.input.end);
        out.put_u8(
            (u8::from(self.finished) * FINISHED)
                | (u8::from(self.input_closed) * INPUT_CLOSED)
                | (u8::from(self.any_order) * ANY_ORDER),
        );
        out.put_u64(self.expires.as_micros());
        out.put_u64(self.lineage.echo);
        out.put_u32(self.lineage.processing);
        out.put(&self.state);
        let tag = seal.tag(keys, Purpose::UserContinuation, None, &out[start..]);
        out.put(&tag);
    }

    /// Reads a sealed user continuation without checking its tag, as a client does.
    pub fn peek(sealed: &'a [u8]) -> Option<Self> {
        let (body, _) = sealed.split_last_chunk::<TAG_LENGTH>()?;
        let mut reader = Reader::new(body);
        let key = reader.u16()?;
        let stream = reader.u64()?;
        let output = reader.u64()?..reader.u64()?;
        let input = reader.u64()?..reader.u64()?;
        let flags = reader.u8()?;
        let expires = Timestamp::from_micros(reader.u64()?);
        let lineage = Lineage { echo: reader.u64()?, processing: reader.u32()? };
        let state = Cow::Borrowed(reader.rest());
        let sane = output.start <= output.end
            && input.start <= input.end
            && flags & !(FINISHED | INPUT_CLOSED | ANY_ORDER) == 0
            && state.len() <= MAX_STATE;
        sane.then_some(Self {
            key,
            stream,
            output,
            finished: flags & FINISHED != 0,
            input,
            any_order: flags & ANY_ORDER != 0,
            input_closed: flags & INPUT_CLOSED != 0,
            expires,
            lineage,
            state,
        })
    }

    /// The same, independent of what it was read from.
    pub(crate) fn into_owned(self) -> UserContinuation<'static> {
        UserContinuation { state: Cow::Owned(self.state.into_owned()), ..self }
    }

    /// Reads a sealed user continuation and checks its tag; whether it has expired is the caller's to check.
    pub(crate) fn open(seal: &Seal, sealed: &'a [u8]) -> Option<Self> {
        let (body, tag) = sealed.split_last_chunk::<TAG_LENGTH>()?;
        let keys = seal.ring.get(u16::from_be_bytes(*body.first_chunk()?))?;
        seal.verify(keys, Purpose::UserContinuation, None, body, tag).then(|| Self::peek(sealed)).flatten()
    }
}

#[cfg(test)]
mod tests;
