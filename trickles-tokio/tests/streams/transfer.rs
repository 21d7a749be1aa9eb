//! Bytes arrive, whatever else happens.

use tokio::io::AsyncReadExt;
use trickles::server::ServerConfig;
use trickles_tokio::TricklesStream;

use crate::application::bytes;
use crate::server::{Running, ring};
use crate::{ask, read_rest};

const MIB: usize = 1 << 20;

#[tokio::test]
async fn a_download_survives_restarts_of_the_server() {
    let mut server = Running::start().await;
    let address = server.address;
    let mut stream = TricklesStream::builder().receive_buffer(256 << 10).connect(address).await.unwrap();
    ask(&mut stream, 6 * MIB, 8).await;
    let mut received = vec![0; MIB];
    for part in 0..5 {
        stream.read_exact(&mut received).await.unwrap();
        assert!(received == bytes(8, part * MIB, (part + 1) * MIB));
        server.kill().await;
        server = Running::start_with(address, ServerConfig::default(), ring()).await;
    }
    read_rest(&mut stream, 5 * MIB, 6 * MIB, 8).await;
    assert!(server.stop().await.stats().events > 0);
}
