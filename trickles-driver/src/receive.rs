//! Receiving many datagrams with one system call, into memory that is used again.

mod room;

use std::cell::Cell;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::task::{Context, Poll, ready};

use arrayvec::ArrayVec;
use quinn_udp::{BATCH_SIZE, RecvMeta};
use trickles::wire::is_hello;

use self::room::Room;
use crate::runtime::AsyncUdpSocket;

/// Room for any UDP datagram, and for any number of them that the system has coalesced.
const BUFFER_SIZE: usize = 1 << 16;
/// So many useless datagrams in a row are looked at, of those that one sender has sent.
const MAX_USELESS: u32 = 4;
/// The same after a batch of which most was useless.
const MAX_USELESS_IN_A_FLOOD: u32 = 1;

/// Fewest buffers that the system is offered: one more than is filled where one datagram comes at a time, so that an
/// empty one shows that there are no more.
const MIN_OFFERED: usize = 2;

thread_local! {
    /// Memory of the batches that hold nothing. All on a thread take turns with it: so it stays in the processor's
    /// caches, and an idle client has none. To have it made and cleared would be most of what a short stream costs.
    static SHARED: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Datagrams received together.
#[derive(Debug)]
pub(crate) struct ReceiveBatch {
    /// None while it is [released](Self::release).
    bytes: Vec<u8>,
    meta: Vec<RecvMeta>,
    filled: usize,
    /// Buffer and offset of the first datagram that was not [passed](Self::pass).
    front: (usize, usize),
    /// How many in a row were useless, up to the front and from its sender.
    useless: u32,
    /// How many of the batch were of use, and how many were useless or overlooked.
    passed: (u64, u64),
    /// How many useless ones in a row are looked at.
    patience: u32,
    /// How many buffers the system is offered: to offer more costs time, even if they stay empty.
    offered: usize,
    /// How much of each buffer it is offered.
    room: Room,
    overlooked: u64,
    hellos: u64,
}

impl ReceiveBatch {
    /// `buffers`: how many are filled at once, at most.
    pub(crate) fn new(buffers: usize) -> Self {
        Self::with_memory(buffers, Vec::new())
    }

    /// The same, with memory for all buffers from the beginning: that of a server does not grow.
    pub(crate) fn complete(buffers: usize) -> Self {
        // Zeros the system would hand out only when they are overwritten.
        Self::with_memory(buffers, vec![1; buffers * BUFFER_SIZE])
    }

    fn with_memory(buffers: usize, bytes: Vec<u8>) -> Self {
        let buffers = buffers.clamp(1, BATCH_SIZE);
        Self {
            bytes,
            meta: vec![RecvMeta::default(); buffers],
            filled: 0,
            front: (0, 0),
            useless: 0,
            passed: (0, 0),
            patience: MAX_USELESS,
            offered: MIN_OFFERED.min(buffers),
            room: Room::new(),
            overlooked: 0,
            hellos: 0,
        }
    }

    /// Replaces the batch with what the socket has, at least one datagram.
    pub(crate) fn poll(&mut self, socket: &dyn AsyncUdpSocket, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.filled = 0;
        self.front = (0, 0);
        self.useless = 0;
        let (of_use, useless) = std::mem::take(&mut self.passed);
        if useless > 0 && of_use == 0 {
            // A flood comes in faster than it is worth to be woken for each of its datagrams: whoever else has
            // work on this core goes first, and more of them are received together.
            std::thread::yield_now();
        }
        if useless > of_use {
            self.patience = MAX_USELESS_IN_A_FLOOD;
        } else if of_use > 0 {
            self.patience = MAX_USELESS;
        }
        // The faster a flood is received, the less of what others send it pushes out of the system's queue.
        let flood = self.patience == MAX_USELESS_IN_A_FLOOD;
        let offered = if flood { self.meta.len() } else { self.offered };
        let room = self.room.next(flood);
        if self.bytes.is_empty() {
            self.bytes = SHARED.try_with(Cell::take).unwrap_or_default();
        }
        if self.bytes.len() < offered * BUFFER_SIZE {
            self.bytes.resize(offered * BUFFER_SIZE, 0);
        }
        let buffers = self.bytes.chunks_exact_mut(BUFFER_SIZE).take(offered);
        let mut slices: ArrayVec<_, BATCH_SIZE> =
            buffers.map(|buffer| IoSliceMut::new(&mut buffer[..room])).collect();
        self.filled = ready!(socket.poll_recv(cx, &mut slices, &mut self.meta[..offered]))?;
        self.offered = match self.filled {
            filled if filled == offered => (2 * offered).min(self.meta.len()),
            filled if filled < offered / 4 => (offered / 2).max(MIN_OFFERED.min(self.meta.len())),
            _ => offered,
        };
        Poll::Ready(Ok(()))
    }

    /// Forgets the datagrams, and leaves the memory to others.
    pub(crate) fn release(&mut self) {
        self.filled = 0;
        let bytes = std::mem::take(&mut self.bytes);
        // Where the thread ends, so does its memory.
        _ = SHARED.try_with(|shared| shared.set(bytes));
    }

    /// The first datagram that was not passed.
    pub(crate) fn front(&self) -> Option<(&[u8], &RecvMeta)> {
        let (buffer, offset) = self.front;
        let meta = self.meta[..self.filled].get(buffer)?;
        let contents = &self.bytes[buffer * BUFFER_SIZE..][..meta.len];
        Some((&contents[offset..meta.len.min(offset + meta.stride)], meta))
    }

    /// Passes the first datagram, which has been of use or not.
    ///
    /// After a few useless datagrams in a row from one sender, in a flood after the first, the others that follow
    /// from there are passed too. So a flood costs little more than receiving it, which is what keeps the system's
    /// queue from filling up, where it would push out other senders' datagrams.
    pub(crate) fn pass(&mut self, of_use: bool) {
        let Some((datagram, meta)) = self.front() else { return };
        let (sender, opening) = (meta.addr, is_hello(datagram));
        let (_, offset) = self.front;
        let end = offset + datagram.len();
        self.front = self.after_front();
        self.hellos += u64::from(opening);
        if of_use {
            self.passed.0 += 1;
            self.useless = 0;
            // Several Hellos in one buffer are a flood's, or of a client that can well repeat them.
            if offset == 0 || !opening {
                self.room.reached(end);
            }
        } else {
            self.passed.1 += 1;
            self.useless += 1;
        }
        while self.useless >= self.patience && self.sender() == Some(sender) {
            let count = self.overlook();
            self.hellos += if opening { count } else { 0 };
        }
        if self.sender() != Some(sender) {
            self.useless = 0;
        }
    }

    /// Who sent the first datagram that was not passed.
    fn sender(&self) -> Option<SocketAddr> {
        self.meta[..self.filled].get(self.front.0).map(|meta| meta.addr)
    }

    /// Where the datagram after the front is.
    fn after_front(&self) -> (usize, usize) {
        let (buffer, offset) = self.front;
        let meta = &self.meta[buffer];
        let next = offset + meta.stride.max(1);
        if next < meta.len { (buffer, next) } else { (buffer + 1, 0) }
    }

    /// Goes on to the next buffer: all that is in one comes from one sender. Returns how many that passes.
    fn overlook(&mut self) -> u64 {
        let (buffer, offset) = self.front;
        let meta = &self.meta[buffer];
        let count = (meta.len - offset).div_ceil(meta.stride.max(1)).max(1) as u64;
        self.passed.1 += count;
        self.overlooked += count;
        self.front = (buffer + 1, 0);
        count
    }

    /// How many datagrams were passed without a look at them.
    pub(crate) fn overlooked(&self) -> u64 {
        self.overlooked
    }

    /// How many Hellos were passed, by the looks of them. Those that were overlooked count if what came before them
    /// from their sender was one.
    pub(crate) fn hellos(&self) -> u64 {
        self.hellos
    }

    /// The datagrams in the order they came.
    pub(crate) fn datagrams(&self) -> impl Iterator<Item = (&[u8], &RecvMeta)> {
        let filled = self.meta[..self.filled].iter().zip(self.bytes.chunks_exact(BUFFER_SIZE));
        filled.flat_map(|(meta, buffer)| {
            // The stride of an empty datagram is 0.
            buffer[..meta.len].chunks(meta.stride.max(1)).map(move |datagram| (datagram, meta))
        })
    }
}

#[cfg(test)]
mod tests;
