//! What can be chosen when a stream is opened.

use std::fmt;
use std::future::Future;
use std::io::{self, ErrorKind};
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::time::Duration;

use trickles::client::ClientConfig;
use trickles::epoch::CurveId;
use trickles::wire::{MAX_PACKET_SIZE, MIN_PACKET_SIZE};

use super::{ByteStream, Endpoint};
use crate::runtime::Runtime;

/// Most bytes of a service label.
const MAX_SERVICE: usize = 255;

/// What can be chosen when a stream is opened.
#[derive(Clone, Debug)]
pub struct StreamOptions {
    /// The protocol's settings.
    pub client: ClientConfig,
    /// The local address; of the system's choice if there is none.
    pub bind: Option<SocketAddr>,
    /// Whether the system may segment what is sent and coalesce what is received.
    pub offload: bool,
}

impl Default for StreamOptions {
    fn default() -> Self {
        Self { client: ClientConfig::default(), bind: None, offload: true }
    }
}

impl StreamOptions {
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput) for what no server would understand.
    pub(crate) fn check(&self) -> io::Result<()> {
        let problem = if self.client.service.len() > MAX_SERVICE {
            "a service label has at most 255 bytes"
        } else if self
            .client
            .packet_size
            .is_some_and(|size| !(MIN_PACKET_SIZE..=MAX_PACKET_SIZE).contains(&size))
        {
            "a packet has from 1000 to 9000 bytes"
        } else {
            return Ok(());
        };
        Err(io::Error::new(ErrorKind::InvalidInput, problem))
    }
}

/// A runtime's stream.
pub trait RuntimeStream: From<ByteStream> {
    /// What drives it.
    const RUNTIME: &'static dyn Runtime;
}

/// A runtime's stream, as [`StreamBuilder`] opens it. `A`: what the runtime resolves to socket addresses.
///
/// The trait does not say that the future is `Send`; those of the runtime crates are if `A` is.
pub trait Connect<A>: RuntimeStream {
    /// The socket addresses that `address` stands for.
    ///
    /// # Errors
    /// Those of looking up a name.
    fn resolve(address: A) -> impl Future<Output = io::Result<Vec<SocketAddr>>>;
}

/// Opens streams of type `S` with other options than the default ones.
///
/// There is no key among them: servers keep their keys to themselves, and what a client presents is the
/// [service](Self::service) it asks for.
#[must_use = "a builder opens a stream only when `connect` is called"]
pub struct StreamBuilder<S> {
    pub(super) options: StreamOptions,
    stream: PhantomData<fn() -> S>,
}

impl<S> StreamBuilder<S> {
    /// With the default options.
    pub fn new() -> Self {
        Self { options: StreamOptions::default(), stream: PhantomData }
    }

    /// The label of the service asked for, at most 255 bytes. By default it is empty, as is a server's.
    pub fn service(mut self, label: impl Into<Vec<u8>>) -> Self {
        self.options.client.service = label.into();
        self
    }

    /// Most received bytes held until they are read; at least 64 KiB, by default 2 MiB. What is held and what is in
    /// flight never exceed it together, so for full speed it should cover rate times round trip.
    pub fn receive_buffer(mut self, bytes: usize) -> Self {
        self.options.client.receive_buffer = bytes;
        self
    }

    /// Most written bytes held until the server has consumed them; by default 1 MiB. Beyond it, writing
    /// waits.
    pub fn send_buffer(mut self, bytes: usize) -> Self {
        self.options.client.send_buffer = bytes;
        self
    }

    /// The congestion curve; by default CUBIC.
    pub fn curve(mut self, curve: CurveId) -> Self {
        self.options.client.curve = curve;
        self
    }

    /// Bytes to be written first, which then cost no round trip: as many as fit travel with the packet that
    /// opens the stream, and the others follow. The network may repeat that packet, so they should ask for
    /// nothing that must not happen twice.
    pub fn early_data(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.options.client.early_input = bytes.into();
        self
    }

    /// How long each address has to answer; by default 10 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.options.client.connect_timeout = timeout;
        self
    }

    /// How long requests may stay unanswered before the stream fails; by default 30 s. A stream with nothing
    /// to ask for waits for ever.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.client.timeout = timeout;
        self
    }

    /// Most bytes of a packet's UDP payload, from 1000 to 9000, in both directions. By default it is what fits an
    /// Ethernet packet, 1472 over IPv4 and 1452 over IPv6, and 9000 within this machine, since every system's loopback
    /// interface carries that. A path that carries less is found out when the stream opens, 300 ms later then, and when
    /// it comes to carry less: the stream goes on in packets of 1200.
    pub fn packet_size(mut self, bytes: u16) -> Self {
        self.options.client.packet_size = Some(bytes);
        self
    }

    /// The local address. Its port may be 0, for one of the system's choice; another one serves one stream at
    /// a time, or one [`Endpoint`], and of several addresses to connect to perhaps only the first. Only servers of the same address
    /// family can be reached.
    pub fn bind(mut self, local: impl Into<SocketAddr>) -> Self {
        self.options.bind = Some(local.into());
        self
    }

    /// Whether many packets pass between this program and the system at once (GSO and GRO), where the system
    /// can do that; by default they do. It costs a fraction of the time. Without it every packet is sent by a
    /// call of its own and received as it came, for networks and capture tools that mistake what is segmented
    /// late. On Windows it concerns sending only.
    ///
    /// A system that turns out not to segment needs no such setting: its packets are sent one by one from then
    /// on, and none is lost.
    pub fn offload(mut self, enabled: bool) -> Self {
        self.options.offload = enabled;
        self
    }

    /// Replaces all settings of the protocol.
    pub fn client_config(mut self, config: ClientConfig) -> Self {
        self.options.client = config;
        self
    }

    /// Opens a stream to the first of the addresses that answers. The builder can be used again.
    ///
    /// Cancel safe: dropping the future closes what it had opened.
    ///
    /// # Errors
    /// Of the last address: [`ConnectionRefused`](ErrorKind::ConnectionRefused) where nobody listens, or nobody
    /// offers this service; [`TimedOut`](ErrorKind::TimedOut) where nobody answers;
    /// [`AddrInUse`](ErrorKind::AddrInUse) or [`AddrNotAvailable`](ErrorKind::AddrNotAvailable) if the local
    /// address cannot be had; others of the system. [`InvalidInput`](ErrorKind::InvalidInput) without any
    /// address, and for options out of their bounds; and what went wrong in looking up a name.
    pub async fn connect<A>(&self, address: A) -> io::Result<S>
    where
        S: Connect<A>,
    {
        self.endpoint(address).await?.connect().await
    }

    /// Opens nothing yet, but what any number of streams to the same server can share: see [`Endpoint`].
    ///
    /// # Errors
    /// What went wrong in looking up a name; [`InvalidInput`](ErrorKind::InvalidInput) without any address, and for
    /// options out of their bounds.
    pub async fn endpoint<A>(&self, address: A) -> io::Result<Endpoint<S>>
    where
        S: Connect<A>,
    {
        Endpoint::new(S::resolve(address).await?, self.options.clone())
    }
}

impl<S> Default for StreamBuilder<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Clone for StreamBuilder<S> {
    fn clone(&self) -> Self {
        Self { options: self.options.clone(), stream: PhantomData }
    }
}

impl<S> fmt::Debug for StreamBuilder<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StreamBuilder").field(&self.options).finish()
    }
}
