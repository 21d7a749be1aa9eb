//! Servers that can be stopped in different ways.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use futures::channel::oneshot;
use futures::future::{AbortHandle, RemoteHandle, TryFutureExt, abortable};
use socket2::{Domain, Socket, Type};
use trickles::client::ClientConfig;
use trickles::key_ring::KeyRing;
use trickles::replay::FilterConfig;
use trickles::server::ServerConfig;
use trickles_driver::{ServerHandle, replay_filter};

use crate::application::Lines;
use crate::platform::{Executor, Platform};

/// A server in a task of its own, which ends when this is dropped.
pub struct Running<P: Platform> {
    /// Where it is found.
    pub address: SocketAddr,
    /// What leads to its counters.
    pub(crate) handle: ServerHandle,
    stop: oneshot::Sender<()>,
    abort: AbortHandle,
    task: RemoteHandle<Option<P::Server>>,
}

/// The ring of most servers.
pub fn ring() -> KeyRing {
    KeyRing::new(&[(1, [7; 32])]).unwrap()
}

/// An address nobody has.
pub fn any() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

impl<P: Platform> Running<P> {
    /// At an address of its own.
    pub async fn start() -> Self {
        Self::start_with(any(), ServerConfig::default(), ring()).await
    }

    /// As `config` and `ring` say.
    pub async fn start_with(address: SocketAddr, config: ServerConfig, ring: KeyRing) -> Self {
        let mut server = Self::bind(address, config, ring).await;
        let address = P::server_addr(&server).unwrap();
        let handle = P::handle(&server);
        let (stop, stopped) = oneshot::channel::<()>();
        let (run, abort) = abortable(async move {
            let stop = stopped.unwrap_or_else(|_| ());
            P::run_until(&mut server, &mut Lines, stop).await.unwrap();
            server
        });
        // Its socket is closed before the task is over, for somebody else to have the address.
        let task = P::Executor::run(async move { run.await.ok() });
        Self { address, handle, stop, abort, task }
    }

    /// A server that does not run yet.
    pub(crate) async fn bind(address: SocketAddr, config: ServerConfig, ring: KeyRing) -> P::Server {
        let filter =
            replay_filter(FilterConfig { cells_per_generation: 1 << 16, ..FilterConfig::default() }).unwrap();
        P::bind_with(address, config, ring, filter).await.unwrap()
    }

    /// A stream to it.
    pub async fn connect(&self) -> P::Stream {
        P::connect_with(&[self.address], ClientConfig::default()).await.unwrap()
    }

    /// Ends it when it likes to.
    pub async fn stop(self) -> P::Server {
        self.stop.send(()).unwrap();
        self.task.await.unwrap()
    }

    /// Ends it wherever it is.
    pub async fn kill(self) {
        self.abort.abort();
        assert!(self.task.await.is_none());
    }
}

/// An address at which nobody listens and nobody will: its ports are taken.
pub(crate) struct Deserted {
    pub(crate) address: SocketAddr,
    _udp: UdpSocket,
    _tcp: Socket,
}

impl Deserted {
    pub(crate) fn new() -> Self {
        loop {
            let tcp = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            tcp.bind(&any().into()).unwrap();
            let address = tcp.local_addr().unwrap().as_socket().unwrap();
            if let Ok(udp) = UdpSocket::bind(address) {
                // Nothing reaches a socket that has another peer.
                udp.connect(address).unwrap();
                return Self { address, _udp: udp, _tcp: tcp };
            }
        }
    }
}
