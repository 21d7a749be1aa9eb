//! A runtime and a socket that do as they are told, for tests.

use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, ErrorKind, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use quinn_udp::{RecvMeta, Transmit};

use crate::runtime::{AsyncTimer, AsyncUdpSocket, Runtime};

/// Drops its tasks; its timers expire on their second poll.
#[derive(Debug, Default)]
pub(crate) struct FakeRuntime;

#[derive(Debug, Default)]
struct FakeTimer {
    polls: usize,
}

/// What the system does with a transmit of so many bytes in segments of such a size.
type System = fn(length: usize, segment_size: Option<usize>) -> io::Result<()>;

#[derive(Debug)]
pub(crate) struct FakeSocket {
    system: System,
    pub(crate) segments: AtomicUsize,
    /// Polls left until it is writable.
    pub(crate) full: AtomicUsize,
    /// Length and segment size of what was sent.
    sent: Mutex<Vec<(usize, Option<usize>)>>,
    /// Contents and stride of what is there to receive.
    pub(crate) arrived: Mutex<VecDeque<(Vec<u8>, usize)>>,
}

impl FakeSocket {
    pub(crate) fn new(segments: usize, system: System) -> Arc<Self> {
        Arc::new(Self {
            system,
            segments: segments.into(),
            full: 0.into(),
            sent: Mutex::default(),
            arrived: Mutex::default(),
        })
    }

    /// What was sent since the last look.
    pub(crate) fn take_sent(&self) -> Vec<(usize, Option<usize>)> {
        std::mem::take(&mut *self.sent.lock().unwrap())
    }
}

impl AsyncUdpSocket for FakeSocket {
    fn poll_recv(
        &self,
        _: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut arrived = self.arrived.lock().unwrap();
        let count = arrived.len().min(buffers.len());
        for ((contents, stride), (buffer, meta)) in arrived.drain(..count).zip(buffers.iter_mut().zip(meta)) {
            // What does not fit is lost.
            let len = contents.len().min(buffer.len());
            buffer[..len].copy_from_slice(&contents[..len]);
            (meta.len, meta.stride) = (len, stride);
        }
        if count > 0 { Poll::Ready(Ok(count)) } else { Poll::Pending }
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        if self.full.load(Relaxed) > 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        (self.system)(transmit.contents.len(), transmit.segment_size)?;
        self.sent.lock().unwrap().push((transmit.contents.len(), transmit.segment_size));
        Ok(())
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let full = self.full.load(Relaxed).saturating_sub(1);
        self.full.store(full, Relaxed);
        if full == 0 {
            return Poll::Ready(Ok(()));
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn max_gso_segments(&self) -> usize {
        self.segments.load(Relaxed)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok((Ipv4Addr::LOCALHOST, 1).into())
    }
}

impl Runtime for FakeRuntime {
    fn spawn(&self, _: Pin<Box<dyn Future<Output = ()> + Send>>) {}

    fn new_timer(&self, _: Instant) -> Pin<Box<dyn AsyncTimer>> {
        Box::pin(FakeTimer::default())
    }

    fn wrap_udp_socket(&self, _: UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        Ok(FakeSocket::new(1, |_, _| Ok(())))
    }
}

impl AsyncTimer for FakeTimer {
    fn reset(mut self: Pin<&mut Self>, _: Instant) {
        self.polls = 0;
    }

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        self.polls += 1;
        if self.polls > 1 { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// Polls a future that is never pending for long.
pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..1000 {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
    }
    panic!("the future stays pending");
}
