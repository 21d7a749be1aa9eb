//! What a stream's handle and its task share.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use quinn_udp::Transmit;
use trickles::client::Client;
use trickles::time::Timestamp;

use crate::clock::Clock;
use crate::runtime::AsyncUdpSocket;

/// Most datagrams sent before the other side gets the mutex.
const MAX_TRANSMITS: usize = 64;

pub(super) struct Shared {
    pub(super) socket: Arc<dyn AsyncUdpSocket>,
    pub(super) clock: Clock,
    server: SocketAddr,
    state: Mutex<State>,
}

pub(super) struct State {
    pub(super) client: Client,
    /// When the task will look at the client's timer, if nothing wakes it before.
    pub(super) armed: Timestamp,
    /// Wakes the task.
    pub(super) driver: Option<Waker>,
    /// Whether nobody holds the stream any more.
    pub(super) closed: bool,
    /// Why the task has ended before that.
    pub(super) stopped: Option<ErrorKind>,
    /// The datagram sent last, or, if `unsent`, the one to be sent next.
    datagram: Vec<u8>,
    unsent: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Shared {
    pub(super) fn new(
        socket: Arc<dyn AsyncUdpSocket>,
        server: SocketAddr,
        client: impl FnOnce(Timestamp) -> Client,
    ) -> Self {
        let clock = Clock::from_zero();
        let state = State {
            client: client(clock.now()),
            armed: Timestamp::NEVER,
            driver: None,
            closed: false,
            stopped: None,
            datagram: Vec::new(),
            unsent: false,
            reader: None,
            writer: None,
        };
        Self { socket, clock, server, state: Mutex::new(state) }
    }

    pub(super) fn server(&self) -> SocketAddr {
        self.server
    }

    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// A panic elsewhere leaves the client's state consistent enough to fail or to time out.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does what the application asks for and sends what results from it.
    pub(super) fn call<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let result = act(&mut state);
        // What is unsent already has the task waiting for the socket.
        let backlog = !state.unsent && !self.transmit(&mut state, self.clock.now());
        let earlier = state.client.poll_timeout().is_some_and(|at| at < state.armed);
        let mut wakers = state.wakers(false);
        if backlog || earlier {
            wakers.driver = state.driver.take();
        }
        drop(state);
        wakers.wake();
        result
    }

    /// Sends all that the client has to send, if the socket takes it; whether it did.
    pub(super) fn transmit(&self, state: &mut State, now: Timestamp) -> bool {
        for _ in 0..MAX_TRANSMITS {
            if !state.unsent && !state.client.poll_transmit(now, &mut state.datagram) {
                return true;
            }
            let result = self.send(&state.datagram).or_else(|error| {
                if !is_unreachable(&error) {
                    return Err(error);
                }
                // The error is about an earlier datagram; this one has not been sent.
                state.client.handle_unreachable(now);
                self.send(&state.datagram)
            });
            match result {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    state.unsent = true;
                    return false;
                }
                // Lost, as it might be anywhere on its way.
                Err(error) => tracing::debug!(%error, server = %self.server, "sending failed"),
                Ok(()) => {}
            }
            state.unsent = false;
        }
        false
    }

    fn send(&self, contents: &[u8]) -> io::Result<()> {
        let destination = self.server;
        self.socket.try_send(&Transmit { destination, ecn: None, contents, segment_size: None, src_ip: None })
    }

    /// Ends the task.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let driver = state.driver.take();
        drop(state);
        if let Some(driver) = driver {
            driver.wake();
        }
    }
}

impl State {
    /// Whether a datagram waits for the socket to become writable.
    pub(super) fn is_blocked(&self) -> bool {
        self.unsent
    }

    pub(super) fn wait_to_read<T>(&mut self, cx: &Context<'_>) -> Poll<io::Result<T>> {
        register(&mut self.reader, cx);
        self.pending()
    }

    pub(super) fn wait_to_write<T>(&mut self, cx: &Context<'_>) -> Poll<io::Result<T>> {
        register(&mut self.writer, cx);
        self.pending()
    }

    /// Without the task nobody would end the wait.
    fn pending<T>(&self) -> Poll<io::Result<T>> {
        match self.stopped {
            Some(kind) => {
                Poll::Ready(Err(io::Error::new(kind, "the task that drives this stream has ended")))
            }
            None => Poll::Pending,
        }
    }

    /// Whom to wake. `news`: whether something came from outside the application.
    pub(super) fn wakers(&mut self, news: bool) -> Wakers {
        let over = self.client.failure().is_some() || self.stopped.is_some();
        let reader = if over || self.client.is_readable() { self.reader.take() } else { None };
        let writer = if over || news { self.writer.take() } else { None };
        Wakers { reader, writer, driver: None }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("server", &self.server)
            .field("socket", &self.socket)
            .finish_non_exhaustive()
    }
}

/// Tasks to be woken, once the mutex is free.
#[must_use]
pub(super) struct Wakers {
    reader: Option<Waker>,
    writer: Option<Waker>,
    driver: Option<Waker>,
}

impl Wakers {
    pub(super) fn wake(self) {
        for waker in [self.reader, self.writer, self.driver].into_iter().flatten() {
            waker.wake();
        }
    }
}

pub(super) fn register(slot: &mut Option<Waker>, cx: &Context<'_>) {
    match slot {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *slot = Some(cx.waker().clone()),
    }
}

/// Whether an error is the network's word that nobody listens at the server's address.
pub(super) fn is_unreachable(error: &io::Error) -> bool {
    // Windows says reset.
    matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset)
}
