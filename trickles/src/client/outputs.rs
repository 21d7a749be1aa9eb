//! What is known of a stream's output: its user continuations, the ranges they regenerate, where it ends, and
//! which bytes are yet to be asked for.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use crate::ranges::RangeSet;
use crate::user_continuation::{Lineage, Mask, UserContinuation};

/// A held user continuation.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) sealed: Arc<[u8]>,
    pub(crate) output: Range<u64>,
    finished: bool,
    /// The input it takes, and whether in any order.
    input: Range<u64>,
    any_order: bool,
    input_closed: bool,
    lineage: Lineage,
    pub(crate) mask: Mask,
    /// The request whose answer brought it.
    echo: u64,
}

impl Held {
    /// The input that is taken in any order, as long as its end is not consumed.
    pub(crate) fn any_order(&self) -> Option<&Range<u64>> {
        (self.any_order && !self.input_closed).then_some(&self.input)
    }
}

/// Most user continuations held: pipelined answers beyond it wait.
const MAX_HELD: usize = 256;

#[derive(Debug, Default)]
pub(crate) struct Outputs {
    /// In ascending order of output; the last one takes the next input.
    held: VecDeque<Held>,
    /// Bytes that have arrived or are asked for.
    covered: RangeSet,
}

impl Outputs {
    /// Takes a user continuation that came in the answer to `echo`; whether it was news. `presented`: the user
    /// continuation that the request its lineage begins with presented, as far as that is known.
    pub(crate) fn learn(
        &mut self,
        sealed: &[u8],
        user: &UserContinuation<'_>,
        echo: u64,
        presented: Option<&Arc<[u8]>>,
    ) -> bool {
        // An end that is known takes the place of one that is not.
        let end = |output: &Range<u64>| output.end.checked_add(1).unwrap_or(0);
        let begins = user.output.start == 0;
        let news = self.held.back().map_or(begins, |last| {
            // Without a gap in the output, and from a processing of the input that goes on from what is here.
            let follows = (last.output.start..=last.output.end).contains(&user.output.start);
            let related = user.lineage == last.lineage
                || presented.is_some_and(|presented| Arc::ptr_eq(presented, &last.sealed));
            let extends = (user.input.start, user.input_closed, end(&user.output))
                > (last.input.start, last.input_closed, end(&last.output));
            follows && related && extends && user.input.start >= last.input.start
        });
        if !news || self.held.len() >= MAX_HELD {
            return false;
        }
        // What both regenerate, the new one does.
        while self.held.back().is_some_and(|last| user.output.start <= last.output.start) {
            self.held.pop_back();
        }
        if let Some(last) = self.held.back_mut() {
            last.output.end = last.output.end.min(user.output.start);
        }
        self.held.push_back(Held {
            sealed: sealed.into(),
            output: user.output.clone(),
            finished: user.finished,
            input: user.input.clone(),
            any_order: user.any_order,
            input_closed: user.input_closed,
            lineage: user.lineage,
            mask: user.mask(),
            echo,
        });
        true
    }

    /// Whether there is room for the answers to further input.
    pub(crate) fn has_room(&self, awaited: usize) -> bool {
        // As long as there is no output, each takes the place of the last one.
        self.held.len() <= 1 || self.held.len() + awaited < MAX_HELD
    }

    /// The user continuation that takes the next input.
    pub(crate) fn newest(&self) -> Option<&Held> {
        self.held.back()
    }

    /// Whether the byte at `offset` in the answer to `echo` is that of the output as it is known here: regenerated
    /// from what the request presented, or from what the answer brought.
    pub(crate) fn is_regenerated(&self, offset: u64, presented: &Arc<[u8]>, echo: u64) -> bool {
        let held = self.held.iter().find(|held| held.output.contains(&offset));
        held.is_some_and(|held| held.echo == echo || Arc::ptr_eq(&held.sealed, presented))
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
