//! async-io and async-global-executor as the driver sees them.

use std::future::Future;
use std::io::{self, ErrorKind, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use async_io::Async;
use trickles_driver::udp::{RecvMeta, Transmit};
use trickles_driver::{AsyncTimer, AsyncUdpSocket, Datagrams, Runtime};

/// The reactor and the executor that every program has, whatever else it runs.
#[derive(Debug)]
pub(crate) struct GlobalRuntime;

impl Runtime for GlobalRuntime {
    fn spawn(&self, task: Pin<Box<dyn Future<Output = ()> + Send>>) {
        async_global_executor::spawn(task).detach();
    }

    fn new_timer(&self, at: Instant) -> Pin<Box<dyn AsyncTimer>> {
        Box::pin(Timer(async_io::Timer::at(at)))
    }

    fn wrap_udp_socket(&self, socket: UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        let datagrams = Datagrams::new(&socket)?;
        Ok(Arc::new(Socket { io: Async::new(socket)?, datagrams }))
    }
}

#[derive(Debug)]
struct Timer(async_io::Timer);

impl AsyncTimer for Timer {
    fn reset(mut self: Pin<&mut Self>, at: Instant) {
        self.0.set_at(at);
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(cx).map(drop)
    }
}

#[derive(Debug)]
struct Socket {
    io: Async<UdpSocket>,
    datagrams: Datagrams,
}

impl AsyncUdpSocket for Socket {
    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        loop {
            // Received first: the reactor speaks only of what comes after it was asked.
            let received = self.datagrams.receive(self.io.get_ref(), buffers, meta);
            if !received.as_ref().is_err_and(|error| error.kind() == ErrorKind::WouldBlock) {
                return Poll::Ready(received);
            }
            ready!(self.io.poll_readable(cx))?;
        }
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.datagrams.send(self.io.get_ref(), transmit)
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.poll_writable(cx)
    }

    fn max_gso_segments(&self) -> usize {
        self.datagrams.max_gso_segments()
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.get_ref().local_addr()
    }
}
