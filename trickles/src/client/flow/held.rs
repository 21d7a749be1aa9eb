//! The continuations that a flow can present.

use std::ops::Range;

use super::Flow;
use crate::client::claims::MAX_PRESENTABLE;
use crate::continuation::{Abbreviated, Continuation, Sealed};
use crate::epoch::SlowStartExit;
use crate::time::Timestamp;

/// Most continuations held.
const MAX_HELD: usize = 4096;

/// The continuation of a train that has arrived.
#[derive(Clone, Debug)]
pub(crate) struct HeldTrain {
    pub(crate) sealed: Box<Sealed>,
    pub(crate) fields: Continuation,
    pub(crate) arrived: Timestamp,
}

impl Flow {
    /// Whether a continuation belongs to this flow's current epoch or its parent.
    pub(crate) fn knows(&self, fields: &Continuation) -> bool {
        let base = fields.epoch.base;
        fields.flow == self.tag
            && (base == self.epoch.base || self.parent.is_some_and(|parent| parent.epoch.base == base))
    }

    /// Keeps a train's continuation.
    pub(crate) fn hold(&mut self, sealed: &Sealed, fields: Continuation, now: Timestamp) {
        let after_all = self.held.back().is_none_or(|last| last.fields.first < fields.first);
        let at = match after_all {
            true => self.held.len(),
            false => self.held.partition_point(|held| held.fields.first < fields.first),
        };
        if self.held.get(at).is_some_and(|held| held.fields.first == fields.first) {
            return;
        }
        self.held.insert(at, HeldTrain { sealed: Box::new(*sealed), fields, arrived: now });
        if self.held.len() > MAX_HELD {
            self.held.pop_front();
        }
        self.note_fullness(fields.bytes_per_number());
    }

    /// Keeps track of the fullest of the newest trains: of at least as many as are looked at for one to present.
    fn note_fullness(&mut self, fullness: usize) {
        self.less_full += 1;
        if fullness >= self.fullest {
            (self.fullest, self.less_full) = (fullness, 0);
        } else if self.less_full > MAX_PRESENTABLE {
            let newest = self.held.iter().rev().take(MAX_PRESENTABLE);
            self.fullest = newest.map(|held| held.fields.bytes_per_number()).max().unwrap_or(0);
            self.less_full = 0;
        }
    }

    /// Forgets the parent epoch and the continuations that no claim needs any more.
    pub(crate) fn prune(&mut self) {
        let settled = self.runs.front().is_none_or(|run| run.positions.start >= self.epoch.base);
        if self.parent.is_some() && settled && !self.has_unclaimed_flight() {
            self.parent = None;
        }
        let floor = match self.parent {
            Some(parent) => parent.lost,
            None => self.epoch.first_position(),
        };
        let unclaimed = self.claimed.first_gap(floor, u64::MAX).map_or(floor, |gap| gap.start);
        let oldest_run =
            self.runs.iter().find(|run| !run.is_opening()).map_or(u64::MAX, |run| run.positions.start);
        let needed = unclaimed.min(oldest_run);
        // Keep the newest that still reaches the lowest position of interest, and all behind it.
        while self.held.get(1).is_some_and(|next| next.fields.earned < needed && next.fields.end() <= needed)
        {
            self.held.pop_front();
        }
    }

    pub(crate) fn newest(&self) -> Option<&HeldTrain> {
        self.held.back()
    }

    /// The continuation of the train with these `numbers`, from what of it has come. `exit`: its epoch has a slow
    /// start exit.
    pub(crate) fn restore(
        &self,
        abbreviated: &Abbreviated,
        numbers: Range<u64>,
        exit: bool,
    ) -> Option<(Sealed, Continuation)> {
        let base = self.parent.map(|parent| parent.epoch.base).filter(|_| numbers.start < self.epoch.base);
        let base = base.unwrap_or(self.epoch.base);
        let other = &self.held.iter().rev().find(|held| held.fields.epoch.base == base)?.fields;
        other.restore(abbreviated, numbers, if exit { Some(self.exit_of(other)?) } else { None })
    }

    /// The declared exit of the epoch a continuation belongs to.
    pub(crate) fn exit_of(&self, fields: &Continuation) -> Option<SlowStartExit> {
        match self.parent {
            Some(parent) if parent.epoch.base == fields.epoch.base => parent.epoch.exit,
            _ if self.epoch.base == fields.epoch.base => self.epoch.exit,
            // Of an epoch that is over: it says so itself.
            _ => fields.epoch.exit,
        }
    }
}
