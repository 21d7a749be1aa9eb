//! How streams begin, and how they do not.

use std::io::{self, ErrorKind};
use std::net::Ipv4Addr;

use futures::{AsyncReadExt, AsyncWriteExt};
use trickles::client::{ClientConfig, Failure};
use trickles::key_ring::KeyRing;
use trickles::server::ServerConfig;

use crate::application::MISUNDERSTOOD;
use crate::platform::Platform;
use crate::running::{Deserted, Running, any, ring};
use crate::{ask, expect_bytes, expect_rest, list};

list!(P: Platform;
    nobody_listens,
    addresses_are_tried_in_turn,
    replies_leave_from_the_address_the_request_came_to,
    there_is_no_address,
    another_service,
    the_request_travels_with_the_first_packet,
    the_application_resets,
    the_key_is_lost,
    a_key_can_be_rotated_under_a_stream,
);

fn failure(error: &io::Error) -> Option<Failure> {
    error.get_ref()?.downcast_ref().copied()
}

async fn nobody_listens<P: Platform>() {
    let deserted = Deserted::new();
    let error = P::connect_with(&[deserted.address], ClientConfig::default()).await.unwrap_err();
    assert_eq!((error.kind(), failure(&error)), (ErrorKind::ConnectionRefused, Some(Failure::Refused)));
}

async fn addresses_are_tried_in_turn<P: Platform>() {
    let (deserted, server) = (Deserted::new(), Running::<P>::start().await);
    let addresses = [deserted.address, server.address];
    let mut stream = P::connect_with(&addresses, ClientConfig::default()).await.unwrap();
    assert_eq!(P::peer_addr(&stream).unwrap(), server.address);
    ask(&mut stream, 1000, 1).await;
    expect_rest(&mut stream, 0, 1000, 1).await;
}

/// The client's socket takes nothing that comes from anywhere else.
async fn replies_leave_from_the_address_the_request_came_to<P: Platform>() {
    let any = (Ipv4Addr::UNSPECIFIED, 0).into();
    let server = Running::<P>::start_with(any, ServerConfig::default(), ring()).await;
    // Other systems have but one address for loopback.
    let hosts = if cfg!(target_os = "linux") { 1..4 } else { 1..2 };
    for host in hosts {
        let address = (Ipv4Addr::new(127, 0, 0, host), server.address.port()).into();
        let mut stream = P::connect_with(&[address], ClientConfig::default()).await.unwrap();
        ask(&mut stream, 50_000, 1).await;
        expect_rest(&mut stream, 0, 50_000, 1).await;
    }
}

async fn there_is_no_address<P: Platform>() {
    let error = P::connect_with(&[], ClientConfig::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

async fn another_service<P: Platform>() {
    let config = ServerConfig { service: b"files".into(), ..ServerConfig::default() };
    let server = Running::<P>::start_with(any(), config, ring()).await;
    let config = ClientConfig { service: b"mail".into(), ..ClientConfig::default() };
    let error = P::connect_with(&[server.address], config).await.unwrap_err();
    assert_eq!((error.kind(), failure(&error)), (ErrorKind::ConnectionRefused, Some(Failure::NoService)));
}

async fn the_request_travels_with_the_first_packet<P: Platform>() {
    let server = Running::<P>::start().await;
    let config = ClientConfig { early_input: b"GET 3000 2\n".into(), ..ClientConfig::default() };
    let mut stream = P::connect_with(&[server.address], config).await.unwrap();
    expect_bytes(&mut stream, 0, 3000, 2).await;
}

async fn the_application_resets<P: Platform>() {
    let server = Running::<P>::start().await;
    let mut stream = server.connect().await;
    stream.write_all(b"PUT\n").await.unwrap();
    for _ in 0..2 {
        let error = stream.read(&mut [0]).await.unwrap_err();
        let expected = (ErrorKind::ConnectionReset, Some(Failure::Reset(MISUNDERSTOOD)));
        assert_eq!((error.kind(), failure(&error)), expected);
    }
    for error in [stream.write(b"GET 1 1\n").await.unwrap_err(), stream.close().await.unwrap_err()] {
        assert_eq!(failure(&error), Some(Failure::Reset(MISUNDERSTOOD)));
    }
}

async fn the_key_is_lost<P: Platform>() {
    let server = Running::<P>::start().await;
    let address = server.address;
    let mut stream = server.connect().await;
    server.kill().await;
    let other = KeyRing::new(&[(2, [8; 32])]).unwrap();
    let _stranger = Running::<P>::start_with(address, ServerConfig::default(), other).await;
    stream.write_all(b"GET 1000 1\n").await.unwrap();
    let error = stream.read(&mut [0]).await.unwrap_err();
    assert_eq!((error.kind(), failure(&error)), (ErrorKind::ConnectionReset, Some(Failure::UnknownKey)));
}

async fn a_key_can_be_rotated_under_a_stream<P: Platform>() {
    let server = Running::<P>::start().await;
    let address = server.address;
    let mut stream = server.connect().await;
    stream.write_all(b"GET 1000 1\n").await.unwrap();
    expect_bytes(&mut stream, 0, 1000, 1).await;
    server.kill().await;
    let both = KeyRing::new(&[(2, [8; 32]), (1, [7; 32])]).unwrap();
    let _server = Running::<P>::start_with(address, ServerConfig::default(), both).await;
    ask(&mut stream, 100_000, 3).await;
    expect_rest(&mut stream, 0, 100_000, 3).await;
}
