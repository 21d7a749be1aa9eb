//! Servers end, and go on.

use std::future::pending;
use std::net::UdpSocket;
use std::pin::pin;

use futures_lite::future::{or, yield_now};
use trickles::client::ClientConfig;
use trickles::server::ServerConfig;
use trickles::wire::HELLO_PREFIX;

use crate::application::Lines;
use crate::platform::Platform;
use crate::running::{Running, any, ring};
use crate::{ask, expect_rest, list};

list!(P: Platform;
    a_server_without_requests_stops,
    a_run_that_was_dropped_can_be_taken_up_again,
    a_flood_of_hellos_is_left_to_the_system_until_it_is_over,
);

async fn a_server_without_requests_stops<P: Platform>() {
    let server = Running::<P>::start().await.stop().await;
    assert_eq!(P::server_stats(&server).received, 0);
}

async fn a_run_that_was_dropped_can_be_taken_up_again<P: Platform>() {
    let mut server = Running::<P>::bind(any(), ServerConfig::default(), ring()).await;
    let address = P::server_addr(&server).unwrap();
    let mut client = pin!(async move {
        let mut stream = P::connect_with(&[address], ClientConfig::default()).await.unwrap();
        ask(&mut stream, 300_000, 3).await;
        expect_rest(&mut stream, 0, 300_000, 3).await;
    });
    let over = async |server: &mut P::Server| {
        let run = async {
            P::run_until(server, &mut Lines, pending()).await.unwrap();
            false
        };
        let turn = or(
            async {
                yield_now().await;
                false
            },
            run,
        );
        or(
            async {
                client.as_mut().await;
                true
            },
            turn,
        )
        .await
    };
    let mut over = over;
    while !over(&mut server).await {}
    assert!(P::server_stats(&server).sent > 300_000 / 9000);
}

/// Where the system cannot be told to drop them, all that is tested is that clients get through.
async fn a_flood_of_hellos_is_left_to_the_system_until_it_is_over<P: Platform>() {
    const MAX_HELLOS: usize = 10_000_000;
    const MAX_STREAMS: usize = 10_000;
    let config = ServerConfig { hellos_per_second: 100, ..ServerConfig::default() };
    let server = Running::<P>::start_with(any(), config, ring()).await;
    let none_dropped = || server.handle.hello_share() == Some(1.0);
    let sender = UdpSocket::bind(any()).expect("there is a free port");
    let hello = [&HELLO_PREFIX[..], &[0; 62]].concat();
    let mut sent = 0;
    while cfg!(any(target_os = "android", target_os = "linux")) && none_dropped() {
        assert!(sent < MAX_HELLOS, "the system was not told to drop any Hellos");
        sender.send_to(&hello, server.address).expect("loopback takes what it may drop");
        sent += 1;
        if sent % 64 == 0 {
            yield_now().await;
        }
    }
    for streams in 1.. {
        let mut stream = server.connect().await;
        ask(&mut stream, 3000, 3).await;
        expect_rest(&mut stream, 0, 3000, 3).await;
        if none_dropped() {
            break;
        }
        assert!(streams < MAX_STREAMS, "the system goes on dropping Hellos");
    }
}
