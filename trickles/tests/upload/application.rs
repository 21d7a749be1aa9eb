//! An application that takes input in every way there is, and checks it.
//!
//! A stream begins with a line, `MODE LENGTH SEED`, and goes on with so many bytes of a pattern.
//! - `sum` absorbs them in its state;
//! - `lazy` does the same, but never consumes all that it is shown;
//! - `store` takes them in any order, some of them in parts, and compares what it has stored at the end;
//! - `shelf` does the same, but never in parts;
//! - `echo` sends them back;
//! - `dice` answers each piece with a random number, and at the end with a digest of all of them: the pieces
//!   of two processings of the input do not go together.
//!
//! All but `echo` end with eight bytes.

use std::collections::BTreeMap;
use std::ops::Range;

use trickles::server::{Application, Event, Next, Output, Reset, Unanswered};

use crate::common::pattern;

/// Most bytes that are echoed at a time: the state holds them.
const ECHO: usize = 300;

/// What is stored for a stream: the bytes, and whether each is there.
type Stored = (Vec<u8>, Vec<bool>);

#[derive(Default)]
pub(crate) struct Uploads {
    /// Survives the server's process, as a disk does.
    disk: BTreeMap<u64, Stored>,
    dice: u64,
    /// How many requests brought input.
    events: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Line,
    Sum,
    Lazy,
    Store,
    Echo,
    Dice,
    Shelf,
    Done,
}

const MODES: [Mode; 8] =
    [Mode::Line, Mode::Sum, Mode::Lazy, Mode::Store, Mode::Echo, Mode::Dice, Mode::Shelf, Mode::Done];

struct State {
    mode: Mode,
    length: u64,
    seed: u64,
    at: u64,
    digest: u64,
    /// The bytes of the state's output, unless it is all of eight bytes of a pattern.
    output: Vec<u8>,
}

impl State {
    /// Whether input is taken in any order.
    fn stores(&self) -> bool {
        matches!(self.mode, Mode::Store | Mode::Shelf)
    }

    fn decode(state: Option<&[u8]>) -> Self {
        let Some(state) = state.filter(|state| state.len() >= 33) else {
            return Self { mode: Mode::Line, length: 0, seed: 0, at: 0, digest: 0, output: Vec::new() };
        };
        let word = |at: usize| u64::from_be_bytes(state[at..at + 8].try_into().unwrap());
        Self {
            mode: MODES[usize::from(state[0])],
            length: word(1),
            seed: word(9),
            at: word(17),
            digest: word(25),
            output: state[33..].to_vec(),
        }
    }

    fn encode(&self) -> Vec<u8> {
        let mode = MODES.iter().position(|&mode| mode == self.mode).unwrap() as u8;
        let mut state = vec![mode];
        for word in [self.length, self.seed, self.at, self.digest] {
            state.extend(word.to_be_bytes());
        }
        state.extend(&self.output);
        state
    }
}

/// One more number in a digest.
pub(crate) fn digest(digest: u64, number: u64) -> u64 {
    (digest ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23)
}

impl Uploads {
    fn line(&mut self, state: &mut State, stream: u64, input: &[u8]) -> Result<usize, Unanswered> {
        let Some(end) = input.iter().position(|&byte| byte == b'\n') else { return Ok(0) };
        let line = std::str::from_utf8(&input[..end]).map_err(|_| Reset(1))?;
        let words: Vec<_> = line.split(' ').collect();
        let [mode, length, seed] = words[..] else { return Err(Unanswered::Reset(2)) };
        state.length = length.parse().map_err(|_| Reset(3))?;
        state.seed = seed.parse().map_err(|_| Reset(4))?;
        state.mode = match mode {
            "sum" => Mode::Sum,
            "lazy" => Mode::Lazy,
            "store" => Mode::Store,
            "echo" => Mode::Echo,
            "dice" => Mode::Dice,
            "shelf" => Mode::Shelf,
            _ => return Err(Unanswered::Reset(5)),
        };
        if state.stores() {
            let length = state.length as usize;
            self.disk.entry(stream).or_insert((vec![0; length], vec![false; length]));
        }
        Ok(end + 1)
    }
}

impl Application for Uploads {
    fn input(&mut self, event: &Event<'_>) -> Result<Next, Unanswered> {
        let mut state = State::decode(event.state);
        let (input, fin, offset) = event.input.map_or((&[][..], false, 0), |i| (i.bytes, i.fin, i.offset));
        self.events += 1;
        let produced = event.output.end;
        state.output.clear();
        if state.mode == Mode::Line {
            let consumed = self.line(&mut state, event.stream, input)?;
            let any_order = if state.stores() { state.length } else { 0 };
            let output = produced..produced;
            return Ok(Next { state: state.encode(), output, consumed, any_order, finished: false });
        }
        let mut consumed = input.len().min((state.length - state.at) as usize);
        match state.mode {
            Mode::Store | Mode::Shelf => {
                let (bytes, there) = &self.disk[&event.stream];
                assert!(there.iter().all(|&there| there), "the client says all is stored, at {offset}");
                assert!(bytes.iter().zip(0..).all(|(&byte, at)| byte == pattern(state.seed, at)));
                state.at = state.length;
                consumed = 0;
            }
            Mode::Lazy if consumed < (state.length - state.at) as usize => consumed = consumed * 7 / 8 + 1,
            Mode::Echo => consumed = consumed.min(ECHO),
            _ => {}
        }
        for (&byte, at) in input[..consumed].iter().zip(state.at..) {
            assert_eq!(byte, pattern(state.seed, at), "input byte {at}");
        }
        state.at += consumed as u64;
        match state.mode {
            Mode::Echo => state.output = input[..consumed].to_vec(),
            Mode::Dice if consumed > 0 => {
                self.dice += 1;
                let number = digest(self.dice, 7);
                state.digest = digest(state.digest, number);
                state.output = number.to_be_bytes().to_vec();
            }
            _ => {}
        }
        let over = state.at == state.length;
        match state.mode {
            Mode::Sum | Mode::Lazy | Mode::Store | Mode::Shelf if over => {
                state.mode = Mode::Done;
                state.output = (0..8).map(|at| pattern(state.seed + 1, at)).collect();
            }
            Mode::Dice if over => {
                state.output.extend(state.digest.to_be_bytes());
                state.mode = Mode::Done;
            }
            Mode::Echo if over => state.mode = Mode::Done,
            _ => {}
        }
        let output = produced..produced + state.output.len() as u64;
        let finished = fin && over;
        Ok(Next { state: state.encode(), output, finished, consumed, any_order: 0 })
    }

    fn store(&mut self, event: &Event<'_>) -> Result<usize, Unanswered> {
        let state = State::decode(event.state);
        let input = event.input.unwrap();
        // The line has as many bytes as it takes to name what follows it.
        let mode = if state.mode == Mode::Store { "store" } else { "shelf" };
        let begin = format!("{mode} {} {}\n", state.length, state.seed).len() as u64;
        let (bytes, there) = self.disk.get_mut(&event.stream).unwrap();
        let at = (input.offset - begin) as usize;
        // A disk may be full for now.
        let count = if state.mode == Mode::Store && self.events % 50 == 7 {
            input.bytes.len() / 2
        } else {
            input.bytes.len()
        };
        bytes[at..at + count].copy_from_slice(&input.bytes[..count]);
        there[at..at + count].fill(true);
        self.events += 1;
        Ok(count)
    }
}

impl Output for Uploads {
    fn read(
        &mut self,
        state: &[u8],
        output: Range<u64>,
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<usize, Reset> {
        let state = State::decode(Some(state));
        let from = (offset - output.start) as usize;
        buffer.copy_from_slice(&state.output[from..from + buffer.len()]);
        Ok(buffer.len())
    }
}
