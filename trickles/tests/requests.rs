//! One request after another on one stream, without a network between.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use common::{EPOCH, PatternApplication};
use trickles::client::{Client, ClientConfig};
use trickles::key_ring::KeyRing;
use trickles::replay::{FilterConfig, FingerprintFilter};
use trickles::server::{Application, Event, Next, Outbox, Output, Reset, Server, ServerConfig, Unanswered};
use trickles::stats::Discard;
use trickles::time::Timestamp;
use trickles::wire::Request;

const PACKET_SIZE: u16 = 1400;

struct Stream<A = PatternApplication> {
    client: Client,
    server: Server,
    application: A,
    outbox: Outbox,
    now: Duration,
}

/// 64 bytes that ask for `length`.
fn line(length: usize) -> Vec<u8> {
    format!("{length:<61} 7\n").into_bytes()
}

impl Stream {
    fn new() -> Self {
        Self::with(PatternApplication::default())
    }
}

impl<A: Application> Stream<A> {
    /// A stream with a first answer of 1024 bytes.
    fn with(application: A) -> Self {
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
            application,
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

/// Says of no output where it ends, and has had all there is after 1024 bytes.
struct Endless;

impl Application for Endless {
    fn input(&mut self, event: &Event<'_>) -> Result<Next, Unanswered> {
        let consumed = event.input.map_or(0, |input| input.bytes.len());
        Ok(Next { output: 0..u64::MAX, consumed, ..Next::default() })
    }
}

impl Output for Endless {
    fn read(&mut self, _: &[u8], _: Range<u64>, offset: u64, buffer: &mut [u8]) -> Result<usize, Reset> {
        let count = 1024u64.saturating_sub(offset).min(buffer.len() as u64) as usize;
        buffer[..count].fill(7);
        Ok(count)
    }
}

/// Where nobody knows how long an answer is, the last one is no sign of the next.
#[test]
fn input_into_a_stream_without_a_known_end_claims_no_more_than_an_opening() {
    let mut stream = Stream::with(Endless);
    stream.client.write(&line(1024)).unwrap();
    let request = stream.request();
    let Some(Request::Claim(claim)) = Request::parse(&request) else { panic!("a request is a claim") };
    assert!(claim.input.is_some());
    let positions: u64 = claim.runs.iter().map(|(run, _)| u64::from(run.count)).sum();
    // Each owns two numbers.
    assert!(positions <= 5, "{positions} positions");
}
