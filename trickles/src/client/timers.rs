//! What it means when nothing arrives: probes, Restarts, and the end of patience.

use std::time::Duration;

use super::flow::Flow;
use super::receive::release;
use super::{Client, Opening, OpeningKind};
use crate::time::Timestamp;

/// Longest time between restarts while nothing comes back.
const MAX_RESTART_INTERVAL: Duration = Duration::from_millis(500);
/// Smallest restart time-out, as the server enforces it.
pub(super) const MIN_RTO: Duration = Duration::from_millis(200);
/// Most doublings a server accepts.
const MAX_ATTEMPT: u8 = 10;

impl Client {
    /// Whether bytes of the stream, or word of its input, have yet to come.
    fn has_work(&self) -> bool {
        let end = self.outputs.known_end().min(self.assembler.limit());
        let from = self.assembler.read_offset();
        let input = !self.is_flushed();
        input || self.assembler.missing(from..end.max(from)).next().is_some()
    }

    /// Whether all output has arrived, for good.
    pub(super) fn is_complete(&self) -> bool {
        let arrived = self.assembler.read_offset() + self.assembler.readable();
        self.outputs.end().is_some_and(|end| arrived >= end)
    }

    /// Whether requests await their answer.
    fn is_outstanding(&self) -> bool {
        if self.is_complete() {
            return false;
        }
        self.opening.as_ref().is_some_and(|opening| !opening.sent.is_empty())
            || self.flow.as_ref().is_some_and(|flow| !flow.runs.is_empty())
    }

    /// What a server has asked patience for is asked for again when its time has come.
    pub(super) fn end_patience(&mut self) {
        if let Some(flow) = &mut self.flow
            && flow.parked_until(false).is_some_and(|until| until <= self.now)
            && flow.unpark(self.now)
        {
            self.active = self.now;
            self.probe = true;
        }
    }

    pub(super) fn probe_at(&self) -> Option<Timestamp> {
        let awaited = self.opening.is_none()
            && self.is_outstanding()
            && self.flow.as_ref().is_none_or(|flow| flow.runs.iter().any(|run| run.parked.is_none()));
        let timeout = self.rtt.probe_timeout();
        // Who wakes up late does not make up for the probes that were missed.
        awaited.then(|| (self.active + timeout * (1 << self.backoff.min(6))).max(self.probed + timeout))
    }

    /// When the stream fails if nothing comes.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        let patience = if self.flow.is_none() { self.config.connect_timeout } else { self.config.timeout };
        (self.flow.is_none() || self.is_outstanding()).then(|| self.progress + patience)
    }

    /// Nothing has come for a while: ask again for what was not answered, until a Restart would be granted; then
    /// start again.
    pub(super) fn probe_timeout(&mut self) {
        self.backoff += 1;
        self.probed = self.now;
        let Some(flow) = &mut self.flow else { return };
        let (outputs, assembler) = (&mut self.outputs, &self.assembler);
        flow.lose_stragglers(&mut |range| release(outputs, assembler, range));
        self.enter_recovery();
        if self.backoff == 1 || self.restart_at(0) > self.now {
            self.probe = true;
        } else if self.has_work() {
            self.restart();
        } else if let Some(flow) = &mut self.flow {
            flow.lose(0..u64::MAX, &mut |_| {});
        }
    }

    /// Plans a Restart for the first moment a server grants it.
    pub(super) fn restart(&mut self) {
        let send_at = self.restart_at(0);
        self.opening.get_or_insert_with(|| Opening {
            kind: OpeningKind::Restart { attempt: 0 },
            send_at,
            sent: Default::default(),
        });
    }

    pub(super) fn rto(&self) -> Duration {
        let presented =
            self.flow.as_ref().and_then(Flow::newest).map_or(0, |newest| newest.fields.epoch.rtt());
        let exit = self.flow.as_ref().map_or(0, |flow| flow.epoch.rtt());
        let frozen = presented.max(exit).max(self.rtt.declared());
        let slowest = self.rtt.smoothed().max(Duration::from_micros(u64::from(frozen)));
        (slowest * 2).max(MIN_RTO)
    }

    /// When a Restart of this attempt may be granted: the presented continuation has to be old enough.
    pub(super) fn restart_at(&self, attempt: u8) -> Timestamp {
        let arrived = self.flow.as_ref().and_then(Flow::newest).map_or(self.now, |newest| newest.arrived);
        arrived + self.rto() * (1 << attempt.min(MAX_ATTEMPT))
    }

    /// When to repeat an opening sent `now` for the `count`th time.
    pub(super) fn reopen_at(&self, kind: OpeningKind, count: usize) -> Timestamp {
        let doublings = 1 << count.min(4);
        match kind {
            OpeningKind::Hello => {
                self.now + (self.rtt.probe_timeout() * doublings).min(Duration::from_secs(3))
            }
            OpeningKind::Resume => self.now + self.rtt.probe_timeout() * doublings,
            OpeningKind::Restart { .. } => {
                let longest = MAX_RESTART_INTERVAL.max(2 * self.rto());
                self.now + (self.rto() * doublings).min(longest)
            }
        }
    }
}
