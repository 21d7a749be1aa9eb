//! Servers as streams of events, and handlers on top of them, over real sockets.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod handlers;
mod streams;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use trickles_tokio::trickles::client::Failure;
use trickles_tokio::trickles::key_ring::KeyRing;
use trickles_tokio::trickles::replay::FilterConfig;
use trickles_tokio::trickles::server::ServerConfig;
use trickles_tokio::{Server, TricklesStream, replay_filter};

/// A server at an address of its own.
async fn bind() -> (SocketAddr, Server) {
    let config = ServerConfig { pending: Duration::from_millis(50), ..ServerConfig::default() };
    let filter = FilterConfig { cells_per_generation: 1 << 16, ..FilterConfig::default() };
    let ring = KeyRing::new(&[(1, [7; 32])]).unwrap();
    let filter = replay_filter(filter).unwrap();
    let server = Server::bind_with((Ipv4Addr::LOCALHOST, 0), config, ring, filter).await.unwrap();
    (server.local_addr().unwrap(), server)
}

/// All that follows from `input`.
async fn exchange(address: SocketAddr, input: &[u8]) -> io::Result<Vec<u8>> {
    let stream = TricklesStream::connect(address).await?;
    let (mut reader, mut writer) = tokio::io::split(stream);
    let write = async {
        writer.write_all(input).await?;
        writer.shutdown().await
    };
    let mut output = Vec::new();
    let (read, _) = tokio::join!(reader.read_to_end(&mut output), write);
    read.map(|_| output)
}

fn failure<T: std::fmt::Debug>(result: io::Result<T>) -> Failure {
    let error = result.unwrap_err();
    *error.get_ref().and_then(|inner| inner.downcast_ref()).unwrap()
}
