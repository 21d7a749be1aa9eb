//! The server.

use std::io;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::Stream;
use tokio::net::ToSocketAddrs;
use trickles::key_ring::KeyRing;
use trickles::replay::{FilterConfig, ReplayFilter};
use trickles::server::ServerConfig;
use trickles_driver::{Event, EventServer, bind, replay_filter};

use crate::runtime::TokioRuntime;

/// A server on one UDP socket: an [`EventServer`], which has its methods.
///
/// It is a loop around an [`Application`](trickles::server::Application) that answers at once, as below; a
/// stream of [`Event`]s, answered whenever you like; or what [`serve`](crate::serve()) runs a
/// [`Handler`](crate::Handler) on. See [there](EventServer) for when to use which.
///
/// ```no_run
/// use std::ops::Range;
///
/// use trickles::key_ring::KeyRing;
/// use trickles::server::{Application, Event, Next, Output, Reset, ServerConfig, Unanswered};
/// use trickles_tokio::Server;
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
///
/// # Several cores
/// One server per core, each with a socket and a thread of its own; the system distributes the clients. They share
/// keys and filter, so that any of them goes on with any stream.
///
/// ```no_run
/// use std::net::Ipv6Addr;
///
/// use trickles::key_ring::KeyRing;
/// use trickles::replay::FilterConfig;
/// use trickles::server::{Application, ServerConfig};
/// use trickles_tokio::{Server, bind_many, replay_filter};
///
/// fn serve<A: Application + Send>(ring: KeyRing, application: impl Fn() -> A) -> std::io::Result<()> {
///     let cores = std::thread::available_parallelism()?.get();
///     let filter = replay_filter(FilterConfig::default())?;
///     std::thread::scope(|scope| {
///         for socket in bind_many([(Ipv6Addr::UNSPECIFIED, 4433).into()], cores)? {
///             let (ring, filter, mut application) = (ring.clone(), filter.clone(), application());
///             scope.spawn(move || {
///                 let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
///                 runtime.block_on(async {
///                     let mut server = Server::from_socket(socket, ServerConfig::default(), ring, filter)?;
///                     // Others reach it by its `handle()`, for its counters and with new keys.
///                     server.run(&mut application).await
///                 })
///             });
///         }
///         Ok(())
///     })
/// }
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
    pub async fn bind<A: ToSocketAddrs>(address: A, config: ServerConfig, ring: KeyRing) -> io::Result<Self> {
        Self::bind_with(address, config, ring, replay_filter(FilterConfig::default())?).await
    }

    /// Binds to the first of the addresses that can be had. Servers of one process should share one filter,
    /// as [`replay_filter`] makes it: what one of them has granted, the others then refuse.
    ///
    /// # Errors
    /// Those of [`bind`](Self::bind).
    pub async fn bind_with<A: ToSocketAddrs>(
        address: A,
        config: ServerConfig,
        ring: KeyRing,
        filter: Arc<dyn ReplayFilter>,
    ) -> io::Result<Self> {
        Self::from_socket(bind(tokio::net::lookup_host(address).await?)?, config, ring, filter)
    }

    /// Serves on a socket that is bound already.
    ///
    /// # Errors
    /// Those of the system.
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O and time enabled.
    pub fn from_socket(
        socket: std::net::UdpSocket,
        config: ServerConfig,
        ring: KeyRing,
        filter: Arc<dyn ReplayFilter>,
    ) -> io::Result<Self> {
        Ok(Self { inner: EventServer::new(&TokioRuntime, socket, config, ring, filter)? })
    }
}

impl Deref for Server {
    type Target = EventServer;

    fn deref(&self) -> &EventServer {
        &self.inner
    }
}

impl DerefMut for Server {
    fn deref_mut(&mut self) -> &mut EventServer {
        &mut self.inner
    }
}

impl Stream for Server {
    type Item = io::Result<Event>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Event>>> {
        Pin::new(&mut self.inner).poll_next(cx)
    }
}

impl From<Server> for EventServer {
    fn from(server: Server) -> Self {
        server.inner
    }
}
