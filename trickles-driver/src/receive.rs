//! Receiving many datagrams with one system call, into memory that is used again.

use std::array;
use std::io::{self, IoSliceMut};
use std::task::{Context, Poll, ready};

use quinn_udp::{BATCH_SIZE, RecvMeta};

use crate::runtime::AsyncUdpSocket;

/// Room for any UDP datagram, and for any number of them that the system has coalesced.
const BUFFER_SIZE: usize = 1 << 16;

/// Datagrams received together.
#[derive(Debug)]
pub(crate) struct ReceiveBatch {
    bytes: Vec<u8>,
    meta: Vec<RecvMeta>,
    filled: usize,
    /// Buffer and offset of the first datagram that was not [passed](Self::pass).
    front: (usize, usize),
}

impl ReceiveBatch {
    /// `buffers`: how many are filled at once, at most. The memory counts only where datagrams were put.
    pub(crate) fn new(buffers: usize) -> Self {
        let buffers = buffers.clamp(1, BATCH_SIZE);
        let (bytes, meta) = (vec![0; buffers * BUFFER_SIZE], vec![RecvMeta::default(); buffers]);
        Self { bytes, meta, filled: 0, front: (0, 0) }
    }

    /// Replaces the batch with what the socket has, at least one datagram.
    pub(crate) fn poll(&mut self, socket: &dyn AsyncUdpSocket, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.filled = 0;
        self.front = (0, 0);
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

    /// Passes the first datagram.
    pub(crate) fn pass(&mut self) {
        let (buffer, offset) = self.front;
        let Some(meta) = self.meta.get(buffer) else { return };
        let next = offset + meta.stride.max(1);
        self.front = if next < meta.len { (buffer, next) } else { (buffer + 1, 0) };
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
