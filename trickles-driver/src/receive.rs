//! Receiving many datagrams with one system call, into memory that is used again.

use std::array;
use std::io::{self, IoSliceMut};
use std::task::{Context, Poll, ready};

use quinn_udp::{BATCH_SIZE, RecvMeta};

use crate::runtime::AsyncUdpSocket;

/// Room for any UDP datagram, and for any number of them that the system has coalesced.
const BUFFER_SIZE: usize = 1 << 16;
/// So many useless datagrams in a row are looked at, of those that the system has coalesced.
const MAX_USELESS: u32 = 4;

/// Datagrams received together.
#[derive(Debug)]
pub(crate) struct ReceiveBatch {
    bytes: Vec<u8>,
    meta: Vec<RecvMeta>,
    filled: usize,
    /// Buffer and offset of the first datagram that was not [passed](Self::pass).
    front: (usize, usize),
    /// How many in a row were useless, up to the front and in its buffer.
    useless: u32,
    overlooked: u64,
}

impl ReceiveBatch {
    /// `buffers`: how many are filled at once, at most. The memory counts only where datagrams were put.
    pub(crate) fn new(buffers: usize) -> Self {
        let buffers = buffers.clamp(1, BATCH_SIZE);
        let (bytes, meta) = (vec![0; buffers * BUFFER_SIZE], vec![RecvMeta::default(); buffers]);
        Self { bytes, meta, filled: 0, front: (0, 0), useless: 0, overlooked: 0 }
    }

    /// Replaces the batch with what the socket has, at least one datagram.
    pub(crate) fn poll(&mut self, socket: &dyn AsyncUdpSocket, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.filled = 0;
        self.front = (0, 0);
        self.useless = 0;
        let buffers = self.meta.len();
        let mut rest = self.bytes.chunks_exact_mut(BUFFER_SIZE);
        let mut slices: [_; BATCH_SIZE] =
            array::from_fn(|_| IoSliceMut::new(rest.next().unwrap_or_default()));
        self.filled = ready!(socket.poll_recv(cx, &mut slices[..buffers], &mut self.meta))?;
        Poll::Ready(Ok(()))
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
    /// What the system has coalesced came from one sender at once: after a few useless datagrams in a row the
    /// others are passed too. So a flood costs little more than receiving it, which is what keeps the system's
    /// queue from filling up, where it would push out other senders' datagrams.
    pub(crate) fn pass(&mut self, of_use: bool) {
        let (buffer, offset) = self.front;
        let Some(meta) = self.meta.get(buffer) else { return };
        self.useless = if of_use { 0 } else { self.useless + 1 };
        let stride = meta.stride.max(1);
        let next = offset + stride;
        if next < meta.len && self.useless < MAX_USELESS {
            self.front = (buffer, next);
            return;
        }
        self.overlooked += meta.len.saturating_sub(next).div_ceil(stride) as u64;
        self.useless = 0;
        self.front = (buffer + 1, 0);
    }

    /// How many datagrams were passed without a look at them.
    pub(crate) fn overlooked(&self) -> u64 {
        self.overlooked
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
