//! What is sent: which request is due, and how it is put together.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use arrayvec::ArrayVec;

use super::claims::{Owner, Selection};
use super::flow::HeldTrain;
use super::receive::release;
use super::run::{Run, Sent, mask};
use super::step::{Step, TIMER_GRANULARITY};
use super::upload::{Chunk, InputRequest, Upload};
use super::{Client, Opening, OpeningKind, OpeningSent};
use crate::epoch::{INITIAL_WINDOW, RESTART_WINDOW};
use crate::wire::{
    self, AbbreviatedClaim, BASE_PACKET_SIZE, Claim, ClaimKind, DATA_OVERHEAD, Form, HELLO_OVERHEAD, Hello,
    Input, MAX_RUNS, MAX_WANTS, MIN_CLAIM, Request, Runs, room,
};

/// How many packets may be caught up with at once in congestion avoidance (RFC 9002, section 7.7): what the path has
/// bunched together need not be spread out again.
const MAX_BURST: u32 = INITIAL_WINDOW;

/// The wants of the runs of one claim under construction.
struct Wants<'a> {
    client: &'a mut Client,
    user_continuation: Arc<[u8]>,
    /// The output the user continuation regenerates.
    covers: Range<u64>,
    /// Where to go on beyond the known output.
    unknown: Option<u64>,
}

impl Client {
    /// Writes the request that is due; whether there was one.
    pub(super) fn transmit(&mut self, out: &mut Vec<u8>) -> bool {
        if let Some(code) = self.parting.take() {
            let echo = self.echo.fresh();
            let Some(newest) = self.flow.as_ref().and_then(super::Flow::newest) else { return false };
            Request::Reset { echo, continuation: &newest.sealed, code }.emit(MIN_CLAIM, out);
            return true;
        }
        loop {
            match self.step() {
                Step::Idle | Step::Wait(_) => return false,
                Step::Open => return self.send_opening(out),
                step @ (Step::Resume | Step::BeginAgain) => {
                    if let Some(flow) = &mut self.flow {
                        let begins_again = matches!(step, Step::BeginAgain);
                        flow.return_to = flow.cut_off.take().filter(|_| begins_again);
                    }
                    let kind = OpeningKind::Resume;
                    self.opening = Some(Opening { kind, send_at: self.now, sent: Default::default() });
                }
                Step::Restart => self.restart(),
                Step::Hello => self.connect_again(),
                Step::Probe => {
                    self.probe = false;
                    return self.send_probe(out);
                }
                Step::Claim { selection, input } => return self.send_claim(&selection, input, out),
            }
        }
    }

    fn connect_again(&mut self) {
        self.flow = None;
        self.stream = None;
        self.stray_hellos.extend(self.welcome.take());
        self.upload = Upload::new();
        let kind = OpeningKind::Hello;
        self.opening = Some(Opening { kind, send_at: self.now, sent: Default::default() });
    }

    /// How many bytes of input a request holds besides `overhead` bytes.
    pub(super) fn input_room(&self, overhead: usize) -> usize {
        usize::from(self.packet_size).saturating_sub(overhead)
    }

    fn send_opening(&mut self, out: &mut Vec<u8>) -> bool {
        let Some(mut opening) = self.opening.take() else { return false };
        let echo = self.echo.fresh();
        if let OpeningKind::Restart { attempt } = &mut opening.kind {
            let allowed =
                (0..opening.sent.len() as u8).take_while(|&next| self.restart_at(next + 1) <= self.now);
            *attempt = allowed.count() as u8;
        }
        // What an unanswered request asked for is asked for again: whichever is answered.
        let unanswered = self.flow.iter().flat_map(|flow| &flow.runs).flat_map(|run| &run.wants);
        for range in opening.sent.iter().flat_map(|sent| &sent.wants).chain(unanswered) {
            release(&mut self.outputs, &self.assembler, range.clone());
        }
        let settled = self.packet_size;
        if opening.sent.len() % 2 == 1 {
            // It may be the size that the path does not carry (RFC 8899, section 4.3): what is answered settles it.
            self.packet_size = settled.min(BASE_PACKET_SIZE);
        }
        let sent = match opening.kind {
            OpeningKind::Hello => self.emit_hello(echo, out),
            kind => self.emit_reopening(kind, echo, out),
        };
        self.packet_size = settled;
        let Some(sent) = sent else {
            // There is nothing to open an epoch for.
            self.active = self.now;
            return false;
        };
        if opening.sent.is_empty() {
            self.active = self.now;
            if self.flow.as_ref().is_none_or(|flow| flow.runs.is_empty()) {
                self.progress = self.now;
            }
        }
        opening.sent.push_back(sent);
        opening.send_at = self.reopen_at(opening.kind, opening.sent.len() - 1);
        if opening.sent.len() > 32 {
            opening.sent.pop_front();
        }
        self.opening = Some(opening);
        true
    }

    fn emit_hello(&mut self, echo: u64, out: &mut Vec<u8>) -> Option<OpeningSent> {
        let service = &self.config.service[..self.config.service.len().min(255)];
        let mut bytes = Vec::new();
        let fin = self.input.copy(0, self.input_room(HELLO_OVERHEAD + service.len()), &mut bytes);
        let input = Input { offset: 0, bytes: &bytes, fin };
        let hello = Hello {
            echo,
            curve: self.config.curve,
            packet_size: self.packet_size,
            stream_id: self.stream_id,
            service,
            input,
        };
        Request::Hello(hello).emit(usize::from(self.packet_size), out);
        let with_input = fin || !bytes.is_empty();
        if with_input {
            self.note_input(echo, None, &input, Arc::new([]), Chunk::last(0..u64::MAX, false));
        }
        let sent = Sent { echo, at: self.now };
        Some(OpeningSent {
            sent,
            wants: ArrayVec::new(),
            user_continuation: Arc::new([]),
            input: with_input,
            packet_size: self.packet_size,
        })
    }

    /// Notes a request with input as sent; `original`: the one it repeats.
    fn note_input(
        &mut self,
        echo: u64,
        original: Option<u64>,
        input: &Input<'_>,
        presented: Arc<[u8]>,
        chunk: Chunk,
    ) {
        let end = input.offset + input.bytes.len() as u64;
        self.upload.sent(InputRequest {
            echo,
            original: original.unwrap_or(echo),
            range: input.offset..end + u64::from(input.fin),
            full: end < self.input.end(),
            presented,
            any_order: chunk.any_order,
            presumed: chunk.presumed,
            settled: false,
        });
    }

    fn emit_reopening(&mut self, kind: OpeningKind, echo: u64, out: &mut Vec<u8>) -> Option<OpeningSent> {
        let flow = self.flow.as_ref()?;
        let (held, exit) = match &flow.return_to {
            Some(held) => (held, None),
            None => flow.newest().map(|newest| (newest, flow.exit_of(&newest.fields)))?,
        };
        let held = held.clone();
        let rtt = self.rtt.declared();
        let (kind, packets) = match kind {
            OpeningKind::Restart { attempt } => (ClaimKind::Restart { attempt, rtt }, RESTART_WINDOW),
            _ => (ClaimKind::Resume { rtt }, INITIAL_WINDOW),
        };
        // Also what a request without an answer carried before.
        let takes_input = !self.outputs.is_closed() && self.outputs.has_room(0);
        let newest = self.outputs.newest().filter(|_| takes_input);
        let input = newest.and_then(|newest| self.upload.front(&self.input, newest.any_order()));
        let mut wants = Wants::new(self, input.is_some(), input.is_some())?;
        let ranges = wants.fill(u64::from(packets), Form::Whole, Form::Whole);
        if ranges.is_empty() && input.is_none() {
            return None;
        }
        let user_continuation = wants.user_continuation.clone();
        let mut runs = Runs::default();
        runs.push(wire::Run { first: 0, count: packets as u8 }, &ranges);
        self.emit_claim(echo, &held, kind, exit, runs, &user_continuation, input, None, 0, out);
        let sent = Sent { echo, at: self.now };
        let packet_size = self.packet_size;
        Some(OpeningSent { sent, wants: ranges, user_continuation, input: input.is_some(), packet_size })
    }

    fn send_probe(&mut self, out: &mut Vec<u8>) -> bool {
        let Some((selection, indices)) = self.flow.as_ref().and_then(super::Flow::probe) else {
            return false;
        };
        let Some(flow) = &mut self.flow else { return false };
        let (train, kind) = (flow.held[selection.held].clone(), selection.kind);
        let echo = self.echo.fresh();
        // Others may be due as well.
        self.probe = indices.iter().any(|&index| flow.runs[index].is_due());
        let mut runs = Runs::default();
        let mut original = None;
        let mut user_continuation: Arc<[u8]> = Arc::new([]);
        for &index in &indices {
            let run = &mut flow.runs[index];
            let count = (run.positions.end - run.positions.start) as u8;
            if !runs.push(wire::Run { first: run.positions.start, count }, &run.wants) {
                break;
            }
            run.last = Sent { echo, at: self.now };
            run.presented += 1;
            user_continuation = run.user_continuation.clone();
            original = run.input;
        }
        let exit = flow.exit_of(&train.fields);
        let input = original.and_then(|echo| self.upload.again(echo, &self.input));
        self.emit_claim(echo, &train, kind, exit, runs, &user_continuation, input, original, 0, out);
        true
    }

    fn send_claim(&mut self, selection: &Selection, input: Option<Chunk>, out: &mut Vec<u8>) -> bool {
        let Some(flow) = &self.flow else { return false };
        let (train, kind) = (flow.held[selection.held].clone(), selection.kind);
        let exit = flow.exit_of(&train.fields);
        let was_idle = flow.runs.is_empty();
        let ends = input.is_some_and(|chunk| !chunk.more);
        let Some(mut wants) = Wants::new(self, input.is_some(), ends) else { return false };
        let user_continuation = wants.user_continuation.clone();
        let mut fresh = ArrayVec::<Run, MAX_RUNS>::new();
        let echo = wants.client.echo.fresh();
        let sent = Sent { echo, at: wants.client.now };
        // The claim's evidence is there even if there is nothing to ask for under it.
        let mut evidence = None;
        for (index, Owner { positions, numbers }) in selection.runs.iter().enumerate() {
            let count = numbers.end - numbers.start;
            let form = wants.client.flow.as_ref().map_or(Form::Whole, |flow| flow.form(positions.start));
            let ranges = wants.fill(count, form, Form::Absent);
            let with_input = input.is_some() && index == 0;
            if ranges.is_empty() && count > 0 && !with_input {
                evidence =
                    selection.runs.last().filter(|_| selection.has_evidence).map(|run| run.positions.clone());
                break;
            }
            fresh.push(Run {
                positions: positions.clone(),
                numbers: numbers.clone(),
                pending: mask(count),
                wants: ranges.iter().cloned().collect(),
                user_continuation: user_continuation.clone(),
                packet_size: wants.client.packet_size,
                form,
                input: with_input.then_some(echo),
                first: sent,
                last: sent,
                presented: 1,
                answered: None,
                granted_to: None,
                spent: None,
                parked: None,
                delayed: None,
                doubted: None,
            });
        }
        if fresh.is_empty() {
            return false;
        }
        let claimed: u64 = fresh.iter().map(|run| run.numbers.end - run.numbers.start).sum();
        let mut runs = Runs::default();
        let Some(flow) = &mut self.flow else { return false };
        let fresh_wants: usize = fresh.iter().map(|run| run.wants.len()).sum();
        let repeats = match input {
            None => flow.repeats(selection, &user_continuation),
            Some(_) => ArrayVec::new(),
        };
        for index in repeats {
            let run = &mut flow.runs[index];
            let count = (run.positions.end - run.positions.start) as u8;
            let spare = run.wants.len() + fresh_wants <= runs.wants_left();
            if spare && runs.push(wire::Run { first: run.positions.start, count }, &run.wants) {
                run.last = sent;
                run.presented += 1;
            }
        }
        for run in &mut fresh {
            let count = (run.positions.end - run.positions.start) as u8;
            runs.push(wire::Run { first: run.positions.start, count }, &run.wants);
        }
        if let Some(positions) = evidence {
            let count = (positions.end - positions.start) as u8;
            runs.push(wire::Run { first: positions.start, count }, &[]);
        }
        let positions: u64 = fresh.iter().map(|run| run.positions.end - run.positions.start).sum();
        fresh.into_iter().for_each(|run| flow.add_run(run, self.rtt.smoothed()));
        let window = u64::from(flow.window().max(1));
        let slow_start = flow.in_slow_start();
        // Fast enough never to hold the window back.
        let rate = u32::try_from(window * if slow_start { 8 } else { 5 } / 4).unwrap_or(u32::MAX).max(1);
        let interval = self.rtt.smoothed() / rate;
        // A claim that was kept waiting may have become late by a timer. One that was not has nothing to catch up with: it
        // would be a burst that short queues do not hold.
        let waited = self.ready_since.is_some_and(|since| since <= self.pacer.next());
        let late = match (slow_start, waited) {
            (true, false) => Duration::ZERO,
            (true, true) => TIMER_GRANULARITY,
            (false, _) => TIMER_GRANULARITY.max(interval * MAX_BURST),
        };
        self.pacer.claimed(claimed, interval, late, self.now);
        self.ready_since = flow.has_unclaimed().then_some(self.now);
        if was_idle {
            self.active = self.now;
            self.progress = self.now;
            self.backoff = 0;
        }
        // A small train earns small answers, unless the request is as large as a third of what it asks for.
        let earned = 2 * train.fields.bytes_per_number() * positions as usize;
        let expected = self.expected().filter(|_| input.is_some());
        let packets = expected.map_or(claimed, |expected| claimed.min(expected));
        let asked = packets as usize * usize::from(self.packet_size);
        let padding = if earned >= asked { 0 } else { asked.div_ceil(3).min(self.packet_size.into()) };
        self.input_last = input.is_some();
        self.emit_claim(echo, &train, kind, exit, runs, &user_continuation, input, None, padding, out);
        true
    }

    /// How many packets the answer to input may take: as many as the last one, if there was one and its end is known.
    pub(super) fn expected(&self) -> Option<u64> {
        let last = &self.outputs.newest()?.output;
        let known = !last.is_empty() && last.end != u64::MAX;
        known.then(|| (last.end - last.start) / room(self.packet_size, Form::Whole) as u64 + 1)
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of a claim, once each")]
    fn emit_claim(
        &mut self,
        echo: u64,
        train: &HeldTrain,
        kind: ClaimKind,
        exit: Option<crate::epoch::SlowStartExit>,
        runs: Runs,
        user_continuation: &Arc<[u8]>,
        input: Option<Chunk>,
        original: Option<u64>,
        padding: usize,
        out: &mut Vec<u8>,
    ) {
        let mut claim = Claim {
            echo,
            continuation: &train.sealed,
            kind,
            exit,
            packet_size: self.packet_size,
            runs,
            user_continuation,
            input: None,
            presumed: false,
        };
        let mut bytes = std::mem::take(&mut self.copied);
        let mut abbreviated = None;
        if let Some(chunk) = input {
            abbreviated = self.abbreviate(&claim, train, &chunk);
            let overhead = abbreviated.as_ref().map_or(claim.length() + 10, AbbreviatedClaim::length);
            let most = usize::try_from(chunk.end - chunk.start).unwrap_or(usize::MAX);
            let most = most.min(self.input_room(overhead));
            let fin = self.input.copy(chunk.start, most, &mut bytes) && !chunk.any_order;
            let input = Input { offset: chunk.start, bytes: &bytes, fin };
            self.note_input(echo, original, &input, user_continuation.clone(), chunk);
            (claim.input, claim.presumed) = (Some(input), chunk.presumed);
            abbreviated = abbreviated.map(|abbreviated| AbbreviatedClaim { input, ..abbreviated });
        }
        match abbreviated {
            Some(abbreviated) => Request::Abbreviated(abbreviated),
            None => Request::Claim(claim),
        }
        .emit(MIN_CLAIM.max(padding), out);
        bytes.clear();
        self.copied = bytes;
    }

    /// What is said of `claim`, input aside, if the server is believed to remember the rest.
    fn abbreviate(
        &self,
        claim: &Claim<'_>,
        train: &HeldTrain,
        chunk: &Chunk,
    ) -> Option<AbbreviatedClaim<'static>> {
        let HeldTrain { fields, arrived, .. } = train;
        let is_recent = self.now.since(*arrived) < AbbreviatedClaim::MAX_AGE;
        if !chunk.abbreviated || !is_recent || !self.abbreviation.allows(fields, claim.exit) {
            return None;
        }
        let input = Input { offset: chunk.start, bytes: &[], fin: false };
        let abbreviated = AbbreviatedClaim::of(claim, input, fields, &self.outputs.newest()?.mask)?;
        // It cannot say that the input ends.
        let room = self.input_room(abbreviated.length()) as u64;
        let is_long = (chunk.end - chunk.start).saturating_add(abbreviated.length() as u64)
            >= AbbreviatedClaim::LEAST as u64;
        (is_long && (chunk.any_order || chunk.start + room < self.input.end())).then_some(abbreviated)
    }
}

impl<'a> Wants<'a> {
    /// For input the newest user continuation is presented, otherwise the one of the lowest wanted bytes.
    /// `ends`: bytes behind the known output are wanted, since the answer to the input says what they are.
    fn new(client: &'a mut Client, input: bool, ends: bool) -> Option<Self> {
        let from = client.assembler.read_offset();
        let known_end = client.outputs.known_end();
        let held = if input {
            client.outputs.newest()
        } else {
            client.outputs.next_want(from, client.assembler.limit()).map(|(_, held)| held)
        };
        let held = held.or(client.outputs.newest())?;
        let (user_continuation, covers) = (held.sealed.clone(), held.output.clone());
        Some(Self { client, user_continuation, covers, unknown: ends.then_some(known_end) })
    }

    /// The ranges to ask for under `numbers` numbers; they count as asked for from here on. `first`, `others`: in
    /// which form the packets carry the continuation.
    fn fill(&mut self, numbers: u64, first: Form, others: Form) -> ArrayVec<Range<u64>, MAX_WANTS> {
        let mut ranges = ArrayVec::<Range<u64>, MAX_WANTS>::new();
        let mut number = 0;
        let mut left = room(self.client.packet_size, first);
        while number < numbers
            && let Some(gap) = self.next()
        {
            let mut end = gap.start;
            while end < gap.end && number < numbers {
                if left > DATA_OVERHEAD {
                    let taken = (gap.end - end).min((left - DATA_OVERHEAD) as u64);
                    left -= DATA_OVERHEAD + taken as usize;
                    end += taken;
                }
                if left <= DATA_OVERHEAD {
                    number += 1;
                    left = room(self.client.packet_size, others);
                }
            }
            let full = ranges.len() >= MAX_WANTS / 2;
            match ranges.last_mut() {
                Some(last) if last.end == gap.start => last.end = end,
                _ if full => break,
                _ => ranges.push(gap.start..end),
            }
            self.client.outputs.cover(gap.start..end);
            self.unknown = self.unknown.map(|unknown| unknown.max(end));
        }
        ranges
    }

    /// The next bytes to ask for.
    fn next(&self) -> Option<Range<u64>> {
        let client = &self.client;
        let (from, limit) = (client.assembler.read_offset(), client.assembler.limit());
        if let Some((want, held)) = client.outputs.next_want(from, limit)
            && Arc::ptr_eq(&held.sealed, &self.user_continuation)
        {
            return Some(want);
        }
        // Behind the known output comes what the answer to the input says.
        let start = self.unknown.filter(|_| self.covers.end <= client.outputs.known_end())?;
        (start < limit).then_some(start..limit)
    }
}
