//! How much of a run the server grants, and what it does not.

use std::ops::Range;

use super::Flow;
use crate::client::run::mask;

impl Flow {
    /// The answer to `echo` grants the run up to number `end`. Of what is beyond it, a later claim that carried the
    /// run may be granted more.
    pub(super) fn note_granted(
        &mut self,
        index: usize,
        end: u64,
        echo: u64,
        release: &mut dyn FnMut(Range<u64>),
    ) {
        let run = &mut self.runs[index];
        let before = run.granted_to.take();
        self.undecided -= usize::from(before.is_some());
        let end = before.map_or(end, |before| before.max(end));
        if end >= run.numbers.end {
            return;
        }
        if run.last.echo == echo {
            self.hand_back(index, end, release);
        } else {
            run.granted_to = Some(end);
            self.undecided += 1;
        }
    }

    /// A packet for `number` has come in the answer to `echo`: in an answer runs are in order, so it grants no more
    /// of those before it.
    pub(super) fn hand_back_before(&mut self, number: u64, echo: u64, release: &mut dyn FnMut(Range<u64>)) {
        let mut at = 0;
        while self.undecided > 0 && self.runs.get(at).is_some_and(|run| run.numbers.end <= number) {
            let (runs, run) = (self.runs.len(), &mut self.runs[at]);
            let is_decided = run.last.echo == echo;
            if let Some(end) = run.granted_to.take_if(|_| is_decided) {
                self.undecided -= 1;
                self.hand_back(at, end, release);
                self.retire(at, release);
            }
            at += usize::from(self.runs.len() == runs);
        }
    }

    /// The server has granted nothing of what was claimed under `echo` and nowhere else.
    pub(crate) fn refuse(&mut self, echo: u64, release: &mut dyn FnMut(Range<u64>)) {
        while let Some(index) = self.runs.iter().position(|run| {
            (run.first.echo, run.last.echo) == (echo, echo) && run.answered.is_none() && !run.is_opening()
        }) {
            self.hand_back(index, self.runs[index].numbers.start, release);
            self.retire(index, release);
        }
    }

    /// The server granted a run only up to number `end`: what owns the others is the client's again.
    fn hand_back(&mut self, index: usize, end: u64, release: &mut dyn FnMut(Range<u64>)) {
        let epoch = *self.owner(self.runs[index].positions.start);
        let run = &mut self.runs[index];
        let kept = run.positions.clone().find(|&position| epoch.share_start(position) >= end);
        run.bytes(end..run.numbers.end, &mut *release);
        if let Some(kept) = kept {
            self.claimed.remove(kept..run.positions.end);
            run.positions.end = kept;
        }
        run.pending &= mask(end - run.numbers.start);
        run.numbers.end = end;
    }
}
