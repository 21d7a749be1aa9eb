//! UDP sockets on tokio where it tells of reading and of writing apart.
//!
//! Of a socket that is registered for both, each datagram that has left the system's buffer is told: one wake-up
//! for every request, for nothing.

use std::io::{self, ErrorKind, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use trickles_driver::udp::{RecvMeta, Transmit};
use trickles_driver::{AsyncUdpSocket, Datagrams};

#[derive(Debug)]
pub(crate) struct Socket {
    io: AsyncFd<UdpSocket>,
    /// Registered for writing, while somebody waits for that.
    writer: Mutex<Option<AsyncFd<UdpSocket>>>,
    datagrams: Datagrams,
}

impl Socket {
    pub(crate) fn new(socket: UdpSocket) -> io::Result<Self> {
        let datagrams = Datagrams::new(&socket)?;
        Ok(Self { io: register(socket, Interest::READABLE)?, writer: Mutex::new(None), datagrams })
    }
}

#[allow(
    deprecated,
    reason = "unsound only for types whose descriptor is not theirs; what replaces it is unsafe"
)]
fn register(socket: UdpSocket, interest: Interest) -> io::Result<AsyncFd<UdpSocket>> {
    AsyncFd::with_interest(socket, interest)
}

impl AsyncUdpSocket for Socket {
    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        loop {
            let mut ready = ready!(self.io.poll_read_ready(cx))?;
            match self.datagrams.receive(self.io.get_ref(), buffers, meta) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => ready.clear_ready(),
                Ok(filled) => {
                    if filled < buffers.len() {
                        // That was all there is, so the next call need not ask the system to find nothing. Whatever
                        // comes from now on is told anew.
                        ready.clear_ready();
                    }
                    return Poll::Ready(Ok(filled));
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.datagrams.send(self.io.get_ref(), transmit)
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = match &mut *writer {
            Some(waiting) => waiting,
            none => none.insert(register(self.io.get_ref().try_clone()?, Interest::WRITABLE)?),
        };
        ready!(waiting.poll_write_ready(cx))?.retain_ready();
        *writer = None;
        Poll::Ready(Ok(()))
    }

    fn max_gso_segments(&self) -> usize {
        self.datagrams.max_gso_segments()
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.get_ref().local_addr()
    }
}
