//! The server.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use async_net::AsyncToSocketAddrs;
use trickles::key_ring::KeyRing;
use trickles::replay::{FilterConfig, ReplayFilter};
use trickles::server::{Application, ServerConfig};
use trickles::stats::Stats;
use trickles_driver::{EventServer, bind, replay_filter};

use crate::runtime::GlobalRuntime;

/// A server on one UDP socket.
///
/// Each datagram is answered before the next one is looked at, and nothing is kept of either. So a server can
/// be stopped at any time, by dropping the future of [`run`](Self::run), and loses no more than the network
/// might; the streams go on when it runs again, here or on any replica with the same keys.
///
/// The application is called between two datagrams: while it computes or blocks, nobody else is answered.
///
/// Time is the wall clock as it was when the server was made, advanced by the monotonic clock: it never
/// steps. After a correction of the wall clock larger than [`ServerConfig::max_skew`] make a new server.
///
/// ```no_run
/// use std::ops::Range;
///
/// use trickles::key_ring::KeyRing;
/// use trickles::server::{Application, Event, Next, Output, Reset, ServerConfig, Unanswered};
/// use trickles_async_std::Server;
///
/// /// Says hello, to whatever is asked.
/// struct Greeter;
///
/// const GREETING: &[u8] = b"hello";
///
/// impl Application for Greeter {
///     fn input(&mut self, event: &Event<'_>) -> Result<Next, Unanswered> {
///         let consumed = event.input.map_or(0, |input| input.bytes.len());
///         Ok(Next { state: Vec::new(), output: 0..GREETING.len() as u64, finished: true, consumed, ..Next::default() })
///     }
/// }
///
/// impl Output for Greeter {
///     fn read(&mut self, _: &[u8], _: Range<u64>, offset: u64, buffer: &mut [u8]) -> Result<usize, Reset> {
///         let rest = &GREETING[offset as usize..];
///         let count = rest.len().min(buffer.len());
///         buffer[..count].copy_from_slice(&rest[..count]);
///         Ok(count)
///     }
/// }
///
/// # async fn example(ring: KeyRing) -> std::io::Result<()> {
/// let mut server = Server::bind("[::]:4433", ServerConfig::default(), ring).await?;
/// server.run(&mut Greeter).await
/// # }
/// ```
#[derive(Debug)]
pub struct Server {
    inner: EventServer,
}

impl Server {
    /// Binds to the first of the addresses that can be had, with a replay filter of its own (32 MiB).
    ///
    /// # Errors
    /// The last address's error; that of looking up a name; [`InvalidInput`](io::ErrorKind::InvalidInput)
    /// when the name has no address.
    pub async fn bind<A: AsyncToSocketAddrs>(
        address: A,
        config: ServerConfig,
        ring: KeyRing,
    ) -> io::Result<Self> {
        Self::bind_with(address, config, ring, replay_filter(FilterConfig::default())?).await
    }

    /// Binds to the first of the addresses that can be had. Servers of one process should share one filter,
    /// as [`replay_filter`] makes it: what one of them has granted, the others then refuse.
    ///
    /// # Errors
    /// Those of [`bind`](Self::bind).
    pub async fn bind_with<A: AsyncToSocketAddrs>(
        address: A,
        config: ServerConfig,
        ring: KeyRing,
        filter: Arc<dyn ReplayFilter>,
    ) -> io::Result<Self> {
        let mut last = io::Error::new(io::ErrorKind::InvalidInput, "there is no address to bind to");
        for address in async_net::resolve(address).await? {
            match bind(address) {
                Ok(socket) => return Self::from_socket(socket, config, ring, filter),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Serves on a socket that is bound already.
    ///
    /// # Errors
    /// Those of the system.
    pub fn from_socket(
        socket: std::net::UdpSocket,
        config: ServerConfig,
        ring: KeyRing,
        filter: Arc<dyn ReplayFilter>,
    ) -> io::Result<Self> {
        Ok(Self { inner: EventServer::new(&GlobalRuntime, socket, config, ring, filter)? })
    }

    /// The address it serves on.
    ///
    /// # Errors
    /// Those of the system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    /// What became of the datagrams received.
    pub fn stats(&self) -> &Stats {
        self.inner.stats()
    }

    /// How many packets could not be sent, the system having refused them.
    pub fn dropped(&self) -> u64 {
        self.inner.dropped()
    }

    /// Replaces the key ring: keys may come and go between runs.
    pub fn set_key_ring(&mut self, ring: KeyRing) {
        self.inner.set_key_ring(ring);
    }

    /// Serves `application` for ever.
    ///
    /// Cancel safe: the future may be dropped at any point, to look at [`stats`](Self::stats), say, and `run`
    /// be called again.
    ///
    /// # Errors
    /// The socket's, once receiving fails again and again.
    pub async fn run<A: Application>(&mut self, application: &mut A) -> io::Result<()> {
        self.inner.run(application).await
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
        self.inner.run_until(application, stop).await
    }
}
