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
use trickles_driver::AsyncUdpSocket;
use trickles_driver::udp::{RecvMeta, Transmit, UdpSocketState};

#[derive(Debug)]
pub(crate) struct Socket {
    io: AsyncFd<UdpSocket>,
    /// Registered for writing, while somebody waits for that.
    writer: Mutex<Option<AsyncFd<UdpSocket>>>,
    state: UdpSocketState,
    connected: bool,
}

impl Socket {
    pub(crate) fn new(socket: UdpSocket) -> io::Result<Self> {
        let state = UdpSocketState::new((&socket).into())?;
        let connected = socket.peer_addr().is_ok();
        Ok(Self { io: register(socket, Interest::READABLE)?, writer: Mutex::new(None), state, connected })
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
            match self.state.recv(self.io.get_ref().into(), buffers, meta) {
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
        let socket = self.io.get_ref();
        if self.connected && transmit.segment_size.is_none() {
            // Some systems refuse a destination on a connected socket; others look up the route each time.
            return socket.send(transmit.contents).map(drop);
        }
        if transmit.segment_size.is_none() && transmit.src_ip.is_none() && transmit.ecn.is_none() {
            // A packet about which there is nothing to say costs less without control messages.
            return socket.send_to(transmit.contents, transmit.destination).map(drop);
        }
        self.state.try_send(socket.into(), transmit)
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
        self.state.max_gso_segments()
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.get_ref().local_addr()
    }
}
