//! One side is slower than the other.

use std::io::ErrorKind;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Handle;
use trickles::server::ServerConfig;
use trickles_tokio::TricklesStream;

use crate::application::{Checksum, bytes};
use crate::server::{Running, ring};
use crate::{ask, read_rest};

const MIB: usize = 1 << 20;
const PACKET: u16 = 1200;

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_not_read_gets_no_more_than_its_buffer_holds() {
    const BUFFER: usize = 128 << 10;
    let server = Running::start().await;
    let address = server.address;
    let builder = || TricklesStream::builder().packet_size(PACKET);
    let mut idle = builder().receive_buffer(BUFFER).connect(address).await.unwrap();
    ask(&mut idle, 4 * MIB, 1).await;
    idle.readable().await.unwrap();
    // The other one has the time that the first one would take.
    let mut busy = builder().connect(address).await.unwrap();
    ask(&mut busy, 8 * MIB, 2).await;
    read_rest(&mut busy, 0, 8 * MIB, 2).await;
    let received = idle.stats().received * u64::from(PACKET);
    assert!(received < 2 * BUFFER as u64, "{received} bytes are more than the buffer holds");

    // What the server has sent says the same.
    let sent = server.stop().await.stats().sent_bytes;
    let busy = busy.stats().received * u64::from(PACKET);
    assert!(sent < busy + busy / 4 + 2 * BUFFER as u64, "{sent} bytes sent, {busy} of them to the other one");

    let _server = Running::start_with(address, ServerConfig::default(), ring()).await;
    read_rest(&mut idle, 0, 4 * MIB, 1).await;
}

#[tokio::test]
async fn writing_waits_at_the_send_buffer() {
    const BUFFER: usize = 10_000;
    let server = Running::start().await;
    let address = server.address;
    let mut stream = TricklesStream::builder().send_buffer(BUFFER).connect(address).await.unwrap();
    stream.write_all(b"SUM\n").await.unwrap();
    // The checksum cannot have ended, so this is consumed for good.
    while stream.stats().received < 2 {
        tokio::task::yield_now().await;
    }
    server.kill().await;
    let content = bytes(3, 0, MIB);
    let mut written = 0;
    let error = loop {
        match stream.try_write(&content[written..]) {
            Ok(count) => written += count,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    assert!((BUFFER - 4..=BUFFER).contains(&written), "{written} bytes are held");
    tokio::select! {
        biased;
        result = stream.write(&content[written..]) => panic!("{result:?} written to a full buffer"),
        () = tokio::task::yield_now() => {}
    }

    let _server = Running::start_with(address, ServerConfig::default(), ring()).await;
    stream.write_all(&content[written..]).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut expected = Checksum::new();
    expected.update(&content);
    let mut received = Vec::new();
    stream.read_to_end(&mut received).await.unwrap();
    assert_eq!(received, expected.encode());
}

#[tokio::test(flavor = "multi_thread")]
async fn many_streams_at_once_some_of_them_dropped_amid_their_transfer() {
    const LENGTH: usize = 300_000;
    let server = Running::start().await;
    let tasks = || Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let streams = (0..24_u64).map(|seed| {
        let address = server.address;
        async move {
            let mut stream = TricklesStream::connect(address).await.unwrap();
            match seed % 4 {
                // Dropped while it is being answered.
                0 => {
                    ask(&mut stream, 100 * LENGTH, seed).await;
                    stream.read_exact(&mut vec![0; 1000 * seed as usize]).await.unwrap();
                }
                // Dropped while it sends.
                1 => {
                    stream.write_all(b"SUM\n").await.unwrap();
                    stream.write_all(&bytes(seed, 0, LENGTH)).await.unwrap();
                }
                _ => {
                    ask(&mut stream, LENGTH, seed).await;
                    read_rest(&mut stream, 0, LENGTH, seed).await;
                }
            }
        }
    });
    let running: Vec<_> = streams.map(tokio::spawn).collect();
    for stream in running {
        stream.await.unwrap();
    }
    while tasks() > before {
        tokio::task::yield_now().await;
    }
    let mut another = server.connect().await;
    ask(&mut another, LENGTH, 99).await;
    read_rest(&mut another, 0, LENGTH, 99).await;
    assert!(!server.is_finished());
}
