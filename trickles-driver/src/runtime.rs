//! What an async runtime has to provide.

use std::fmt::Debug;
use std::future::Future;
use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use quinn_udp::{RecvMeta, Transmit};

/// An async runtime: background tasks, timers and UDP sockets.
pub trait Runtime: Debug + Send + Sync + 'static {
    /// Runs `task` in the background until it ends. Dropping it ends the stream it drives.
    fn spawn(&self, task: Pin<Box<dyn Future<Output = ()> + Send>>);

    /// A timer that expires at `at`.
    fn new_timer(&self, at: Instant) -> Pin<Box<dyn AsyncTimer>>;

    /// Registers a socket, made non-blocking, with the runtime.
    ///
    /// # Errors
    /// Those of the system, and of a runtime that takes no more sockets.
    fn wrap_udp_socket(&self, socket: UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>>;
}

/// A timer that can be set again and again.
pub trait AsyncTimer: Debug + Send + 'static {
    /// Lets the timer expire at `at` and at no other time.
    fn reset(self: Pin<&mut Self>, at: Instant);

    /// Whether the timer has expired; if not, the task is woken when it does.
    ///
    /// Once expired the timer is not polled again before it is [reset](Self::reset).
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()>;
}

/// A non-blocking UDP socket.
///
/// One task at a time polls it; any number may [`try_send`](Self::try_send) meanwhile.
pub trait AsyncUdpSocket: Debug + Send + Sync + 'static {
    /// Receives what is there, into as many of `buffers` as needed, and describes each in `meta`: how many
    /// were filled. If nothing is there, the task is woken when something comes.
    ///
    /// Both slices have the same length.
    ///
    /// # Errors
    /// Those of the system, among them the network's answers to what was sent before.
    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>>;

    /// Sends, if the system takes it at once. On a connected socket all goes to its peer.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if the system's buffer is full; those of the system.
    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()>;

    /// Whether sending is worth another attempt; if not, the task is woken when it is.
    ///
    /// # Errors
    /// Those of the runtime.
    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Most packets one [`Transmit`] may hold. It drops to 1 when the system turns out not to segment.
    fn max_gso_segments(&self) -> usize;

    /// The address the socket is bound to.
    ///
    /// # Errors
    /// Those of the system.
    fn local_addr(&self) -> io::Result<SocketAddr>;
}
