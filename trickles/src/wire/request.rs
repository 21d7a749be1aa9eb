//! What clients send.

use std::ops::Range;

use arrayvec::ArrayVec;

use super::abbreviated::AbbreviatedClaim;
use super::codec::{Reader, Write};
use super::{HEADER, MAX_GRANT, MAX_PACKET_SIZE, MAX_TRAIN, MIN_PACKET_SIZE, VERSION};
use crate::continuation::{SEALED_LENGTH, Sealed};
use crate::epoch::{CurveId, SlowStartExit};
use crate::user_continuation::MAX_LENGTH;

/// Most runs of positions in a claim.
pub const MAX_RUNS: usize = 8;
/// Most wanted ranges in a claim.
pub const MAX_WANTS: usize = 16;
/// Bytes of a Hello besides service label, input and padding.
pub const HELLO_OVERHEAD: usize = HEADER + 1 + 2 + 8 + 1 + 1 + 2;
/// Smallest claim that is not abbreviated, in bytes; clients pad up to it, so that every Refresh is smaller than its request.
pub const MIN_CLAIM: usize = 176;

pub(super) const HELLO: u8 = 1;
pub(super) const CONTINUE: u8 = 2;
pub(super) const RECOVER: u8 = 3;
pub(super) const RESTART: u8 = 4;
pub(super) const RESUME: u8 = 5;
pub(super) const RESET: u8 = 6;
pub(super) const ABBREVIATED_CONTINUE: u8 = 7;
pub(super) const ABBREVIATED_RECOVER: u8 = 8;

const INPUT: u8 = 1;
const FIN: u8 = 2;
const EXIT: u8 = 4;
const PRESUMED: u8 = 8;

/// With what a datagram begins that is a [`Hello`], if it is well-formed.
pub const HELLO_PREFIX: [u8; 2] = [VERSION, HELLO];

/// Whether this is a [`Hello`], if it is a datagram of this protocol at all: by its beginning alone.
pub fn is_hello(datagram: &[u8]) -> bool {
    datagram.starts_with(&HELLO_PREFIX)
}

/// A contiguous run of claimed positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// First position; for Restart and Resume 0.
    pub first: u64,
    /// How many positions, at least 1; for Restart and Resume how many packets are wanted.
    pub count: u8,
}

impl Run {
    /// The positions.
    pub fn positions(&self) -> Range<u64> {
        self.first..self.first.saturating_add(u64::from(self.count))
    }
}

/// The runs of a claim in ascending order, each with the output ranges wanted for its numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Runs {
    runs: ArrayVec<(Run, u8), MAX_RUNS>,
    wants: ArrayVec<Range<u64>, MAX_WANTS>,
}

impl Runs {
    /// Adds a run behind the others; whether there was room for it and it is in order.
    pub fn push(&mut self, run: Run, wants: &[Range<u64>]) -> bool {
        let after_last = self.runs.last().is_none_or(|(last, _)| last.positions().end <= run.first);
        let room = !self.runs.is_full() && wants.len() <= self.wants.remaining_capacity();
        let sane = run.count > 0 && run.first.checked_add(u64::from(run.count)).is_some();
        let total = self.positions() + u64::from(run.count);
        if !(after_last && room && sane && total <= MAX_GRANT && wants.iter().all(|w| w.start < w.end)) {
            return false;
        }
        self.runs.push((run, wants.len() as u8));
        self.wants.extend(wants.iter().cloned());
        true
    }

    /// The runs with their wants.
    pub fn iter(&self) -> impl Iterator<Item = (Run, &[Range<u64>])> {
        let mut rest = &self.wants[..];
        self.runs.iter().map(move |&(run, count)| {
            let (wants, tail) = rest.split_at(usize::from(count));
            rest = tail;
            (run, wants)
        })
    }

    /// How many positions are claimed in all.
    pub fn positions(&self) -> u64 {
        self.runs.iter().map(|(run, _)| u64::from(run.count)).sum()
    }

    /// The lowest and one past the highest position; empty when nothing is claimed.
    pub fn span(&self) -> Range<u64> {
        match (self.runs.first(), self.runs.last()) {
            (Some((first, _)), Some((last, _))) => first.first..last.positions().end,
            _ => 0..0,
        }
    }

    /// How many runs there are.
    pub fn len(&self) -> usize {
        self.runs.len()
    }

    /// Whether nothing is claimed.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Whether no run can have more numbers than a train.
    pub(crate) fn are_bounded(&self) -> bool {
        self.runs.iter().all(|&(run, _)| u64::from(run.count) <= MAX_TRAIN)
    }

    /// How many further wanted ranges fit.
    pub fn wants_left(&self) -> usize {
        self.wants.remaining_capacity()
    }

    fn emit(&self, out: &mut Vec<u8>) {
        out.put_u8(self.runs.len() as u8);
        for (run, wants) in self.iter() {
            out.put_u64(run.first);
            out.put_u8(run.count);
            out.put_u8(wants.len() as u8);
            for want in wants {
                out.put_u64(want.start);
                out.put_u32((want.end - want.start) as u32);
            }
        }
    }

    fn parse(reader: &mut Reader<'_>) -> Option<Self> {
        let mut runs = Self::default();
        for _ in 0..reader.u8()? {
            let run = Run { first: reader.u64()?, count: reader.u8()? };
            let mut wants = ArrayVec::<_, MAX_WANTS>::new();
            for _ in 0..reader.u8()? {
                let start = reader.u64()?;
                wants.try_push(start..start.checked_add(u64::from(reader.u32()?))?).ok()?;
            }
            if !runs.push(run, &wants) {
                return None;
            }
        }
        Some(runs)
    }
}

/// Input bytes a request carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Input<'a> {
    /// Offset of the first byte in the stream's input.
    pub offset: u64,
    /// The bytes.
    pub bytes: &'a [u8],
    /// Whether the input ends behind them.
    pub fin: bool,
}

/// The first request of a connection. It is as long as the client pads it; the answer is at most 3 times that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello<'a> {
    /// Value the answer repeats.
    pub echo: u64,
    /// The congestion curve the client asks for.
    pub curve: CurveId,
    /// Size of the answer's packets, in bytes.
    pub packet_size: u16,
    /// Random number of the client's, one part of what the stream is named after.
    pub stream_id: u64,
    /// The service asked for, at most 255 bytes.
    pub service: &'a [u8],
    /// First input; its offset is 0.
    pub input: Input<'a>,
}

/// What a claim asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimKind {
    /// Nothing was lost up to `proven`, exclusive; `proof` is the XOR of the nonces from the base to there.
    Continue {
        /// One past the last proven number.
        proven: u64,
        /// The XOR of the nonces.
        proof: u64,
    },
    /// `lost` is the first lost position; `proof` covers all before it.
    Recover {
        /// The first lost position.
        lost: u64,
        /// Packets that the path is found to have held: the next window is reduced from this.
        carried: u32,
        /// Smallest round-trip time of the epoch, in microseconds.
        rtt: u32,
        /// The XOR of the nonces.
        proof: u64,
    },
    /// Nothing came for a while: start again from a small window.
    Restart {
        /// Doublings of the time-out since the last answer.
        attempt: u8,
        /// Smallest round-trip time known, in microseconds.
        rtt: u32,
    },
    /// Nothing was lost, but the flow paused: start again from a moderate window.
    Resume {
        /// Smallest round-trip time known, in microseconds.
        rtt: u32,
    },
}

/// A request that presents a continuation and claims positions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim<'a> {
    /// Value the answer repeats.
    pub echo: u64,
    /// The presented continuation.
    pub continuation: &'a Sealed,
    /// What is asked for.
    pub kind: ClaimKind,
    /// Declared end of slow start of the continuation's epoch.
    pub exit: Option<SlowStartExit>,
    /// Size of the answer's packets, in bytes.
    pub packet_size: u16,
    /// The positions and what is wanted for them.
    pub runs: Runs,
    /// The user continuation that regenerates what is wanted; may be empty.
    pub user_continuation: &'a [u8],
    /// Input for the application.
    pub input: Option<Input<'a>>,
    /// Whether the client only presumes that all before the input is stored: then it is shown if the server knows.
    pub presumed: bool,
}

/// Any request.
#[expect(clippy::large_enum_variant, reason = "requests live on the stack, one at a time")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// Opens a stream.
    Hello(Hello<'a>),
    /// Claims positions.
    Claim(Claim<'a>),
    /// The same, without what the server remembers.
    Abbreviated(AbbreviatedClaim<'a>),
    /// The client abandons the stream; the server only tells its application.
    Reset {
        /// Value that identifies the request.
        echo: u64,
        /// The newest continuation.
        continuation: &'a Sealed,
        /// Application error code.
        code: u32,
    },
}

/// A request whose continuation is yet to be authenticated: nothing behind it has been looked at.
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'a> {
    kind: u8,
    /// Value the answer repeats.
    pub echo: u64,
    /// The presented continuation; absent in a Hello and in an abbreviated claim.
    pub continuation: Option<&'a Sealed>,
    body: Reader<'a>,
}

impl<'a> Envelope<'a> {
    /// Reads type, echo and continuation. The version must have been checked.
    pub fn parse(datagram: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(datagram);
        reader.u8().filter(|&version| version == VERSION)?;
        let kind = reader.u8()?;
        let echo = reader.u64()?;
        let continuation = match kind {
            HELLO | ABBREVIATED_CONTINUE | ABBREVIATED_RECOVER => None,
            CONTINUE..=RESET => Some(reader.take(SEALED_LENGTH)?.first_chunk()?),
            _ => return None,
        };
        Some(Self { kind, echo, continuation, body: reader })
    }

    /// Reads the rest.
    pub fn open(self) -> Option<Request<'a>> {
        match self.continuation {
            None if self.kind == HELLO => self.hello().map(Request::Hello),
            None => {
                let recovers = self.kind == ABBREVIATED_RECOVER;
                AbbreviatedClaim::parse(recovers, self.echo, self.body).map(Request::Abbreviated)
            }
            Some(continuation) if self.kind == RESET => {
                let mut body = self.body;
                let code = body.u32()?;
                body.only_padding().then_some(Request::Reset { echo: self.echo, continuation, code })
            }
            Some(continuation) => self.claim(continuation).map(Request::Claim),
        }
    }

    fn hello(self) -> Option<Hello<'a>> {
        let mut body = self.body;
        let curve = CurveId::from_u8(body.u8()?)?;
        let packet_size = packet_size(&mut body)?;
        let stream_id = body.u64()?;
        let service_length = body.u8()?;
        let service = body.take(usize::from(service_length))?;
        let fin = flags(&mut body, FIN)? & FIN != 0;
        let length = body.u16()?;
        let bytes = body.take(usize::from(length))?;
        let input = Input { offset: 0, bytes, fin };
        let hello = Hello { echo: self.echo, curve, packet_size, stream_id, service, input };
        body.only_padding().then_some(hello)
    }

    fn claim(self, continuation: &'a Sealed) -> Option<Claim<'a>> {
        let mut body = self.body;
        let kind = match self.kind {
            CONTINUE => ClaimKind::Continue { proven: body.u64()?, proof: body.u64()? },
            RECOVER => ClaimKind::Recover {
                lost: body.u64()?,
                carried: body.u32()?,
                rtt: body.u32()?,
                proof: body.u64()?,
            },
            RESTART => ClaimKind::Restart { attempt: body.u8()?, rtt: body.u32()? },
            _ => ClaimKind::Resume { rtt: body.u32()? },
        };
        let packet_size = packet_size(&mut body)?;
        let flags = flags(&mut body, INPUT | FIN | EXIT | PRESUMED)?;
        let exit = match flags & EXIT {
            0 => None,
            _ => Some(SlowStartExit { position: body.u32()?, rtt: body.u32()? }),
        };
        let runs = Runs::parse(&mut body)?;
        let length = body.u16()?;
        let user_continuation = body.take(usize::from(length)).filter(|sealed| sealed.len() <= MAX_LENGTH)?;
        let input = match flags & INPUT {
            0 if flags & (FIN | PRESUMED) != 0 => return None,
            0 => None,
            _ => {
                let offset = body.u64()?;
                let length = body.u16()?;
                let bytes = body.take(usize::from(length))?;
                offset.checked_add(u64::from(length))?;
                Some(Input { offset, bytes, fin: flags & FIN != 0 })
            }
        };
        let claim = Claim {
            echo: self.echo,
            continuation,
            kind,
            exit,
            packet_size,
            runs,
            user_continuation,
            input,
            presumed: flags & PRESUMED != 0,
        };
        body.only_padding().then_some(claim)
    }
}

fn flags(reader: &mut Reader<'_>, known: u8) -> Option<u8> {
    reader.u8().filter(|flags| flags & !known == 0)
}

fn packet_size(reader: &mut Reader<'_>) -> Option<u16> {
    reader.u16().filter(|size| (MIN_PACKET_SIZE..=MAX_PACKET_SIZE).contains(size))
}

impl<'a> Request<'a> {
    /// Reads a whole request.
    pub fn parse(datagram: &'a [u8]) -> Option<Self> {
        Envelope::parse(datagram)?.open()
    }

    /// Appends the request to `out`, which must be empty, padded with zeros to at least `length` bytes, unless it is an
    /// abbreviated one, which has no padding.
    pub fn emit(&self, length: usize, out: &mut Vec<u8>) {
        out.put_u8(VERSION);
        match self {
            Self::Hello(hello) => hello.emit(out),
            Self::Claim(claim) => claim.emit(out),
            Self::Abbreviated(claim) => return claim.emit(out),
            Self::Reset { echo, continuation, code } => {
                out.put_u8(RESET);
                out.put_u64(*echo);
                out.put(&continuation[..]);
                out.put_u32(*code);
            }
        }
        if out.len() < length {
            out.resize(length, 0);
        }
    }
}

impl Hello<'_> {
    fn emit(&self, out: &mut Vec<u8>) {
        out.put_u8(HELLO);
        out.put_u64(self.echo);
        out.put_u8(self.curve as u8);
        out.put_u16(self.packet_size);
        out.put_u64(self.stream_id);
        out.put_u8(self.service.len() as u8);
        out.put(self.service);
        out.put_u8(u8::from(self.input.fin) * FIN);
        out.put_u16(self.input.bytes.len() as u16);
        out.put(self.input.bytes);
    }
}

impl Claim<'_> {
    /// Length without input and padding, in bytes.
    pub fn length(&self) -> usize {
        let kind = match self.kind {
            ClaimKind::Continue { .. } => 16,
            ClaimKind::Recover { .. } => 24,
            ClaimKind::Restart { .. } => 5,
            ClaimKind::Resume { .. } => 4,
        };
        let exit = if self.exit.is_some() { 8 } else { 0 };
        let runs: usize = self.runs.iter().map(|(_, wants)| 10 + 12 * wants.len()).sum();
        HEADER + SEALED_LENGTH + kind + 2 + 1 + exit + 1 + runs + 2 + self.user_continuation.len()
    }

    fn emit(&self, out: &mut Vec<u8>) {
        out.put_u8(match self.kind {
            ClaimKind::Continue { .. } => CONTINUE,
            ClaimKind::Recover { .. } => RECOVER,
            ClaimKind::Restart { .. } => RESTART,
            ClaimKind::Resume { .. } => RESUME,
        });
        out.put_u64(self.echo);
        out.put(&self.continuation[..]);
        match self.kind {
            ClaimKind::Continue { proven, proof } => {
                out.put_u64(proven);
                out.put_u64(proof);
            }
            ClaimKind::Recover { lost, carried, rtt, proof } => {
                out.put_u64(lost);
                out.put_u32(carried);
                out.put_u32(rtt);
                out.put_u64(proof);
            }
            ClaimKind::Restart { attempt, rtt } => {
                out.put_u8(attempt);
                out.put_u32(rtt);
            }
            ClaimKind::Resume { rtt } => out.put_u32(rtt),
        }
        out.put_u16(self.packet_size);
        let fin = self.input.is_some_and(|input| input.fin);
        out.put_u8(
            (u8::from(self.input.is_some()) * INPUT)
                | (u8::from(fin) * FIN)
                | (u8::from(self.exit.is_some()) * EXIT)
                | (u8::from(self.presumed) * PRESUMED),
        );
        if let Some(exit) = self.exit {
            out.put_u32(exit.position);
            out.put_u32(exit.rtt);
        }
        self.runs.emit(out);
        out.put_u16(self.user_continuation.len() as u16);
        out.put(self.user_continuation);
        if let Some(input) = self.input {
            out.put_u64(input.offset);
            out.put_u16(input.bytes.len() as u16);
            out.put(input.bytes);
        }
    }
}
