//! The datagrams: parse and emit, pure and total (docs/protocol.md section 2).
//!
//! Every datagram begins with version, type and a 64-bit echo value that the client chose; whatever a
//! server sends repeats it, so that nobody off the path can speak for the server.

mod abbreviated;
mod buffer;
pub(crate) mod codec;
mod layout;
mod request;
mod response;

pub use abbreviated::{AbbreviatedClaim, AbbreviatedKind};
pub(crate) use buffer::Buffer;
pub use layout::{Cursor, Form, room};
pub use request::{
    Claim, ClaimKind, Envelope, HELLO_OVERHEAD, HELLO_PREFIX, Hello, Input, MAX_RUNS, MAX_WANTS, MIN_CLAIM,
    Request, Run, Runs, is_hello,
};
pub(crate) use response::data_header;
pub use response::{Frame, Frames, MAX_SPAN, Notice, Response, Train, echo};

/// Protocol version.
pub const VERSION: u8 = 1;
/// UDP payload size every path is assumed to carry, in bytes.
pub const BASE_PACKET_SIZE: u16 = 1200;
/// Smallest packet size a client may ask for, in bytes.
pub const MIN_PACKET_SIZE: u16 = 1000;
/// Largest packet size a client may ask for, in bytes.
pub const MAX_PACKET_SIZE: u16 = 9000;
/// Version, type and echo, in bytes.
pub const HEADER: usize = 1 + 1 + 8;
/// Header of a numbered packet, in bytes.
pub const TRAIN_HEADER: usize = HEADER + 4 + 1 + 8;
/// How many bits of a packet's number travel.
pub const NUMBER_BITS: u32 = 32;
/// Type, offset and length of a data frame, in bytes.
pub const DATA_OVERHEAD: usize = 1 + 5 + 2;
/// How many bits of a data frame's offset travel.
pub const OFFSET_BITS: u32 = 40;
/// Most numbers in one train.
pub const MAX_TRAIN: u64 = 64;
/// Most positions one request can have granted.
pub const MAX_GRANT: u64 = 192;
/// Most packets one request can have emitted.
pub const MAX_EMIT: usize = 128;

/// The value nearest to `expected` that ends in the `bits` bits of `low` (docs/protocol.md 2.19; RFC 9000,
/// appendix A.3).
///
/// ```
/// use trickles::wire::nearest;
/// assert_eq!(nearest(0x0002, 16, 0xfffe), 0x1_0002);
/// assert_eq!(nearest(0xfffe, 16, 0x1_0002), 0xfffe);
/// ```
pub fn nearest(low: u64, bits: u32, expected: u64) -> u64 {
    let span = 1u64 << bits;
    let same = expected & !(span - 1) | low & (span - 1);
    if same < expected && expected - same > span / 2 {
        same.checked_add(span).unwrap_or(same)
    } else if same > expected && same - expected > span / 2 {
        same.checked_sub(span).unwrap_or(same)
    } else {
        same
    }
}

#[cfg(test)]
mod tests;
