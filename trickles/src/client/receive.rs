//! What arrives: numbered packets, refusals and notices, and what it means when nothing does.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::flow::{Arrival, Flow};
use super::run::{Run, mask};
use super::step::TIMER_GRANULARITY;
use super::timers::MIN_RTO;
use super::{Assembler, Client, Failure, Opening, OpeningKind, Outputs, SlowStart};
use crate::continuation::Continuation;
use crate::stats::Discard;
use crate::time::Timestamp;
use crate::user_continuation::UserContinuation;
use crate::wire::{Form, Frame, Notice, OFFSET_BITS, Response, Train, nearest};

/// Longest time a server can ask to be left alone.
const MAX_PENDING: Duration = Duration::from_secs(30);

impl Client {
    /// Takes a datagram that came from the server's address.
    pub fn handle_datagram(&mut self, datagram: &[u8], now: Timestamp) {
        self.take_datagram(datagram, false, now);
    }

    /// The same for one that a queue on its way has marked because it is about to overflow: with ECN codepoint CE (RFC
    /// 3168). Its bytes are taken, and the window falls as if it had been lost (docs/protocol.md 7.32).
    pub fn handle_marked_datagram(&mut self, datagram: &[u8], now: Timestamp) {
        self.take_datagram(datagram, true, now);
    }

    fn take_datagram(&mut self, datagram: &[u8], marked: bool, now: Timestamp) {
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
            Some(Response::Train(train)) => self.handle_train(&train, marked),
        };
        if let Some(discard) = discard {
            self.stats.discard(discard);
        }
        self.detect_losses();
    }

    fn handle_train(&mut self, train: &Train<'_>, marked: bool) -> Option<Discard> {
        // Most packets have nothing but data.
        let others = train.frames.has_others();
        let whole = match others.then(|| self.take_continuation(train)).transpose() {
            Ok(whole) => whole.flatten(),
            Err(discard) => return Some(discard),
        };
        let Some(flow) = &mut self.flow else { return Some(Discard::Unrelated) };
        let numbers = match whole {
            Some(fields) => train.numbers(fields.first).filter(|_| flow.knows(&fields)),
            // What answers a request from before the flow was opened has none of its numbers.
            None => train.numbers(flow.highest).filter(|_| self.echo.count(train.echo) > flow.opened),
        };
        self.progress = self.now;
        self.refusals = 0;
        let outputs = &mut self.outputs;
        let assembler = &self.assembler;
        let mut release = |range: Range<u64>| release(outputs, assembler, range);
        let first = numbers.as_ref().filter(|_| others).map(|numbers| numbers.start);
        let presented = first.and_then(|number| flow.presented(number));
        let arrival = match &numbers {
            Some(numbers) => {
                // Where all packets are marked that is the path's mistake, and no sign of its queues.
                let marked = marked && self.unmarked;
                flow.receive(train, numbers.clone(), marked, self.now, &mut release)
            }
            None => Arrival::default(),
        };
        self.unmarked |= !marked;
        if arrival.new {
            self.short = arrival.short.unwrap_or(self.short);
        }
        let hold =
            if others { self.take_others(train, first, presented.as_ref(), whole) } else { Duration::ZERO };
        self.take_data(train);
        if arrival.new {
            self.note_arrival(train, arrival.elapsed.map(|elapsed| elapsed.saturating_sub(hold)));
        }
        self.settle_input();
        None
    }

    /// Takes a packet's whole continuation, if it has one: it may begin an epoch.
    fn take_continuation(&mut self, train: &Train<'_>) -> Result<Option<Continuation>, Discard> {
        let whole = train.frames.iter().find_map(|frame| match frame {
            Frame::Continuation(sealed) => Some(sealed),
            _ => None,
        });
        let Some(sealed) = whole else { return Ok(None) };
        let fields =
            Continuation::peek(sealed).filter(|fields| is_of(fields, train)).ok_or(Discard::Field)?;
        if self.stream.is_some_and(|stream| stream != fields.stream) {
            return Err(Discard::Unrelated);
        }
        self.enter_epoch(&fields, train);
        if let Some(flow) = self.flow.as_mut().filter(|flow| flow.knows(&fields)) {
            flow.hold(sealed, fields, self.now);
        }
        Ok(Some(fields))
    }

    /// Takes what else there is in a packet, and returns for how long the server has held the request. `number`: the
    /// first one it stands for, `presented`: the user continuation of the claim that it answers, `issued`: the whole
    /// continuation in it.
    fn take_others(
        &mut self,
        train: &Train<'_>,
        number: Option<u64>,
        presented: Option<&Arc<[u8]>>,
        mut issued: Option<Continuation>,
    ) -> Duration {
        let mut hold = Duration::ZERO;
        let mut is_taken = false;
        let is_opening = issued.is_some();
        for frame in train.frames.iter() {
            match frame {
                Frame::Hold(micros) => {
                    hold = Duration::from_micros(u64::from(micros));
                    if let Some(flow) = self.flow.as_mut().filter(|_| !is_opening) {
                        flow.note_hold();
                    }
                }
                Frame::Abbreviated { fields, exit } => {
                    if let (Some(flow), Some(first)) = (&mut self.flow, number)
                        && let end = first + u64::from(train.span) + u64::from(train.left)
                        && let Some((sealed, fields)) = flow.restore(fields, first..end, exit)
                    {
                        flow.hold(&sealed, fields, self.now);
                        issued = Some(fields);
                    }
                }
                Frame::UserContinuation(sealed) => {
                    let untouched = train.frames.iter().find_map(|frame| match frame {
                        Frame::Stored { offset, length: 0 } => Some(offset),
                        _ => None,
                    });
                    self.take_user_continuation(sealed, train.echo, presented, untouched);
                    is_taken = true;
                }
                Frame::Stored { offset, length } => {
                    is_taken |= length > 0;
                    self.take_stored(offset..offset + u64::from(length), train.echo);
                }
                Frame::Continuation(_) | Frame::Data { .. } => {}
            }
        }
        // An answer says in one packet what became of the input, and under which continuation.
        if let Some(issued) = issued.filter(|_| is_taken && self.upload.find(train.echo).is_some()) {
            self.abbreviation.answered(&issued);
        }
        hold
    }

    fn take_data(&mut self, train: &Train<'_>) {
        for frame in train.frames.iter() {
            if let Frame::Data { offset, bytes } = frame {
                let offset = nearest(offset, OFFSET_BITS, self.assembler.read_offset());
                let end = offset.saturating_add(bytes.len() as u64).min(self.outputs.known_end());
                if offset < end && self.accepts(train.echo, offset) {
                    let bytes = &bytes[..(end - offset) as usize];
                    self.assembler.insert(offset, bytes);
                    let arrived = offset.max(self.assembler.read_offset())..end.min(self.assembler.limit());
                    self.outputs.cover(arrived.start..arrived.end.max(arrived.start));
                }
            }
        }
    }

    /// A user continuation has come: it says how the output goes on, and what the server has consumed.
    /// `untouched`: from where on nothing was consumed, if the answer says so.
    fn take_user_continuation(
        &mut self,
        sealed: &[u8],
        echo: u64,
        presented: Option<&Arc<[u8]>>,
        untouched: Option<u64>,
    ) {
        let user = UserContinuation::peek(sealed).filter(|user| Some(user.stream) == self.stream);
        let Some(user) = user else { return };
        let origin = self.upload.find(user.lineage.echo).map(|request| &request.presented);
        let origin = origin.or(presented.filter(|_| user.lineage.echo == echo));
        let news = self.outputs.learn(sealed, &user, echo, origin);
        if news {
            let (offset, closed) = (user.input.start, user.input_closed);
            self.input.acknowledge(offset, closed);
            self.upload.learn(self.input.offset(), user.any_order);
        }
        let request = self.upload.find(echo);
        let in_vain = request.filter(|request| {
            // What follows a range that was stored was shown to end it: how that goes on is yet to be asked.
            let ends_range = UserContinuation::peek(&request.presented).is_some_and(|user| user.any_order);
            let start = request.range.start;
            user.input.start == start && untouched == Some(start) && !user.any_order && !ends_range
        });
        let Some(request) = in_vain.filter(|_| !user.input_closed && !user.finished) else { return };
        self.input.shown_in_vain(request.range.end);
        if request.full {
            // Asked again, it would say the same.
            self.failure.get_or_insert(Failure::InputRefused);
        }
    }

    /// Bytes that are taken in any order are stored.
    fn take_stored(&mut self, range: Range<u64>, echo: u64) {
        let Some(newest) = self.outputs.newest() else { return };
        let request = self.upload.find(echo).filter(|request| {
            request.any_order
                && Arc::ptr_eq(&request.presented, &newest.sealed)
                && request.range.start == range.start
                && range.end <= request.range.end
        });
        if request.is_some() {
            let front = self.upload.store(range, self.input.offset());
            self.input.acknowledge(front, false);
        }
    }

    /// Whether bytes at `offset` in an answer come from the state this stream goes on with. The same input may
    /// be processed twice, with different states as the result; bytes are taken from one of them only.
    fn accepts(&self, echo: u64, offset: u64) -> bool {
        let Some(request) = self.upload.find(echo) else { return true };
        self.outputs.is_regenerated(offset, &request.presented, echo)
    }

    fn note_arrival(&mut self, train: &Train<'_>, sample: Option<Duration>) {
        // What the old epoch still yields makes its Restart superfluous.
        if matches!(self.opening, Some(Opening { kind: OpeningKind::Restart { .. }, .. })) {
            self.abandon_opening();
        }
        (self.parked_opening, self.pending_until) = (None, Timestamp::ZERO);
        let Some(flow) = &mut self.flow else { return };
        self.active = self.now;
        self.backoff = 0;
        self.probe = self.probe && flow.runs.iter().any(Run::is_due);
        self.ready_since.get_or_insert(self.now);
        flow.measure_rate(self.rtt.smoothed(), self.now);
        self.slow_start.acknowledged(u64::from(train.span));
        if let Some(sample) = sample {
            self.rtt.sample(sample);
            let in_flight = || flow.in_flight();
            if flow.in_slow_start() && self.slow_start.sample(sample, in_flight, self.now) {
                match flow.is_upload {
                    true => flow.exit_slow_start_of_requests(),
                    false => flow.exit_slow_start(self.rtt.declared()),
                }
            }
        }
        if !flow.in_slow_start() {
            self.slow_start = SlowStart::default();
        }
        if train.left == 0 {
            flow.prune();
        }
    }

    /// Enters the epoch of a continuation if it answers an opening, or is a Refresh.
    fn enter_epoch(&mut self, fields: &Continuation, train: &Train<'_>) {
        if self.flow.as_ref().is_some_and(|flow| flow.knows(fields)) {
            return;
        }
        // What has been begun since then is not given up for the answer to a request that was parked.
        let is_idle = self.opening.is_none() && self.flow.as_ref().is_none_or(|flow| flow.runs.is_empty());
        let parked = self.parked_opening.iter().filter(|_| is_idle);
        let mut openings = self.opening.iter().chain(parked);
        let answered = openings.find_map(|opening| {
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
                self.welcome = Some(train.echo);
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
        let carried = answered.as_ref().filter(|(_, sent)| sent.input).map(|(_, sent)| sent.sent.echo);
        self.upload.restart(carried, self.input.offset());
        if let Some((_, sent)) = &answered {
            self.packet_size = sent.packet_size;
        }
        let packet_size = self.packet_size;
        let Some(flow) = &mut self.flow else { return };
        (flow.opened, flow.born) = (self.echo.next, self.now);
        let base = fields.epoch.base;
        let numbers = base..base + u64::from(fields.epoch.growth.window0.min(64));
        if let Some((_, sent)) = answered {
            sent.wants.iter().cloned().for_each(|range| self.outputs.cover(range));
            let opened = Run {
                positions: base..base,
                pending: mask(numbers.end - numbers.start),
                numbers,
                wants: sent.wants.into_iter().collect(),
                user_continuation: sent.user_continuation,
                packet_size,
                form: Form::Whole,
                input: carried,
                first: sent.sent,
                last: sent.sent,
                presented: 1,
                answered: None,
                granted_to: None,
                spent: None,
                parked: None,
                delayed: None,
                doubted: None,
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
            Notice::Forgotten => self.handle_forgotten(echo),
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
        if let Some(flow) = &mut self.flow {
            flow.mark_spent(echo, self.now);
        }
    }

    /// The abbreviated request `echo` was not understood: what it claimed and carried is to be sent anew.
    fn handle_forgotten(&mut self, echo: u64) {
        self.progress = self.now;
        self.abbreviation.refused();
        let (outputs, assembler) = (&mut self.outputs, &self.assembler);
        let mut release = |range| release(outputs, assembler, range);
        if let Some(flow) = &mut self.flow {
            flow.refuse(echo, &mut release);
            flow.take_settled(|echo| self.upload.forget(echo, &self.input));
        }
    }

    /// There is nothing to send yet. What was claimed under `echo` may be answered later; until patience ends
    /// it is not missed.
    fn handle_pending(&mut self, echo: u64, delay: Duration) {
        let until = self.now + delay.min(MAX_PENDING);
        let opening = self.opening.as_mut();
        if let Some(opening) =
            opening.filter(|opening| opening.sent.iter().any(|sent| sent.sent.echo == echo))
        {
            if opening.kind == OpeningKind::Hello {
                opening.send_at = until;
            } else {
                // Input is presented again by a claim, which is what the server answers then.
                let opening = self.abandon_opening();
                self.parked_opening = opening.filter(|opening| opening.sent.iter().all(|sent| !sent.input));
                if self.parked_opening.is_some() {
                    self.pending_until = until;
                }
            }
        } else if !self.flow.as_mut().is_some_and(|flow| flow.park(echo, until)) {
            return;
        }
        self.short = true;
        self.progress = self.progress.max(until);
        self.active = self.now;
        self.backoff = 0;
    }

    /// Gives up a Restart or Resume that was not granted.
    fn abandon_opening(&mut self) -> Option<Opening> {
        let opening = self.opening.take_if(|opening| opening.kind != OpeningKind::Hello)?;
        if let Some(flow) = &mut self.flow {
            (flow.cut_off, flow.return_to) = (None, None);
        }
        for sent in &opening.sent {
            if sent.input {
                self.upload.settle(sent.sent.echo, &self.input);
            }
            for range in sent.wants.iter().cloned() {
                release(&mut self.outputs, &self.assembler, range);
            }
        }
        Some(opening)
    }

    /// What a settled request carried and is not acknowledged has to be sent again.
    fn settle_input(&mut self) {
        if let Some(flow) = &mut self.flow {
            flow.take_settled(|echo| self.upload.settle(echo, &self.input));
        }
    }

    /// Declares losses that are due and enters recovery where that follows.
    pub(super) fn detect_losses(&mut self) {
        let Some(flow) = self.flow.as_mut().filter(|flow| flow.may_have_lost()) else { return };
        let (outputs, assembler) = (&mut self.outputs, &self.assembler);
        let mut release = |range| release(outputs, assembler, range);
        self.probe |= flow.detect_losses(self.rtt.smoothed(), self.now, &mut release);
        self.enter_recovery();
    }

    pub(super) fn enter_recovery(&mut self) {
        if let Some(flow) = self.flow.as_mut().filter(|flow| flow.has_lost_next())
            && let overran = flow.in_slow_start()
            && flow.recover(&self.rtt)
        {
            // The queue that has just overflowed takes no burst, and none at all for a while where twice what it lets go
            // is still on its way to it.
            let drains = self.rtt.smoothed() / if overran { 4 } else { 16 };
            let pause = drains.min(self.rtt.standing());
            self.rtt.start_epoch();
            self.slow_start = SlowStart::default();
            self.pacer.restart(self.now + TIMER_GRANULARITY + pause);
        }
        self.settle_input();
    }
}

/// Whether a continuation can be that of the packet it came in: servers are not trusted with the client's
/// arithmetic.
fn is_of(fields: &Continuation, train: &Train<'_>) -> bool {
    train
        .numbers(fields.first)
        .is_some_and(|numbers| fields.first <= numbers.start && numbers.end <= fields.end())
}

/// Bytes that have not arrived are to be asked for again.
pub(super) fn release(outputs: &mut Outputs, assembler: &Assembler, range: Range<u64>) {
    let limit = range.end.min(outputs.known_end()).max(range.start);
    for gap in assembler.missing(range.start..limit) {
        outputs.release(gap);
    }
    outputs.release(limit..range.end);
}
