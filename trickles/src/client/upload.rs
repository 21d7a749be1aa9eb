//! Which input is on its way to the server, and which is to be sent next.
//!
//! Input that is consumed from the front is sent in order, many requests at a time: a server that does not
//! remember where the stream has got to refuses all but the first, and then they are sent again from the front
//! (docs/protocol.md section 7.27). Input that is taken in any order is sent wherever it is missing.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use super::input::SendBuffer;
use crate::epoch::INITIAL_WINDOW;
use crate::ranges::RangeSet;

/// Most requests with input that are under way together.
const MAX_OPEN: u32 = 1024;
/// Settled requests that are remembered, so that their late answers are understood.
const REMEMBERED: usize = 256;
/// Most answers in a row that have to be right before further requests are sent ahead again.
const MAX_CAUTION: u32 = 64;

/// A request that carries input.
#[derive(Clone, Debug)]
pub(crate) struct InputRequest {
    /// The request.
    pub(crate) echo: u64,
    /// The one it repeats, or itself.
    pub(crate) original: u64,
    /// The input it carries, the end of the input counting as one byte.
    pub(crate) range: Range<u64>,
    /// Whether more was waiting than it could hold.
    pub(crate) full: bool,
    /// The user continuation it presented.
    pub(crate) presented: Arc<[u8]>,
    /// Whether what it carries is taken in any order.
    pub(crate) any_order: bool,
    /// Whether it only presumes that all before is stored.
    pub(crate) presumed: bool,
    /// Whether its answer has come or is lost.
    pub(crate) settled: bool,
}

/// Input to be sent: from `start` on, and before `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// Whether it is taken in any order.
    pub(crate) any_order: bool,
    /// Whether other input follows it at once, so that no answer is expected but an acknowledgement.
    pub(crate) more: bool,
    /// Whether the request that carries it is to be abbreviated if it can be.
    pub(crate) abbreviated: bool,
    /// Whether it is only presumed that all before it is stored.
    pub(crate) presumed: bool,
}

impl Chunk {
    /// One that others need not follow.
    pub(crate) fn last(range: Range<u64>, any_order: bool) -> Self {
        Self {
            start: range.start,
            end: range.end,
            any_order,
            more: false,
            abbreviated: false,
            presumed: false,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Upload {
    /// In the order they were sent.
    requests: VecDeque<InputRequest>,
    /// At how many requests the settled ones are forgotten.
    crowded: usize,
    /// How many of them are neither settled nor from before the input was last taken up again.
    open: u32,
    /// Where to go on in order.
    next: u64,
    /// The last request sent before the input was taken up again from its front.
    rewound: Option<u64>,
    /// Whether nothing has been consumed since: a server that knows more than has been heard of has to be shown from where
    /// the input is taken up again.
    is_again: bool,
    /// How many requests may be open when input is consumed from the front.
    depth: u32,
    /// How many right answers it takes at a depth of 1 to try 2 again, and how many there have been.
    caution: u32,
    right: u32,
    /// Input taken in any order that is on its way or stored.
    taken: RangeSet,
    stored: RangeSet,
    /// Whether the last chunk that was answered was not stored at all.
    refused: bool,
    /// Whether the server has been asked, since the last chunk was sent, to go on if it knows that all is stored.
    has_presumed: bool,
    /// The request that asked for that, until it is settled.
    presumed: Option<u64>,
}

impl Upload {
    pub(crate) fn new() -> Self {
        Self {
            requests: VecDeque::new(),
            crowded: 2 * REMEMBERED,
            open: 0,
            next: 0,
            rewound: None,
            is_again: false,
            depth: INITIAL_WINDOW,
            caution: 1,
            right: 0,
            taken: RangeSet::default(),
            stored: RangeSet::default(),
            refused: false,
            has_presumed: false,
            presumed: None,
        }
    }

    /// The next input to be sent. `any_order`: the range that is taken in any order, if there is one; `room`:
    /// how much a request holds.
    pub(crate) fn due(
        &self,
        buffer: &SendBuffer,
        any_order: Option<&Range<u64>>,
        room: usize,
    ) -> Option<Chunk> {
        let front = buffer.offset();
        let ends_early = buffer.end() == front && buffer.reach() > front;
        if let Some(range) = any_order.filter(|range| front < range.end && !ends_early) {
            if self.refused && self.open > 0 {
                return None;
            }
            let end = range.end.min(buffer.end());
            let Some(gap) = self.taken.first_gap(front, end) else {
                let complete = end == range.end || buffer.is_finished();
                let chunk = Chunk { presumed: true, ..Chunk::last(end..u64::MAX, false) };
                return (complete && !self.has_presumed && !self.refused).then_some(chunk);
            };
            let more = gap.end < buffer.end() || gap.end - gap.start > room as u64;
            let whole = more || gap.end == range.end || gap.end - gap.start == room as u64;
            let worthy = whole || self.open == 0 || buffer.is_finished();
            let (start, end) = (gap.start, gap.end);
            return worthy.then_some(Chunk { more, ..Chunk::last(start..end, true) });
        }
        let start = self.next.max(front);
        // The server is to be told that all is stored, whether or not anything follows.
        let completes = any_order.is_some_and(|range| front >= range.end) && start == front && self.open == 0;
        let pending = buffer.reach().saturating_sub(start);
        if (pending == 0 && !completes) || (start == front && buffer.is_stalled()) {
            return None;
        }
        // The application would be shown the end of the range twice.
        if any_order.is_some() && self.presumed.is_some() {
            return None;
        }
        // What follows others at once should be worth a request of its own (RFC 9293, section 3.7.4).
        let worthy = pending >= room as u64 || buffer.is_finished();
        let ahead = start > front;
        if ahead && (self.open >= self.depth || !worthy || any_order.is_some()) {
            return None;
        }
        let more = pending > room as u64;
        Some(Chunk { more, ..Chunk::last(start..u64::MAX, false) })
    }

    /// Notes a request as sent.
    pub(crate) fn sent(&mut self, mut request: InputRequest) {
        if request.original != request.echo {
            // The original is settled in its place.
            request.settled = true;
        } else if request.presumed {
            (self.has_presumed, self.presumed) = (true, Some(request.echo));
        } else {
            self.open += 1;
            self.has_presumed = false;
            if request.any_order {
                self.taken.insert(request.range.clone());
            } else {
                self.next = request.range.end;
            }
        }
        self.requests.push_back(request);
        if self.requests.len() >= self.crowded {
            let mut old = self.requests.len() - REMEMBERED;
            self.requests.retain(|request| {
                let is_old = old > 0;
                old = old.saturating_sub(1);
                !(is_old && request.settled)
            });
            self.crowded = 2 * self.requests.len();
        }
    }

    /// A request with input.
    pub(crate) fn find(&self, echo: u64) -> Option<&InputRequest> {
        self.requests.get(self.index(echo)?)
    }

    fn find_mut(&mut self, echo: u64) -> Option<&mut InputRequest> {
        let index = self.index(echo)?;
        self.requests.get_mut(index)
    }

    fn index(&self, echo: u64) -> Option<usize> {
        let first = self.requests.front()?.echo;
        let order = |echo: u64| echo.wrapping_sub(first);
        // While nothing but input is sent the distance is the index.
        let guess = usize::try_from(order(echo)).ok()?;
        // In a download none is as new.
        if self.requests.back().is_some_and(|last| order(last.echo) < order(echo)) {
            return None;
        }
        if self.requests.get(guess).is_some_and(|request| request.echo == echo) {
            return Some(guess);
        }
        self.requests.binary_search_by_key(&order(echo), |request| order(request.echo)).ok()
    }

    /// Whether input in order has been taken up again, and nothing has been consumed since.
    pub(crate) fn is_again(&self) -> bool {
        self.is_again
    }

    /// The server has said how the stream goes on: its input is acknowledged up to `front`. `any_order`: what follows is
    /// taken in any order.
    pub(crate) fn learn(&mut self, front: u64, any_order: bool) {
        if any_order {
            self.rewind(front);
        }
        self.is_again = false;
    }

    /// How many requests that still count are under way.
    pub(crate) fn open(&self) -> usize {
        self.open as usize
    }

    /// The first input that is not known to have arrived, whatever is on its way.
    pub(crate) fn front(&self, buffer: &SendBuffer, any_order: Option<&Range<u64>>) -> Option<Chunk> {
        let start = buffer.offset();
        if let Some(range) = any_order.filter(|range| start < range.end && start < buffer.end()) {
            let gap = self.stored.first_gap(start, range.end.min(buffer.end()))?;
            return Some(Chunk::last(gap, true));
        }
        let completes = any_order.is_some_and(|range| start >= range.end);
        let pending = buffer.reach() > start && !buffer.is_stalled();
        (pending || completes).then(|| Chunk::last(start..u64::MAX, false))
    }

    /// What is still missing of what a request carried, to be sent once more.
    pub(crate) fn again(&self, echo: u64, buffer: &SendBuffer) -> Option<Chunk> {
        let InputRequest { range, any_order, presumed, .. } = self.find(echo)?;
        let start = range.start.max(buffer.offset());
        let completes = range.is_empty() && start == range.start;
        let end = if completes { u64::MAX } else { range.end };
        // It may be known by now.
        let presumed = *presumed && buffer.offset() < range.start;
        let chunk = Chunk { presumed, ..Chunk::last(start..end, *any_order) };
        (start < end).then_some(chunk)
    }

    /// These bytes of a chunk are stored, or none; returns up to where all are. After none one chunk at a time is
    /// sent until some are.
    pub(crate) fn store(&mut self, range: Range<u64>, front: u64) -> u64 {
        self.refused = range.is_empty();
        self.taken.insert(range.clone());
        self.stored.insert(range);
        let end = self.stored.end_of(front).unwrap_or(front);
        self.stored.remove(0..end);
        self.taken.remove(0..end);
        end
    }

    /// The answer to a request has come, or is lost: what it carried and is not acknowledged is sent again.
    pub(crate) fn settle(&mut self, echo: u64, buffer: &SendBuffer) {
        let front = buffer.offset() + u64::from(buffer.is_flushed() && buffer.is_finished());
        let Some(request) = self.find_mut(echo).filter(|request| !request.settled) else { return };
        request.settled = true;
        if request.presumed {
            self.presumed.take_if(|presumed| *presumed == echo);
            return;
        }
        let (range, any_order) = (request.range.clone(), request.any_order);
        let counts = self.rewound.is_none_or(|rewound| echo.wrapping_sub(rewound) as i64 > 0);
        if counts {
            self.open = self.open.saturating_sub(1);
        }
        if any_order {
            self.taken.remove(range.clone());
            let kept: Vec<_> = self.stored.iter().take_while(|stored| stored.start < range.end).collect();
            for stored in kept {
                self.taken.insert(stored);
            }
        } else if counts && range.start < front {
            // What is left of it may still be consumed together with what follows.
            self.note_right();
        } else if counts && range.end > front {
            self.rewind(front);
            self.depth = (self.depth * 3 / 4).max(1);
            if self.depth == 1 {
                self.caution = (self.caution * 2).min(MAX_CAUTION);
                self.right = 0;
            }
        }
        if self.open == 0 && self.next > front {
            self.rewind(front);
        }
    }

    /// The same for a request that said too little for its server: no sign of how much may be sent ahead.
    pub(crate) fn forget(&mut self, echo: u64, buffer: &SendBuffer) {
        let kept = (self.depth, self.caution, self.right);
        self.settle(echo, buffer);
        (self.depth, self.caution, self.right) = kept;
    }

    fn note_right(&mut self) {
        self.right += 1;
        if self.depth > 1 || self.right >= self.caution {
            self.depth = (self.depth + 1).min(MAX_OPEN);
        }
    }

    /// Takes the input up again from `front`; answers to what is under way count no more.
    fn rewind(&mut self, front: u64) {
        self.next = front;
        self.is_again = true;
        self.rewound = self.requests.back().map(|last| last.echo).or(self.rewound);
        self.open = 0;
    }

    /// The flow begins anew: what was under way does not arrive any more, except in the request `kept`.
    pub(crate) fn restart(&mut self, kept: Option<u64>, front: u64) {
        self.requests.iter_mut().for_each(|request| request.settled = true);
        self.rewind(front);
        (self.has_presumed, self.presumed) = (false, None);
        self.taken = self.stored.clone();
        if let Some(request) = kept.and_then(|echo| self.find_mut(echo)) {
            request.settled = false;
            let (echo, range, any_order) = (request.echo, request.range.clone(), request.any_order);
            self.rewound = Some(echo.wrapping_sub(1));
            self.open = 1;
            if any_order {
                self.taken.insert(range);
            } else {
                self.next = range.end;
            }
        }
    }
}

#[cfg(test)]
mod tests;
