//! Which request is due.

use std::time::Duration;

use super::claims::Selection;
use super::flow::Flow;
use super::upload::Chunk;
use super::{Client, OpeningKind};
use crate::continuation::SEALED_LENGTH;
use crate::epoch::INITIAL_WINDOW;
use crate::time::Timestamp;
use crate::wire::{AbbreviatedClaim, Form, HEADER, MAX_TRAIN, room};

/// Claims that are due within this time leave together: timers are not more punctual.
pub(super) const TIMER_GRANULARITY: Duration = Duration::from_millis(1);
/// How old an epoch is at least that is left for having grown beyond use: a server grants one every 200 ms.
const MIN_AGE: Duration = Duration::from_millis(250);
/// A train is at most as long as the path carries in this time.
const TRAIN_TIME: Duration = Duration::from_millis(1);
/// How many packets a train has where a quarter of the window is no less.
const LEAST_TRAIN: u64 = 4;
/// What a claim of one run with input has at most besides the input, the user continuation and wanted ranges:
/// header, continuation, fields of the kind, packet size, flags, exit, number of runs, the run, and what precedes
/// user continuation and input (docs/protocol.md section 2.7).
const CLAIM_OVERHEAD: usize = HEADER + SEALED_LENGTH + 24 + 2 + 1 + 8 + 1 + 10 + 2 + 10;

/// What is to be done next.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "none is kept, and memory of its own would cost more than the move"
)]
pub(super) enum Step {
    /// Nothing, until something arrives or the application acts.
    Idle,
    Wait(Timestamp),
    Open,
    Probe,
    /// Open a new epoch after a pause.
    Resume,
    /// Open one in the slow start that was ended without a loss.
    BeginAgain,
    /// Nothing can be claimed: start again.
    Restart,
    /// Nothing can be asked for: connect again.
    Hello,
    /// Claim these positions, with input or without.
    Claim {
        selection: Selection,
        input: Option<Chunk>,
    },
}

impl Client {
    /// Decides what is due.
    pub(super) fn step(&self) -> Step {
        if self.failure.is_some() || self.is_complete() {
            return Step::Idle;
        }
        if let Some(opening) = &self.opening {
            let granted_at = match opening.kind {
                OpeningKind::Restart { .. } => self.restart_at(0),
                _ => opening.send_at,
            };
            let send_at = opening.send_at.max(granted_at);
            return if send_at <= self.now { Step::Open } else { Step::Wait(send_at) };
        }
        let Some(flow) = &self.flow else { return Step::Idle };
        if self.probe && flow.probe().is_some() {
            return Step::Probe;
        }
        if self.outputs.newest().is_none() {
            // What says how the stream goes on was lost with the rest of its packet.
            return if flow.runs.is_empty() { Step::Hello } else { Step::Idle };
        }
        let room = room(self.packet_size, Form::Absent) as u64;
        let from = self.assembler.read_offset();
        let wanted = self.outputs.wanted(from, self.assembler.limit(), MAX_TRAIN * room);
        let input = self.due_input().filter(|_| wanted == 0 || !self.input_last);
        if input.is_none() && wanted == 0 {
            return Step::Idle;
        }
        // What the server has asked patience for would be all that another claim could ask for, unless bytes
        // before it are missing: these are there already.
        let missing = || self.outputs.next_want(from, self.assembler.limit()).map(|(range, _)| range.start);
        let is_missing_before = |at: u64| missing().is_some_and(|missing| missing < at);
        let parked = match flow.parked_from() {
            Some(parked) if is_missing_before(parked) => None,
            _ => flow.parked_until(false),
        };
        // Of output without a known end nobody knows how much there is: while answers come short, one claim at a
        // time asks for more.
        let unknown = self.outputs.known_end() == u64::MAX && self.short;
        if input.is_none()
            && unknown
            && flow.awaited_from().is_some_and(|awaited| !is_missing_before(awaited))
        {
            return Step::Idle;
        }
        let patience = parked.unwrap_or(Timestamp::ZERO).max(self.pending_until);
        if input.is_none() && patience > self.now {
            return Step::Wait(patience);
        }
        let target = self.claim_target();
        let needed = wanted.div_ceil(room);
        // Slow start begins again where nothing was lost, once what is under way has come.
        if self.begins_again(flow) {
            return if flow.runs.is_empty() { Step::BeginAgain } else { Step::Idle };
        }
        let numbers = match input {
            // Its answer is no more than an acknowledgement.
            Some(Chunk { more: true, .. }) => 1,
            Some(_) => {
                let expected = self.expected().unwrap_or(0).min(MAX_TRAIN);
                u64::from(INITIAL_WINDOW).max(needed.min(target)).max(expected)
            }
            // What would be left over joins it.
            None => needed.min((2 * target - 1).min(self.most_claimed())),
        };
        let Some(selection) = flow.select(numbers) else {
            return if flow.runs.is_empty() { Step::Restart } else { Step::Idle };
        };
        let is_overgrown = || self.now.since(flow.born) > MIN_AGE && flow.is_underused();
        if flow.runs.is_empty()
            && (self.now.since(self.active) > self.rto() || is_overgrown())
            && self.now >= self.resume_after
        {
            return Step::Resume;
        }
        if let Some(limit) = self.slow_start.flight_limit()
            && flow.in_flight() + selection.numbers > limit
            && !flow.runs.is_empty()
        {
            return Step::Idle;
        }
        if self.pacer.next() > self.now + TIMER_GRANULARITY {
            return Step::Wait(self.pacer.next());
        }
        // Bytes that the application reads make room for as many: asked for at once, they would come in small trains (RFC
        // 9293, section 3.8.6.2.2).
        let ends = self.outputs.known_end() <= self.assembler.limit();
        let enough = if ends { target.min(needed.max(1)) } else { target };
        let is_full = selection.is_full && selection.numbers < numbers;
        let complete = input.is_some() || selection.numbers >= enough || is_full || flow.runs.is_empty();
        // As long as a train takes to come, but not so long that the queue could run empty meanwhile.
        let coming = (flow.spacing() * target as u32).min(self.rtt.queueing());
        let delay = coming.max(TRAIN_TIME.min(self.rtt.smoothed() / 8));
        let since = self.ready_since.unwrap_or(Timestamp::ZERO);
        if !complete && since + delay > self.now {
            return Step::Wait(since + delay);
        }
        Step::Claim { selection, input }
    }

    /// Whether slow start that was ended without a loss is to begin again. Neither input nor what is parked is kept
    /// waiting, and it is not worth it for what the window brings in two round trips.
    fn begins_again(&self, flow: &Flow) -> bool {
        let enough = 2 * u64::from(flow.window()) * room(self.packet_size, Form::Absent) as u64;
        let wanted =
            || self.outputs.wanted(self.assembler.read_offset(), self.assembler.limit(), enough) >= enough;
        let is_granted = || flow.is_first || self.now.since(flow.born) > MIN_AGE;
        flow.is_wrongly_cut_off(self.rtt.smoothed(), self.now)
            && !self.short
            && self.backoff == 0
            && self.now >= self.resume_after
            && is_granted()
            && self.due_input().is_none()
            && flow.runs.iter().all(|run| run.parked.is_none() && run.input.is_none())
            && wanted()
    }

    /// For how many numbers a claim should be: more starve small queues.
    fn claim_target(&self) -> u64 {
        let Some(flow) = &self.flow else { return 1 };
        let window = u64::from(flow.window());
        let smoothed = self.rtt.smoothed().as_micros().max(1) as u64;
        let paced = window * TRAIN_TIME.as_micros() as u64 / smoothed;
        // A continuation is paid once a train.
        let least = window.div_ceil(4).clamp(1, LEAST_TRAIN);
        (window / 8).min(self.most_claimed()).min(paced).max(least)
    }

    /// How many numbers are claimed together at most: two trains, unless claims get lost, when each is to carry others
    /// besides.
    fn most_claimed(&self) -> u64 {
        let rarely_lost = self.flow.as_ref().is_some_and(|flow| flow.depth() <= 2);
        if rarely_lost { 2 * MAX_TRAIN } else { MAX_TRAIN }
    }

    /// The input that is to be sent next.
    pub(super) fn due_input(&self) -> Option<Chunk> {
        let newest = self.outputs.newest().filter(|_| !self.outputs.is_closed())?;
        if !self.outputs.has_room(self.upload.open()) {
            return None;
        }
        // The server has yet to say what follows from input that it has.
        let parked = self.flow.as_ref().is_some_and(|flow| flow.parked_until(true).is_some());
        if parked && newest.any_order().is_none() {
            return None;
        }
        let due =
            |overhead: usize| self.upload.due(&self.input, newest.any_order(), self.input_room(overhead));
        let whole = due(CLAIM_OVERHEAD + newest.sealed.len())?;
        // What fits into a whole request needs no other.
        if whole.more && self.abbreviation.is_due() && (whole.any_order || !self.upload.is_again()) {
            let abbreviated = due(AbbreviatedClaim::OVERHEAD).filter(|chunk| chunk.more);
            return Some(abbreviated.map_or(whole, |chunk| Chunk { abbreviated: true, ..chunk }));
        }
        Some(whole)
    }
}
