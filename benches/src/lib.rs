//! A client and a server side by side in memory, driven to where what is measured is steady.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use trickles::client::{Client, ClientConfig};
use trickles::key_ring::KeyRing;
use trickles::replay::{FilterConfig, FingerprintFilter};
use trickles::server::{Application, Event, Next, Outbox, Output, Reset, Server, ServerConfig, Unanswered};
use trickles::time::Timestamp;

/// When the server's clock begins.
const EPOCH: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)), 4000);
/// Time from a request to its answer.
const ROUND_TRIP: Duration = Duration::from_micros(200);
/// Packets of a usual path over the internet.
const PACKET_SIZE: u16 = 1400;
/// What is written at a time.
const REQUEST: [u8; 64] = [0; 64];

/// Takes all input, and has output without end.
#[derive(Debug)]
pub struct Endless;

impl Application for Endless {
    fn input(&mut self, event: &Event<'_>) -> Result<Next, Unanswered> {
        let consumed = event.input.as_ref().map_or(0, |input| input.bytes.len());
        Ok(Next { output: 0..1 << 60, consumed, ..Next::default() })
    }
}

impl Output for Endless {
    fn read(&mut self, _: &[u8], _: Range<u64>, offset: u64, buffer: &mut [u8]) -> Result<usize, Reset> {
        buffer.fill(offset as u8);
        Ok(buffer.len())
    }
}

/// Answers each 64 bytes of input with 1 KiB.
#[derive(Debug)]
pub struct Short;

impl Application for Short {
    fn input(&mut self, event: &Event<'_>) -> Result<Next, Unanswered> {
        let complete = event.input.as_ref().is_some_and(|input| input.bytes.len() >= REQUEST.len());
        let (consumed, length) = if complete { (REQUEST.len(), 1024) } else { (0, 0) };
        let end = event.output.end;
        Ok(Next { output: end..end + length, consumed, ..Next::default() })
    }
}

impl Output for Short {
    fn read(&mut self, _: &[u8], _: Range<u64>, offset: u64, buffer: &mut [u8]) -> Result<usize, Reset> {
        buffer.fill(offset as u8);
        Ok(buffer.len())
    }
}

/// A server and one client of it.
pub struct Pair<A> {
    /// Answers.
    pub server: Server,
    /// Asks.
    pub client: Client,
    application: A,
    now: Duration,
    /// The last answer.
    pub outbox: Outbox,
    request: Vec<u8>,
    /// What follows a request, if anything does.
    other: Vec<u8>,
    buffer: Vec<u8>,
}

/// A download under way.
pub type Download = Pair<Endless>;
/// Requests one at a time.
pub type Exchange = Pair<Short>;

impl Download {
    /// One whose window is as large as the client's buffer.
    ///
    /// # Panics
    /// When it does not get going.
    pub fn steady() -> Self {
        let mut download = Self::begun(Endless);
        for _ in 0..600 {
            download.ask();
            download.answer();
            download.receive();
        }
        download
    }

    /// The first request of a client that opens a stream.
    ///
    /// # Panics
    /// When it sends none.
    pub fn opening() -> Self {
        let mut download = Self::begun(Endless);
        download.ask();
        download
    }
}

impl Exchange {
    /// One that has had many requests answered.
    ///
    /// # Panics
    /// When an answer is not what was asked for.
    pub fn steady() -> Self {
        let mut exchange = Self::begun(Short);
        exchange.ask();
        exchange.answer();
        for _ in 0..600 {
            assert_eq!(exchange.take(), 1024, "an answer is one packet");
            exchange.send();
            exchange.answer();
        }
        exchange.take();
        exchange
    }

    /// The application writes a request, and the client sends it.
    ///
    /// # Panics
    /// When it does not.
    pub fn send(&mut self) {
        self.client.write(&REQUEST).expect("an open stream");
        let now = Timestamp::ZERO + self.now;
        assert!(self.client.poll_transmit(now, &mut self.request), "nothing waits for another answer");
        self.settle();
    }

    /// The client takes the answer, and the application reads it; how many bytes.
    ///
    /// # Panics
    /// When the client has something else to send.
    pub fn take(&mut self) -> u64 {
        let now = Timestamp::ZERO + self.now;
        for packet in self.outbox.packets() {
            self.client.handle_datagram(packet, now);
        }
        self.settle();
        let read = self.client.read(&mut self.buffer).expect("an open stream").unwrap_or(0);
        self.settle();
        read as u64
    }

    /// What drives the client looks whether there is more to send, and until when to wait.
    fn settle(&mut self) {
        let more = self.client.poll_transmit(Timestamp::ZERO + self.now, &mut self.other);
        assert!(!more, "one packet is all");
        std::hint::black_box(self.client.poll_timeout());
    }
}

impl<A: Application> Pair<A> {
    fn begun(application: A) -> Self {
        let filter = FingerprintFilter::new(FilterConfig::default(), [1; 16], EPOCH);
        let ring = KeyRing::new(&[(1, [2; 32])]).expect("one key makes a ring");
        let config = ClientConfig {
            early_input: REQUEST.to_vec(),
            packet_size: Some(PACKET_SIZE),
            ..ClientConfig::default()
        };
        Self {
            server: Server::new(ServerConfig::default(), ring, Arc::new(filter), [3; 16]),
            client: Client::new(config, [4; 16], Timestamp::ZERO),
            application,
            now: Duration::ZERO,
            outbox: Outbox::default(),
            request: Vec::new(),
            other: Vec::new(),
            buffer: vec![0; 1 << 20],
        }
    }

    /// The client's next request, once it is due.
    ///
    /// # Panics
    /// When the client waits for nothing.
    pub fn ask(&mut self) -> &[u8] {
        while !self.client.poll_transmit(Timestamp::ZERO + self.now, &mut self.request) {
            let at = self.client.poll_timeout().expect("a download goes on");
            self.now = self.now.max(Duration::from_micros(at.as_micros()));
            self.client.handle_timeout(Timestamp::ZERO + self.now);
        }
        &self.request
    }

    /// The server's answer to it, in [`outbox`](Self::outbox).
    ///
    /// # Panics
    /// When the application breaks its contract.
    pub fn answer(&mut self) {
        self.outbox.clear();
        let now = EPOCH + self.now;
        let handled =
            self.server.handle(&self.request, ADDRESS, now, &mut self.application, &mut self.outbox);
        handled.expect("the application keeps its contract");
        self.now += ROUND_TRIP;
    }

    /// The client takes the answer, and the application all that there is to read; how many bytes.
    pub fn receive(&mut self) -> u64 {
        let now = Timestamp::ZERO + self.now;
        for packet in self.outbox.packets() {
            self.client.handle_datagram(packet, now);
        }
        let mut read = 0;
        while let Ok(Some(count @ 1..)) = self.client.read(&mut self.buffer) {
            read += count as u64;
        }
        read
    }

    /// The last request with a wrong tag.
    pub fn forged(&self) -> Vec<u8> {
        let mut forged = self.request.clone();
        forged[10 + trickles::continuation::SEALED_LENGTH - 1] ^= 1;
        forged
    }

    /// What the server makes of a request that is not answered.
    ///
    /// # Panics
    /// When the application breaks its contract.
    pub fn refuse(&mut self, request: &[u8]) {
        self.outbox.clear();
        let now = EPOCH + self.now;
        let handled = self.server.handle(request, ADDRESS, now, &mut self.application, &mut self.outbox);
        handled.expect("the application keeps its contract");
    }

    /// The last request.
    pub fn request(&self) -> &[u8] {
        &self.request
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_answered_one_at_a_time() {
        let mut exchange = Exchange::steady();
        for _ in 0..10 {
            exchange.send();
            assert!(exchange.request().len() < 600, "{} bytes", exchange.request().len());
            exchange.answer();
            assert_eq!((exchange.outbox.packets().count(), exchange.take()), (1, 1024));
        }
    }

    #[test]
    fn a_steady_download_moves_whole_trains() {
        let mut download = Download::steady();
        let mut bytes = 0;
        let mut packets = 0;
        for _ in 0..100 {
            download.ask();
            download.answer();
            packets += download.outbox.packets().count();
            bytes += download.receive();
        }
        assert!(packets >= 800, "{packets} packets in 100 answers");
        assert!(bytes as usize > packets * 1200, "{bytes} bytes in {packets} packets");
        let forged = download.forged();
        let before = download.server.stats().discarded_total();
        download.refuse(&forged);
        assert_eq!(download.server.stats().discarded_total(), before + 1);
        assert!(download.outbox.is_empty());
    }
}
