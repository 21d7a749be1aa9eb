//! Output that is not there yet: events that are parked, and output whose end nobody knows.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use common::{EPOCH, new_server, path, pattern};
use trickles::client::{Client, ClientConfig};
use trickles::server::{Demand, Minisocket, Next, Outbox, Output, Received, Reply, Reset, Server};
use trickles::time::Timestamp;
use trickles::wire::{Notice, Response};
use trickles_netem::{Link, Path};

const ONE_WAY: Duration = Duration::from_millis(20);
/// How long a client is asked to wait.
const PATIENCE: Duration = Duration::from_secs(1);

/// A log that grows; its output has no known end until it is closed.
struct Log {
    length: u64,
    closed: bool,
    /// Whether its readers are told where it ends for now.
    known: bool,
}

impl Log {
    fn next(&self, input: usize) -> Next {
        let end = if self.closed || self.known { self.length } else { u64::MAX };
        Next { state: b"log".to_vec(), output: 0..end, finished: self.closed, consumed: input, any_order: 0 }
    }
}

impl Output for Log {
    fn read(&mut self, _: &[u8], _: Range<u64>, offset: u64, buffer: &mut [u8]) -> Result<usize, Reset> {
        let count = (self.length.saturating_sub(offset) as usize).min(buffer.len());
        for (byte, at) in buffer[..count].iter_mut().zip(offset..) {
            *byte = pattern(5, at);
        }
        Ok(count)
    }
}

/// One reader of the log, and a server that keeps the events it has nothing for.
struct World {
    now: Duration,
    up: Link<()>,
    down: Link<()>,
    client: Client,
    server: Server,
    log: Log,
    /// Whether answers to input take until something is written.
    holds: bool,
    parked: Vec<Minisocket<'static>>,
    most_parked: usize,
    read: u64,
    ended: bool,
    requests: u64,
    read_at: Duration,
    /// Whether the client's application leaves everything in its buffer.
    reads_nothing: bool,
}

impl World {
    fn new(loss: f64) -> Self {
        let ugly = Path { loss, duplicate: loss, reorder: loss, ..path(50, ONE_WAY, 200_000) };
        let config = ClientConfig { early_input: b"follow\n".to_vec(), ..ClientConfig::default() };
        Self {
            now: Duration::ZERO,
            up: Link::new(ugly.clone(), 1),
            down: Link::new(ugly, 2),
            client: Client::new(config, [3; 16], Timestamp::ZERO),
            server: new_server(1),
            log: Log { length: 0, closed: false, known: false },
            holds: false,
            parked: Vec::new(),
            most_parked: 0,
            read: 0,
            ended: false,
            requests: 0,
            read_at: Duration::ZERO,
            reads_nothing: false,
        }
    }

    fn client_now(&self) -> Timestamp {
        Timestamp::ZERO + self.now
    }

    fn server_now(&self) -> Timestamp {
        EPOCH + self.now
    }

    fn drive(&mut self) {
        let now = self.client_now();
        self.client.handle_timeout(now);
        if !self.reads_nothing {
            self.read();
        }
        let mut datagram = Vec::new();
        while self.client.poll_transmit(now, &mut datagram) {
            self.requests += 1;
            self.up.send(self.now, datagram.clone(), false, ());
        }
    }

    fn send(&mut self, outbox: &Outbox) {
        for packet in outbox.packets() {
            self.down.send(self.now, packet.to_vec(), false, ());
        }
    }

    fn serve(&mut self, datagram: &[u8]) {
        let (from, now) = (SocketAddr::from(([10, 0, 0, 1], 7)), self.server_now());
        let mut outbox = Outbox::default();
        if let Some(Received::Event(minisocket)) = self.server.receive(datagram, from, now, &mut outbox) {
            self.answer(minisocket.into_owned(), &mut outbox);
        }
        self.send(&outbox);
    }

    /// Takes what has arrived.
    fn read(&mut self) {
        let mut buffer = [0; 4096];
        while let Ok(Some(count)) = self.client.read(&mut buffer) {
            self.ended |= count == 0;
            if count == 0 {
                break;
            }
            for (&byte, at) in buffer[..count].iter().zip(self.read..) {
                assert_eq!(byte, pattern(5, at), "byte {at}");
            }
            self.read += count as u64;
            self.read_at = self.now;
        }
    }

    /// Answers if there is anything to send; otherwise the event waits.
    fn answer(&mut self, minisocket: Minisocket<'static>, outbox: &mut Outbox) {
        let now = self.server_now();
        let wanted = minisocket.wanted(None).first().map(|wanted| wanted.range.start);
        let reply = match (minisocket.demand(), wanted) {
            (Demand::Next, _) if self.holds => return self.park(minisocket, outbox),
            (Demand::Next, _) => {
                Reply::Next(self.log.next(minisocket.event().input.map_or(0, |input| input.bytes.len())))
            }
            (_, Some(_)) if self.log.closed => Reply::Next(self.log.next(0)),
            (_, Some(start)) if start >= self.log.length => return self.park(minisocket, outbox),
            _ => Reply::Output,
        };
        self.server.respond(minisocket, reply, &mut self.log, now, outbox).unwrap();
    }

    fn park(&mut self, minisocket: Minisocket<'static>, outbox: &mut Outbox) {
        self.server.park(&minisocket, PATIENCE, self.server_now(), outbox);
        // Of a request and its repetitions one is answered.
        self.parked.retain(|parked| parked.id() != minisocket.id());
        self.parked.push(minisocket);
        self.most_parked = self.most_parked.max(self.parked.len());
    }

    /// More is written to the log: whoever waits gets it.
    fn write(&mut self, bytes: u64) {
        self.log.length += bytes;
        let mut outbox = Outbox::default();
        for minisocket in std::mem::take(&mut self.parked) {
            self.answer(minisocket, &mut outbox);
        }
        self.send(&outbox);
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let timer = self.client.poll_timeout().map(|at| Duration::from_micros(at.as_micros()));
            let next =
                [timer, self.up.next_delivery(), self.down.next_delivery()].into_iter().flatten().min();
            let Some(next) = next.filter(|&next| next <= end) else { break };
            self.now = self.now.max(next);
            while let Some(delivery) = self.up.deliver(self.now) {
                self.serve(&delivery.payload);
            }
            while let Some(delivery) = self.down.deliver(self.now) {
                let now = self.client_now();
                self.client.handle_datagram(&delivery.payload, now);
            }
            self.drive();
        }
        self.now = end;
        self.drive();
    }
}

#[test]
fn what_appears_is_pushed_to_who_waits() {
    let mut world = World::new(0.0);
    world.run(PATIENCE);
    for round in 1..=20 {
        world.run(Duration::from_millis(300));
        let before = world.now;
        world.write(100);
        world.run(Duration::from_millis(100));
        assert_eq!(world.read, 100 * round);
        let time = world.read_at - before;
        assert!(time < ONE_WAY + Duration::from_millis(1), "{time:?}: it had to be asked for");
    }
    assert!(world.most_parked <= 2, "{} events at a time", world.most_parked);
    assert_eq!(world.client.failure(), None);
}

#[test]
fn output_of_unknown_length_ends_when_that_is_said() {
    let mut world = World::new(0.0);
    world.write(5000);
    world.run(3 * PATIENCE);
    assert_eq!((world.read, world.ended), (5000, false));
    world.log.closed = true;
    world.write(300);
    world.run(PATIENCE);
    assert_eq!((world.read, world.ended), (5300, true));
}

#[test]
fn a_server_that_has_forgotten_who_waits_is_asked_again() {
    let mut world = World::new(0.0);
    world.write(100);
    world.run(PATIENCE);
    world.parked.clear();
    world.server = new_server(2);
    world.write(100);
    world.run(2 * PATIENCE);
    assert_eq!(world.read, 200);
}

#[test]
fn nothing_is_lost_twice_or_out_of_order_on_a_bad_path() {
    let mut world = World::new(0.05);
    for round in 0..200 {
        world.write(pattern(1, round).into());
        world.run(Duration::from_millis(20 + u64::from(pattern(2, round))));
        if round % 50 == 49 {
            world.parked.clear();
            world.server = new_server(round as u8);
        }
    }
    world.log.closed = true;
    world.write(1);
    world.run(10 * PATIENCE);
    assert_eq!((world.read, world.ended), (world.log.length, true));
    assert_eq!(world.client.failure(), None);
}

#[test]
fn an_hour_of_waiting_costs_what_the_server_asks_for() {
    let mut world = World::new(0.0);
    world.write(100);
    world.run(PATIENCE);
    let before = world.requests;
    world.run(3600 * PATIENCE);
    let requests = world.requests - before;
    assert!((3000..=4000).contains(&requests), "{requests} requests");
    world.write(100);
    world.run(PATIENCE);
    assert_eq!(world.read, 200);
}

/// How long it was held is no reason to spend a position on an answer without output.
#[test]
fn what_was_held_for_nothing_is_told_to_wait() {
    let mut world = World::new(0.0);
    world.write(100);
    world.run(PATIENCE);
    let held = world.parked.pop().expect("the client waits for more");
    let (mut outbox, now) = (Outbox::default(), world.server_now());
    world.server.respond(held, Reply::Output, &mut world.log, now, &mut outbox).unwrap();
    let answers: Vec<_> = outbox.packets().filter_map(Response::parse).collect();
    let pending =
        |answer: &Response<'_>| matches!(answer, Response::Notice { notice: Notice::Pending(_), .. });
    assert!(answers.len() == 1 && answers.iter().all(pending), "{answers:?}");
}

/// A stream that was taken up again to wait is answered with what appears, and goes on from there.
#[test]
fn what_appears_for_a_resumed_stream_is_pushed_too() {
    let mut world = World::new(0.0);
    (world.reads_nothing, world.log.length) = (true, 1 << 30);
    world.run(3 * PATIENCE);
    world.read();
    // The client has room again, and all that there is.
    (world.reads_nothing, world.log.length) = (false, world.read);
    for _ in 0..10 {
        world.run(Duration::from_millis(100));
        assert_eq!(world.read, world.log.length);
        world.write(100);
    }
}

/// An answer that takes time, to what was asked after a pause, comes in one go.
#[test]
fn what_is_answered_late_is_not_held_up() {
    let mut world = World::new(0.0);
    (world.log.known, world.log.length) = (true, 100);
    world.run(2 * PATIENCE);
    assert_eq!(world.read, 100);
    world.holds = true;
    world.client.write(b"more\n").unwrap();
    world.run(PATIENCE / 4);
    assert_eq!(world.parked.len(), 1);
    world.holds = false;
    world.write(500_000);
    world.run(PATIENCE / 2);
    assert_eq!(world.read, world.log.length);
}

/// Nothing is held back where there is more than is asked for.
#[test]
fn an_endless_stream_is_as_fast_as_one_with_an_end() {
    let mbit = |closed| {
        let mut world = World::new(0.0);
        world.log = Log { length: 1 << 40, closed, known: false };
        world.run(10 * PATIENCE);
        world.read as f64 * 8.0 / 1e7
    };
    let (endless, known) = (mbit(false), mbit(true));
    println!("{endless:.1} Mbit/s without a known end, {known:.1} with one, of 50");
    assert!(endless > 0.8 * known && known > 40.0, "{endless:.1} and {known:.1} Mbit/s");
}
