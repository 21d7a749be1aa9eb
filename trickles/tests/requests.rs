//! One request after another on one stream, without a network between.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use common::{EPOCH, PatternApplication};
use trickles::client::{Client, ClientConfig};
use trickles::key_ring::KeyRing;
use trickles::replay::{FilterConfig, FingerprintFilter};
use trickles::server::{Outbox, Server, ServerConfig};
use trickles::stats::Discard;
use trickles::time::Timestamp;
use trickles::wire::Request;

const PACKET_SIZE: u16 = 1400;

struct Stream {
    client: Client,
    server: Server,
    application: PatternApplication,
    outbox: Outbox,
    now: Duration,
}

/// 64 bytes that ask for `length`.
fn line(length: usize) -> Vec<u8> {
    format!("{length:<61} 7\n").into_bytes()
}

impl Stream {
    fn new() -> Self {
        let config = ClientConfig {
            early_input: line(1024),
            packet_size: Some(PACKET_SIZE),
            ..ClientConfig::default()
        };
        let filter = FilterConfig { cells_per_generation: 1 << 12, ..FilterConfig::default() };
        let ring = KeyRing::new(&[(1, [2; 32])]).unwrap();
        let filter = Arc::new(FingerprintFilter::new(filter, [1; 16], EPOCH));
        let mut stream = Self {
            client: Client::new(config, [4; 16], Timestamp::ZERO),
            server: Server::new(ServerConfig::default(), ring, filter, [3; 16]),
            application: PatternApplication::default(),
            outbox: Outbox::default(),
            now: Duration::from_millis(1),
        };
        let hello = stream.request();
        stream.handle(&hello);
        assert_eq!(stream.receive(), 1024);
        stream
    }

    fn request(&mut self) -> Vec<u8> {
        let mut request = Vec::new();
        assert!(self.client.poll_transmit(Timestamp::ZERO + self.now, &mut request));
        request
    }

    fn handle(&mut self, request: &[u8]) {
        self.outbox.clear();
        let from = SocketAddr::from((Ipv4Addr::new(192, 0, 2, 7), 4000));
        let Self { server, application, outbox, .. } = self;
        server.handle(request, from, EPOCH + self.now, application, outbox).unwrap();
    }

    /// Takes the answer; how many bytes there are to read.
    fn receive(&mut self) -> usize {
        self.now += Duration::from_millis(1);
        for packet in self.outbox.packets() {
            self.client.handle_datagram(packet, Timestamp::ZERO + self.now);
        }
        self.client.read(&mut vec![0; 1 << 20]).unwrap().unwrap_or(0)
    }
}

#[test]
fn a_request_is_not_much_larger_than_what_it_carries_and_has_its_answer_at_once() {
    let mut stream = Stream::new();
    for round in 0..50 {
        stream.client.write(&line(1024)).unwrap();
        let request = stream.request();
        assert!(request.len() < usize::from(PACKET_SIZE) / 2, "{} bytes in round {round}", request.len());
        stream.handle(&request);
        assert_eq!(stream.receive(), 1024, "in round {round}");
    }
}

/// A server does not verify again what it remembers: what it does not remember bit for bit it has to.
#[test]
fn a_user_continuation_like_the_remembered_one_is_verified() {
    let mut stream = Stream::new();
    stream.client.write(&line(1024)).unwrap();
    let request = stream.request();
    let Some(Request::Claim(claim)) = Request::parse(&request) else { panic!("a request is a claim") };
    let length = claim.user_continuation.len();
    let start = claim.user_continuation.as_ptr().addr() - request.as_ptr().addr();
    for bit in 0..8 * length {
        let mut forged = request.clone();
        forged[start + bit / 8] ^= 1 << (bit % 8);
        let before = stream.server.stats().discarded(Discard::UserContinuation);
        stream.handle(&forged);
        assert_eq!(stream.server.stats().discarded(Discard::UserContinuation), before + 1, "bit {bit}");
    }
    stream.handle(&request);
    assert_eq!(stream.receive(), 1024);
}
