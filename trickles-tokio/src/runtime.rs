//! Tokio as the driver sees it.

use std::future::Future;
use std::io::{self, ErrorKind, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

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
        Box::pin(Timer(Box::pin(tokio::time::sleep_until(at.into()))))
    }

    fn wrap_udp_socket(&self, socket: std::net::UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        let state = UdpSocketState::new((&socket).into())?;
        let connected = socket.peer_addr().is_ok();
        Ok(Arc::new(Socket { io: UdpSocket::from_std(socket)?, state, connected }))
    }
}
