//! The task that drives a stream.

use std::future::Future;
use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use quinn_udp::EcnCodepoint;
use trickles::time::Timestamp;

use super::shared::{Shared, is_unreachable, wake};
use super::waiters::register;
use crate::clock::Clock;
use crate::receive::ReceiveBatch;
use crate::runtime::{AsyncTimer, Runtime};

/// Buffers filled by one system call. Where the system coalesces packets, one or two hold a whole train.
const BUFFERS: usize = 16;
/// Datagrams taken in before the client is asked what to send: about a train.
const ANSWERED_TOGETHER: usize = 64;
/// Turns before other tasks get theirs.
const MAX_TURNS: usize = 8;
/// Errors of a socket mostly concern one datagram. This many in a row concern the socket.
const MAX_ERRORS: u32 = 100;

pub(super) struct Task {
    shared: Arc<Shared>,
    timer: Pin<Box<dyn AsyncTimer>>,
    receive: ReceiveBatch,
    errors: u32,
}

impl Task {
    pub(super) fn new(runtime: &dyn Runtime, shared: Arc<Shared>) -> Self {
        let timer = runtime.new_timer(Clock::after(Duration::ZERO));
        Self { shared, timer, receive: ReceiveBatch::new(BUFFERS), errors: 0 }
    }

    /// Takes in what has come, sends what results from it, and sets the timer. Breaks, with what the runtime
    /// is to be told, when the next turn would find nothing to do. `last`: whether there is no next one soon.
    fn turn(&mut self, last: bool, cx: &mut Context<'_>) -> ControlFlow<Poll<()>> {
        let Self { shared, timer, receive, errors } = self;
        let received = receive.poll(&*shared.socket, cx);
        let now = shared.clock.now();
        let mut state = shared.lock();
        if state.ends_at().is_some_and(|at| at <= now) {
            return ControlFlow::Break(Poll::Ready(()));
        }
        register(&mut state.driver, cx);

        let drained = received.is_pending();
        let mut news = !drained;
        *errors = if matches!(received, Poll::Ready(Err(_))) { *errors + 1 } else { 0 };
        match received {
            Poll::Ready(Ok(())) => {
                for (index, (datagram, meta)) in receive.datagrams().enumerate() {
                    match meta.ecn {
                        Some(EcnCodepoint::Ce) => state.client.handle_marked_datagram(datagram, now),
                        _ => state.client.handle_datagram(datagram, now),
                    }
                    if index % ANSWERED_TOGETHER == ANSWERED_TOGETHER - 1 {
                        shared.transmit(&mut state, now);
                    }
                }
            }
            Poll::Ready(Err(error)) if *errors == MAX_ERRORS => {
                state.stopped = Some(error.kind());
                return ControlFlow::Break(Poll::Ready(()));
            }
            Poll::Ready(Err(error)) if is_unreachable(&error) => state.client.handle_unreachable(now),
            Poll::Ready(Err(error)) => tracing::debug!(%error, server = %shared.server(), "receiving failed"),
            Poll::Pending => {}
        }
        // What is still to be received may be what the timer is about.
        if (drained || last) && state.client.poll_timeout().is_some_and(|at| at <= now) {
            state.client.handle_timeout(now);
            news = true;
        }

        let blocked = state.is_blocked() && shared.socket.poll_writable(cx).is_pending();
        let backlog = !blocked && !shared.transmit(&mut state, now);
        let ends_at = state.ends_at();
        let deadline = state.client.poll_timeout().into_iter().chain(ends_at).min();
        let expired = arm(timer.as_mut(), &mut state.armed, deadline, &shared.clock, cx);
        let wakers = state.wakers();
        drop(state);
        wake(wakers);
        let over = ends_at.is_some_and(|at| at <= now);
        if news || backlog || expired || over {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(Poll::Pending)
        }
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
        let mut state = self.shared.lock();
        state.stopped.get_or_insert(ErrorKind::BrokenPipe);
        let wakers = state.wakers();
        drop(state);
        wake(wakers);
    }
}

/// Has the task woken no later than at `deadline`; whether it is to look again at once.
///
/// A timer that is set for an earlier time stays: deadlines move back with each packet, and setting a timer
/// costs more than finding once in a while that it was early.
fn arm(
    mut timer: Pin<&mut dyn AsyncTimer>,
    armed: &mut Timestamp,
    deadline: Option<Timestamp>,
    clock: &Clock,
    cx: &mut Context<'_>,
) -> bool {
    if let Some((at, instant)) =
        deadline.filter(|at| at < armed).and_then(|at| Some((at, clock.instant(at)?)))
    {
        timer.as_mut().reset(instant);
        *armed = at;
    }
    let expired = *armed != Timestamp::NEVER && timer.poll(cx).is_ready();
    if expired {
        *armed = Timestamp::NEVER;
    }
    expired
}
