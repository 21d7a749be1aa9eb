//! The task that drives the streams on one socket.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::io::{self, ErrorKind};
use std::ops::Bound::{Excluded, Unbounded};
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use quinn_udp::EcnCodepoint;
use trickles::time::Timestamp;
use trickles::wire::echo;

use super::path::Path;
use super::shared::{Shared, is_unreachable, wake};
use crate::clock::Clock;
use crate::receive::ReceiveBatch;
use crate::runtime::{AsyncTimer, Runtime};

/// Buffers filled by one system call. Where the system coalesces packets, one or two hold a whole train.
const BUFFERS: usize = 16;
/// Datagrams taken in before the client is asked what to send: about a train.
const ANSWERED_TOGETHER: usize = 64;
/// Turns before other tasks get theirs.
const MAX_TURNS: usize = 4;
/// How often a turn receives: mostly the second time shows that there is no more.
const BATCHES_PER_TURN: usize = 2;
/// Errors of a socket mostly concern one datagram. This many in a row concern the socket.
const MAX_ERRORS: u32 = 100;

pub(super) struct Task {
    path: Arc<Path>,
    streams: Streams,
    timer: Pin<Box<dyn AsyncTimer>>,
    /// What the timer is set to.
    armed: Timestamp,
    receive: ReceiveBatch,
    errors: u32,
    /// Streams to look after in this turn, some of them perhaps twice.
    called: Vec<u64>,
    /// Who is to be woken in this turn.
    wakers: Vec<Waker>,
    /// Streams that wait for the socket to become writable.
    blocked: BTreeSet<u64>,
}

/// The streams by where their echo values begin, and when each wants to be looked after, at the earliest.
#[derive(Default)]
struct Streams {
    by_origin: BTreeMap<u64, Arc<Shared>>,
    deadlines: BTreeSet<(Timestamp, u64)>,
}

impl Task {
    pub(super) fn new(runtime: &dyn Runtime, path: Arc<Path>) -> Self {
        Self {
            path,
            streams: Streams::default(),
            timer: runtime.new_timer(Clock::after(Duration::ZERO)),
            armed: Timestamp::NEVER,
            receive: ReceiveBatch::new(BUFFERS),
            errors: 0,
            called: Vec::new(),
            wakers: Vec::new(),
            blocked: BTreeSet::new(),
        }
    }

    /// Takes in what has come, sends what results from it, and sets the timer. Breaks, with what the runtime
    /// is to be told, when the next turn would find nothing to do. `last`: whether there is no next one soon.
    fn turn(&mut self, last: bool, cx: &mut Context<'_>) -> ControlFlow<Poll<()>> {
        let Self { path, streams, called, .. } = self;
        // Before anything is received: it is this task that sends the first datagram of a stream.
        let closed = path.collect(cx, |stream| streams.adopt(stream), called);
        let mut drained = false;
        for _ in 0..BATCHES_PER_TURN {
            let Poll::Ready(received) = self.receive.poll(&*self.path.socket, cx) else {
                drained = true;
                break;
            };
            let taken_in = self.take_in(received);
            if let Err(error) = taken_in {
                self.receive.release();
                self.stop(error.kind());
                return ControlFlow::Break(Poll::Ready(()));
            }
        }
        self.receive.release();
        let now = self.path.clock.now();
        // What is still to be received may be what the timers are about.
        let timely = drained || last;
        if timely {
            self.streams.expire(now, &mut self.called);
        }
        let full = !self.blocked.is_empty() && self.path.socket.poll_writable(cx).is_pending();
        if !full {
            self.called.extend(std::mem::take(&mut self.blocked));
        }
        let more = self.look_after_called(timely, full, now, cx);
        if closed && self.streams.by_origin.is_empty() {
            return ControlFlow::Break(Poll::Ready(()));
        }
        let expired = self.arm(now, cx);
        if !drained || more || expired {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(Poll::Pending)
        }
    }

    /// Distributes what was received to the streams.
    ///
    /// # Errors
    /// One too many in a row.
    fn take_in(&mut self, received: io::Result<()>) -> io::Result<()> {
        let now = self.path.clock.now();
        let Err(error) = received else {
            self.errors = 0;
            self.distribute(now);
            return Ok(());
        };
        self.errors += 1;
        if self.errors == MAX_ERRORS {
            return Err(error);
        }
        if is_unreachable(&error) {
            for (&id, stream) in &self.streams.by_origin {
                stream.lock().client.handle_unreachable(now);
                self.called.push(id);
            }
        } else {
            tracing::debug!(%error, server = %self.path.server, "receiving failed");
        }
        Ok(())
    }

    /// Each datagram goes to the stream that expects it, if there is one.
    fn distribute(&mut self, now: Timestamp) {
        let mut datagrams = self.receive.datagrams().peekable();
        while let Some((first, _)) = datagrams.peek() {
            let Some(stream) = self.streams.candidate(first) else { break };
            let mut state = stream.lock();
            let mut count = 0;
            // Most follow others for the same stream.
            while let Some((datagram, meta)) =
                datagrams.next_if(|(datagram, _)| state.client.expects(datagram))
            {
                match meta.ecn {
                    Some(EcnCodepoint::Ce) => state.client.handle_marked_datagram(datagram, now),
                    _ => state.client.handle_datagram(datagram, now),
                }
                count += 1;
                if count % ANSWERED_TOGETHER == 0 {
                    stream.transmit(&mut state, now);
                }
            }
            if count == 0 {
                datagrams.next();
                self.path.count_stray();
            } else {
                self.called.push(stream.id);
            }
        }
        // Without any stream.
        datagrams.for_each(|_| self.path.count_stray());
    }

    /// Has the streams that were called do what is due; whether any has more to do at once. `timely`: whether
    /// everything has been received that they may have waited for. `full`: whether the socket is known to be.
    fn look_after_called(
        &mut self,
        timely: bool,
        mut full: bool,
        now: Timestamp,
        cx: &mut Context<'_>,
    ) -> bool {
        let Self { path, streams, called, wakers, blocked, .. } = self;
        called.sort_unstable();
        called.dedup();
        called.retain(|&id| {
            let Some(stream) = streams.by_origin.get(&id).cloned() else { return false };
            let mut state = stream.lock();
            state.called = false;
            // Before it asks for more that nobody would read.
            if state.ends_at().is_some_and(|at| at <= now) {
                streams.forget(id, state.armed);
                return false;
            }
            // Not armed: its time has come. What an arrival has brought forward is armed first.
            let is_due = timely && state.armed == Timestamp::NEVER;
            if is_due && state.client.poll_timeout().is_some_and(|at| at <= now) {
                state.client.handle_timeout(now);
            }
            let waits = state.is_blocked() && (full || path.socket.poll_writable(cx).is_pending());
            if waits {
                full = true;
                blocked.insert(id);
            }
            let backlog = !waits && !stream.transmit(&mut state, now);
            state.take_wakers(wakers);
            let ends_at = state.ends_at();
            let deadline = state.client.poll_timeout().into_iter().chain(ends_at).min();
            // What could be done now would be sent.
            streams.expect(id, &mut state.armed, deadline.filter(|&at| !waits || at > now));
            backlog
        });
        wake(wakers);
        !called.is_empty()
    }

    /// Has the task woken when the first stream wants to be looked after; whether that is now.
    ///
    /// A timer that is set for an earlier time stays: deadlines move back with each packet, and setting a timer
    /// costs more than finding once in a while that it was early.
    fn arm(&mut self, now: Timestamp, cx: &mut Context<'_>) -> bool {
        let first = self.streams.deadlines.first().map(|&(at, _)| at);
        if first.is_some_and(|at| at <= now) {
            return true;
        }
        let deadline = first.filter(|&at| at < self.armed);
        if let Some((at, instant)) = deadline.and_then(|at| Some((at, self.path.clock.instant(at)?))) {
            self.timer.as_mut().reset(instant);
            self.armed = at;
        }
        let expired = self.armed != Timestamp::NEVER && self.timer.as_mut().poll(cx).is_ready();
        if expired {
            self.armed = Timestamp::NEVER;
        }
        expired
    }

    /// Ends all streams.
    fn stop(&mut self, reason: ErrorKind) {
        let streams = std::mem::take(&mut self.streams).by_origin.into_values();
        for stream in streams.chain(self.path.stop(reason)) {
            let mut state = stream.lock();
            state.stopped.get_or_insert(reason);
            state.take_wakers(&mut self.wakers);
            drop(state);
            wake(&mut self.wakers);
        }
    }
}

impl Streams {
    fn adopt(&mut self, stream: Arc<Shared>) {
        self.by_origin.insert(stream.id, stream);
    }

    /// The stream whose echo values begin next before that of the datagram: no other can expect it.
    fn candidate(&self, datagram: &[u8]) -> Option<&Arc<Shared>> {
        let echo = echo(datagram).unwrap_or_default();
        let before = self.by_origin.range((Unbounded, Excluded(echo))).next_back();
        // They wrap around.
        before.or_else(|| self.by_origin.last_key_value()).map(|(_, stream)| stream)
    }

    /// Has a stream looked after at `deadline`, or earlier if it was to be then. `armed`: when it is to be.
    fn expect(&mut self, id: u64, armed: &mut Timestamp, deadline: Option<Timestamp>) {
        if let Some(deadline) = deadline.filter(|deadline| deadline < armed) {
            self.deadlines.remove(&(*armed, id));
            self.deadlines.insert((deadline, id));
            *armed = deadline;
        }
    }

    /// Adds to `called` those that want to be looked after now.
    fn expire(&mut self, now: Timestamp, called: &mut Vec<u64>) {
        while let Some(&(_, id)) = self.deadlines.first().filter(|(at, _)| *at <= now) {
            self.deadlines.pop_first();
            if let Some(stream) = self.by_origin.get(&id) {
                stream.lock().armed = Timestamp::NEVER;
                called.push(id);
            }
        }
    }

    fn forget(&mut self, id: u64, armed: Timestamp) {
        self.by_origin.remove(&id);
        self.deadlines.remove(&(armed, id));
    }
}

impl Future for Task {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let task = self.get_mut();
        for left in (0..MAX_TURNS).rev() {
            if let ControlFlow::Break(poll) = task.turn(left == 0, cx) {
                return poll;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.stop(ErrorKind::BrokenPipe);
    }
}
