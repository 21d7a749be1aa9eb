//! Bytes arrive, whatever else happens.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use trickles::server::ServerConfig;
use trickles_tokio::TricklesStream;

use crate::application::{Checksum, bytes};
use crate::server::{Running, ring};
use crate::{ask, read_rest};

const MIB: usize = 1 << 20;

#[tokio::test]
async fn download() {
    let server = Running::start().await;
    let mut stream = server.connect().await;
    ask(&mut stream, 8 * MIB, 1).await;
    read_rest(&mut stream, 0, 8 * MIB, 1).await;
    assert_eq!(stream.peer_addr().unwrap(), server.address);
    assert_eq!(server.stop().await.dropped(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_downloads_at_once() {
    let server = Running::start().await;
    let downloads = [1, 2].map(|seed| {
        let address = server.address;
        tokio::spawn(async move {
            let mut stream = TricklesStream::connect(address).await.unwrap();
            ask(&mut stream, 4 * MIB, seed).await;
            read_rest(&mut stream, 0, 4 * MIB, seed).await;
        })
    });
    for download in downloads {
        download.await.unwrap();
    }
}

#[tokio::test]
async fn upload_with_nobody_reading() {
    let server = Running::start().await;
    let mut stream = server.connect().await;
    let content = bytes(5, 0, 2 * MIB);
    stream.write_all(b"SUM\n").await.unwrap();
    stream.write_all(&content).await.unwrap();
    stream.shutdown().await.unwrap();

    let mut expected = Checksum::new();
    expected.update(&content);
    let mut received = Vec::new();
    stream.read_to_end(&mut received).await.unwrap();
    assert_eq!(received, expected.encode());
}

#[tokio::test]
async fn request_and_response_in_turns() {
    let server = Running::start().await;
    let mut stream = server.connect().await;
    for seed in 0..50 {
        let length = 1 + 331 * seed;
        stream.write_all(format!("GET {length} {seed}\n").as_bytes()).await.unwrap();
        let mut received = vec![0; length];
        stream.read_exact(&mut received).await.unwrap();
        assert!(received == bytes(seed as u64, 0, length));
    }
    stream.shutdown().await.unwrap();
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_and_writing_in_two_tasks() {
    let server = Running::start().await;
    let (mut reader, mut writer) = tokio::io::split(server.connect().await);
    let reading = tokio::spawn(async move {
        for seed in 0..20 {
            let mut received = vec![0; 50_000];
            reader.read_exact(&mut received).await.unwrap();
            assert!(received == bytes(seed, 0, 50_000));
        }
        assert_eq!(reader.read(&mut [0]).await.unwrap(), 0);
    });
    for seed in 0..20 {
        writer.write_all(format!("GET 50000 {seed}\n").as_bytes()).await.unwrap();
    }
    writer.shutdown().await.unwrap();
    reading.await.unwrap();
}

#[tokio::test]
async fn slow_reader() {
    let server = Running::start().await;
    let mut stream =
        TricklesStream::builder().receive_buffer(64 << 10).connect(server.address).await.unwrap();
    ask(&mut stream, MIB, 6).await;
    let mut received = Vec::new();
    let mut buffer = [0; 777];
    loop {
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        match stream.read(&mut buffer).await.unwrap() {
            0 => break,
            count => received.extend_from_slice(&buffer[..count]),
        }
    }
    assert!(received == bytes(6, 0, MIB));
}

#[tokio::test]
async fn a_stream_goes_on_while_nobody_polls_it() {
    let server = Running::start().await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET 1000000 7\n").await.unwrap();
    while stream.stats().received < 500 {
        tokio::task::yield_now().await;
    }
    stream.shutdown().await.unwrap();
    read_rest(&mut stream, 0, 1_000_000, 7).await;
}

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
