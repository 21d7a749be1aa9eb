//! What a stream's handle and the task that drives it share.

use std::fmt;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use quinn_udp::Transmit;
use trickles::client::Client;
use trickles::time::Timestamp;

use super::path::Path;
use super::waiters::{Interest, Waiter, Waiters};

/// Most datagrams sent before the other side gets the mutex.
const MAX_TRANSMITS: usize = 64;
/// How long a stream that nobody holds any more goes on for the server to consume what was written.
const LINGER: Duration = Duration::from_secs(60);
/// Most bytes of one system call.
const MAX_BATCH: usize = 60_000;

pub(super) struct Shared {
    pub(super) path: Arc<Path>,
    /// Where the echo values of its requests begin.
    pub(super) id: u64,
    state: Mutex<State>,
}

pub(super) struct State {
    pub(super) client: Client,
    /// When the task will look at the client's timer, if nothing wakes it before.
    pub(super) armed: Timestamp,
    /// Whether the task has been told to look after this stream, and has not done so yet.
    pub(super) called: bool,
    /// Until when the task goes on with it though nobody holds the stream any more.
    pub(super) closed: Option<Timestamp>,
    /// Why the task has given it up before that.
    pub(super) stopped: Option<ErrorKind>,
    batch: DatagramBatch,
    /// What did not go into the batch any more.
    datagram: Vec<u8>,
    waiters: Waiters,
    /// The identifier of the next future that waits.
    next_future: u64,
}

/// Datagrams that leave with one system call.
#[derive(Default)]
struct DatagramBatch {
    bytes: Vec<u8>,
    /// The length of all but the last, which may be shorter.
    segment: usize,
    /// Whether the system has turned out not to take several at once.
    alone: bool,
}

impl DatagramBatch {
    /// Adds a datagram if it fits with the others, of which there are to be at most `most`.
    fn push(&mut self, datagram: &[u8], most: usize) -> bool {
        if self.bytes.is_empty() {
            self.segment = datagram.len();
        } else {
            let whole = self.bytes.len().is_multiple_of(self.segment);
            let full = self.bytes.len() / self.segment >= most;
            if !whole
                || full
                || datagram.len() > self.segment
                || self.bytes.len() + datagram.len() > MAX_BATCH
            {
                return false;
            }
        }
        self.bytes.extend_from_slice(datagram);
        true
    }
}

impl Shared {
    pub(super) fn new(path: Arc<Path>, client: Client) -> Self {
        let id = client.echo_origin();
        let state = State {
            client,
            armed: Timestamp::NEVER,
            // It begins among those that the task is to look after.
            called: true,
            closed: None,
            stopped: None,
            batch: DatagramBatch { alone: !path.offload, ..DatagramBatch::default() },
            datagram: Vec::new(),
            waiters: Waiters::default(),
            next_future: 0,
        };
        Self { path, id, state: Mutex::new(state) }
    }

    /// A panic elsewhere leaves the client's state consistent enough to fail or to time out.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends what results from something that the application has done.
    pub(super) fn follow(&self, mut state: MutexGuard<'_, State>) {
        // What is unsent already has the task waiting for the socket.
        let backlog = !state.is_blocked() && !self.transmit(&mut state, self.path.clock.now());
        let earlier = state.client.poll_timeout().is_some_and(|at| at < state.armed);
        let call = (backlog || earlier) && !std::mem::replace(&mut state.called, true);
        let mut wakers = Vec::new();
        state.take_wakers(&mut wakers);
        drop(state);
        if call {
            self.path.call(self.id);
        }
        wake(&mut wakers);
    }

    /// Sends all that the client has to send, if the socket takes it; whether it did.
    pub(super) fn transmit(&self, state: &mut State, now: Timestamp) -> bool {
        let most = if state.batch.alone { 1 } else { self.path.socket.max_gso_segments() };
        for _ in 0..MAX_TRANSMITS {
            if state.datagram.is_empty() && !state.client.poll_transmit(now, &mut state.datagram) {
                return self.flush(state, now);
            }
            if !state.batch.push(&state.datagram, most) {
                if !self.flush(state, now) {
                    return false;
                }
                state.batch.push(&state.datagram, most);
            }
            state.datagram.clear();
        }
        self.flush(state, now);
        false
    }

    /// Sends the batch, unless the socket is full; whether it was not.
    fn flush(&self, state: &mut State, now: Timestamp) -> bool {
        let State { batch, client, .. } = state;
        if batch.bytes.is_empty() {
            return true;
        }
        let segmented = batch.bytes.len() > batch.segment;
        let result = self.send(&batch.bytes, segmented.then_some(batch.segment)).or_else(|error| {
            if !is_unreachable(&error) {
                return Err(error);
            }
            // The error is about an earlier datagram; this one has not been sent.
            client.handle_unreachable(now);
            self.send(&batch.bytes, segmented.then_some(batch.segment))
        });
        match result {
            Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
            Err(_) if segmented => {
                // Of what the system does not segment, what it does not take either is lost on its way.
                batch.alone = true;
                let apart = batch.bytes.chunks(batch.segment).map(|datagram| self.send(datagram, None));
                let sent = apart.filter(Result::is_ok).count();
                tracing::debug!(server = %self.path.server, sent, "the system does not segment datagrams");
            }
            // Lost, as it might be anywhere on its way.
            Err(error) => tracing::debug!(%error, server = %self.path.server, "sending failed"),
            Ok(()) => {}
        }
        batch.bytes.clear();
        true
    }

    fn send(&self, contents: &[u8], segment_size: Option<usize>) -> io::Result<()> {
        let destination = self.path.server;
        self.path.socket.try_send(&Transmit { destination, ecn: None, contents, segment_size, src_ip: None })
    }

    /// Has the task forget the stream, once the server has consumed what was written.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        if !state.client.is_flushed() {
            state.client.shutdown();
        }
        state.closed = Some(self.path.clock.now() + LINGER);
        let call = !std::mem::replace(&mut state.called, true);
        drop(state);
        if call {
            self.path.call(self.id);
        }
    }
}

impl State {
    /// Whether datagrams wait for the socket to become writable.
    pub(super) fn is_blocked(&self) -> bool {
        !self.batch.bytes.is_empty()
    }

    /// When the task is to end: not later than that, and at once if there is nothing more to be delivered.
    pub(super) fn ends_at(&mut self) -> Option<Timestamp> {
        let closed = self.closed?;
        // Nobody reads: what arrives must not keep what was written from being consumed.
        while let Ok(Some(1..)) = self.client.read(&mut [0; 4096]) {}
        let over = !self.client.is_connected() || self.client.is_flushed() || self.client.failure().is_some();
        Some(if over { Timestamp::ZERO } else { closed })
    }

    /// Has `waiter` woken once `interest` is met.
    pub(super) fn wait<T>(
        &mut self,
        interest: Interest,
        waiter: Waiter,
        cx: &Context<'_>,
    ) -> Poll<io::Result<T>> {
        if let Some(error) = self.stopped() {
            return Poll::Ready(Err(error));
        }
        self.waiters.register(interest, waiter, cx);
        Poll::Pending
    }

    /// Polls a wait that transfers nothing, and hence reports no failure either.
    pub(super) fn poll_ready(&mut self, interest: Interest, waiter: Waiter, cx: &Context<'_>) -> Poll<()> {
        if interest.is_met(&self.client) {
            return Poll::Ready(());
        }
        self.wait::<()>(interest, waiter, cx).map(drop)
    }

    pub(super) fn future_id(&mut self) -> u64 {
        self.next_future += 1;
        self.next_future
    }

    pub(super) fn deregister(&mut self, interest: Interest, id: u64) {
        self.waiters.deregister(interest, id);
    }

    /// The error of whoever would wait in vain: without the task nobody ends the wait.
    pub(super) fn stopped(&self) -> Option<io::Error> {
        self.stopped.map(|kind| io::Error::new(kind, "the task that drives this stream has ended"))
    }

    /// Adds to `wakers` whom to [`wake`], once the mutex is free.
    pub(super) fn take_wakers(&mut self, wakers: &mut Vec<Waker>) {
        let Self { client, waiters, stopped, .. } = self;
        waiters.take(|interest| stopped.is_some() || interest.is_met(client), wakers);
    }

    /// How many wait.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.waiters.count()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("path", &self.path).finish_non_exhaustive()
    }
}

pub(super) fn wake(wakers: &mut Vec<Waker>) {
    wakers.drain(..).for_each(Waker::wake);
}

/// Whether an error is the network's word that nobody listens at the server's address.
pub(super) fn is_unreachable(error: &io::Error) -> bool {
    // Windows says reset.
    matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use trickles::client::ClientConfig;

    use super::*;
    use crate::fake::FakeSocket;

    fn shared(socket: Arc<FakeSocket>, offload: bool) -> Shared {
        let config = ClientConfig { packet_size: Some(1200), ..ClientConfig::default() };
        let path = Path::new(socket, (Ipv4Addr::LOCALHOST, 9).into(), offload);
        let client = Client::new(config, [0; 16], path.clock.now());
        Shared::new(path, client)
    }

    #[test]
    fn datagrams_of_one_size_leave_together_and_the_last_may_be_shorter() {
        let mut batch = DatagramBatch::default();
        let taken = [100, 100, 60, 60].map(|length| batch.push(&vec![0; length], 64));
        assert_eq!((taken, batch.bytes.len(), batch.segment), ([true, true, true, false], 260, 100));
        let mut batch = DatagramBatch::default();
        let taken = [100, 101, 100, 100].map(|length| batch.push(&vec![0; length], 2));
        assert_eq!((taken, batch.bytes.len()), ([true, false, true, false], 200));
    }

    #[test]
    fn what_the_system_does_not_segment_leaves_one_by_one() {
        let socket = FakeSocket::new(64, |_, segment_size| match segment_size {
            Some(_) => Err(ErrorKind::InvalidInput.into()),
            None => Ok(()),
        });
        let shared = shared(socket.clone(), true);
        let mut state = shared.lock();
        for _ in 0..3 {
            assert!(state.batch.push(&[0; 100], 64));
        }
        // The client has its Hello to send.
        assert!(shared.transmit(&mut state, shared.path.clock.now()));
        assert_eq!(socket.take_sent(), [(100, None), (100, None), (100, None), (1200, None)]);
        assert!(state.batch.alone && !state.is_blocked());
    }

    #[test]
    fn without_offload_datagrams_leave_one_by_one() {
        let socket = FakeSocket::new(64, |_, _| Ok(()));
        let shared = shared(socket.clone(), false);
        let mut state = shared.lock();
        assert!(state.batch.push(&[0; 1200], 1));
        assert!(shared.transmit(&mut state, shared.path.clock.now()));
        assert_eq!(socket.take_sent(), [(1200, None); 2]);
    }

    #[test]
    fn a_full_socket_keeps_what_it_did_not_take() {
        let socket = FakeSocket::new(64, |_, _| Ok(()));
        let shared = shared(socket.clone(), true);
        let mut state = shared.lock();
        socket.full.store(1, std::sync::atomic::Ordering::Relaxed);
        assert!(!shared.transmit(&mut state, shared.path.clock.now()) && state.is_blocked());
        socket.full.store(0, std::sync::atomic::Ordering::Relaxed);
        assert!(shared.transmit(&mut state, shared.path.clock.now()) && !state.is_blocked());
        assert_eq!(socket.take_sent(), [(1200, None)]);
    }
}
