//! The tests of all runtime crates, on tokio's executors.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::future::Future;
use std::io;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt};
use trickles_suite::{Executor, Platform, Transport, behaviour, combinators, streams, tcp};
use trickles_tokio::trickles::client::ClientConfig;
use trickles_tokio::trickles::key_ring::KeyRing;
use trickles_tokio::trickles::replay::ReplayFilter;
use trickles_tokio::trickles::server::{Application, ServerConfig};
use trickles_tokio::trickles::stats::Stats;
use trickles_tokio::{Endpoint, Server, ServerHandle, TricklesStream};

/// tokio with one thread or with several, and its TCP.
struct Tokio<const THREADS: bool>;

impl<const THREADS: bool> Executor for Tokio<THREADS> {
    fn block_on<T>(future: impl Future<Output = T>) -> T {
        let mut builder = if THREADS { Builder::new_multi_thread() } else { Builder::new_current_thread() };
        builder.worker_threads(2).enable_all().build().unwrap().block_on(future)
    }

    fn spawn(future: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(future);
    }
}

impl<const THREADS: bool> Transport for Tokio<THREADS> {
    type Executor = Self;
    type Stream = Compat<TcpStream>;
    type Server = ();

    async fn serve() -> (SocketAddr, ()) {
        (tcp::serve(), ())
    }

    async fn connect(address: SocketAddr) -> io::Result<Self::Stream> {
        Ok(TcpStream::connect(address).await?.compat())
    }
}

/// This crate on an executor.
struct Trickles<E>(PhantomData<E>);

impl<E: Executor> Platform for Trickles<E> {
    type Executor = E;
    type Stream = Compat<TricklesStream>;
    type Endpoint = Endpoint<TricklesStream>;
    type Server = Server;

    async fn endpoint(addresses: &[SocketAddr]) -> io::Result<Self::Endpoint> {
        TricklesStream::builder().endpoint(addresses).await
    }

    async fn connect_on(endpoint: &Self::Endpoint, config: ClientConfig) -> io::Result<Self::Stream> {
        let builder = TricklesStream::builder().client_config(config);
        Ok(endpoint.connect_with(&builder).await?.compat())
    }

    async fn connect_with(addresses: &[SocketAddr], config: ClientConfig) -> io::Result<Self::Stream> {
        Ok(TricklesStream::builder().client_config(config).connect(addresses).await?.compat())
    }

    fn peer_addr(stream: &Compat<TricklesStream>) -> io::Result<SocketAddr> {
        stream.get_ref().peer_addr()
    }

    fn local_addr(stream: &Compat<TricklesStream>) -> io::Result<SocketAddr> {
        stream.get_ref().local_addr()
    }

    fn stats(stream: &Compat<TricklesStream>) -> Stats {
        stream.get_ref().stats()
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
        streams::<Trickles<Tokio<false>>>("one_thread::trickles"),
        behaviour::<Trickles<Tokio<false>>>("one_thread::trickles"),
        combinators::<Trickles<Tokio<false>>>("one_thread::trickles"),
        streams::<Trickles<Tokio<true>>>("threads::trickles"),
        behaviour::<Trickles<Tokio<true>>>("threads::trickles"),
        combinators::<Trickles<Tokio<true>>>("threads::trickles"),
        behaviour::<Tokio<true>>("threads::tcp"),
        combinators::<Tokio<true>>("threads::tcp"),
    ])
}
