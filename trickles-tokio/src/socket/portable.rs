//! UDP sockets on tokio, wherever it runs.

use std::io::{self, ErrorKind, IoSliceMut};
use std::net::SocketAddr;
use std::task::{Context, Poll, ready};

use tokio::io::Interest;
use tokio::net::UdpSocket;
use trickles_driver::udp::{RecvMeta, Transmit};
use trickles_driver::{AsyncUdpSocket, Datagrams};

#[derive(Debug)]
pub(crate) struct Socket {
    io: UdpSocket,
    /// The same socket.
    std_socket: std::net::UdpSocket,
    datagrams: Datagrams,
}

impl Socket {
    pub(crate) fn new(socket: std::net::UdpSocket) -> io::Result<Self> {
        let datagrams = Datagrams::new(&socket)?;
        Ok(Self { std_socket: socket.try_clone()?, io: UdpSocket::from_std(socket)?, datagrams })
    }
}

impl AsyncUdpSocket for Socket {
    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.io.poll_recv_ready(cx))?;
            let receive = || self.datagrams.receive(&self.std_socket, buffers, meta);
            let received = self.io.try_io(Interest::READABLE, receive);
            if !received.as_ref().is_err_and(|error| error.kind() == ErrorKind::WouldBlock) {
                return Poll::Ready(received);
            }
        }
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.io.try_io(Interest::WRITABLE, || self.datagrams.send(&self.std_socket, transmit))
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.poll_send_ready(cx)
    }

    fn max_gso_segments(&self) -> usize {
        self.datagrams.max_gso_segments()
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.local_addr()
    }
}
