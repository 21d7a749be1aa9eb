//! What is known of a stream's output: its user continuations, the ranges they regenerate, where it ends, and
//! which bytes are yet to be asked for.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use super::ranges::RangeSet;
use crate::user_continuation::UserContinuation;

/// A held user continuation.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) sealed: Arc<[u8]>,
    pub(crate) output: Range<u64>,
    finished: bool,
    input: u64,
    input_closed: bool,
    /// The request whose answer brought it.
    echo: u64,
}

/// Most user continuations held: input beyond it waits.
const MAX_HELD: usize = 64;

#[derive(Debug, Default)]
pub(crate) struct Outputs {
    /// In ascending order of output; the last one takes the next input.
    held: VecDeque<Held>,
    /// Bytes that have arrived or are asked for.
    covered: RangeSet,
}

impl Outputs {
    /// Takes a user continuation of `stream` that came in the answer to `echo`; whether it was news.
    pub(crate) fn learn(&mut self, sealed: &[u8], stream: Option<u64>, echo: u64) -> bool {
        let Some(user) = UserContinuation::peek(sealed).filter(|user| Some(user.stream) == stream) else {
            return false;
        };
        let news = self.held.back().is_none_or(|last| {
            let follows = user.output.start >= last.output.end || user.output.start >= last.output.start;
            let extends = (user.input.start, user.input_closed, user.output.end)
                > (last.input, last.input_closed, last.output.end);
            follows && extends && user.input.start >= last.input
        });
        if !news || !self.has_room() {
            return false;
        }
        // One that regenerates all the last one does takes its place.
        while self.held.back().is_some_and(|last| user.output.start <= last.output.start) {
            self.held.pop_back();
        }
        self.held.push_back(Held {
            sealed: sealed.into(),
            output: user.output,
            finished: user.finished,
            input: user.input.start,
            input_closed: user.input_closed,
            echo,
        });
        true
    }

    /// Whether one more user continuation can be held.
    pub(crate) fn has_room(&self) -> bool {
        self.held.len() < MAX_HELD
    }

    /// The user continuation that takes the next input.
    pub(crate) fn newest(&self) -> Option<&Held> {
        self.held.back()
    }

    /// The request whose answer brought what regenerates the byte at `offset`.
    pub(crate) fn source(&self, offset: u64) -> Option<u64> {
        self.held.iter().find(|held| held.output.contains(&offset)).map(|held| held.echo)
    }

    /// Up to where the server has consumed the input, and whether its end too.
    pub(crate) fn consumed(&self) -> Option<(u64, bool)> {
        self.held.back().map(|last| (last.input, last.input_closed))
    }

    /// Where the known output ends for now.
    pub(crate) fn known_end(&self) -> u64 {
        self.held.back().map_or(0, |last| last.output.end)
    }

    /// Where the output ends for good, once that is known.
    pub(crate) fn end(&self) -> Option<u64> {
        self.held.back().filter(|last| last.finished).map(|last| last.output.end)
    }

    /// Whether the server takes no more input.
    pub(crate) fn is_closed(&self) -> bool {
        self.held.back().is_some_and(|last| last.finished)
    }

    /// Forgets what regenerates only bytes before `offset`.
    pub(crate) fn delivered(&mut self, offset: u64) {
        while self.held.len() > 1 && self.held.front().is_some_and(|first| first.output.end <= offset) {
            self.held.pop_front();
        }
        self.covered.remove(0..offset);
    }

    /// The lowest bytes not asked for yet, from `from` to `limit`, with what regenerates them. Lost bytes lie
    /// below fresh ones, so they come first.
    pub(crate) fn next_want(&self, from: u64, limit: u64) -> Option<(Range<u64>, &Held)> {
        let gap = self.covered.first_gap(from, limit.min(self.known_end()))?;
        let held = self.held.iter().find(|held| held.output.contains(&gap.start))?;
        Some((gap.start..gap.end.min(held.output.end), held))
    }

    /// How many bytes there are to be asked for from `from` to `limit`, counted up to `enough`.
    pub(crate) fn wanted(&self, from: u64, limit: u64, enough: u64) -> u64 {
        let mut total = 0;
        for gap in self.covered.gaps(from..limit.min(self.known_end()).max(from)) {
            total += gap.end - gap.start;
            if total >= enough {
                break;
            }
        }
        total
    }

    /// Notes bytes as asked for or arrived.
    pub(crate) fn cover(&mut self, range: Range<u64>) {
        self.covered.insert(range);
    }

    /// Notes bytes as to be asked for again.
    pub(crate) fn release(&mut self, range: Range<u64>) {
        self.covered.remove(range);
    }
}
