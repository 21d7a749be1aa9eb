//! Streams that share a socket.

use std::fmt;
use std::io::{self, ErrorKind};
use std::marker::PhantomData;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use trickles::client::ClientConfig;
use trickles::wire::MAX_PACKET_SIZE;

use super::path::Path;
use super::{ByteStream, RuntimeStream, StreamBuilder, StreamOptions};
use crate::runtime::Runtime;

/// Opens any number of streams of type `S` to one server, which share a socket: one file descriptor, one port and one
/// task for all of them.
///
/// A stream on a socket of its own costs the system more than everything the protocol has to do to open it. So an
/// endpoint is for who opens many short streams to one server, or holds many at once; proxies and pools, say. To who has
/// one, it is no different.
///
/// Where the address was a name with several addresses, each stream goes to the first of them that answers, beginning
/// with the one that did last.
///
/// Dropping it closes the socket once the streams have ended.
pub struct Endpoint<S> {
    options: StreamOptions,
    servers: Vec<Server>,
    /// Which of them answered last.
    answered: AtomicUsize,
    stream: PhantomData<fn() -> S>,
}

/// One of the addresses, and the socket that is connected to it, once there is one.
struct Server {
    address: SocketAddr,
    path: Mutex<Option<Arc<Path>>>,
}

impl<S: RuntimeStream> Endpoint<S> {
    pub(super) fn new(servers: Vec<SocketAddr>, options: StreamOptions) -> io::Result<Self> {
        options.check()?;
        if servers.is_empty() {
            return Err(io::Error::new(ErrorKind::InvalidInput, "there is no address to connect to"));
        }
        let servers = servers.into_iter().map(|address| Server { address, path: Mutex::default() }).collect();
        Ok(Self { options, servers, answered: 0.into(), stream: PhantomData })
    }

    /// Opens a stream, with the options of the builder that has made the endpoint.
    ///
    /// Cancel safe: dropping the future closes the stream it had opened.
    ///
    /// # Errors
    /// Those of [`StreamBuilder::connect`].
    pub async fn connect(&self) -> io::Result<S> {
        self.connect_as(&self.options.client).await
    }

    /// Opens a stream with options of its own, such as [early data](StreamBuilder::early_data). Those that concern the
    /// socket, [`bind`](StreamBuilder::bind) and [`offload`](StreamBuilder::offload), stay the endpoint's.
    ///
    /// Cancel safe: dropping the future closes the stream it had opened.
    ///
    /// # Errors
    /// Those of [`StreamBuilder::connect`].
    pub async fn connect_with(&self, builder: &StreamBuilder<S>) -> io::Result<S> {
        builder.options.check()?;
        self.connect_as(&builder.options.client).await
    }

    /// How many datagrams came that answer no request of its streams, and were discarded: mostly what was on its way to
    /// streams that have ended. [`ByteStream::stats`] does not count them.
    pub fn strays(&self) -> u64 {
        self.servers.iter().filter_map(|server| server.lock().as_ref().map(|path| path.strays())).sum()
    }

    async fn connect_as(&self, config: &ClientConfig) -> io::Result<S> {
        let first = self.answered.load(Relaxed);
        let mut failed = None;
        for index in (first..self.servers.len()).chain(0..first) {
            let server = &self.servers[index];
            let stream = match server.open(S::RUNTIME, &self.options, config) {
                Ok(stream) => stream,
                Err(error) => {
                    failed = Some(error);
                    continue;
                }
            };
            match stream.connected().await {
                Ok(()) => {
                    self.answered.store(index, Relaxed);
                    return Ok(stream.into());
                }
                Err(error) => {
                    // A port that was asked for by its number cannot be had twice.
                    if self.options.bind.is_none_or(|local| local.port() == 0) {
                        server.renew(&stream.shared.path);
                    }
                    failed = Some(error);
                }
            }
        }
        Err(failed.unwrap_or_else(|| ErrorKind::InvalidInput.into()))
    }
}

impl Server {
    /// Opens a stream without waiting for the server.
    fn open(
        &self,
        runtime: &dyn Runtime,
        options: &StreamOptions,
        config: &ClientConfig,
    ) -> io::Result<ByteStream> {
        let mut config = config.clone();
        config.packet_size.get_or_insert(usual_packet_size(self.address.ip()));
        let mut path = self.lock();
        let usable = path.take().filter(|path| !path.has_stopped());
        let usable = match usable {
            Some(usable) => usable,
            None => Path::open(runtime, self.address, options.bind, options.offload)?,
        };
        let shared = path.insert(usable).open_stream(config)?;
        Ok(ByteStream { shared })
    }

    /// Has the next stream open a new socket: this one may be bound to an address that this machine no longer has. Its
    /// other streams go on.
    fn renew(&self, failed: &Arc<Path>) {
        if let Some(path) = self.lock().take_if(|path| Arc::ptr_eq(path, failed)) {
            path.close();
        }
    }

    /// A panic elsewhere has at most left no socket here.
    fn lock(&self) -> MutexGuard<'_, Option<Arc<Path>>> {
        self.path.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(path) = self.path.get_mut().unwrap_or_else(PoisonError::into_inner) {
            path.close();
        }
    }
}

impl<S> fmt::Debug for Endpoint<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let servers: Vec<_> = self.servers.iter().map(|server| server.address).collect();
        f.debug_struct("Endpoint").field("servers", &servers).field("options", &self.options).finish()
    }
}

/// Bytes of UDP payload that the path to a server usually carries: what is left of Ethernet's 1500 bytes, or, within
/// this machine, what every system's loopback interface takes. Who asks for more than the path carries is answered
/// later, not never (docs/protocol.md 7.19).
fn usual_packet_size(server: IpAddr) -> u16 {
    const ETHERNET: u16 = 1500;
    const UDP_HEADER: u16 = 8;
    match server.to_canonical() {
        server if server.is_loopback() => MAX_PACKET_SIZE,
        IpAddr::V4(_) => ETHERNET - 20 - UDP_HEADER,
        IpAddr::V6(_) => ETHERNET - 40 - UDP_HEADER,
    }
}
