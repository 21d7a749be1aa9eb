//! Tokio as the driver sees it.

use std::future::Future;
use std::io;
use std::net::UdpSocket;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use pin_project::pin_project;
use tokio::time::Sleep;
use trickles_driver::{AsyncTimer, AsyncUdpSocket, Runtime};

use crate::socket::Socket;

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

    fn wrap_udp_socket(&self, socket: UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        Ok(Arc::new(Socket::new(socket)?))
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
