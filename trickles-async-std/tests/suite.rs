//! The tests of all runtime crates, on the executors this one serves.

use std::future::Future;
use std::io;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use trickles_async_std::trickles::client::ClientConfig;
use trickles_async_std::trickles::key_ring::KeyRing;
use trickles_async_std::trickles::replay::ReplayFilter;
use trickles_async_std::trickles::server::{Application, ServerConfig};
use trickles_async_std::trickles::stats::Stats;
use trickles_async_std::{Endpoint, Server, ServerHandle, TricklesStream};
use trickles_suite::{Executor, Platform, Transport, behaviour, combinators, streams, tcp};

/// async-std. Its TCP streams do not end what is written when they are closed, unlike those of all others.
struct AsyncStd;

impl Executor for AsyncStd {
    fn block_on<T>(future: impl Future<Output = T>) -> T {
        async_std::task::block_on(future)
    }

    fn spawn(future: impl Future<Output = ()> + Send + 'static) {
        async_std::task::spawn(future);
    }
}

/// smol, and its TCP.
struct Smol;

impl Executor for Smol {
    fn block_on<T>(future: impl Future<Output = T>) -> T {
        smol::block_on(future)
    }

    fn spawn(future: impl Future<Output = ()> + Send + 'static) {
        smol::spawn(future).detach();
    }
}

impl Transport for Smol {
    type Executor = Self;
    type Stream = smol::net::TcpStream;
    type Server = ();

    async fn serve() -> (SocketAddr, ()) {
        (tcp::serve(), ())
    }

    async fn connect(address: SocketAddr) -> io::Result<Self::Stream> {
        smol::net::TcpStream::connect(address).await
    }
}

/// This crate on an executor.
struct Trickles<E>(PhantomData<E>);

impl<E: Executor> Platform for Trickles<E> {
    type Executor = E;
    type Stream = TricklesStream;
    type Endpoint = Endpoint<TricklesStream>;
    type Server = Server;

    async fn endpoint(addresses: &[SocketAddr]) -> io::Result<Self::Endpoint> {
        TricklesStream::builder().endpoint(addresses).await
    }

    async fn connect_on(endpoint: &Self::Endpoint, config: ClientConfig) -> io::Result<TricklesStream> {
        endpoint.connect_with(&TricklesStream::builder().client_config(config)).await
    }

    async fn connect_with(addresses: &[SocketAddr], config: ClientConfig) -> io::Result<TricklesStream> {
        TricklesStream::builder().client_config(config).connect(addresses).await
    }

    fn peer_addr(stream: &TricklesStream) -> io::Result<SocketAddr> {
        stream.peer_addr()
    }

    fn local_addr(stream: &TricklesStream) -> io::Result<SocketAddr> {
        stream.local_addr()
    }

    fn stats(stream: &TricklesStream) -> Stats {
        stream.stats()
    }

    async fn bind_with(
        address: SocketAddr,
        config: ServerConfig,
        ring: KeyRing,
        filter: Arc<dyn ReplayFilter>,
    ) -> io::Result<Server> {
        Server::bind_with(address, config, ring, filter).await
    }

    async fn run_until(
        server: &mut Server,
        application: &mut (impl Application + Send),
        stop: impl Future<Output = ()> + Send,
    ) -> io::Result<()> {
        server.run_until(application, stop).await
    }

    fn server_addr(server: &Server) -> io::Result<SocketAddr> {
        server.local_addr()
    }

    fn server_stats(server: &Server) -> Stats {
        server.stats()
    }

    fn handle(server: &Server) -> ServerHandle {
        server.handle()
    }

    fn dropped(server: &Server) -> u64 {
        server.dropped()
    }
}

fn main() -> ExitCode {
    trickles_suite::run([
        streams::<Trickles<AsyncStd>>("async_std::trickles"),
        behaviour::<Trickles<AsyncStd>>("async_std::trickles"),
        combinators::<Trickles<AsyncStd>>("async_std::trickles"),
        streams::<Trickles<Smol>>("smol::trickles"),
        behaviour::<Trickles<Smol>>("smol::trickles"),
        combinators::<Trickles<Smol>>("smol::trickles"),
        behaviour::<Smol>("smol::tcp"),
        combinators::<Smol>("smol::tcp"),
    ])
}
