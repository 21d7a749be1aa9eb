//! What is tested.

use std::fmt::Debug;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::RemoteHandle;
use futures::{AsyncRead, AsyncWrite};
use trickles::client::ClientConfig;
use trickles::key_ring::KeyRing;
use trickles::replay::ReplayFilter;
use trickles::server::{Application, ServerConfig};
use trickles::stats::Stats;
use trickles_driver::ServerHandle;

use crate::Running;

/// What runs futures.
pub trait Executor: Send + 'static {
    /// Runs `future` on this thread until it ends.
    fn block_on<T>(future: impl Future<Output = T>) -> T;

    /// Runs `future` in the background.
    fn spawn(future: impl Future<Output = ()> + Send + 'static);

    /// Runs `future` in the background until it ends or what is returned is dropped.
    fn run<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> RemoteHandle<T> {
        let (remote, handle) = future.remote_handle();
        Self::spawn(remote);
        handle
    }
}

/// Streams of bytes to a server that runs [`Lines`](crate::application::Lines).
pub trait Transport: 'static {
    /// On what it is tested.
    type Executor: Executor;
    /// A client's end.
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;
    /// A server that serves until this is dropped, or longer.
    type Server: Send;

    /// A server of its own, and its address.
    fn serve() -> impl Future<Output = (SocketAddr, Self::Server)> + Send;

    /// Connects to a server.
    fn connect(address: SocketAddr) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

/// A runtime crate on an executor: its `TricklesStream` and its `Server`, through their public functions.
pub trait Platform: Sized + 'static {
    /// On what it is tested.
    type Executor: Executor;
    /// `TricklesStream`, where needed in a wrapper for futures-io.
    type Stream: AsyncRead + AsyncWrite + Debug + Send + Sync + Unpin + 'static;
    /// `Endpoint<TricklesStream>`.
    type Endpoint: Send + Sync + 'static;
    /// `Server`.
    type Server: Send + 'static;

    /// `StreamBuilder::endpoint`.
    fn endpoint(addresses: &[SocketAddr]) -> impl Future<Output = io::Result<Self::Endpoint>> + Send;

    /// `Endpoint::connect_with`.
    fn connect_on(
        endpoint: &Self::Endpoint,
        config: ClientConfig,
    ) -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// `StreamBuilder::connect`.
    fn connect_with(
        addresses: &[SocketAddr],
        config: ClientConfig,
    ) -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// `TricklesStream::peer_addr`.
    fn peer_addr(stream: &Self::Stream) -> io::Result<SocketAddr>;

    /// `TricklesStream::local_addr`.
    fn local_addr(stream: &Self::Stream) -> io::Result<SocketAddr>;

    /// `TricklesStream::stats`.
    fn stats(stream: &Self::Stream) -> Stats;

    /// `Server::bind_with`.
    fn bind_with(
        address: SocketAddr,
        config: ServerConfig,
        ring: KeyRing,
        filter: Arc<dyn ReplayFilter>,
    ) -> impl Future<Output = io::Result<Self::Server>> + Send;

    /// `Server::run_until`.
    fn run_until(
        server: &mut Self::Server,
        application: &mut (impl Application + Send),
        stop: impl Future<Output = ()> + Send,
    ) -> impl Future<Output = io::Result<()>> + Send;

    /// `Server::local_addr`.
    fn server_addr(server: &Self::Server) -> io::Result<SocketAddr>;

    /// `Server::stats`.
    fn server_stats(server: &Self::Server) -> Stats;

    /// `Server::handle`.
    fn handle(server: &Self::Server) -> ServerHandle;

    /// `Server::dropped`.
    fn dropped(server: &Self::Server) -> u64;
}

impl<P: Platform> Transport for P {
    type Executor = P::Executor;
    type Stream = P::Stream;
    type Server = Running<P>;

    async fn serve() -> (SocketAddr, Self::Server) {
        let server = Running::start().await;
        (server.address, server)
    }

    async fn connect(address: SocketAddr) -> io::Result<Self::Stream> {
        P::connect_with(&[address], ClientConfig::default()).await
    }
}
