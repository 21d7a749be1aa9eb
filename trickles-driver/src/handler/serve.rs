//! The loop around a handler.

use std::collections::VecDeque;
use std::future::{IntoFuture, Pending, pending};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::stream::FuturesUnordered;

use super::Handler;
use super::exchange::exchange;
use crate::clock::Clock;
use crate::server::{Event, EventServer, Parker};

/// After how long the client of an event is told that its answer takes time: sooner than it would think that
/// its request was lost, once it has seen that answers of this server overtake one another.
const PATIENCE: Duration = Duration::from_millis(5);

/// Serves `handler` on a server, once the result is awaited.
///
/// Answers that are ready at once leave before the next datagram is looked at. All others are waited for in
/// the task that awaits the result, next to one another: what computes for long belongs into a task or thread
/// of its own. No more of them wait than the server has [slots](EventServer::set_event_slots).
///
/// ```
/// use trickles_driver::{EventServer, Handler, serve};
///
/// async fn run(server: EventServer, handler: impl Handler, quit: futures::channel::oneshot::Receiver<()>) {
///     serve(server, handler).with_graceful_shutdown(async { drop(quit.await) }).await.unwrap();
/// }
/// ```
pub fn serve<H: Handler>(server: impl Into<EventServer>, handler: H) -> Serve<H, Pending<()>> {
    Serve { server: server.into(), handler, signal: pending() }
}

/// What [`serve()`] is about to do; await it.
///
/// # Errors
/// The socket's, once receiving fails again and again.
///
/// # Cancel safety
/// Dropping the future ends the server and loses no more than the network might.
#[derive(Debug)]
#[must_use = "nothing is served before it is awaited"]
pub struct Serve<H, F> {
    server: EventServer,
    handler: H,
    signal: F,
}

impl<H: Handler, F> Serve<H, F> {
    /// Stops once `signal` is ready: what has arrived by then is answered. Clients that have been told to wait
    /// are not waited for; they ask again, whoever serves then.
    pub fn with_graceful_shutdown<G>(self, signal: G) -> Serve<H, G>
    where
        G: Future<Output = ()> + Send + 'static,
    {
        Serve { server: self.server, handler: self.handler, signal }
    }
}

impl<H, F> IntoFuture for Serve<H, F>
where
    H: Handler,
    F: Future<Output = ()> + Send + 'static,
{
    type Output = io::Result<()>;
    type IntoFuture = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(Serving {
            server: self.server,
            handler: Arc::new(self.handler),
            signal: Some(Box::pin(self.signal)),
            slow: FuturesUnordered::new(),
            overdue: VecDeque::new(),
            armed: None,
            ended: false,
        })
    }
}

type Exchange = Pin<Box<dyn Future<Output = ()> + Send>>;

struct Serving<H> {
    server: EventServer,
    handler: Arc<H>,
    /// Until it is ready.
    signal: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// Those that were not ready at once; each has an event in a slot of the server.
    slow: FuturesUnordered<Exchange>,
    /// When the clients of these are told to wait, in order.
    overdue: VecDeque<(Instant, Parker)>,
    /// When the server's timer expires.
    armed: Option<Instant>,
    /// All that arrived in time has been taken.
    ended: bool,
}

impl<H: Handler> Future for Serving<H> {
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.signal.as_mut().is_some_and(|signal| signal.as_mut().poll(cx).is_ready()) {
            this.signal = None;
            this.server.close();
        }
        while !this.ended {
            match this.server.poll_next_unpin(cx) {
                Poll::Ready(Some(event)) => this.begin(event?, cx),
                Poll::Ready(None) => this.ended = true,
                Poll::Pending => break,
            }
        }
        this.go_on(cx);
        this.park_overdue(cx);
        if this.ended && this.server.poll_drained(cx).is_ready() {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    }
}

impl<H: Handler> Serving<H> {
    /// Answers an event, if it can be done at once.
    fn begin(&mut self, event: Event, cx: &mut Context<'_>) {
        let parker = event.parker();
        let handler = self.handler.clone();
        let mut exchange: Exchange = Box::pin(async move { exchange(&*handler, event).await });
        if exchange.as_mut().poll(cx).is_ready() {
            return;
        }
        self.overdue.extend(parker.map(|parker| (Clock::after(PATIENCE), parker)));
        self.slow.push(exchange);
        if self.slow.len() > self.server.events_waiting() {
            // Some are void.
            self.go_on(cx);
        }
    }

    fn go_on(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(Some(())) = self.slow.poll_next_unpin(cx) {}
    }

    fn park_overdue(&mut self, cx: &mut Context<'_>) {
        while let Some(&(at, _)) = self.overdue.front() {
            if self.armed != Some(at) {
                self.server.timer().reset(at);
                self.armed = Some(at);
            }
            if self.server.timer().poll(cx).is_pending() {
                return;
            }
            self.armed = None;
            self.overdue.pop_front().into_iter().for_each(|(_, parker)| parker.park());
        }
    }
}
