//! Servers: a loop that receives, answers and sends, and events for those who answer in their own time.

mod answering;
mod event;
mod handle;
mod prepared;
mod shared;
mod slots;
#[cfg(test)]
mod tests;
mod thinning;
mod trickles_server;

use std::fmt;
use std::future::{pending, poll_fn};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::Stream;
use futures::future::{FusedFuture, FutureExt};
use quinn_udp::BATCH_SIZE;
use trickles::key_ring::KeyRing;
use trickles::replay::{FilterConfig, FingerprintFilter, ReplayFilter};
use trickles::server::{Application, Outbox, Server, ServerConfig};
use trickles::stats::Stats;

pub(crate) use self::event::Parker;
pub use self::event::{Event, Minisocket};
pub use self::handle::ServerHandle;
pub use self::prepared::{Piece, Prepared};
pub use self::shared::EventStats;
use self::shared::Shared;
use self::thinning::Thinning;
pub use self::trickles_server::TricklesServer;
use crate::clock::Clock;
use crate::receive::ReceiveBatch;
use crate::runtime::{AsyncTimer, AsyncUdpSocket, Runtime};
use crate::seed;
use crate::send::{Route, Sender};
use crate::socket::{set_receive_offload, without_unread_messages};

/// How many batches are taken before other tasks get their turn.
const BATCHES_PER_TURN: usize = 16;
/// Errors of a socket mostly concern one datagram. This many in a row concern the socket.
const MAX_ERRORS: u32 = 100;
/// Slots for events that await their answer, unless set otherwise: 16 MiB at the most.
const EVENT_SLOTS: usize = 4096;
/// A reactor that has told of a timer that long has told of everything that had arrived before.
const LINGER: Duration = Duration::from_millis(1);

/// A server on one UDP socket.
///
/// There are three ways to use one, from the simplest to the most flexible:
/// - [`run`](Self::run) for an [`Application`] that answers at once, from memory say. Each datagram is
///   answered before the next one is looked at, without a copy of it, and nothing is kept of either.
/// - [`serve`](crate::serve()) for a [`Handler`](crate::Handler), whose answers are `async`.
/// - As a [`Stream`] of [`Event`]s, each of which is answered with its [`Minisocket`], by whom and when you
///   like. Both of the others can be written with it.
///
/// A server can be stopped at any time: dropping it, or a future of [`run`](Self::run), loses no more than the
/// network might, and going on, here or on any replica with the same keys, goes on with every stream.
///
/// # Events
/// A request that has passed all checks becomes an event, unless it repeats one that has been handed out
/// already. Until it is answered, refused or ignored its request is kept in one of a [fixed number of
/// slots](Self::set_event_slots), so that memory does not depend on the clients (docs/protocol.md section
/// 8.7). An event may be [parked](Minisocket::park): its client is told that the answer takes time, and gets
/// it when there is one. A parked event may be evicted to make room, of which its client is told. As long as
/// all slots are taken by events that are not parked, clients are told to come again later.
///
/// ```
/// use futures::StreamExt;
/// use trickles::server::Next;
/// use trickles_driver::{Event, EventServer, Prepared};
///
/// /// Tells everybody their own address.
/// async fn what_is_my_address(mut server: EventServer) -> std::io::Result<()> {
///     while let Some(event) = server.next().await {
///         match event? {
///             Event::Opened(minisocket) | Event::Input(minisocket) => {
///                 let address = minisocket.client().to_string().into_bytes();
///                 let next = Next {
///                     output: 0..address.len() as u64,
///                     state: address,
///                     finished: true,
///                     consumed: minisocket.input().map_or(0, |input| input.bytes.len()),
///                     ..Next::default()
///                 };
///                 let mut output = from_state(minisocket.wanted(Some(&next)));
///                 minisocket.answer(next, &mut output).map_err(std::io::Error::other)?;
///             }
///             Event::OutputWanted(minisocket) => {
///                 let mut output = from_state(minisocket.wanted(None));
///                 minisocket.send(&mut output).map_err(std::io::Error::other)?;
///             }
///             Event::Chunk(minisocket) => minisocket.refuse(1),
///             Event::Closed { .. } => {}
///         }
///     }
///     Ok(())
/// }
///
/// fn from_state(mut output: Prepared) -> Prepared {
///     for piece in &mut output.pieces {
///         piece.bytes = piece.state[piece.range.start as usize..piece.range.end as usize].to_vec();
///     }
///     output
/// }
/// ```
///
/// # Time
/// Its time is the wall clock as it was at [`new`](Self::new), advanced by the monotonic clock: it never
/// steps. After a correction of the wall clock larger than [`ServerConfig::max_skew`] start anew.
pub struct EventServer {
    shared: Arc<Shared>,
    socket: Arc<dyn AsyncUdpSocket>,
    /// The same socket, to set options of.
    std_socket: UdpSocket,
    receive: ReceiveBatch,
    thinning: Thinning,
    outbox: Outbox,
    timer: Pin<Box<dyn AsyncTimer>>,
    /// Expires [`LINGER`] after the end of the stream or run was wanted, if `lingering`.
    linger: Pin<Box<dyn AsyncTimer>>,
    lingering: bool,
    /// In a row.
    errors: u32,
    /// In this turn.
    batches: usize,
    closed: bool,
}

impl EventServer {
    /// Serves on `socket`, which [`bind`](crate::bind) makes. Servers that share a filter with
    /// [their replicas in the process](replay_filter) grant nothing twice. A filter of the system's on the socket
    /// (`SO_ATTACH_FILTER`) gives way in a [flood](Self::hello_share).
    ///
    /// # Errors
    /// Those of the system.
    pub fn new(
        runtime: &dyn Runtime,
        socket: UdpSocket,
        config: ServerConfig,
        ring: KeyRing,
        filter: Arc<dyn ReplayFilter>,
    ) -> io::Result<Self> {
        let std_socket = socket.try_clone()?;
        let socket = runtime.wrap_udp_socket(socket)?;
        without_unread_messages(&std_socket);
        let pending = config.pending;
        let hellos_per_second = config.hellos_per_second;
        let server = Server::new(config, ring, filter, seed()?);
        let sender = Sender::new(socket.clone());
        let shared = Arc::new(Shared::new(server, sender, pending, EVENT_SLOTS));
        let timer = runtime.new_timer(Clock::after(LINGER));
        Ok(Self {
            thinning: Thinning::new(hellos_per_second, shared.clock, shared.hello_share.clone(), timer),
            shared,
            socket,
            std_socket,
            receive: ReceiveBatch::complete(BATCH_SIZE),
            outbox: Outbox::default(),
            timer: runtime.new_timer(Clock::after(LINGER)),
            linger: runtime.new_timer(Clock::after(LINGER)),
            lingering: false,
            errors: 0,
            batches: 0,
            closed: false,
        })
    }

    /// How many events can await their answer at the same time, 4096 if this is not called; up to 4 KiB each.
    /// More than that many that do already may go on.
    pub fn set_event_slots(&mut self, count: usize) {
        self.shared.lock().slots.set_capacity(count);
    }

    /// Whether many packets pass between this program and the system at once (GSO and GRO), where the system can
    /// do that; unless this is called they do. It costs a fraction of the time. Without it every packet is sent
    /// by a call of its own and received as it came. On Windows it concerns sending only.
    ///
    /// A system that turns out not to segment needs no such setting: its packets are sent one by one from then
    /// on, and none is lost.
    pub fn set_offload(&mut self, enabled: bool) {
        self.shared.sender.set_offload(enabled);
        set_receive_offload(&self.std_socket, enabled);
    }

    /// Whether queues on the way to clients may mark packets when they are about to overflow, instead of dropping them
    /// (ECN, RFC 3168); unless this is called they may not. Clients answer a mark as they answer a loss, and lose
    /// nothing. For networks whose queues mark and whose devices let such packets through, as those of data centers do:
    /// a server keeps nothing of a client, so it does not find out whether a path drops them.
    pub fn set_ecn(&mut self, enabled: bool) {
        self.shared.sender.set_ecn(enabled);
    }

    /// A way to this server for other threads.
    pub fn handle(&self) -> ServerHandle {
        ServerHandle::new(&self.shared)
    }

    /// The address it serves on.
    ///
    /// # Errors
    /// Those of the system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// What became of the datagrams received.
    pub fn stats(&self) -> Stats {
        self.shared.lock().server.stats().clone()
    }

    /// What became of the events handed out.
    pub fn event_stats(&self) -> EventStats {
        self.shared.lock().stats
    }

    /// How many events await their answer.
    pub fn events_waiting(&self) -> usize {
        self.shared.lock().slots.len()
    }

    /// How many packets could not be sent, the system having refused them.
    pub fn dropped(&self) -> u64 {
        self.shared.sender.dropped()
    }

    /// How many datagrams were not looked at, since those that were received before them from the same sender had
    /// come to nothing. They count as not [received](Stats::received).
    pub fn overlooked(&self) -> u64 {
        self.receive.overlooked()
    }

    /// The share of Hellos that the system lets through to this server, 1 unless there is a flood of them.
    ///
    /// While more than twice as many arrive as it [may answer](ServerConfig::hellos_per_second), or as 1000 a second,
    /// the system is told to drop most of those it would refuse, at random, before they are queued; for up to a second
    /// after a flood it drops some that would have been answered. On Linux and Android; elsewhere, and where the system
    /// refuses, it lets all of them through.
    pub fn hello_share(&self) -> f64 {
        self.shared.hello_share.get()
    }

    /// Replaces the key ring: keys may come and go at any time.
    pub fn set_key_ring(&mut self, ring: KeyRing) {
        self.shared.lock().server.set_key_ring(ring);
    }

    /// Serves `application` for ever.
    ///
    /// Cancel safe: the future may be dropped at any point, and `run` be called again.
    ///
    /// # Errors
    /// The socket's, once receiving fails again and again.
    pub async fn run<A: Application>(&mut self, application: &mut A) -> io::Result<()> {
        self.run_until(application, pending()).await
    }

    /// Serves `application` until `stop` is ready. Requests that have arrived by then are answered, unless
    /// more keep coming.
    ///
    /// Cancel safe like [`run`](Self::run).
    ///
    /// # Errors
    /// Those of [`run`](Self::run).
    pub async fn run_until<A: Application>(
        &mut self,
        application: &mut A,
        stop: impl Future<Output = ()>,
    ) -> io::Result<()> {
        let mut stop = pin!(stop.fuse());
        self.lingering = false;
        loop {
            self.answer_batch(application).await;
            let batch = poll_fn(|cx| match self.poll_batch(cx) {
                Poll::Ready(result) => Poll::Ready(Some(result)),
                Poll::Pending if stop.is_terminated() || stop.as_mut().poll(cx).is_ready() => {
                    self.poll_linger(cx).map(|()| None)
                }
                Poll::Pending => Poll::Pending,
            });
            match batch.await {
                Some(result) => result?,
                None => return Ok(()),
            }
        }
    }

    /// Receives the next batch. Errors that concern single datagrams are passed over.
    fn poll_batch(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.thinning.poll(self.receive.hellos(), &self.std_socket, cx);
        loop {
            if self.batches == BATCHES_PER_TURN {
                // Others get their turn.
                self.batches = 0;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let received = self.receive.poll(&*self.socket, cx);
            self.batches = if received.is_ready() { self.batches + 1 } else { 0 };
            match ready!(received) {
                Ok(()) => {
                    self.errors = 0;
                    return Poll::Ready(Ok(()));
                }
                Err(error) => {
                    self.errors += 1;
                    tracing::debug!(%error, "receiving failed");
                    if self.errors == MAX_ERRORS {
                        self.errors = 0;
                        return Poll::Ready(Err(error));
                    }
                }
            }
        }
    }

    /// Waits until nothing can be left of what had arrived when this was called first.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.lingering {
            self.lingering = true;
            self.linger.as_mut().reset(Clock::after(LINGER));
        }
        ready!(self.linger.as_mut().poll(cx));
        self.lingering = false;
        Poll::Ready(())
    }

    /// Lets the stream of events end once those that have arrived are handed out.
    pub fn close(&mut self) {
        self.closed = true;
    }

    /// Waits until every event that was handed out is answered, refused, ignored or parked.
    pub async fn drain(&mut self) {
        let shared = &self.shared;
        poll_fn(|cx| shared.poll_drained(cx)).await;
    }

    pub(crate) fn poll_drained(&self, cx: &Context<'_>) -> Poll<()> {
        self.shared.poll_drained(cx)
    }

    pub(crate) fn timer(&mut self) -> Pin<&mut dyn AsyncTimer> {
        self.timer.as_mut()
    }
}

/// The stream ends when the server has been [closed](EventServer::close). After an error, which is the socket's
/// once receiving fails again and again, it can be polled again.
impl Stream for EventServer {
    type Item = io::Result<Event>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            while let Some((datagram, meta)) = this.receive.front() {
                let (event, of_use) = this.shared.admit(datagram, Route::back(meta));
                this.receive.pass(of_use);
                if let Some(event) = event {
                    return Poll::Ready(Some(Ok(event)));
                }
            }
            match this.poll_batch(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Some(Err(error))),
                Poll::Pending if this.closed => return this.poll_linger(cx).map(|()| None),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl fmt::Debug for EventServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventServer")
            .field("socket", &self.socket)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

/// A replay filter with a random key.
///
/// It takes [its configured memory](FilterConfig) at once. Servers of one process should share one.
///
/// # Errors
/// The system's, when it has no random bytes.
pub fn replay_filter(config: FilterConfig) -> io::Result<Arc<dyn ReplayFilter>> {
    Ok(Arc::new(FingerprintFilter::new(config, seed()?, Clock::unix().now())))
}
