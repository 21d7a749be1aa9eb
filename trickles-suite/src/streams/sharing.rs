//! Streams that share a socket.

use std::io::{self, ErrorKind};

use futures::future::join_all;
use futures::{AsyncReadExt, AsyncWriteExt};
use trickles::client::ClientConfig;
use trickles::server::ServerConfig;

use crate::platform::Platform;
use crate::running::{Deserted, Running, ring};
use crate::{ask, expect_bytes, expect_rest, list};

list!(P: Platform;
    streams_of_an_endpoint_share_its_socket,
    each_stream_has_options_of_its_own,
    a_stream_that_is_not_read_holds_up_no_other,
    streams_that_end_leave_the_others_alone,
    streams_outlive_their_endpoint,
    streams_of_an_endpoint_survive_a_restart,
    an_endpoint_finds_a_server_that_comes_later,
    an_endpoint_goes_on_with_the_address_that_answered,
    an_endpoint_needs_an_address,
);

async fn endpoint<P: Platform>(server: &Running<P>) -> P::Endpoint {
    P::endpoint(&[server.address]).await.unwrap()
}

async fn connect<P: Platform>(endpoint: &P::Endpoint) -> P::Stream {
    P::connect_on(endpoint, ClientConfig::default()).await.unwrap()
}

async fn streams_of_an_endpoint_share_its_socket<P: Platform>() {
    let server = Running::<P>::start().await;
    let endpoint = endpoint::<P>(&server).await;
    let one = P::local_addr(&connect::<P>(&endpoint).await).unwrap();
    let streams = (0..100).map(|number| {
        let endpoint = &endpoint;
        async move {
            let mut stream = connect::<P>(endpoint).await;
            assert_eq!(P::local_addr(&stream).unwrap(), one);
            let length = 997 * number;
            ask(&mut stream, length, number as u64).await;
            expect_rest(&mut stream, 0, length, number as u64).await;
            assert_eq!(P::stats(&stream).discarded_total(), 0, "{:?}", P::stats(&stream));
        }
    });
    join_all(streams).await;
}

async fn each_stream_has_options_of_its_own<P: Platform>() {
    let server = Running::<P>::start().await;
    let endpoint = endpoint::<P>(&server).await;
    for seed in 1..4 {
        let early_input = format!("GET 3000 {seed}\n").into_bytes();
        let config = ClientConfig { early_input, ..ClientConfig::default() };
        let mut stream = P::connect_on(&endpoint, config).await.unwrap();
        expect_bytes(&mut stream, 0, 3000, seed).await;
    }
    let config = ClientConfig { packet_size: Some(1), ..ClientConfig::default() };
    let error = P::connect_on(&endpoint, config).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

async fn a_stream_that_is_not_read_holds_up_no_other<P: Platform>() {
    let server = Running::<P>::start().await;
    let endpoint = endpoint::<P>(&server).await;
    let config = ClientConfig { receive_buffer: 64 << 10, ..ClientConfig::default() };
    let mut unread = P::connect_on(&endpoint, config).await.unwrap();
    ask(&mut unread, 1 << 20, 1).await;
    let mut other = connect::<P>(&endpoint).await;
    ask(&mut other, 4 << 20, 2).await;
    expect_rest(&mut other, 0, 4 << 20, 2).await;
    expect_rest(&mut unread, 0, 1 << 20, 1).await;
}

async fn streams_that_end_leave_the_others_alone<P: Platform>() {
    let server = Running::<P>::start().await;
    let endpoint = endpoint::<P>(&server).await;
    let streams = (0..20).map(|number| {
        let endpoint = &endpoint;
        async move {
            let mut stream = connect::<P>(endpoint).await;
            ask(&mut stream, 500_000, number).await;
            expect_bytes(&mut stream, 0, 100_000, number).await;
            if number % 2 == 0 {
                expect_rest(&mut stream, 100_000, 500_000, number).await;
            }
        }
    });
    join_all(streams).await;
}

async fn streams_outlive_their_endpoint<P: Platform>() {
    let server = Running::<P>::start().await;
    let endpoint = endpoint::<P>(&server).await;
    let mut stream = connect::<P>(&endpoint).await;
    drop(endpoint);
    ask(&mut stream, 300_000, 1).await;
    expect_rest(&mut stream, 0, 300_000, 1).await;
}

async fn streams_of_an_endpoint_survive_a_restart<P: Platform>() {
    let server = Running::<P>::start().await;
    let address = server.address;
    let endpoint = endpoint::<P>(&server).await;
    let mut streams = join_all((0..10).map(|_| connect::<P>(&endpoint))).await;
    server.kill().await;
    let _server = Running::<P>::start_with(address, ServerConfig::default(), ring()).await;
    let transfers = streams.iter_mut().zip(0..).map(|(stream, seed)| async move {
        ask(stream, 200_000, seed).await;
        expect_rest(stream, 0, 200_000, seed).await;
    });
    join_all(transfers).await;
}

async fn an_endpoint_finds_a_server_that_comes_later<P: Platform>() {
    let server = Running::<P>::start().await;
    let address = server.address;
    let endpoint = endpoint::<P>(&server).await;
    server.kill().await;
    let refused: io::Result<_> = P::connect_on(&endpoint, ClientConfig::default()).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    let _server = Running::<P>::start_with(address, ServerConfig::default(), ring()).await;
    let mut stream = connect::<P>(&endpoint).await;
    ask(&mut stream, 1000, 1).await;
    expect_rest(&mut stream, 0, 1000, 1).await;
}

async fn an_endpoint_goes_on_with_the_address_that_answered<P: Platform>() {
    let (deserted, server) = (Deserted::new(), Running::<P>::start().await);
    let endpoint = P::endpoint(&[deserted.address, server.address]).await.unwrap();
    for _ in 0..3 {
        let mut stream = connect::<P>(&endpoint).await;
        assert_eq!(P::peer_addr(&stream).unwrap(), server.address);
        stream.write_all(b"BYE\n").await.unwrap();
        assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
    }
}

async fn an_endpoint_needs_an_address<P: Platform>() {
    let Err(error) = P::endpoint(&[]).await else { panic!("there is none") };
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}
