//! The server's loop: receive, answer, send.

use std::fmt;
use std::future::{pending, poll_fn};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use quinn_udp::BATCH_SIZE;
use trickles::key_ring::KeyRing;
use trickles::replay::{FilterConfig, FingerprintFilter, ReplayFilter};
use trickles::server::{Application, Outbox, Server, ServerConfig};
use trickles::stats::Stats;

use crate::clock::Clock;
use crate::receive::ReceiveBatch;
use crate::runtime::{AsyncUdpSocket, Runtime};
use crate::seed;
use crate::send::Sender;

/// How many batches are answered before other tasks get their turn.
const BATCHES_PER_TURN: usize = 16;
/// Errors of a socket mostly concern one datagram. This many in a row concern the socket.
const MAX_ERRORS: u32 = 100;

/// A server on one UDP socket.
///
/// It answers each datagram before it looks at the next one and keeps nothing of either, so it can be stopped
/// at any time: dropping a future of [`run`](Self::run) loses no more than the network might, and running
/// again, here or on any replica with the same keys, goes on with every stream.
///
/// Its time is the wall clock as it was at [`new`](Self::new), advanced by the monotonic clock: it never
/// steps. After a correction of the wall clock larger than [`ServerConfig::max_skew`] start anew.
pub struct EventServer {
    core: Server,
    clock: Clock,
    socket: Arc<dyn AsyncUdpSocket>,
    receive: ReceiveBatch,
    outbox: Outbox,
    sender: Sender,
}

impl EventServer {
    /// Serves on `socket`, which [`bind`](crate::bind) makes. Servers that share a filter with
    /// [their replicas in the process](replay_filter) grant nothing twice.
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
        let socket = runtime.wrap_udp_socket(socket)?;
        Ok(Self {
            core: Server::new(config, ring, filter, seed()?),
            clock: Clock::unix(),
            receive: ReceiveBatch::new(BATCH_SIZE),
            outbox: Outbox::default(),
            sender: Sender::new(runtime, socket.clone()),
            socket,
        })
    }

    /// The address it serves on.
    ///
    /// # Errors
    /// Those of the system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// What became of the datagrams received.
    pub fn stats(&self) -> &Stats {
        self.core.stats()
    }

    /// How many packets could not be sent, the system having refused them.
    pub fn dropped(&self) -> u64 {
        self.sender.dropped()
    }

    /// Replaces the key ring: keys may come and go between runs.
    pub fn set_key_ring(&mut self, ring: KeyRing) {
        self.core.set_key_ring(ring);
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
        let mut stop = pin!(stop);
        let mut errors = 0;
        loop {
            for _ in 0..BATCHES_PER_TURN {
                match poll_fn(|cx| self.poll_receive(stop.as_mut(), cx)).await {
                    Some(Ok(())) => {
                        errors = 0;
                        self.answer(application).await;
                    }
                    Some(Err(error)) => {
                        errors += 1;
                        tracing::debug!(%error, "receiving failed");
                        if errors == MAX_ERRORS {
                            return Err(error);
                        }
                    }
                    None => return Ok(()),
                }
            }
            if pass_turn(stop.as_mut()).await {
                return Ok(());
            }
        }
    }

    /// Receives a batch; `None` if there is none and the server is to stop.
    fn poll_receive(
        &mut self,
        stop: Pin<&mut impl Future<Output = ()>>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<()>>> {
        match self.receive.poll(&*self.socket, cx) {
            Poll::Ready(result) => Poll::Ready(Some(result)),
            Poll::Pending => stop.poll(cx).map(|()| None),
        }
    }

    async fn answer<A: Application>(&mut self, application: &mut A) {
        let Self { core, clock, receive, outbox, sender, .. } = self;
        for (datagram, meta) in receive.datagrams() {
            // A run that was dropped may have left something for somebody else.
            outbox.clear();
            if let Err(error) = core.handle(datagram, meta.addr, clock.now(), application, outbox) {
                tracing::warn!(client = %meta.addr, %error, "the application's answer was not taken");
            }
            for batch in outbox.batches() {
                sender.send(batch, meta.addr, meta.dst_ip).await;
            }
        }
    }
}

impl fmt::Debug for EventServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventServer")
            .field("socket", &self.socket)
            .field("stats", self.stats())
            .finish_non_exhaustive()
    }
}

/// Lets other tasks run; whether the server is to stop.
async fn pass_turn(mut stop: Pin<&mut impl Future<Output = ()>>) -> bool {
    let mut passed = false;
    poll_fn(|cx| {
        if stop.as_mut().poll(cx).is_ready() {
            return Poll::Ready(true);
        }
        if passed {
            return Poll::Ready(false);
        }
        passed = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await
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
