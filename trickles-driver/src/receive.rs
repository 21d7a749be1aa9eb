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
}

impl ReceiveBatch {
    /// `buffers`: how many are filled at once, at most. The memory counts only where datagrams were put.
    pub(crate) fn new(buffers: usize) -> Self {
        let buffers = buffers.clamp(1, BATCH_SIZE);
        Self { bytes: vec![0; buffers * BUFFER_SIZE], meta: vec![RecvMeta::default(); buffers], filled: 0 }
    }

    /// Replaces the batch with what the socket has, at least one datagram.
    pub(crate) fn poll(&mut self, socket: &dyn AsyncUdpSocket, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.filled = 0;
        let buffers = self.meta.len();
        let mut rest = self.bytes.chunks_exact_mut(BUFFER_SIZE);
        let mut slices: [_; BATCH_SIZE] =
            array::from_fn(|_| IoSliceMut::new(rest.next().unwrap_or_default()));
        self.filled = ready!(socket.poll_recv(cx, &mut slices[..buffers], &mut self.meta))?;
        Poll::Ready(Ok(()))
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
