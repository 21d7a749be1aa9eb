//! How streams end.

use std::future::Future;
use std::net::UdpSocket;
use std::pin::pin;
use std::task::{Context, Waker};

use futures::AsyncWriteExt;
use futures_lite::future::yield_now;
use trickles::server::ServerConfig;

use crate::application::Checksum;
use crate::platform::Platform;
use crate::running::{Running, ring};
use crate::{expect_all, expect_bytes, list};

list!(P: Platform;
    closing_waits_until_the_server_has_all,
    what_was_written_arrives_though_the_stream_is_dropped,
    nothing_is_left_of_a_stream_dropped_amid_its_transfer,
);

async fn closing_waits_until_the_server_has_all<P: Platform>() {
    let server = Running::<P>::start().await;
    let address = server.address;
    let mut stream = server.connect().await;
    server.kill().await;
    let content = vec![7; 200_000];
    stream.write_all(b"SUM\n").await.unwrap();
    stream.write_all(&content).await.unwrap();
    // Nobody answers; and that the wait is given up has no effect.
    assert!(pin!(stream.close()).poll(&mut Context::from_waker(Waker::noop())).is_pending());
    let _server = Running::<P>::start_with(address, ServerConfig::default(), ring()).await;
    stream.close().await.unwrap();
    expect_all(&mut stream, &Checksum::of(&content)).await;
}

async fn what_was_written_arrives_though_the_stream_is_dropped<P: Platform>() {
    let server = Running::<P>::start().await;
    let mut stream = server.connect().await;
    stream.write_all(b"SUM\n").await.unwrap();
    stream.write_all(&vec![7; 200_000]).await.unwrap();
    let address = P::local_addr(&stream).unwrap();
    drop(stream);
    while UdpSocket::bind(address).is_err() {
        yield_now().await;
    }
    // No request holds more than 9000 bytes.
    assert!(P::server_stats(&server.stop().await).events > 200_000 / 9000);
}

async fn nothing_is_left_of_a_stream_dropped_amid_its_transfer<P: Platform>() {
    let server = Running::<P>::start().await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET 100000000 1\n").await.unwrap();
    expect_bytes(&mut stream, 0, 10_000, 1).await;
    let address = P::local_addr(&stream).unwrap();
    assert!(UdpSocket::bind(address).is_err());
    drop(stream);
    while UdpSocket::bind(address).is_err() {
        yield_now().await;
    }
}
