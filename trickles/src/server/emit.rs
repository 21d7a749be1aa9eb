//! From an answer to trains: which positions are granted, what travels under their numbers, and the
//! continuation that seals each train.

use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use arrayvec::ArrayVec;

use super::admit::SLOT;
use super::answer::{Answer, Packet};
use super::{Minisocket, Outbox, Reset, Server};
use crate::continuation::{Continuation, ROOTED_STEP, SEALED_LENGTH};
use crate::epoch::Epoch;
use crate::key_ring::Purpose;
use crate::nonce::{self, Nonces};
use crate::replay::{BLOCK_NUMBERS, FIRST_MARK_BLOCK, blocks};
use crate::time::Timestamp;
use crate::wire::codec::Write;
use crate::wire::{Cursor, Form, Frame, Frames, MAX_TRAIN, Run, TRAIN_HEADER, Train, room};

/// A frame with a continuation.
type ContinuationFrame = ArrayVec<u8, { Form::Whole.length() }>;

impl Server {
    /// The nonces of a continuation's epoch.
    pub(super) fn nonces(&self, continuation: &Continuation) -> Nonces<'_> {
        let keys = self.seal.ring.get(continuation.birth_key).unwrap_or_else(|| self.seal.ring.signing());
        let tag = continuation.tag;
        let epoch = &continuation.epoch;
        let exit = epoch.exit.zip(epoch.exit_number()).map(|(exit, first)| {
            // From the exit on the declaration is part of the tag: what one fork reveals proves nothing in another.
            let words = [tag, u64::from(exit.position) << 32 | u64::from(exit.rtt)];
            (first, nonce::prf(&keys.tag, &words))
        });
        Nonces::new(&keys.nonce, tag, exit)
    }

    /// The first packets of a new epoch: each carries the continuation, and the last one stands for all
    /// numbers of the window that there were no bytes for, so that a short answer does not shrink it.
    pub(super) fn open_epoch(
        &mut self,
        minisocket: &Minisocket<'_>,
        epoch: Epoch,
        packets: u8,
        slot: Option<u64>,
        now: Timestamp,
        answer: &mut Answer<'_>,
    ) -> Result<(), Reset> {
        let Some((_, wants)) = minisocket.runs.iter().next() else { return Ok(()) };
        let mut cursor = Cursor::new(wants);
        for number in epoch.base..epoch.base + u64::from(packets) {
            let whole = Form::Whole;
            if answer.stopped || !answer.packet(&mut cursor, whole, whole, number..number + 1, number)? {
                break;
            }
        }
        let Some(last) = answer.packets.last_mut() else { return Ok(()) };
        last.numbers.end = epoch.base + u64::from(epoch.growth.window0);
        let parent = minisocket.continuation;
        let mut continuation = parent;
        if let Some(slot) = slot {
            let (block, mark) = (FIRST_MARK_BLOCK + slot / BLOCK_NUMBERS, 1 << (slot % BLOCK_NUMBERS));
            let granted = self.filter.grant(minisocket.shard, parent.flow, block, mark, now) != 0;
            if !granted || !self.is_remembered(&parent, minisocket.shard, now) {
                answer.packets.clear();
                return Ok(());
            }
            let port = minisocket.client.port();
            continuation = self.birth(parent.stream, parent.flow, parent.tag, epoch, port, now);
        }
        // As good as the full window it stands for: a new connection could have had that.
        continuation.bytes = u32::from(minisocket.packet_size) * epoch.growth.window0;
        self.queue_trains(minisocket, &continuation, true, answer);
        Ok(())
    }

    pub(super) fn grant_runs(
        &mut self,
        minisocket: &Minisocket<'_>,
        lost: Option<(u64, Epoch, u64)>,
        now: Timestamp,
        answer: &mut Answer<'_>,
    ) -> Result<(), Reset> {
        let presented = minisocket.continuation;
        let mut current = presented;
        current.key = self.seal.ring.signing_id();
        current.issuer = self.issuer;
        current.issued = now;
        current.port = minisocket.client.port();
        for (run, wants) in minisocket.runs.iter() {
            if answer.stopped {
                break;
            }
            let mut continuation = match lost {
                Some((lost, epoch, tag)) if run.first > lost => Continuation { epoch, tag, ..current },
                _ => current,
            };
            self.fill_run(minisocket, &continuation.epoch, run, wants, answer)?;
            // Output that is yet to appear for one run does not keep another from what there is.
            answer.stopped &= answer.cut;
            self.mark_run(minisocket, run, now, answer);
            if let Some(first) = answer.packets.first() {
                // What lies above a position of the presented train had to prove that train first, except in a
                // flight, of which nothing is proven.
                let renewed = lost.is_none() && first.position >= presented.first;
                let rooted = if renewed { presented.issued } else { presented.rooted };
                let ago = (now.since(rooted).as_micros() as u64).next_multiple_of(ROOTED_STEP.into());
                continuation.rooted = now - Duration::from_micros(ago);
                self.queue_trains(minisocket, &continuation, false, answer);
            }
        }
        Ok(())
    }

    /// Lays the wants of a run over its numbers and fills packets for the positions not granted before.
    fn fill_run(
        &self,
        minisocket: &Minisocket<'_>,
        epoch: &Epoch,
        run: Run,
        wants: &[Range<u64>],
        answer: &mut Answer<'_>,
    ) -> Result<(), Reset> {
        let flow = minisocket.continuation.flow;
        let taken = run_bits(run, |block, mask| self.filter.granted(minisocket.shard, flow, block) & mask);
        let numbers = epoch.share(&run.positions());
        if numbers.end - numbers.start > MAX_TRAIN {
            return Ok(());
        }
        let mut cursor = Cursor::new(wants);
        let shares = epoch.shares(run.positions());
        let first = Form::first(epoch, run.first);
        let form = |number: u64| if number == numbers.start { first } else { Form::Absent };
        for (index, (position, owned)) in run.positions().zip(shares).enumerate() {
            let alone = Form::first(epoch, position);
            if taken >> index & 1 == 1 {
                for number in owned {
                    cursor.fill(room(minisocket.packet_size, form(number)), |_| {});
                }
                continue;
            }
            let filled = answer.packets.len();
            for number in owned.clone() {
                let own = number..number + 1;
                if answer.stopped || !answer.packet(&mut cursor, form(number), alone, own, position)? {
                    answer.stopped = true;
                    break;
                }
            }
            if answer.packets.len() > filled {
                answer.granted += 1;
                // One packet may stand for both numbers of its position.
                if let Some(last) = answer.packets.last_mut() {
                    last.numbers.end = owned.end;
                }
            }
            if answer.stopped {
                break;
            }
        }
        Ok(())
    }

    /// Marks the positions of the packets just filled and drops those that someone else was granted.
    fn mark_run(&self, minisocket: &Minisocket<'_>, run: Run, now: Timestamp, answer: &mut Answer<'_>) {
        let bit = |packet: &Packet| 1u64 << (packet.position - run.first);
        let filled = answer.packets.iter().fold(0, |bits, packet| bits | bit(packet));
        let flow = minisocket.continuation.flow;
        let mut granted = run_bits(run, |block, mask| {
            let base = block * BLOCK_NUMBERS;
            let wanted =
                if base >= run.first { filled >> (base - run.first) } else { filled << (run.first - base) };
            match wanted as u32 & mask {
                0 => 0,
                wanted => self.filter.grant(minisocket.shard, flow, block, wanted, now),
            }
        });
        // Meanwhile the filter may have forgotten what was granted before.
        if !self.is_remembered(&minisocket.continuation, minisocket.shard, now) {
            granted = 0;
        }
        answer.packets.retain(|packet| granted & bit(packet) != 0);
    }

    /// Turns the packets filled so far into trains of consecutive numbers, seals and queues them. `opening`: each
    /// packet carries the continuation.
    fn queue_trains(
        &mut self,
        minisocket: &Minisocket<'_>,
        template: &Continuation,
        opening: bool,
        answer: &mut Answer<'_>,
    ) {
        let mut packets = std::mem::take(&mut answer.packets);
        let mut end = answer.outbox.bytes.len();
        for train in packets.chunk_by_mut(|before, after| before.numbers.end == after.numbers.start) {
            let (Some(first), Some(last)) = (train.first(), train.last()) else { continue };
            let numbers = first.numbers.start..last.numbers.end;
            let mut continuation = *template;
            continuation.first = numbers.start;
            continuation.count = (numbers.end - numbers.start) as u8;
            let mut form = Form::Whole;
            if !opening {
                form = Form::first(&template.epoch, first.position);
                continuation.earned = first.position;
                // A packet behind a full one counts as full: that there was no more to send is no sign of the path.
                let bytes = match train.len() {
                    1 => (last.length + form.length()).min(answer.packet_size),
                    _ => usize::from(continuation.count) * answer.packet_size,
                };
                continuation.bytes = bytes as u32;
            }
            let frame = self.continuation_frame(&continuation, form, minisocket.client);
            answer.issued = Some(continuation);
            let last_index = train.len() - 1;
            let mut nonces = self.nonces(template);
            for (index, packet) in train.iter_mut().enumerate() {
                // A queue that overflows loses the end of a burst rather than its beginning.
                if opening || index == 0 {
                    answer.append_continuation(packet, &frame);
                }
                let header = Train {
                    echo: minisocket.echo,
                    refresh: false,
                    number: packet.numbers.start as u32,
                    span: (packet.numbers.end - packet.numbers.start) as u8,
                    left: (numbers.end - packet.numbers.end) as u8,
                    nonce: nonces.of(packet.numbers.clone()),
                    frames: Frames::default(),
                };
                answer.outbox.bytes[packet.start..packet.start + TRAIN_HEADER]
                    .copy_from_slice(&header.header());
            }
            for (index, packet) in train.iter().enumerate() {
                // All packets of a train but the last are full.
                let length = if index == last_index { packet.length } else { answer.packet_size };
                end = packet.start + length;
                self.queue(packet.start..end, answer.outbox);
                answer.emitted += 1;
            }
        }
        // So that the next answer can leave with this one.
        answer.outbox.bytes.truncate(end);
        packets.clear();
        answer.packets = packets;
    }

    /// A continuation, sealed, as the frame that carries it.
    fn continuation_frame(
        &self,
        continuation: &Continuation,
        form: Form,
        client: SocketAddr,
    ) -> ContinuationFrame {
        let body = continuation.encode();
        let keys = self.seal.ring.signing();
        let tag = self.seal.tag(keys, Purpose::Continuation, Some(client.ip()), &body);
        let mut frame = ContinuationFrame::new();
        match form {
            Form::Absent => {}
            Form::Abbreviated => {
                let (fields, exit) = (continuation.abbreviate(&tag), continuation.epoch.exit.is_some());
                Frame::Abbreviated { fields: &fields, exit }.write_to(&mut frame);
            }
            Form::Whole => {
                let mut sealed = [0; SEALED_LENGTH];
                sealed[..body.len()].copy_from_slice(&body);
                sealed[body.len()..].copy_from_slice(&tag);
                Frame::Continuation(&sealed).write_to(&mut frame);
            }
        }
        frame
    }

    /// Answers an authentic but old continuation with a new epoch of one number, in less than the request had.
    pub(super) fn refresh(
        &mut self,
        stale: &Continuation,
        echo: u64,
        client: SocketAddr,
        now: Timestamp,
        request_length: usize,
        outbox: &mut Outbox,
    ) {
        let acked = stale.earned.saturating_sub(stale.epoch.base);
        let Some(epoch) = stale.epoch.resume(acked, 1, stale.epoch.rtt(), now) else { return };
        let slot = now.as_micros() / SLOT.as_micros() as u64;
        let (block, mark) = (FIRST_MARK_BLOCK + slot / BLOCK_NUMBERS, 1 << (slot % BLOCK_NUMBERS));
        let length = TRAIN_HEADER + Form::Whole.length();
        if request_length <= length
            || !self.notices.take(now, self.config.notices_per_second)
            || self.filter.grant(Self::shard(client.ip()), stale.flow, block, mark, now) == 0
        {
            return;
        }
        let mut continuation = self.birth(stale.stream, stale.flow, stale.tag, epoch, client.port(), now);
        continuation.bytes = length as u32;
        let frame = self.continuation_frame(&continuation, Form::Whole, client);
        let train = Train {
            echo,
            refresh: true,
            number: epoch.base as u32,
            span: 1,
            left: 0,
            nonce: self.nonces(&continuation).of(epoch.base..epoch.base + 1),
            frames: Frames::default(),
        };
        let start = outbox.bytes.len();
        outbox.bytes.put(&train.header());
        outbox.bytes.put(&frame);
        self.queue(start..outbox.bytes.len(), outbox);
    }
}

/// What `of` says about each block of a run, as one bit for each of its positions.
fn run_bits(run: Run, mut of: impl FnMut(u64, u32) -> u32) -> u64 {
    blocks(run.positions()).fold(0, |bits, (block, mask)| {
        let base = block * BLOCK_NUMBERS;
        let found = u64::from(of(block, mask));
        bits | if base >= run.first { found << (base - run.first) } else { found >> (run.first - base) }
    })
}
