//! Servers that can be stopped in different ways.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use trickles::key_ring::KeyRing;
use trickles::replay::FilterConfig;
use trickles::server::ServerConfig;
use trickles_tokio::{Server, TricklesStream, replay_filter};

use crate::application::Lines;

/// A server in a task of its own.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Server>,
}

/// The ring of most servers.
pub(crate) fn ring() -> KeyRing {
    KeyRing::new(&[(1, [7; 32])]).unwrap()
}

/// An address nobody has.
pub(crate) fn any() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

impl Running {
    /// At an address of its own.
    pub(crate) async fn start() -> Self {
        Self::start_with(any(), ServerConfig::default(), ring()).await
    }

    pub(crate) async fn start_with(address: SocketAddr, config: ServerConfig, ring: KeyRing) -> Self {
        let filter =
            replay_filter(FilterConfig { cells_per_generation: 1 << 16, ..FilterConfig::default() }).unwrap();
        let mut server = Server::bind_with(address, config, ring, filter).await.unwrap();
        let address = server.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            server.run_until(&mut Lines, async { drop(stopped.await) }).await.unwrap();
            server
        });
        Self { address, stop, task }
    }

    pub(crate) async fn connect(&self) -> TricklesStream {
        TricklesStream::connect(self.address).await.unwrap()
    }

    /// Whether it has ended by itself.
    pub(crate) fn is_finished(&self) -> bool {
        self.task.is_finished()
    }

    /// Ends it when it likes to.
    pub(crate) async fn stop(self) -> Server {
        self.stop.send(()).unwrap();
        self.task.await.unwrap()
    }

    /// Ends it wherever it is.
    pub(crate) async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }
}

#[tokio::test]
async fn a_server_without_requests_stops() {
    let server = Running::start().await.stop().await;
    assert_eq!(server.stats().received, 0);
}

#[tokio::test]
async fn a_run_that_was_dropped_can_be_taken_up_again() {
    let mut server = Server::bind(any(), ServerConfig::default(), ring()).await.unwrap();
    let address = server.local_addr().unwrap();
    let mut client = std::pin::pin!(async move {
        let mut stream = TricklesStream::connect(address).await.unwrap();
        crate::ask(&mut stream, 300_000, 3).await;
        crate::read_rest(&mut stream, 0, 300_000, 3).await;
    });
    let mut application = Lines;
    loop {
        tokio::select! {
            biased;
            () = &mut client => break,
            () = tokio::task::yield_now() => {}
            result = server.run(&mut application) => result.unwrap(),
        }
    }
    assert!(server.stats().sent > 300_000 / 9000);
}
