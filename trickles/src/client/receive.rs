//! What arrives: numbered packets, refusals and notices, and what it means when nothing does.

use std::ops::Range;
use std::time::Duration;

use super::flow::Flow;
use super::run::{Run, mask};
use super::{Assembler, Client, Failure, Opening, OpeningKind, Outputs, SlowStart};
use crate::continuation::Continuation;
use crate::stats::Discard;
use crate::time::Timestamp;
use crate::wire::{Frame, Notice, Response, Train};

/// Longest time between restarts while nothing comes back.
const MAX_RESTART_INTERVAL: Duration = Duration::from_millis(500);
/// Longest time a server can ask to be left alone.
const MAX_PENDING: Duration = Duration::from_secs(30);
/// Smallest restart time-out, as the server enforces it.
const MIN_RTO: Duration = Duration::from_millis(200);
/// Most doublings a server accepts.
const MAX_ATTEMPT: u8 = 10;

impl Client {
    /// Takes a datagram that came from the server's address.
    pub fn handle_datagram(&mut self, datagram: &[u8], now: Timestamp) {
        self.now = self.now.max(now);
        self.stats.received += 1;
        let discard = match Response::parse(datagram) {
            None => Some(Discard::Malformed),
            Some(Response::Notice { echo, .. }) | Some(Response::Train(Train { echo, .. }))
                if !self.echo.is_ours(echo) || self.stray_hellos.contains(&echo) =>
            {
                Some(Discard::Unrelated)
            }
            Some(Response::Notice { echo, notice }) => {
                self.handle_notice(echo, notice);
                None
            }
            Some(Response::Train(train)) => self.handle_train(&train),
        };
        if let Some(discard) = discard {
            self.stats.discard(discard);
        }
        self.detect_losses();
    }

    fn handle_train(&mut self, train: &Train<'_>) -> Option<Discard> {
        let mut hold = Duration::ZERO;
        for frame in train.frames.iter() {
            match frame {
                Frame::Hold(micros) => hold = Duration::from_micros(u64::from(micros)),
                Frame::Continuation(sealed) => {
                    let fields = Continuation::peek(sealed).filter(|fields| plausible(fields, train));
                    let Some(fields) = fields else { return Some(Discard::Field) };
                    if self.stream.is_some_and(|stream| stream != fields.stream) {
                        return Some(Discard::Unrelated);
                    }
                    self.enter_epoch(&fields, train);
                    if let Some(flow) = self.flow.as_mut().filter(|flow| flow.knows(&fields)) {
                        flow.hold(sealed, fields, self.now);
                    }
                }
                Frame::UserContinuation(_) | Frame::Data { .. } | Frame::Stored { .. } => {}
            }
        }
        let Some(flow) = &mut self.flow else { return Some(Discard::Unrelated) };
        self.progress = self.now;
        self.refusals = 0;
        let outputs = &mut self.outputs;
        let assembler = &self.assembler;
        let mut release = |range: Range<u64>| release(outputs, assembler, range);
        let arrival = flow.receive(train, self.now, &mut release);
        self.take_frames(train);
        if arrival.new {
            self.note_arrival(train, arrival.elapsed.map(|elapsed| elapsed.saturating_sub(hold)));
        }
        self.settle_input();
        None
    }

    /// Takes user continuations, then data.
    fn take_frames(&mut self, train: &Train<'_>) {
        for frame in train.frames.iter() {
            if let Frame::UserContinuation(sealed) = frame {
                let news = self.outputs.learn(sealed, self.stream, train.echo);
                self.take_acknowledgement(news, train.echo);
            }
        }
        for frame in train.frames.iter() {
            if let Frame::Data { offset, bytes } = frame {
                let end = (offset + bytes.len() as u64).min(self.outputs.known_end());
                if offset < end && self.accepts(train.echo, offset) {
                    let bytes = &bytes[..(end - offset) as usize];
                    self.assembler.insert(offset, bytes);
                    let arrived = offset.max(self.assembler.read_offset())..end.min(self.assembler.limit());
                    self.outputs.cover(arrived.start..arrived.end.max(arrived.start));
                }
            }
        }
    }

    /// A user continuation has come: it says what the server has consumed.
    fn take_acknowledgement(&mut self, news: bool, echo: u64) {
        let answered = self.input_request.is_some_and(|request| request.echo == echo);
        let Some((offset, closed)) = self.outputs.consumed().filter(|_| news || answered) else { return };
        let request = self.input_request.take().filter(|_| answered);
        let progress = self.input.acknowledge(offset, closed, request.map(|request| request.reach));
        if !progress && request.is_some_and(|request| request.full) {
            // Asked again, it would say the same.
            self.failure.get_or_insert(Failure::InputRefused);
        }
    }

    /// Whether bytes at `offset` in an answer come from the state this stream goes on with. The same input may
    /// be processed twice, with different states as the result; bytes are taken from one of them only.
    fn accepts(&self, echo: u64, offset: u64) -> bool {
        match self.input_echoes.iter().find(|input| input.echo == echo) {
            Some(input) if offset >= input.known_end => self.outputs.source(offset) == Some(echo),
            _ => true,
        }
    }

    fn note_arrival(&mut self, train: &Train<'_>, sample: Option<Duration>) {
        // What the old epoch still yields makes its Restart superfluous.
        if matches!(self.opening, Some(Opening { kind: OpeningKind::Restart { .. }, .. })) {
            self.abandon_opening();
        }
        let Some(flow) = &mut self.flow else { return };
        self.active = self.now;
        self.backoff = 0;
        self.probe = false;
        self.ready_since.get_or_insert(self.now);
        self.slow_start.acknowledged(u64::from(train.span));
        if let Some(sample) = sample {
            self.rtt.sample(sample);
            let next = flow.runs.back().map_or(flow.highest, |run| run.numbers.end);
            if flow.in_slow_start() && self.slow_start.sample(train.number, next, flow.in_flight(), sample) {
                flow.exit_slow_start(self.rtt.declared());
            }
        }
        if !flow.in_slow_start() {
            self.slow_start = SlowStart::default();
        }
        flow.prune();
    }

    /// Enters the epoch of a continuation if it answers an opening, or is a Refresh.
    fn enter_epoch(&mut self, fields: &Continuation, train: &Train<'_>) {
        if self.flow.as_ref().is_some_and(|flow| flow.knows(fields)) {
            return;
        }
        let answered = self.opening.as_ref().and_then(|opening| {
            opening
                .sent
                .iter()
                .find(|sent| sent.sent.echo == train.echo)
                .map(|sent| (opening.kind, sent.clone()))
        });
        let newer = self
            .flow
            .as_ref()
            .is_none_or(|flow| fields.flow == flow.tag && fields.epoch.base > flow.epoch.base);
        if !newer || (answered.is_none() && !(train.refresh && self.flow.is_some())) {
            return;
        }
        let mut superseded = Vec::new();
        if let Some(opening) = self.opening.take() {
            if opening.kind == OpeningKind::Hello {
                let others =
                    opening.sent.iter().map(|sent| sent.sent.echo).filter(|&echo| echo != train.echo);
                self.stray_hellos.extend(others);
                self.stream = Some(fields.stream);
            }
            superseded.extend(opening.sent.into_iter().flat_map(|sent| sent.wants));
        }
        let runs = match &mut self.flow {
            Some(flow) => flow.reborn(fields),
            none => {
                *none = Some(Flow::new(fields));
                Default::default()
            }
        };
        for range in runs.into_iter().flat_map(|run| run.wants).chain(superseded) {
            release(&mut self.outputs, &self.assembler, range);
        }
        self.rtt.start_epoch();
        self.slow_start = SlowStart::default();
        self.input_request = self.input_request.filter(|request| request.first_number.is_none());
        let Some(flow) = &mut self.flow else { return };
        let base = fields.epoch.base;
        let numbers = base..base + u64::from(fields.epoch.growth.window0.min(64));
        if let Some((_, sent)) = answered {
            if let Some(request) = self.input_request.as_mut().filter(|_| sent.input) {
                request.first_number = Some(base);
            }
            sent.wants.iter().cloned().for_each(|range| self.outputs.cover(range));
            let opened = Run {
                positions: base..base,
                pending: mask(numbers.end - numbers.start),
                numbers,
                wants: sent.wants,
                user_continuation: sent.user_continuation,
                packet_size: self.config.packet_size,
                input: sent.input,
                first: sent.sent,
                last: sent.sent,
                presented: 1,
                answered: None,
                spent: None,
            };
            flow.add_run(opened, self.rtt.smoothed());
        }
    }

    fn handle_notice(&mut self, echo: u64, notice: Notice) {
        match notice {
            Notice::Spent => self.handle_spent(echo),
            Notice::Pending(millis) => self.handle_pending(echo, Duration::from_millis(u64::from(millis))),
            Notice::Reset(code) => {
                self.failure.get_or_insert(Failure::Reset(code));
            }
            Notice::UnknownKey(_) => self.refused(Failure::UnknownKey),
            Notice::NoService => self.refused(Failure::NoService),
            Notice::Version(version) => self.refused(Failure::Version(version)),
            Notice::Expired => self.refused(Failure::Expired),
        }
    }

    /// What was claimed under `echo` has been answered before: the answers are on their way, or lost.
    fn handle_spent(&mut self, echo: u64) {
        self.progress = self.now;
        if let Some(opening) = &self.opening
            && opening.sent.iter().any(|sent| sent.sent.echo == echo)
        {
            if opening.kind == OpeningKind::Resume {
                self.abandon_opening();
                self.resume_after = self.now + MIN_RTO;
            }
            return;
        }
        let Some(flow) = &mut self.flow else { return };
        for run in flow.runs.iter_mut().filter(|run| run.last.echo == echo && run.answered.is_none()) {
            run.spent.get_or_insert(self.now);
        }
    }

    /// There is nothing to send yet: what was claimed under `echo` is the client's again.
    fn handle_pending(&mut self, echo: u64, delay: Duration) {
        let until = self.now + delay;
        if self.opening.as_ref().is_some_and(|opening| opening.sent.iter().any(|sent| sent.sent.echo == echo))
        {
            self.abandon_opening();
        } else if let Some(flow) = &mut self.flow {
            let back = flow.take_back(|run| run.last.echo == echo && run.answered.is_none());
            if back.is_empty() {
                return;
            }
            for range in back.into_iter().flat_map(|run| run.wants) {
                release(&mut self.outputs, &self.assembler, range);
            }
            self.settle_input();
        }
        self.progress = self.now;
        self.active = self.now;
        self.backoff = 0;
        self.pending_until = until.min(self.now + MAX_PENDING);
    }

    /// Forgets a Restart or Resume that was not granted.
    fn abandon_opening(&mut self) {
        let Some(opening) = self.opening.take_if(|opening| opening.kind != OpeningKind::Hello) else {
            return;
        };
        for range in opening.sent.into_iter().flat_map(|sent| sent.wants) {
            release(&mut self.outputs, &self.assembler, range);
        }
        self.input_request = self.input_request.filter(|request| request.first_number.is_some());
    }

    /// An input request whose run is settled without an acknowledgement has to be repeated.
    fn settle_input(&mut self) {
        let Some(number) = self.input_request.and_then(|request| request.first_number) else { return };
        let open =
            self.flow.as_ref().is_some_and(|flow| flow.runs.iter().any(|run| run.numbers.start == number));
        if !open {
            self.input_request = None;
        }
    }

    /// Declares losses that are due and enters recovery where that follows.
    pub(super) fn detect_losses(&mut self) {
        let Some(flow) = &mut self.flow else { return };
        let (outputs, assembler) = (&mut self.outputs, &self.assembler);
        flow.detect_losses(self.rtt.smoothed(), self.now, &mut |range| release(outputs, assembler, range));
        self.enter_recovery();
    }

    pub(super) fn enter_recovery(&mut self) {
        let Some(flow) = &mut self.flow else { return };
        if flow.recover(self.rtt.declared()) {
            self.rtt.start_epoch();
            self.slow_start = SlowStart::default();
        }
        self.settle_input();
    }

    /// Whether bytes of the stream, or word of its input, have yet to come.
    fn has_work(&self) -> bool {
        let end = self.outputs.known_end().min(self.assembler.limit());
        let from = self.assembler.read_offset();
        let input = !self.input.is_flushed() && !self.outputs.is_closed();
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

    pub(super) fn probe_at(&self) -> Option<Timestamp> {
        let awaited = self.opening.is_none() && self.is_outstanding();
        awaited.then(|| self.active + self.rtt.probe_timeout() * (1 << self.backoff.min(6)))
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

/// Whether a continuation can be that of the packet it came in: servers are not trusted with the client's
/// arithmetic.
fn plausible(fields: &Continuation, train: &Train<'_>) -> bool {
    let numbers = fields.first..fields.end();
    numbers.contains(&train.number) && train.number + u64::from(train.span) <= numbers.end
}

/// Bytes that have not arrived are to be asked for again.
pub(super) fn release(outputs: &mut Outputs, assembler: &Assembler, range: Range<u64>) {
    let limit = range.end.min(outputs.known_end()).max(range.start);
    for gap in assembler.missing(range.start..limit) {
        outputs.release(gap);
    }
    outputs.release(limit..range.end);
}
