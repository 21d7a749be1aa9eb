//! A world in virtual time: clients, servers and an emulated path between them.
//!
//! Seeds: every random run prints its seed when it fails; `TRICKLES_SEED` replays one.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each scenario is a crate of its own and uses its part"
)]

pub mod seeds;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use trickles::client::{Client, ClientConfig};
use trickles::key_ring::KeyRing;
use trickles::replay::{FilterConfig, FingerprintFilter};
use trickles::server::{Application, Event, Next, Outbox, Output, Reset, Server, ServerConfig, Unanswered};
use trickles::time::Timestamp;
use trickles_netem::{Link, Path};

/// When the servers' clocks begin: some day in 2026.
pub const EPOCH: Timestamp = Timestamp::from_millis(1_790_000_000_000);

/// Byte `offset` of the output named `seed`.
pub fn pattern(seed: u64, offset: u64) -> u8 {
    let word = (seed ^ (offset >> 3)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let word = (word ^ (word >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (word ^ (word >> 32)).to_le_bytes()[(offset & 7) as usize]
}

/// Answers each request line `LENGTH SEED[ close]` with that many bytes of a pattern. Lines may be padded with
/// spaces to any length; the state holds what is left of an unfinished one.
#[derive(Debug, Default, Clone)]
pub struct PatternApplication {
    pub inputs: u64,
    /// Codes of the streams that clients abandoned.
    pub resets: Vec<u32>,
}

#[derive(Debug, Default)]
struct PatternState {
    /// Where the answer begins, and its seed.
    start: u64,
    seed: u64,
    /// The line so far, without padding.
    line: Vec<u8>,
}

impl PatternState {
    fn decode(state: Option<&[u8]>) -> Self {
        let Some((numbers, line)) = state.and_then(|state| state.split_first_chunk::<16>()) else {
            return Self::default();
        };
        let word = |at: usize| u64::from_le_bytes(numbers[at..at + 8].try_into().unwrap());
        Self { start: word(0), seed: word(8), line: line.to_vec() }
    }

    fn encode(&self) -> Vec<u8> {
        [&self.start.to_le_bytes()[..], &self.seed.to_le_bytes(), &self.line].concat()
    }
}

impl Application for PatternApplication {
    fn input(&mut self, event: &Event<'_>) -> Result<Next, Unanswered> {
        self.inputs += 1;
        let mut state = PatternState::decode(event.state);
        let input = event.input.map_or(&[][..], |input| input.bytes);
        let fin = event.input.is_some_and(|input| input.fin);
        let newline = input.iter().position(|&byte| byte == b'\n');
        let consumed = newline.map_or(input.len(), |at| at + 1);
        let fin = fin && consumed == input.len();
        for &byte in &input[..consumed] {
            if byte != b' ' || state.line.last().is_some_and(|&last| last != b' ') {
                state.line.push(byte);
            }
        }
        let produced = event.output.end;
        if newline.is_none() {
            return Ok(Next {
                state: state.encode(),
                output: produced..produced,
                finished: fin,
                consumed,
                ..Next::default()
            });
        }
        let line = String::from_utf8(std::mem::take(&mut state.line)).map_err(|_| Reset(1))?;
        let mut words = line.split_whitespace();
        let length: u64 = words.next().and_then(|word| word.parse().ok()).ok_or(Reset(2))?;
        state.seed = words.next().and_then(|word| word.parse().ok()).ok_or(Reset(3))?;
        state.start = produced;
        let finished = fin || words.next() == Some("close");
        Ok(Next {
            state: state.encode(),
            output: produced..produced + length,
            finished,
            consumed,
            ..Next::default()
        })
    }

    fn reset(&mut self, _stream: u64, code: u32) {
        self.resets.push(code);
    }
}

impl Output for PatternApplication {
    fn read(
        &mut self,
        state: &[u8],
        output: Range<u64>,
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<usize, Reset> {
        let state = PatternState::decode(Some(state));
        assert!(output.contains(&offset) && offset + buffer.len() as u64 <= output.end);
        for (index, byte) in buffer.iter_mut().enumerate() {
            *byte = pattern(state.seed, offset - state.start + index as u64);
        }
        Ok(buffer.len())
    }
}

pub fn key_ring() -> KeyRing {
    KeyRing::new(&[(1, [0x42; 32])]).unwrap()
}

pub fn new_server(seed: u8) -> Server {
    let config = FilterConfig { cells_per_generation: 1 << 16, ..FilterConfig::default() };
    let filter = FingerprintFilter::new(config, [seed; 16], EPOCH);
    Server::new(ServerConfig::default(), key_ring(), Arc::new(filter), [seed; 16])
}

/// One client and what it has received.
pub struct Endpoint {
    pub client: Client,
    pub address: SocketAddr,
    pub started: bool,
    timer: Option<Duration>,
    pub received: u64,
    /// Seed and length of what it asked for, to compare byte for byte.
    pub expected: Vec<(u64, u64)>,
    pub finished_at: Option<Duration>,
    /// Bytes received by the end of each 100 ms from the beginning on.
    pub timeline: Vec<u64>,
    pub start: Duration,
    /// Most bytes the application reads in one go; `None` reads all.
    pub read_limit: Option<usize>,
    /// What was received, where the world does not compare it.
    pub kept: Vec<u8>,
}

impl Endpoint {
    fn expected_byte(&self, offset: u64) -> Option<u8> {
        let mut start = 0;
        for &(seed, length) in &self.expected {
            if offset < start + length {
                return Some(pattern(seed, offset - start));
            }
            start += length;
        }
        None
    }

    pub fn expected_total(&self) -> u64 {
        self.expected.iter().map(|(_, length)| length).sum()
    }
}

pub struct World<A = PatternApplication> {
    pub now: Duration,
    pub up: Link<usize>,
    pub down: Link<usize>,
    pub server: Option<Server>,
    pub application: A,
    pub clients: Vec<Endpoint>,
    outbox: Outbox,
    buffer: Vec<u8>,
    pub datagrams: u64,
    /// Whether received bytes are checked.
    pub compare: bool,
    /// Whether the path marks every answer, congested or not.
    pub marks_all: bool,
    spins: u32,
}

impl World {
    pub fn new(up: Path, down: Path, seed: u64) -> Self {
        Self::with(PatternApplication::default(), up, down, seed)
    }
}

impl<A: Application> World<A> {
    pub fn with(application: A, up: Path, down: Path, seed: u64) -> Self {
        Self {
            now: Duration::ZERO,
            up: Link::new(up, seed.wrapping_mul(2)),
            down: Link::new(down, seed.wrapping_mul(2) + 1),
            server: Some(new_server(1)),
            application,
            clients: Vec::new(),
            outbox: Outbox::default(),
            buffer: Vec::new(),
            datagrams: 0,
            compare: true,
            marks_all: false,
            spins: 0,
        }
    }

    /// A client that asks for `length` bytes at `start` and then closes.
    pub fn fetch(&mut self, length: u64, start: Duration, config: ClientConfig) -> usize {
        let index = self.clients.len();
        let request = format!("{length} {index} close\n");
        let config = ClientConfig { early_input: request.into_bytes(), ..config };
        self.add(start, config, vec![(index as u64, length)])
    }

    pub fn add(&mut self, start: Duration, config: ClientConfig, expected: Vec<(u64, u64)>) -> usize {
        let index = self.clients.len();
        let mut seed = [0; 16];
        seed[..8].copy_from_slice(&(index as u64 + 7).to_le_bytes());
        let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), 1000 + index as u16);
        self.clients.push(Endpoint {
            client: Client::new(config, seed, Timestamp::ZERO + start),
            address,
            started: false,
            timer: None,
            received: 0,
            expected,
            finished_at: None,
            timeline: Vec::new(),
            start,
            read_limit: None,
            kept: Vec::new(),
        });
        index
    }

    pub fn timestamp(&self) -> Timestamp {
        Timestamp::ZERO + self.now
    }

    /// Runs until `end`, or until all clients have finished.
    pub fn run_until(&mut self, end: Duration) {
        loop {
            let timers = self.clients.iter().filter_map(|endpoint| match endpoint.started {
                true => endpoint.timer,
                false => Some(endpoint.start),
            });
            let next = timers.chain(self.up.next_delivery()).chain(self.down.next_delivery()).min();
            let all_finished = self.clients.iter().all(|endpoint| endpoint.finished_at.is_some());
            let Some(next) = next.filter(|&next| next <= end && !all_finished) else {
                self.now = if all_finished { self.now } else { end };
                return;
            };
            self.spins = if next <= self.now { self.spins + 1 } else { 0 };
            assert!(self.spins < 5000, "a timer names the past again and again: the driving law is broken");
            self.now = self.now.max(next);
            let timestamp = self.timestamp();
            while let Some(delivery) = self.up.deliver(self.now) {
                let address = self.clients[delivery.tag].address;
                let Some(server) = &mut self.server else { continue };
                self.outbox.clear();
                let server_now = Timestamp::from_micros(EPOCH.as_micros() + timestamp.as_micros());
                server
                    .handle(&delivery.payload, address, server_now, &mut self.application, &mut self.outbox)
                    .unwrap();
                for packet in self.outbox.packets() {
                    let ecn = self.down.path().mark_threshold.is_some();
                    self.down.send(self.now, packet.to_vec(), ecn, delivery.tag);
                }
            }
            while let Some(delivery) = self.down.deliver(self.now) {
                let client = &mut self.clients[delivery.tag].client;
                match delivery.congestion_experienced || self.marks_all {
                    true => client.handle_marked_datagram(&delivery.payload, timestamp),
                    false => client.handle_datagram(&delivery.payload, timestamp),
                }
                self.drive(delivery.tag);
            }
            for index in 0..self.clients.len() {
                let endpoint = &mut self.clients[index];
                let starts = !endpoint.started && endpoint.start <= self.now;
                endpoint.started |= starts;
                if starts || endpoint.timer.is_some_and(|at| at <= self.now) {
                    endpoint.client.handle_timeout(timestamp);
                    self.drive(index);
                }
            }
        }
    }

    /// To be called after an application's call, as the driving law asks.
    pub fn wake(&mut self, index: usize) {
        self.drive(index);
    }

    /// Reads what has arrived and sends what is due, as the driving law asks.
    fn drive(&mut self, index: usize) {
        let timestamp = self.timestamp();
        let endpoint = &mut self.clients[index];
        let mut bytes = [0; 16384];
        let limit = endpoint.read_limit.unwrap_or(usize::MAX);
        let mut total = 0;
        while total < limit {
            let most = bytes.len().min(limit - total);
            match endpoint.client.read(&mut bytes[..most]) {
                Ok(Some(0)) => {
                    endpoint.finished_at.get_or_insert(self.now);
                    break;
                }
                Ok(Some(count)) => {
                    for (position, &byte) in bytes[..count].iter().enumerate().filter(|_| self.compare) {
                        let offset = endpoint.received + position as u64;
                        assert_eq!(
                            Some(byte),
                            endpoint.expected_byte(offset),
                            "byte {offset} of client {index}"
                        );
                    }
                    if !self.compare {
                        endpoint.kept.extend_from_slice(&bytes[..count]);
                    }
                    endpoint.received += count as u64;
                    total += count;
                }
                Ok(None) | Err(_) => break,
            }
        }
        let slot = (self.now.as_millis() / 100) as usize;
        endpoint.timeline.resize(slot + 1, endpoint.received);
        endpoint.timeline[slot] = endpoint.received;
        let mut sent = 0;
        while endpoint.client.poll_transmit(timestamp, &mut self.buffer) {
            sent += 1;
            assert!(sent < 10_000, "client {index} sends without end");
            self.datagrams += 1;
            self.up.send(self.now, self.buffer.clone(), false, index);
        }
        let endpoint = &mut self.clients[index];
        endpoint.timer = endpoint.client.poll_timeout().map(|at| Duration::from_micros(at.as_micros()));
    }

    /// Mbit/s of application bytes that a client received between two moments.
    pub fn goodput(&self, index: usize, from: Duration, to: Duration) -> f64 {
        let at = |time: Duration| {
            let slots = (time.as_millis() / 100) as usize;
            let timeline = &self.clients[index].timeline;
            timeline[..slots.min(timeline.len())].last().copied().unwrap_or(0)
        };
        (at(to) - at(from)) as f64 * 8.0 / (to - from).as_secs_f64() / 1e6
    }
}

/// A path in one direction.
pub fn path(mbit: u64, one_way: Duration, queue: usize) -> Path {
    Path { rate: Some(mbit * 1_000_000), delay: one_way, queue, ..Path::default() }
}
