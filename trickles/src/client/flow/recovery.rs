//! What a loss does: the next epoch, and the way back where it was none.

use std::time::Duration;

use super::{Flow, Full, HeldTrain};
use crate::client::rtt::Rtt;
use crate::epoch::{Epoch, curve};
use crate::time::Timestamp;
use crate::wire::ClaimKind;

/// The epoch whose loss began the current one. What its flight earns is still being claimed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parent {
    pub(crate) epoch: Epoch,
    /// The first lost position.
    pub(crate) lost: u64,
    /// The packets that the path was found to have held, declared for the whole flight.
    carried: u32,
    /// The round-trip time declared for the whole flight, in microseconds.
    pub(crate) rtt: u32,
    /// Proof of all before `lost`.
    pub(crate) proof: u64,
}

impl Parent {
    /// What claims of the flight say of the loss.
    pub(crate) fn recover(&self) -> ClaimKind {
        let Self { lost, carried, rtt, proof, .. } = *self;
        ClaimKind::Recover { lost, carried, rtt, proof }
    }
}

impl Flow {
    /// Whether the first missing number is lost.
    pub(crate) fn has_lost_next(&self) -> bool {
        self.lost.contains(self.prefix)
    }

    /// Enters the next epoch if the first missing number is lost and every position before it is claimed:
    /// proportional rate reduction begins.
    pub(crate) fn recover(&mut self, rtt: &Rtt) -> bool {
        let lost = self.prefix;
        if !self.has_lost_next() || self.claimed.first_gap(self.epoch.base, lost).is_some() {
            return false;
        }
        let carried = self.carried(rtt);
        let rtt = rtt.declared_below(self.reduced(rtt.smoothed()));
        let Some(next) = self.epoch.recover(lost, carried, rtt) else { return false };
        self.full = Full::Unseen;
        let is_marked = std::mem::take(&mut self.marked_by_queue);
        let is_cut_off = self.in_slow_start() && !is_marked;
        self.cut_off = self.held.back().filter(|_| is_cut_off).cloned();
        self.parent = Some(Parent { epoch: self.epoch, lost, carried, rtt, proof: self.proof });
        self.epoch = next;
        self.rate.start_epoch();
        self.prefix = next.base;
        self.proof = 0;
        self.beyond.clear();
        self.lost_before = std::mem::take(&mut self.lost);
        self.claimed.insert(lost..lost + 1);
        true
    }

    /// Whether what ended slow start just now has come after all, and nothing since then looks like congestion.
    pub(crate) fn is_wrongly_cut_off(&self, smoothed: Duration, now: Timestamp) -> bool {
        const MAX_ROUND_TRIPS: u32 = 8;
        let is_recent = |held: &HeldTrain| now.since(held.arrived) < smoothed * MAX_ROUND_TRIPS;
        self.cut_off.as_ref().is_some_and(is_recent)
            && self.lost.end().or(self.lost_before.end()).is_none()
            && self.runs.front().is_none_or(|run| run.numbers.start >= self.epoch.base)
    }

    /// The round trip that a loss leaves if the queue falls as the window does.
    fn reduced(&self, smoothed: Duration) -> Duration {
        let micros = u32::try_from(smoothed.as_micros()).unwrap_or(u32::MAX);
        Duration::from_micros(curve::curve(self.epoch.curve).reduced(micros).into())
    }

    /// From which window the loss of the first missing number reduces. An epoch that began with slow start may have one
    /// far beyond what the path holds at the rate it has shown, if a queue stood; if none did, nothing says that the path
    /// was full.
    fn carried(&self, rtt: &Rtt) -> u32 {
        const LEAST_SHARE: u32 = 4;
        let window = self.epoch.window(self.prefix - self.epoch.base);
        if self.epoch.growth.window0 >= self.epoch.growth.ssthresh {
            return window;
        }
        let shortest = rtt.shortest();
        let is_told = self.full != Full::Unseen || self.marked_by_queue;
        if !is_told && rtt.standing() < shortest / 8 {
            // Where each answer is one packet that stands for both numbers of its position, half as many are on the path.
            return if self.is_upload { window.div_ceil(2).max(self.epoch.growth.window0) } else { window };
        }
        let held =
            self.rate.held(rtt.smoothed()).max(self.epoch.growth.window0).max(window.div_ceil(LEAST_SHARE));
        if self.full == Full::At(self.prefix) && self.lost.len() == 1 {
            // What is reduced to that, if it is hardly more than the path holds without a queue.
            let reduced = curve::curve(self.epoch.curve).reduced(held);
            let kept = held.min(self.rate.held(shortest * 5 / 4)).max(reduced);
            let whole = u64::from(held) * u64::from(kept) / u64::from(reduced);
            return u32::try_from(whole).unwrap_or(u32::MAX).min(window);
        }
        held.min(window)
    }
}
