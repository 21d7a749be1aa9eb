//! The transport continuation: the state of a flow as of one train, carried by the client
//! (docs/protocol.md section 3).

use std::ops::Range;
use std::time::Duration;

use arrayvec::ArrayVec;

use crate::epoch::curve::MAX_WINDOW;
use crate::epoch::{CurveId, Epoch, Growth, MAX_NUMBER, MAX_POSITION, SlowStartExit};
use crate::key_ring::TAG_LENGTH;
use crate::time::Timestamp;
use crate::wire::codec::{Reader, Write};
use crate::wire::nearest;

/// Length of a continuation without its tag, in bytes.
pub const BODY_LENGTH: usize = 104;
/// Length of a sealed continuation, in bytes.
pub const SEALED_LENGTH: usize = BODY_LENGTH + TAG_LENGTH;

/// Length of an abbreviated continuation, in bytes.
pub const ABBREVIATED_LENGTH: usize = 2 + 4 + 3 + 5 + 4 + 2 + 3 + TAG_LENGTH;

/// What servers issue is rooted so many microseconds before that, or a multiple.
pub const ROOTED_STEP: u32 = 16;

/// A continuation as it travels: body and authentication tag.
pub type Sealed = [u8; SEALED_LENGTH];

/// What of a continuation differs from others of its epoch and is not in the header of its packet, and the tag
/// (docs/protocol.md 3.11).
pub type Abbreviated = [u8; ABBREVIATED_LENGTH];

/// The state of a flow as of one train. A client can read it; only a holder of the key ring can make one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Continuation {
    /// Id of the key that sealed it.
    pub key: u16,
    /// Id of the key that was signing when the flow last opened an epoch, recovery aside: until it opens another
    /// its nonces stay those of this key.
    pub birth_key: u16,
    /// The server that issued it.
    pub issuer: u32,
    /// Server-made name of the stream.
    pub stream: u64,
    /// Server-made name of the flow.
    pub flow: u64,
    /// Keyed digest of the epoch's parameters and ancestry.
    pub tag: u64,
    /// The epoch.
    pub epoch: Epoch,
    /// First number of the train.
    pub first: u64,
    /// How many numbers the train has.
    pub count: u8,
    /// The position that earned the train's first number: earlier positions cannot be claimed with it.
    pub earned: u64,
    /// When it was issued.
    pub issued: Timestamp,
    /// No position above `earned` can have been granted in this epoch before this moment. Positions that are
    /// presented again, and recoveries, hand it down instead of renewing it, so a lineage cannot outlive the
    /// replay filter's memory one step at a time (docs/protocol.md section 6.10).
    pub rooted: Timestamp,
    /// Client port it was sent to.
    pub port: u16,
    /// UDP payload bytes the train held.
    pub bytes: u32,
}

impl Continuation {
    /// One past the train's last number.
    pub fn end(&self) -> u64 {
        self.first + u64::from(self.count)
    }

    /// Bytes the train held per number, rounded up.
    pub fn bytes_per_number(&self) -> usize {
        (self.bytes as usize).div_ceil(usize::from(self.count.max(1)))
    }

    /// Time since it was issued; zero when it was issued in the future.
    pub fn age(&self, now: Timestamp) -> Duration {
        now.since(self.issued)
    }

    /// The body, ready to be sealed.
    pub(crate) fn encode(&self) -> [u8; BODY_LENGTH] {
        let mut out = ArrayVec::<u8, BODY_LENGTH>::new();
        let Epoch { curve, base, growth, flight, exit } = self.epoch;
        out.put_u16(self.key);
        out.put_u16(self.birth_key);
        out.put_u32(self.issuer);
        out.put_u64(self.stream);
        out.put_u64(self.flow);
        out.put_u64(self.tag);
        out.put_u8(curve as u8);
        out.put_u64(base);
        for field in [growth.window0, growth.ssthresh, growth.w_max, growth.k, growth.rtt, flight] {
            out.put_u32(field);
        }
        let exit = exit.unwrap_or(SlowStartExit { position: 0, rtt: 0 });
        out.put_u32(exit.position);
        out.put_u32(exit.rtt);
        out.put(&(self.first - base).to_be_bytes()[2..]);
        out.put_u8(self.count);
        out.put(&(self.earned.wrapping_sub(base)).to_be_bytes()[2..]);
        out.put_u64(self.issued.as_micros());
        out.put_u32(self.rooted_ago());
        out.put_u16(self.port);
        out.put_u32(self.bytes);
        filled(&out)
    }

    /// Microseconds from `rooted` to `issued`, as they travel.
    pub(crate) fn rooted_ago(&self) -> u32 {
        u32::try_from(self.issued.since(self.rooted).as_micros()).unwrap_or(u32::MAX)
    }

    /// The same with `rooted` so many microseconds before it was issued; `None` if no server could have sealed that.
    pub(crate) fn rooted_before(self, ago: u32) -> Option<Self> {
        let fields = Self { rooted: rooted(self.issued, ago), ..self };
        fields.is_sane().then_some(fields)
    }

    /// What of it the client cannot know that presented another continuation of the epoch. The train is earned by a
    /// position of the epoch itself.
    pub(crate) fn abbreviate(&self, tag: &[u8; TAG_LENGTH]) -> Abbreviated {
        let mut out = ArrayVec::<u8, ABBREVIATED_LENGTH>::new();
        out.put_u16(self.key);
        out.put_u32(self.issuer);
        // No train is as long as 2^24 bytes, no window as large as 2^24 packets.
        out.put(&(self.first - self.earned).to_be_bytes()[5..]);
        out.put(&self.issued.as_micros().to_be_bytes()[3..]);
        out.put_u32(self.rooted_ago());
        out.put_u16(self.port);
        out.put(&self.bytes.to_be_bytes()[1..]);
        out.put(tag);
        filled(&out)
    }

    /// The continuation of a train with these `numbers`, from what came with it. `self` is another of its epoch,
    /// `exit` the slow start exit that this one has. `None` if no server could have sealed that.
    pub fn restore(
        &self,
        abbreviated: &Abbreviated,
        numbers: Range<u64>,
        exit: Option<SlowStartExit>,
    ) -> Option<(Sealed, Self)> {
        let mut reader = Reader::new(abbreviated);
        let (key, issuer) = (reader.u16()?, reader.u32()?);
        let earned = numbers.start.checked_sub(uint::<3>(&mut reader)?)?;
        let issued = nearest(uint::<5>(&mut reader)?, 40, self.issued.as_micros());
        let issued = Timestamp::from_micros(issued);
        let rooted = rooted(issued, reader.u32()?);
        let (port, bytes) = (reader.u16()?, uint::<3>(&mut reader)? as u32);
        let count = u8::try_from(numbers.end.checked_sub(numbers.start)?).ok()?;
        let (epoch, first) = (Epoch { exit, ..self.epoch }, numbers.start);
        let fields = Self { key, issuer, epoch, first, count, earned, issued, rooted, port, bytes, ..*self };
        if !fields.is_sane() {
            return None;
        }
        let mut sealed = [0; SEALED_LENGTH];
        let (body, tag) = sealed.split_at_mut(BODY_LENGTH);
        body.copy_from_slice(&fields.encode());
        tag.copy_from_slice(reader.rest());
        Some((sealed, fields))
    }

    /// Reads a body and checks the bounds of every field.
    pub(crate) fn decode(body: &[u8; BODY_LENGTH]) -> Option<Self> {
        let mut reader = Reader::new(body);
        let key = reader.u16()?;
        let birth_key = reader.u16()?;
        let issuer = reader.u32()?;
        let (stream, flow, tag) = (reader.u64()?, reader.u64()?, reader.u64()?);
        let curve = CurveId::from_u8(reader.u8()?)?;
        let base = reader.u64()?;
        let growth = Growth {
            window0: reader.u32()?,
            ssthresh: reader.u32()?,
            w_max: reader.u32()?,
            k: reader.u32()?,
            rtt: reader.u32()?,
        };
        let flight = reader.u32()?;
        let exit = SlowStartExit { position: reader.u32()?, rtt: reader.u32()? };
        let exit = (exit.rtt != 0).then_some(exit);
        let first = base.checked_add(uint::<6>(&mut reader)?)?;
        let count = reader.u8()?;
        // Sign-extended: the earning position may belong to the flight before the epoch.
        let earned = base.wrapping_add((((uint::<6>(&mut reader)? << 16) as i64) >> 16) as u64);
        let issued = Timestamp::from_micros(reader.u64()?);
        let rooted = rooted(issued, reader.u32()?);
        let port = reader.u16()?;
        let bytes = reader.u32()?;
        let epoch = Epoch { curve, base, growth, flight, exit };
        let fields = Self {
            key,
            birth_key,
            issuer,
            stream,
            flow,
            tag,
            epoch,
            first,
            count,
            earned,
            issued,
            rooted,
            port,
            bytes,
        };
        fields.is_sane().then_some(fields)
    }

    /// Whether every field is within its bounds (docs/protocol.md 3.1).
    fn is_sane(&self) -> bool {
        let Epoch { base, growth, flight, exit, .. } = self.epoch;
        base < MAX_NUMBER
            && u64::from(flight) <= base
            && (1..=MAX_WINDOW).contains(&growth.window0)
            && exit.is_none_or(|exit| self.epoch.admits(exit))
            && self.first.checked_sub(base).is_some_and(|position| position < MAX_POSITION)
            && self.count > 0
            && self.earned < self.first
            && self.earned >= base.saturating_sub(u64::from(flight) + 1)
    }

    /// Reads a sealed continuation without checking its tag, as a client does.
    pub fn peek(sealed: &Sealed) -> Option<Self> {
        Self::decode(sealed.first_chunk()?)
    }
}

/// The moment so many microseconds before `issued`.
fn rooted(issued: Timestamp, micros: u32) -> Timestamp {
    match micros {
        // Saturated: at an unknown distance, which must not count as a smaller one.
        u32::MAX => Timestamp::ZERO,
        micros => issued - Duration::from_micros(u64::from(micros)),
    }
}

/// The bytes of `out`, which is as long.
fn filled<const N: usize>(out: &ArrayVec<u8, N>) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(out);
    bytes
}

fn uint<const N: usize>(reader: &mut Reader<'_>) -> Option<u64> {
    let bytes: [u8; N] = reader.array()?;
    Some(bytes.iter().fold(0, |value, &byte| value << 8 | u64::from(byte)))
}

#[cfg(test)]
pub(crate) mod tests;
