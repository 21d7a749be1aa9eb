//! Bytes arrive, whatever else happens.

use futures::future::join_all;
use futures::{AsyncReadExt, AsyncWriteExt};
use futures_lite::future::yield_now;
use trickles::client::ClientConfig;
use trickles::server::ServerConfig;

use crate::application::{Checksum, bytes};
use crate::platform::{Executor, Platform};
use crate::running::{Running, ring};
use crate::{ask, expect_all, expect_bytes, expect_rest, list};

const MIB: usize = 1 << 20;

list!(P: Platform;
    download,
    two_downloads_at_once,
    upload_with_nobody_reading,
    slow_reader,
    a_stream_goes_on_while_nobody_polls_it,
    a_download_survives_restarts_of_the_server,
    an_upload_survives_restarts_of_the_server,
);

async fn download<P: Platform>() {
    let server = Running::<P>::start().await;
    let mut stream = server.connect().await;
    ask(&mut stream, 8 * MIB, 1).await;
    expect_rest(&mut stream, 0, 8 * MIB, 1).await;
    assert_eq!(P::peer_addr(&stream).unwrap(), server.address);
    assert_eq!(P::dropped(&server.stop().await), 0);
}

async fn two_downloads_at_once<P: Platform>() {
    let server = Running::<P>::start().await;
    let address = server.address;
    let downloads = [1, 2].map(|seed| {
        P::Executor::run(async move {
            let mut stream = P::connect_with(&[address], ClientConfig::default()).await.unwrap();
            ask(&mut stream, 4 * MIB, seed).await;
            expect_rest(&mut stream, 0, 4 * MIB, seed).await;
        })
    });
    join_all(downloads).await;
}

async fn upload_with_nobody_reading<P: Platform>() {
    let server = Running::<P>::start().await;
    let mut stream = server.connect().await;
    let content = bytes(5, 0, 2 * MIB);
    stream.write_all(b"SUM\n").await.unwrap();
    stream.write_all(&content).await.unwrap();
    stream.close().await.unwrap();
    expect_all(&mut stream, &Checksum::of(&content)).await;
}

async fn slow_reader<P: Platform>() {
    let server = Running::<P>::start().await;
    let config = ClientConfig { receive_buffer: 64 << 10, ..ClientConfig::default() };
    let mut stream = P::connect_with(&[server.address], config).await.unwrap();
    ask(&mut stream, MIB, 6).await;
    let mut received = Vec::new();
    let mut buffer = [0; 777];
    loop {
        for _ in 0..3 {
            yield_now().await;
        }
        match stream.read(&mut buffer).await.unwrap() {
            0 => break,
            count => received.extend_from_slice(&buffer[..count]),
        }
    }
    assert!(received == bytes(6, 0, MIB));
}

async fn a_stream_goes_on_while_nobody_polls_it<P: Platform>() {
    let server = Running::<P>::start().await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET 1000000 7\n").await.unwrap();
    while P::stats(&stream).received < 60 {
        yield_now().await;
    }
    stream.close().await.unwrap();
    expect_rest(&mut stream, 0, 1_000_000, 7).await;
}

async fn a_download_survives_restarts_of_the_server<P: Platform>() {
    let mut server = Running::<P>::start().await;
    let address = server.address;
    let config = ClientConfig { receive_buffer: 256 << 10, ..ClientConfig::default() };
    let mut stream = P::connect_with(&[address], config).await.unwrap();
    ask(&mut stream, 6 * MIB, 8).await;
    for part in 0..5 {
        expect_bytes(&mut stream, part * MIB, (part + 1) * MIB, 8).await;
        server.kill().await;
        server = Running::start_with(address, ServerConfig::default(), ring()).await;
    }
    expect_rest(&mut stream, 5 * MIB, 6 * MIB, 8).await;
    assert!(P::server_stats(&server.stop().await).events > 0);
}

async fn an_upload_survives_restarts_of_the_server<P: Platform>() {
    let mut server = Running::<P>::start().await;
    let address = server.address;
    let config = ClientConfig { send_buffer: 64 << 10, ..ClientConfig::default() };
    let mut stream = P::connect_with(&[address], config).await.unwrap();
    let content = bytes(9, 0, 2 * MIB);
    stream.write_all(b"SUM\n").await.unwrap();
    for part in content.chunks(MIB / 2) {
        // All but what the buffer holds has been consumed then.
        stream.write_all(part).await.unwrap();
        server.kill().await;
        server = Running::start_with(address, ServerConfig::default(), ring()).await;
    }
    stream.close().await.unwrap();
    expect_all(&mut stream, &Checksum::of(&content)).await;
}
