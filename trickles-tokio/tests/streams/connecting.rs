//! How streams begin, and how they do not.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::pin::pin;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use trickles::client::Failure;
use trickles::key_ring::KeyRing;
use trickles::server::ServerConfig;
use trickles_tokio::TricklesStream;

use crate::application::{MISUNDERSTOOD, bytes};
use crate::server::{Running, any, ring};
use crate::{ask, read_rest};

fn failure(error: &io::Error) -> Option<Failure> {
    error.get_ref()?.downcast_ref().copied()
}

/// An address at which nobody listens.
fn deserted() -> SocketAddr {
    UdpSocket::bind(any()).unwrap().local_addr().unwrap()
}

#[tokio::test]
async fn nobody_listens() {
    let error = TricklesStream::connect(deserted()).await.unwrap_err();
    assert_eq!((error.kind(), failure(&error)), (ErrorKind::ConnectionRefused, Some(Failure::Refused)));
}

#[tokio::test]
async fn nobody_answers() {
    let silent = UdpSocket::bind(any()).unwrap();
    let timeout = Duration::from_millis(200);
    let address = silent.local_addr().unwrap();
    let builder = TricklesStream::builder().connect_timeout(timeout);
    let mut connect = pin!(builder.connect(address));
    tokio::select! {
        biased;
        () = tokio::time::sleep(timeout - Duration::from_millis(50)) => {}
        result = &mut connect => panic!("{result:?} before its time"),
    }
    let error = connect.await.unwrap_err();
    assert_eq!((error.kind(), failure(&error)), (ErrorKind::TimedOut, Some(Failure::TimedOut)));
    // It was tried.
    silent.set_nonblocking(true).unwrap();
    assert!(silent.recv(&mut [0; 2000]).unwrap() > 0);
}

#[tokio::test]
async fn a_server_that_is_gone_is_waited_for_as_long_as_configured() {
    let server = Running::start().await;
    let builder = TricklesStream::builder().timeout(Duration::from_millis(300));
    let mut stream = builder.connect(server.address).await.unwrap();
    server.kill().await;
    stream.write_all(b"GET 1 1\n").await.unwrap();
    let error = stream.read(&mut [0]).await.unwrap_err();
    assert_eq!((error.kind(), failure(&error)), (ErrorKind::TimedOut, Some(Failure::TimedOut)));
    assert_eq!(stream.shutdown().await.unwrap_err().kind(), ErrorKind::TimedOut);
}

#[tokio::test]
async fn the_local_address_can_be_chosen() {
    let server = Running::start().await;
    let port = deserted().port();
    let local = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let builder = TricklesStream::builder().bind(local);
    let mut stream = builder.connect(server.address).await.unwrap();
    assert_eq!(stream.local_addr().unwrap(), local);
    ask(&mut stream, 1000, 1).await;
    read_rest(&mut stream, 0, 1000, 1).await;
    let error = builder.connect(server.address).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    let foreign = TricklesStream::builder().bind((Ipv4Addr::new(192, 0, 2, 1), 0));
    let error = foreign.connect(server.address).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
}

#[tokio::test]
async fn addresses_are_tried_in_turn() {
    let server = Running::start().await;
    let mut stream = TricklesStream::connect(&[deserted(), server.address][..]).await.unwrap();
    assert_eq!(stream.peer_addr().unwrap(), server.address);
    ask(&mut stream, 1000, 1).await;
    read_rest(&mut stream, 0, 1000, 1).await;
}

/// The client's socket takes nothing that comes from anywhere else.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn replies_leave_from_the_address_the_request_came_to() {
    let server = Running::start_with(([0, 0, 0, 0], 0).into(), ServerConfig::default(), ring()).await;
    for host in 1..4 {
        let mut stream =
            TricklesStream::connect((Ipv4Addr::new(127, 0, 0, host), server.address.port())).await.unwrap();
        ask(&mut stream, 50_000, 1).await;
        read_rest(&mut stream, 0, 50_000, 1).await;
    }
}

#[tokio::test]
async fn there_is_no_address() {
    let error = TricklesStream::connect(&[][..]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[tokio::test]
async fn another_service() {
    let config = ServerConfig { service: b"files".into(), ..ServerConfig::default() };
    let server = Running::start_with(any(), config, ring()).await;
    let error = TricklesStream::builder().service("mail").connect(server.address).await.unwrap_err();
    assert_eq!((error.kind(), failure(&error)), (ErrorKind::ConnectionRefused, Some(Failure::NoService)));
}

#[tokio::test]
async fn the_request_travels_with_the_first_packet() {
    let server = Running::start().await;
    let builder = TricklesStream::builder().early_data(*b"GET 3000 2\n");
    let mut stream = builder.connect(server.address).await.unwrap();
    let mut received = vec![0; 3000];
    stream.read_exact(&mut received).await.unwrap();
    assert!(received == bytes(2, 0, 3000));
}

#[tokio::test]
async fn the_application_resets() {
    let server = Running::start().await;
    let mut stream = server.connect().await;
    stream.write_all(b"PUT\n").await.unwrap();
    for _ in 0..2 {
        let error = stream.read(&mut [0]).await.unwrap_err();
        let expected = (ErrorKind::ConnectionReset, Some(Failure::Reset(MISUNDERSTOOD)));
        assert_eq!((error.kind(), failure(&error)), expected);
    }
    let error = stream.write(b"GET 1 1\n").await.unwrap_err();
    assert_eq!(failure(&error), Some(Failure::Reset(MISUNDERSTOOD)));
}

#[tokio::test]
async fn the_key_is_lost() {
    let server = Running::start().await;
    let address = server.address;
    let mut stream = server.connect().await;
    server.kill().await;
    let _stranger =
        Running::start_with(address, ServerConfig::default(), KeyRing::new(&[(2, [8; 32])]).unwrap()).await;
    stream.write_all(b"GET 1000 1\n").await.unwrap();
    let error = stream.read(&mut [0]).await.unwrap_err();
    assert_eq!((error.kind(), failure(&error)), (ErrorKind::ConnectionReset, Some(Failure::UnknownKey)));
}

#[tokio::test]
async fn a_key_can_be_rotated_under_a_stream() {
    let server = Running::start().await;
    let address = server.address;
    let mut stream = server.connect().await;
    stream.write_all(b"GET 1000 1\n").await.unwrap();
    let mut received = vec![0; 1000];
    stream.read_exact(&mut received).await.unwrap();
    server.kill().await;
    let both = KeyRing::new(&[(2, [8; 32]), (1, [7; 32])]).unwrap();
    let _server = Running::start_with(address, ServerConfig::default(), both).await;
    ask(&mut stream, 100_000, 3).await;
    read_rest(&mut stream, 0, 100_000, 3).await;
}
