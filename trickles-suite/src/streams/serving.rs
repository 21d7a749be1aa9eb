//! Servers end, and go on.

use std::future::pending;
use std::pin::pin;

use futures_lite::future::{or, yield_now};
use trickles::client::ClientConfig;
use trickles::server::ServerConfig;

use crate::application::Lines;
use crate::platform::Platform;
use crate::running::{Running, any, ring};
use crate::{ask, expect_rest, list};

list!(P: Platform;
    a_server_without_requests_stops,
    a_run_that_was_dropped_can_be_taken_up_again,
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
