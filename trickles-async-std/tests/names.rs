//! Addresses may be names, looked up without holding up the executor.

use futures_lite::future::block_on;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use trickles_async_std::trickles::server::ServerConfig;
use trickles_async_std::{Server, TricklesStream};
use trickles_suite::application::{Lines, bytes};
use trickles_suite::ring;

/// On an executor that has neither a reactor nor threads.
#[test]
fn a_name_is_as_good_as_an_address() {
    block_on(async {
        let mut server = Server::bind("localhost:0", ServerConfig::default(), ring()).await.unwrap();
        let port = server.local_addr().unwrap().port();
        let client = async {
            let mut stream = TricklesStream::connect(("localhost", port)).await.unwrap();
            stream.write_all(b"GET 1000 1\n").await.unwrap();
            stream.close().await.unwrap();
            let mut received = Vec::new();
            stream.read_to_end(&mut received).await.unwrap();
            assert!(received == bytes(1, 0, 1000));
            Ok(())
        };
        futures_lite::future::or(client, server.run(&mut Lines)).await.unwrap();
    });
}
