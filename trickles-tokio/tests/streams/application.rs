//! An application that can say everything again.
//!
//! `GET length seed` is answered with so many pseudo-random bytes; `SUM` with checksum and count of all input
//! that follows, once it has ended; anything else with a reset.

use std::ops::Range;

use trickles::server::{Application, Event, Next, Output, Reset, Unanswered};

/// The code of resets.
pub(crate) const MISUNDERSTOOD: u32 = 400;

/// See the [module](self).
pub(crate) struct Lines;

/// What the state of a user continuation says.
#[derive(Clone, Copy)]
enum State {
    /// Awaits a line.
    Idle,
    /// Output of a seed.
    Bytes(u64),
    /// Takes in the input of a checksum; its output, too.
    Sum(Checksum),
}

/// FNV-1a and the number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Checksum {
    hash: u64,
    count: u64,
}

impl Checksum {
    /// Length when encoded.
    pub(crate) const LENGTH: usize = 16;

    /// That of no bytes.
    pub(crate) fn new() -> Self {
        Self { hash: 0xcbf2_9ce4_8422_2325, count: 0 }
    }

    /// Adds bytes at the end.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.hash = (self.hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
        self.count += bytes.len() as u64;
    }

    /// As it is sent.
    pub(crate) fn encode(self) -> [u8; Self::LENGTH] {
        ((u128::from(self.hash) << 64) | u128::from(self.count)).to_be_bytes()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let both = u128::from_be_bytes(bytes.try_into().ok()?);
        Some(Self { hash: (both >> 64) as u64, count: both as u64 })
    }
}

impl State {
    fn encode(self) -> Vec<u8> {
        match self {
            Self::Idle => Vec::new(),
            Self::Bytes(seed) => seed.to_be_bytes().into(),
            Self::Sum(sum) => sum.encode().into(),
        }
    }

    fn decode(bytes: &[u8]) -> Self {
        match (bytes.try_into().map(u64::from_be_bytes), Checksum::decode(bytes)) {
            (Ok(seed), _) => Self::Bytes(seed),
            (_, Some(sum)) => Self::Sum(sum),
            _ => Self::Idle,
        }
    }
}

/// Bytes `from..to` of what a seed stands for.
pub(crate) fn bytes(seed: u64, from: usize, to: usize) -> Vec<u8> {
    (from..to).map(|offset| byte(seed, offset as u64)).collect()
}

fn byte(seed: u64, offset: u64) -> u8 {
    let mixed = (seed ^ (offset / 8)).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ (mixed >> 29)).to_le_bytes()[(offset % 8) as usize]
}

impl Application for Lines {
    fn input(&mut self, event: &Event<'_>) -> Result<Next, Unanswered> {
        let (input, fin) = event.input.map_or((&[][..], false), |input| (input.bytes, input.fin));
        let end = event.output.end;
        let mut next = Next {
            state: Vec::new(),
            output: end..end,
            finished: fin,
            consumed: input.len(),
            ..Next::default()
        };
        if let State::Sum(mut sum) = State::decode(event.state.unwrap_or_default()) {
            sum.update(input);
            next.state = State::Sum(sum).encode();
            next.output.end += if fin { Checksum::LENGTH as u64 } else { 0 };
            return Ok(next);
        }
        let Some(length) = input.iter().position(|&byte| byte == b'\n') else {
            next.consumed = 0;
            next.finished = fin && input.is_empty();
            return Ok(next);
        };
        next.consumed = length + 1;
        next.finished = fin && next.consumed == input.len();
        let line = std::str::from_utf8(&input[..length]).map_err(|_| Reset(MISUNDERSTOOD))?;
        let state = match line.split(' ').collect::<Vec<_>>()[..] {
            ["GET", length, seed] => {
                next.output.end += length.parse::<u64>().map_err(|_| Reset(MISUNDERSTOOD))?;
                State::Bytes(seed.parse().map_err(|_| Reset(MISUNDERSTOOD))?)
            }
            ["SUM"] => State::Sum(Checksum::new()),
            _ => return Err(Unanswered::Reset(MISUNDERSTOOD)),
        };
        next.state = state.encode();
        Ok(next)
    }
}

impl Output for Lines {
    fn read(
        &mut self,
        state: &[u8],
        output: Range<u64>,
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<usize, Reset> {
        let start = offset - output.start;
        let count = buffer.len().min((output.end - offset) as usize);
        match State::decode(state) {
            State::Idle => return Ok(0),
            State::Bytes(seed) => {
                for (byte, offset) in buffer[..count].iter_mut().zip(start..) {
                    *byte = self::byte(seed, offset);
                }
            }
            State::Sum(sum) => {
                buffer[..count].copy_from_slice(&sum.encode()[start as usize..start as usize + count]);
            }
        }
        Ok(count)
    }
}
