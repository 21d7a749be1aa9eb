//! From an application's reply to an answer.

use super::answer::{Answer, Budget, Packet};
use super::minisocket::Plan;
use super::{AnswerError, Demand, Minisocket, Next, Outbox, Output, Reply, Server};
use crate::stats::Discard;
use crate::time::Timestamp;
use crate::user_continuation::{Lineage, MAX_STATE, UserContinuation};
use crate::wire::{Frame, Notice};

/// Answers that took less are not worth telling: they are within the noise of a round trip.
const MIN_HOLD_MICROS: u32 = 1000;

/// Memory that answers are put together in.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    front: Vec<u8>,
    sealed: Vec<u8>,
    packets: Vec<Packet>,
}

impl Server {
    /// Answers an event with what the application replies, which has to be what the event
    /// [demands](Minisocket::demand); `output` regenerates the bytes wanted. Positions are granted from the
    /// front for as long as there are bytes; trains to be sent to the event's client are added to `outbox`.
    ///
    /// # Errors
    /// [`AnswerError`] when the reply is not acceptable; nothing is sent then.
    pub fn respond(
        &mut self,
        minisocket: Minisocket<'_>,
        reply: Reply,
        output: &mut dyn Output,
        now: Timestamp,
        outbox: &mut Outbox,
    ) -> Result<(), AnswerError> {
        let now = now.max(minisocket.now);
        check_reply(&minisocket, &reply)?;
        let Scratch { mut front, mut sealed, packets } = std::mem::take(&mut self.scratch);
        front.clear();
        sealed.clear();
        let hold = u32::try_from(now.since(minisocket.now).as_micros()).unwrap_or(u32::MAX);
        if hold >= MIN_HOLD_MICROS {
            Frame::Hold(hold).emit(&mut front);
        }
        let hold = front.len();
        // Two user continuations might not fit into a packet.
        if !matches!(reply, Reply::Next(_)) {
            front.extend_from_slice(&minisocket.front);
        }
        let mut next = None;
        let mut consumed = 0;
        match reply {
            Reply::Next(following) => {
                self.processings = self.processings.wrapping_add(1);
                consumed = following.consumed;
                self.user_continuation(&minisocket, &following, now).seal(&self.seal, &mut sealed);
                Frame::UserContinuation(&sealed).emit(&mut front);
                if let Some(input) = minisocket.input.as_ref().filter(|_| consumed == 0) {
                    // The client is to show more of it, not the same again.
                    Frame::Stored { offset: input.offset, length: 0 }.emit(&mut front);
                }
                next = Some(following);
            }
            Reply::Stored(stored) => {
                let offset = minisocket.input.as_ref().map_or(0, |input| input.offset);
                if let Some(presented) = &minisocket.presented {
                    self.inputs.note_stored(presented, offset..offset + stored as u64);
                }
                Frame::Stored { offset, length: stored as u16 }.emit(&mut front);
            }
            Reply::Output => {}
        }
        let mut answer = Answer {
            outbox,
            output,
            states: minisocket.states(next.as_ref()),
            front,
            hold,
            packet_size: usize::from(minisocket.packet_size),
            budget: budget(&minisocket),
            granted: 0,
            used: 0,
            emitted: 0,
            stopped: false,
            cut: false,
            dry: false,
            issued: None,
            packets,
        };
        let built = match minisocket.plan {
            Plan::Open { epoch, packets, slot } => {
                self.open_epoch(&minisocket, epoch, packets, slot, now, &mut answer)
            }
            Plan::Grant { lost } => self.grant_runs(&minisocket, lost, now, &mut answer),
        };
        let (emitted, dry, issued) = (answer.emitted, answer.dry, answer.issued);
        let (front, packets) = (std::mem::take(&mut answer.front), std::mem::take(&mut answer.packets));
        drop(answer);
        if emitted > 0
            && built.is_ok()
            && let Some(input) = minisocket.input.as_ref().filter(|_| !sealed.is_empty())
        {
            let rest = input.bytes.get(consumed..).unwrap_or_default();
            self.inputs.put(minisocket.continuation.stream, &sealed, rest);
        }
        // What answers input that came too early has a frame that says so.
        if let Some(issued) = issued
            && (minisocket.input.is_some() || !minisocket.front.is_empty())
        {
            self.inputs.note(issued.stream, issued, minisocket.packet_size);
        }
        self.scratch = Scratch { front, sealed, packets };
        let notice = match built {
            Ok(()) if emitted > 0 => return Ok(()),
            Ok(()) if dry => {
                Notice::Pending(u32::try_from(self.config.pending.as_millis()).unwrap_or(u32::MAX))
            }
            Ok(()) => {
                self.stats.discard(Discard::Spent);
                Notice::Spent
            }
            Err(reset) => Notice::Reset(reset.0),
        };
        self.notify(now, minisocket.echo, notice, outbox);
        Ok(())
    }

    /// What follows, as it is sealed.
    fn user_continuation<'n>(
        &self,
        minisocket: &Minisocket<'_>,
        next: &'n Next,
        now: Timestamp,
    ) -> UserContinuation<'n> {
        let user = minisocket.user_continuation();
        let any_order = next.any_order > 0;
        let (offset, closes) = match &minisocket.input {
            // An end that comes before a range that is awaited is shown within it, for the range to end there.
            Some(input) => (input.offset, input.fin && next.consumed == input.bytes.len() && !any_order),
            None => (user.map_or(0, |user| user.input.start), false),
        };
        let start = offset + next.consumed as u64;
        UserContinuation {
            key: self.seal.ring.signing_id(),
            stream: minisocket.continuation.stream,
            output: next.output.clone(),
            finished: next.finished,
            input: start..if any_order { start.saturating_add(next.any_order) } else { u64::MAX },
            any_order,
            input_closed: closes || user.is_some_and(|user| user.input_closed),
            expires: now + self.config.user_continuation_lifetime,
            lineage: minisocket
                .lineage
                .unwrap_or(Lineage { echo: minisocket.echo, processing: self.processings }),
            state: next.state.as_slice().into(),
        }
    }
}

/// How many bytes the answer may have.
fn budget(minisocket: &Minisocket<'_>) -> Budget {
    let triple = 3 * minisocket.request_length;
    match minisocket.plan {
        _ if minisocket.unproven => Budget { floor: triple, per_position: 0 },
        Plan::Open { .. } => Budget { floor: usize::MAX, per_position: 0 },
        Plan::Grant { .. } => {
            Budget { floor: triple, per_position: 2 * minisocket.continuation.bytes_per_number() }
        }
    }
}

/// Whether the reply says what it must, within its limits.
fn check_reply(minisocket: &Minisocket<'_>, reply: &Reply) -> Result<(), AnswerError> {
    let held = minisocket.input.as_ref().map_or(0, |input| input.bytes.len());
    match (minisocket.demand, reply) {
        (Demand::Next | Demand::Output, Reply::Next(next)) => {
            // Input that could not be located is not there to be consumed.
            if next.state.len() > MAX_STATE {
                return Err(AnswerError::StateTooLong(next.state.len()));
            }
            if next.consumed > held {
                return Err(AnswerError::ConsumedTooMuch(next.consumed, held));
            }
            if next.output.start > next.output.end { Err(AnswerError::OutputRange) } else { Ok(()) }
        }
        (Demand::Store, &Reply::Stored(stored)) if stored > held => {
            Err(AnswerError::ConsumedTooMuch(stored, held))
        }
        (Demand::Store, Reply::Stored(_)) | (Demand::Output, Reply::Output) => Ok(()),
        (demand, _) => Err(AnswerError::WrongReply(demand)),
    }
}
