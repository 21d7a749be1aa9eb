//! An answer under construction: packets, each in a slot of the outbox that is as long as the largest packet,
//! so that frames can be added to any of them without moving another.

use std::ops::Range;

use super::minisocket::States;
use super::{Outbox, Output, Reset};
use crate::continuation::Continuation;
use crate::wire::codec::Write;
use crate::wire::{Cursor, DATA_OVERHEAD, Form, Frame, Frames, MAX_EMIT, TRAIN_HEADER, data_header};

/// A packet that is yet to be numbered.
#[derive(Clone, Debug)]
pub(super) struct Packet {
    /// Where its slot begins in the outbox.
    pub(super) start: usize,
    /// Its length without padding.
    pub(super) length: usize,
    /// The numbers it stands for.
    pub(super) numbers: Range<u64>,
    /// The position that earned them.
    pub(super) position: u64,
}

/// How many bytes an answer may have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    /// However little is granted.
    pub(super) floor: usize,
    /// For each position granted, if that comes to more.
    pub(super) per_position: usize,
}

pub(super) struct Answer<'a> {
    pub(super) outbox: &'a mut Outbox,
    pub(super) output: &'a mut dyn Output,
    /// Output ranges with the states that regenerate them.
    pub(super) states: States<'a>,
    /// Frames that go into the first packet.
    pub(super) front: Vec<u8>,
    /// How many bytes of these are no reason for a packet: those of a Hold.
    pub(super) hold: usize,
    pub(super) packet_size: usize,
    pub(super) budget: Budget,
    /// Positions granted so far.
    pub(super) granted: usize,
    /// Bytes used so far.
    pub(super) used: usize,
    /// Packets queued so far.
    pub(super) emitted: usize,
    /// There is nothing more to send for this run, or no more may be sent.
    pub(super) stopped: bool,
    /// No more may be sent.
    pub(super) cut: bool,
    /// The application had less than was wanted.
    pub(super) dry: bool,
    /// The continuation of the last train.
    pub(super) issued: Option<Continuation>,
    /// Packets filled but not queued.
    pub(super) packets: Vec<Packet>,
}

impl Answer<'_> {
    /// Fills one packet from `cursor`; whether there was anything to put into it. `form`: which form of
    /// the continuation to leave room for, `alone`: which if the packet turns out to be the first of its train.
    pub(super) fn packet(
        &mut self,
        cursor: &mut Cursor<'_>,
        form: Form,
        alone: Form,
        numbers: Range<u64>,
        position: u64,
    ) -> Result<bool, Reset> {
        let budget = self.budget.floor.max(self.budget.per_position * (self.granted + 1));
        let limit = budget.saturating_sub(self.used).min(self.packet_size);
        // What the budget cuts short is the last packet. It carries the continuation if it turns out to be the only
        // one of its train.
        let cut = limit < self.packet_size;
        let reserve = if cut { alone.length() } else { form.length() };
        let needed = TRAIN_HEADER + self.front.len() + alone.length() + DATA_OVERHEAD;
        if limit <= needed || self.emitted + self.packets.len() >= MAX_EMIT {
            self.cut = true;
            return Ok(false);
        }
        let start = self.outbox.bytes.len();
        // The header follows when the packet is numbered.
        self.outbox.bytes.extend(TRAIN_HEADER);
        self.outbox.bytes.put(&self.front);
        let room = limit - (self.outbox.bytes.len() - start) - reserve;
        let mut exhausted = false;
        let mut failed = None;
        cursor.fill(room, |piece| {
            if exhausted || failed.is_some() {
                return;
            }
            let wanted = piece.end - piece.start;
            match append_data(self.outbox, self.output, &self.states, piece) {
                Ok(read) => exhausted = read < wanted,
                Err(reset) => failed = Some(reset),
            }
        });
        self.dry |= exhausted;
        let length = self.outbox.bytes.len() - start;
        if failed.is_some() || length == TRAIN_HEADER + self.hold {
            self.outbox.bytes.truncate(start);
            return failed.map_or(Ok(false), Err);
        }
        self.front.clear();
        self.hold = 0;
        self.cut |= cut;
        self.stopped |= cut || exhausted;
        self.outbox.bytes.pad(start + self.packet_size);
        // It is padded if another follows.
        self.used += limit;
        self.packets.push(Packet { start, length, numbers, position });
        Ok(true)
    }

    /// Appends a frame with a continuation to a packet, cutting off data where there is no room for it.
    pub(super) fn append_continuation(&mut self, packet: &mut Packet, frame: &[u8]) {
        let slot = &mut self.outbox.bytes[packet.start..packet.start + self.packet_size];
        let start = shorten(slot, packet.length, self.packet_size - frame.len());
        packet.length = start + frame.len();
        slot[start..packet.length].copy_from_slice(frame);
    }
}

/// Appends a data frame with what `output` has of `piece`; returns how many bytes that is.
fn append_data(
    outbox: &mut Outbox,
    output: &mut dyn Output,
    states: &States<'_>,
    piece: Range<u64>,
) -> Result<u64, Reset> {
    let covering = states.iter().find(|(range, _)| range.contains(&piece.start));
    let Some((range, state)) = covering else { return Ok(0) };
    let wanted = piece.end.min(range.end) - piece.start;
    let frame = outbox.bytes.len();
    outbox.bytes.put(&data_header(piece.start, 0));
    let data = outbox.bytes.len();
    let buffer = outbox.bytes.extend(wanted as usize);
    let read = match output.read(state, range.clone(), piece.start, buffer) {
        Ok(read) => read.min(wanted as usize),
        Err(reset) => {
            outbox.bytes.truncate(frame);
            return Err(reset);
        }
    };
    outbox.bytes.truncate(if read == 0 { frame } else { data + read });
    if read > 0 {
        outbox.bytes[data - 2..data].copy_from_slice(&(read as u16).to_be_bytes());
    }
    Ok(read as u64)
}

/// Cuts data frames off the end of a packet until it has at most `limit` bytes; returns its new length.
fn shorten(slot: &mut [u8], length: usize, limit: usize) -> usize {
    let mut length = length;
    while length > limit {
        let mut last = None;
        let mut at = TRAIN_HEADER;
        if let Some(frames) = Frames::parse(&slot[TRAIN_HEADER..length]) {
            for frame in frames.iter() {
                if let Frame::Data { bytes, .. } = frame {
                    last = Some((at, bytes.len()));
                }
                at += frame.length();
            }
        }
        let Some((frame, data)) = last else { break };
        let kept = data.saturating_sub(length - limit);
        let end = if kept == 0 { frame } else { frame + DATA_OVERHEAD + kept };
        if kept > 0 {
            slot[frame + DATA_OVERHEAD - 2..frame + DATA_OVERHEAD]
                .copy_from_slice(&(kept as u16).to_be_bytes());
        }
        slot[end..length].fill(0);
        length = end;
    }
    length
}
