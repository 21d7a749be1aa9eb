//! What servers send.

use std::ops::Range;

use super::codec::{Reader, Write};
use super::{DATA_OVERHEAD, MAX_TRAIN, NUMBER_BITS, TRAIN_HEADER, VERSION, nearest};
use crate::continuation::{ABBREVIATED_LENGTH, Abbreviated, SEALED_LENGTH, Sealed};
use crate::user_continuation::MAX_LENGTH;

const TRAIN: u8 = 16;
const REFRESH: u8 = 17;
const NOTICE: u8 = 18;

pub(super) const FRAME_PADDING: u8 = 0;
pub(super) const FRAME_CONTINUATION: u8 = 1;
pub(super) const FRAME_USER_CONTINUATION: u8 = 2;
const FRAME_DATA: u8 = 3;
const FRAME_HOLD: u8 = 4;
const FRAME_STORED: u8 = 5;
pub(super) const FRAME_ABBREVIATED: u8 = 6;
const FRAME_ABBREVIATED_EXIT: u8 = 7;

/// Most numbers that one packet stands for.
pub const MAX_SPAN: u8 = u8::MAX - MAX_TRAIN as u8 + 2;

/// The echo value of a datagram, which every version has in the same place (docs/protocol.md 2.18); `None` if it is too
/// short to have one.
pub fn echo(datagram: &[u8]) -> Option<u64> {
    datagram.get(2..)?.first_chunk().copied().map(u64::from_be_bytes)
}

/// A numbered packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Train<'a> {
    /// The value of the request it answers.
    pub echo: u64,
    /// Whether it is a Refresh: the request was authentic but too old and had no other effect.
    pub refresh: bool,
    /// The lowest bits of the first number it stands for.
    pub number: u32,
    /// How many numbers it stands for: 1, or in the last packet of a train up to [`MAX_SPAN`].
    pub span: u8,
    /// How many numbers of its train follow behind it, at most 63.
    pub left: u8,
    /// Proof of receipt of these numbers.
    pub nonce: u64,
    /// The frames.
    pub frames: Frames<'a>,
}

/// The frames of a numbered packet, well formed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frames<'a> {
    bytes: &'a [u8],
    /// Without padding.
    length: usize,
    /// Whether there are others than data.
    others: bool,
}

/// One frame of a numbered packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// The continuation of the packet's train.
    Continuation(&'a Sealed),
    /// A user continuation, which also acknowledges input.
    UserContinuation(&'a [u8]),
    /// What of the train's continuation is not known from the one that was presented.
    Abbreviated {
        /// The fields and the tag.
        fields: &'a Abbreviated,
        /// Whether its epoch has a slow start exit.
        exit: bool,
    },
    /// Output bytes.
    Data {
        /// Offset of the first byte in the stream's output; only the lowest [`OFFSET_BITS`](super::OFFSET_BITS) bits
        /// travel.
        offset: u64,
        /// The bytes, at least one.
        bytes: &'a [u8],
    },
    /// How long the server held the request, in microseconds.
    Hold(u32),
    /// Which bytes of a chunk of input are stored; none of input that came too early to be consumed.
    Stored {
        /// Offset of the first byte in the stream's input.
        offset: u64,
        /// How many bytes.
        length: u16,
    },
}

impl<'a> Frames<'a> {
    /// Checks that `bytes` are frames, followed by nothing but padding.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let mut frames = Self { bytes, length: 0, others: false };
        while let Some(frame) = next_frame(&mut reader)? {
            frames.length += frame.length();
            frames.others |= !matches!(frame, Frame::Data { .. });
        }
        Some(frames)
    }

    /// How many bytes they take, padding aside.
    pub(crate) fn length(&self) -> usize {
        self.length
    }

    /// Whether there is anything but data.
    pub(crate) fn has_others(&self) -> bool {
        self.others
    }

    /// The frames in order.
    pub fn iter(&self) -> impl Iterator<Item = Frame<'a>> + use<'a> {
        let mut reader = Reader::new(self.bytes);
        std::iter::from_fn(move || next_frame(&mut reader).flatten())
    }
}

/// The next frame; `Some(None)` at the end, `None` when malformed.
fn next_frame<'a>(reader: &mut Reader<'a>) -> Option<Option<Frame<'a>>> {
    let Some(kind) = reader.u8() else { return Some(None) };
    let frame = match kind {
        FRAME_PADDING => {
            let padding = reader.only_padding();
            *reader = Reader::new(&[]);
            return padding.then_some(None);
        }
        FRAME_CONTINUATION => Frame::Continuation(reader.take(SEALED_LENGTH)?.first_chunk()?),
        FRAME_USER_CONTINUATION => {
            let length = usize::from(reader.u16()?);
            Frame::UserContinuation(reader.take(length).filter(|sealed| sealed.len() <= MAX_LENGTH)?)
        }
        FRAME_DATA => {
            let (high, low) = (reader.u8()?, reader.u32()?);
            let offset = u64::from(high) << 32 | u64::from(low);
            let length = usize::from(reader.u16()?);
            let bytes = reader.take(length).filter(|bytes| !bytes.is_empty())?;
            Frame::Data { offset, bytes }
        }
        FRAME_ABBREVIATED | FRAME_ABBREVIATED_EXIT => {
            let fields = reader.take(ABBREVIATED_LENGTH)?.first_chunk()?;
            Frame::Abbreviated { fields, exit: kind == FRAME_ABBREVIATED_EXIT }
        }
        FRAME_HOLD => Frame::Hold(reader.u32()?),
        FRAME_STORED => {
            let (offset, length) = (reader.u64()?, reader.u16()?);
            offset.checked_add(u64::from(length))?;
            Frame::Stored { offset, length }
        }
        _ => return None,
    };
    Some(Some(frame))
}

impl Frame<'_> {
    /// How many bytes it takes.
    pub(crate) fn length(&self) -> usize {
        match self {
            Self::Continuation(sealed) => 1 + sealed.len(),
            Self::Abbreviated { fields, .. } => 1 + fields.len(),
            Self::UserContinuation(sealed) => 3 + sealed.len(),
            Self::Data { bytes, .. } => DATA_OVERHEAD + bytes.len(),
            Self::Hold(_) => 5,
            Self::Stored { .. } => 11,
        }
    }

    /// Appends the frame to `out`.
    pub fn emit(&self, out: &mut Vec<u8>) {
        self.write_to(out);
    }

    /// The same, to whatever can be written to.
    pub(crate) fn write_to(&self, out: &mut impl Write) {
        match self {
            Self::Continuation(sealed) => {
                out.put_u8(FRAME_CONTINUATION);
                out.put(&sealed[..]);
            }
            Self::Abbreviated { fields, exit } => {
                out.put_u8(if *exit { FRAME_ABBREVIATED_EXIT } else { FRAME_ABBREVIATED });
                out.put(&fields[..]);
            }
            Self::UserContinuation(sealed) => {
                out.put_u8(FRAME_USER_CONTINUATION);
                out.put_u16(sealed.len() as u16);
                out.put(sealed);
            }
            Self::Data { offset, bytes } => {
                out.put(&data_header(*offset, bytes.len() as u16));
                out.put(bytes);
            }
            Self::Hold(micros) => {
                out.put_u8(FRAME_HOLD);
                out.put_u32(*micros);
            }
            Self::Stored { offset, length } => {
                out.put_u8(FRAME_STORED);
                out.put_u64(*offset);
                out.put_u16(*length);
            }
        }
    }
}

/// What precedes the bytes of a data frame.
pub(crate) fn data_header(offset: u64, length: u16) -> [u8; DATA_OVERHEAD] {
    let mut header = [0; DATA_OVERHEAD];
    header[0] = FRAME_DATA;
    header[1..6].copy_from_slice(&offset.to_be_bytes()[3..]);
    header[6..].copy_from_slice(&length.to_be_bytes());
    header
}

impl Train<'_> {
    /// The numbers it stands for, near the one that is `expected`; `None` if those of its train would not fit into
    /// 64 bits.
    pub fn numbers(&self, expected: u64) -> Option<Range<u64>> {
        let first = nearest(u64::from(self.number), NUMBER_BITS, expected);
        let end = first.checked_add(u64::from(self.span))?;
        end.checked_add(u64::from(self.left)).map(|_| first..end)
    }

    /// The packet's header, to be followed by its frames.
    pub(crate) fn header(&self) -> [u8; TRAIN_HEADER] {
        let mut header = [0; TRAIN_HEADER];
        header[0] = VERSION;
        header[1] = if self.refresh { REFRESH } else { TRAIN };
        header[2..10].copy_from_slice(&self.echo.to_be_bytes());
        header[10..14].copy_from_slice(&self.number.to_be_bytes());
        header[14] = if self.span == 1 {
            self.left
        } else {
            self.span.saturating_sub(2).saturating_add(MAX_TRAIN as u8)
        };
        header[15..23].copy_from_slice(&self.nonce.to_be_bytes());
        header
    }
}

/// Why a request was not answered with numbered packets. A hint: a client gives up only after repeated ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// All that was claimed had been granted before.
    Spent,
    /// There is nothing to send yet; ask again after this many milliseconds.
    Pending(u32),
    /// The server does not hold the key with this id.
    UnknownKey(u16),
    /// The server offers no such service.
    NoService,
    /// The server speaks this version.
    Version(u8),
    /// The application ended the stream with this code.
    Reset(u32),
    /// The user continuation is too old, or not of this stream.
    Expired,
    /// The server does not remember what an abbreviated claim leaves out.
    Forgotten,
}

/// Any response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Response<'a> {
    /// A numbered packet: part of a train, of which Welcome is the first, or a Refresh.
    Train(Train<'a>),
    /// An unnumbered refusal or notice.
    Notice {
        /// The value of the request it answers.
        echo: u64,
        /// What happened.
        notice: Notice,
    },
}

impl<'a> Response<'a> {
    /// Reads a response.
    pub fn parse(datagram: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(datagram);
        reader.u8().filter(|&version| version == VERSION)?;
        let kind = reader.u8()?;
        let echo = reader.u64()?;
        if kind == NOTICE {
            let kind = reader.u8()?;
            let value = reader.u32()?;
            let notice = match kind {
                1 => Notice::Spent,
                2 => Notice::Pending(value),
                3 => Notice::UnknownKey(u16::try_from(value).ok()?),
                4 => Notice::NoService,
                5 => Notice::Version(u8::try_from(value).ok()?),
                6 => Notice::Reset(value),
                7 => Notice::Expired,
                8 => Notice::Forgotten,
                _ => return None,
            };
            let exact = matches!(kind, 2 | 3 | 5 | 6) || value == 0;
            return (exact && reader.rest().is_empty()).then_some(Self::Notice { echo, notice });
        }
        let refresh = match kind {
            TRAIN => false,
            REFRESH => true,
            _ => return None,
        };
        let number = reader.u32()?;
        let (span, left) = match reader.u8()? {
            left if u64::from(left) < MAX_TRAIN => (1, left),
            wide => (wide - MAX_TRAIN as u8 + 2, 0),
        };
        let nonce = reader.u64()?;
        let frames = Frames::parse(reader.rest())?;
        Some(Self::Train(Train { echo, refresh, number, span, left, nonce, frames }))
    }

    /// Appends the response to `out`.
    pub fn emit(&self, out: &mut Vec<u8>) {
        self.write_to(out);
    }

    /// The same, to whatever can be written to.
    pub(crate) fn write_to(&self, out: &mut impl Write) {
        match self {
            Self::Train(train) => {
                out.put(&train.header());
                out.put(train.frames.bytes);
            }
            Self::Notice { echo, notice } => {
                out.put_u8(VERSION);
                out.put_u8(NOTICE);
                out.put_u64(*echo);
                let (kind, value) = match *notice {
                    Notice::Spent => (1, 0),
                    Notice::Pending(millis) => (2, millis),
                    Notice::UnknownKey(id) => (3, u32::from(id)),
                    Notice::NoService => (4, 0),
                    Notice::Version(version) => (5, u32::from(version)),
                    Notice::Reset(code) => (6, code),
                    Notice::Expired => (7, 0),
                    Notice::Forgotten => (8, 0),
                };
                out.put_u8(kind);
                out.put_u32(value);
            }
        }
    }
}
