//! Servers as streams of events, and a handler on top of them, on futures-io.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::future::IntoFuture;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::time::Duration;

use futures::StreamExt;
use futures_lite::io::{AsyncReadExt, AsyncWriteExt};
use trickles_async_std::trickles::key_ring::KeyRing;
use trickles_async_std::trickles::server::{Next, Reset, ServerConfig, Unanswered};
use trickles_async_std::{
    Answer, Event, Handler, Prepared, Request, Server, TricklesServer, TricklesStream, serve,
};

async fn bind() -> (SocketAddr, Server) {
    let ring = KeyRing::new(&[(1, [7; 32])]).unwrap();
    let server = Server::bind((Ipv4Addr::LOCALHOST, 0), ServerConfig::default(), ring).await.unwrap();
    (server.local_addr().unwrap(), server)
}

async fn read_all(address: SocketAddr, input: &[u8]) -> Vec<u8> {
    let mut stream = TricklesStream::connect(address).await.unwrap();
    stream.write_all(input).await.unwrap();
    let mut output = Vec::new();
    stream.read_to_end(&mut output).await.unwrap();
    output
}

#[test]
fn a_server_is_a_stream_of_events() {
    smol::block_on(async {
        let (address, server) = bind().await;
        let mut server: Box<dyn TricklesServer> = Box::new(server);
        let client = smol::spawn(async move { read_all(address, b"").await });
        let Event::Opened(minisocket) = server.next().await.unwrap().unwrap() else { panic!("it opens") };
        let next = Next { output: 0..5, finished: true, ..Next::default() };
        let mut output: Prepared = minisocket.wanted(Some(&next));
        output.pieces[0].bytes = b"hello".to_vec();
        minisocket.answer(next, &mut output).unwrap();
        server.close();
        server.drain().await;
        assert_eq!(client.await, b"hello");
    });
}

/// Says what it was told, after a while.
struct Slow;

impl Handler for Slow {
    type State = Vec<u8>;

    async fn input(&self, request: Request<'_, Vec<u8>>) -> Result<Answer<Vec<u8>>, Unanswered> {
        if request.input.is_empty() {
            return Ok(Answer::new(0, Vec::new()));
        }
        smol::Timer::after(Duration::from_millis(20)).await;
        let length = request.input.len();
        Ok(Answer::new(length, request.input.to_vec()).output(length as u64).finish())
    }

    async fn output(&self, bytes: Vec<u8>, range: Range<u64>) -> Result<Vec<u8>, Reset> {
        smol::Timer::after(Duration::from_millis(20)).await;
        Ok(bytes[range.start as usize..range.end as usize].to_vec())
    }
}

#[test]
fn a_slow_handler_is_waited_for() {
    smol::block_on(async {
        let (address, server) = bind().await;
        let _serving = smol::spawn(serve(server, Slow).into_future());
        assert_eq!(read_all(address, b"patience").await, b"patience");
    });
}
