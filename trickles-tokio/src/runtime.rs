//! Tokio as the driver sees it.

use std::future::Future;
use std::io::{self, ErrorKind, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use pin_project::pin_project;
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::time::Sleep;
use trickles_driver::udp::{RecvMeta, Transmit, UdpSocketState};
use trickles_driver::{AsyncTimer, AsyncUdpSocket, Runtime};

/// The tokio runtime in whose context it is used.
#[derive(Debug)]
pub(crate) struct TokioRuntime;

impl Runtime for TokioRuntime {
    fn spawn(&self, task: Pin<Box<dyn Future<Output = ()> + Send>>) {
        tokio::spawn(task);
    }

    fn new_timer(&self, at: Instant) -> Pin<Box<dyn AsyncTimer>> {
        Box::pin(Timer(tokio::time::sleep_until(at.into())))
    }

    fn wrap_udp_socket(&self, socket: std::net::UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        let state = UdpSocketState::new((&socket).into())?;
        let connected = socket.peer_addr().is_ok();
        Ok(Arc::new(Socket { io: UdpSocket::from_std(socket)?, state, connected }))
    }
}

#[pin_project]
#[derive(Debug)]
struct Timer(#[pin] Sleep);

impl AsyncTimer for Timer {
    fn reset(self: Pin<&mut Self>, at: Instant) {
        self.project().0.reset(at.into());
    }

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Future::poll(self.project().0, cx)
    }
}

#[derive(Debug)]
struct Socket {
    io: UdpSocket,
    state: UdpSocketState,
    connected: bool,
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
            let received =
                self.io.try_io(Interest::READABLE, || self.state.recv((&self.io).into(), buffers, meta));
            if !received.as_ref().is_err_and(|error| error.kind() == ErrorKind::WouldBlock) {
                return Poll::Ready(received);
            }
        }
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        if self.connected && transmit.segment_size.is_none() {
            // Some systems refuse a destination on a connected socket; others look up the route each time.
            return self.io.try_send(transmit.contents).map(drop);
        }
        self.io.try_io(Interest::WRITABLE, || self.state.try_send((&self.io).into(), transmit))
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.poll_send_ready(cx)
    }

    fn max_gso_segments(&self) -> usize {
        self.state.max_gso_segments()
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.local_addr()
    }
}
