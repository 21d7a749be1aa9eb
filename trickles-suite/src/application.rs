//! An application that can say everything again.
//!
//! It understands lines:
//! - `GET length seed` is answered with so many pseudo-random bytes;
//! - `SUM` with the checksum and the count of all input that follows, once it has ended;
//! - `ECHO` with the input that follows, as it comes;
//! - `BYE` with the end of the output;
//! - anything else with a reset.
//!
//! Its state says what the output is, never where it is kept: the longest is a piece of an echo.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use trickles::server::{Application, Event, Next, Output, Reset, Unanswered};

/// The code of resets.
pub const MISUNDERSTOOD: u32 = 400;
/// Most bytes an echo repeats at once: they travel in the state.
const ECHO_PIECE: usize = 512;

/// See the [module](self).
#[derive(Debug)]
pub struct Lines;

/// What the application is doing in a stream.
#[derive(Clone, Default, Serialize, Deserialize)]
enum State {
    /// Awaits a line.
    #[default]
    Idle,
    /// Sends what a seed stands for, then awaits a line.
    Bytes(u64),
    /// Takes in the input of a checksum; sends it, once it has all.
    Sum(Checksum),
    /// Sends what has come, then awaits more.
    Echo(Vec<u8>),
    /// Has ended its output.
    Bye,
}

/// What follows an input.
struct Step {
    state: State,
    output: u64,
    consumed: usize,
    finished: bool,
}

/// FNV-1a and the number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checksum {
    hash: u64,
    count: u64,
}

impl Checksum {
    /// Length when encoded.
    pub const LENGTH: usize = 16;

    /// That of no bytes.
    #[expect(clippy::new_without_default, reason = "a checksum of nothing is no default")]
    pub fn new() -> Self {
        Self { hash: 0xcbf2_9ce4_8422_2325, count: 0 }
    }

    /// That of `bytes`, as it is sent.
    pub fn of(bytes: &[u8]) -> [u8; Self::LENGTH] {
        let mut sum = Self::new();
        sum.update(bytes);
        sum.encode()
    }

    /// Adds bytes at the end.
    pub fn update(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.hash = (self.hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
        self.count += bytes.len() as u64;
    }

    /// As it is sent.
    pub fn encode(self) -> [u8; Self::LENGTH] {
        ((u128::from(self.hash) << 64) | u128::from(self.count)).to_be_bytes()
    }
}

/// Bytes `from..to` of what a seed stands for.
pub fn bytes(seed: u64, from: usize, to: usize) -> Vec<u8> {
    (from..to).map(|offset| byte(seed, offset as u64)).collect()
}

fn byte(seed: u64, offset: u64) -> u8 {
    let mixed = (seed ^ (offset / 8)).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ (mixed >> 29)).to_le_bytes()[(offset % 8) as usize]
}

impl State {
    fn decode(bytes: &[u8]) -> Self {
        postcard::from_bytes(bytes).unwrap()
    }

    /// What follows `input`, after which nothing comes if `fin`.
    fn step(self, input: &[u8], fin: bool) -> Result<Step, Reset> {
        let all = |state, output| Step { state, output, consumed: input.len(), finished: fin };
        match self {
            Self::Idle | Self::Bytes(_) => line(input, fin),
            Self::Sum(mut sum) => {
                sum.update(input);
                let output = if fin { Checksum::LENGTH as u64 } else { 0 };
                Ok(all(Self::Sum(sum), output))
            }
            Self::Echo(_) => {
                let piece = &input[..input.len().min(ECHO_PIECE)];
                let finished = fin && piece.len() == input.len();
                let state = Self::Echo(piece.into());
                Ok(Step { state, output: piece.len() as u64, consumed: piece.len(), finished })
            }
            Self::Bye => Ok(Step { finished: true, ..all(Self::Bye, 0) }),
        }
    }
}

/// Understands the line at the beginning of `input`, if there is all of it.
fn line(input: &[u8], fin: bool) -> Result<Step, Reset> {
    let Some(length) = input.iter().position(|&byte| byte == b'\n') else {
        if fin && !input.is_empty() {
            return Err(Reset(MISUNDERSTOOD));
        }
        return Ok(Step { state: State::Idle, output: 0, consumed: 0, finished: fin });
    };
    let consumed = length + 1;
    let line = std::str::from_utf8(&input[..length]).map_err(|_| Reset(MISUNDERSTOOD))?;
    let mut finished = fin && consumed == input.len();
    let mut output = 0;
    let state = match line.split(' ').collect::<Vec<_>>()[..] {
        ["GET", length, seed] => {
            output = length.parse().map_err(|_| Reset(MISUNDERSTOOD))?;
            State::Bytes(seed.parse().map_err(|_| Reset(MISUNDERSTOOD))?)
        }
        // What ends with its line has its answer still to come.
        ["SUM"] if finished => {
            return State::Sum(Checksum::new()).step(&[], true).map(|step| Step { consumed, ..step });
        }
        ["SUM"] => State::Sum(Checksum::new()),
        ["ECHO"] => State::Echo(Vec::new()),
        ["BYE"] => {
            finished = true;
            State::Bye
        }
        _ => return Err(Reset(MISUNDERSTOOD)),
    };
    Ok(Step { state, output, consumed, finished })
}

impl Application for Lines {
    fn input(&mut self, event: &Event<'_>) -> Result<Next, Unanswered> {
        let (input, fin) = event.input.map_or((&[][..], false), |input| (input.bytes, input.fin));
        let state = event.state.map(State::decode).unwrap_or_default();
        let Step { state, output, consumed, finished } = state.step(input, fin)?;
        let end = event.output.end;
        let state = postcard::to_stdvec(&state).unwrap();
        Ok(Next { state, output: end..end + output, finished, consumed, ..Next::default() })
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
        let buffer = &mut buffer[..count];
        let copy = |from: &[u8], buffer: &mut [u8]| buffer.copy_from_slice(&from[start as usize..][..count]);
        match State::decode(state) {
            State::Bytes(seed) => {
                for (byte, offset) in buffer.iter_mut().zip(start..) {
                    *byte = self::byte(seed, offset);
                }
            }
            State::Sum(sum) => copy(&sum.encode(), buffer),
            State::Echo(piece) => copy(&piece, buffer),
            State::Idle | State::Bye => {}
        }
        Ok(count)
    }
}
