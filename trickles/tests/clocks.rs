//! Clocks that differ, step, or stand at the ends of time; round trips of nothing and of ten seconds.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use common::{EPOCH, PatternApplication, new_server, path, pattern};
use trickles::client::{Client, ClientConfig, Failure};
use trickles::server::{Outbox, Server};
use trickles::stats::Discard;
use trickles::time::Timestamp;
use trickles_netem::{Link, Path};

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// What a clock shows after a time.
type Clock = Box<dyn Fn(Duration) -> Timestamp>;

fn ahead(by: Duration) -> Clock {
    Box::new(move |time| EPOCH + by + time)
}

fn behind_from(when: Duration, by: Duration) -> Clock {
    Box::new(move |time| if time < when { EPOCH + time } else { EPOCH + time - by })
}

fn ahead_from(when: Duration, by: Duration) -> Clock {
    Box::new(move |time| if time < when { EPOCH + time } else { EPOCH + time + by })
}

/// One client, and replicas that take its datagrams in turns. Each has a clock and a replay filter of its own.
struct Service {
    replicas: Vec<(Server, Clock)>,
    turn: usize,
    /// When the first replica is replaced by one that remembers nothing, its clock included.
    restart: Option<Duration>,
    client: Client,
    client_clock: Clock,
    up: Link<()>,
    down: Link<()>,
    length: u64,
    now: Duration,
    /// The longest time without a byte.
    stall: Duration,
}

impl Service {
    fn new(length: u64, path: Path, clocks: Vec<Clock>) -> Self {
        let patience = Duration::from_secs(120);
        let config = ClientConfig {
            early_input: format!("{length} 5 close\n").into_bytes(),
            connect_timeout: patience,
            timeout: patience,
            ..ClientConfig::default()
        };
        Self {
            replicas: (1..).zip(clocks).map(|(seed, clock)| (new_server(seed), clock)).collect(),
            turn: 0,
            restart: None,
            client: Client::new(config, [7; 16], Timestamp::ZERO),
            client_clock: Box::new(|time| Timestamp::ZERO + time),
            up: Link::new(path.clone(), 1),
            down: Link::new(path, 2),
            length,
            now: Duration::ZERO,
            stall: Duration::ZERO,
        }
    }

    fn discarded(&self, replica: usize, reason: Discard) -> u64 {
        self.replicas[replica].0.stats().discarded(reason)
    }

    /// Runs until all is received or the stream has failed, and for `limit` at most. Every byte is compared.
    fn run(&mut self, limit: Duration) -> Result<(), Failure> {
        let address: SocketAddr = ([10, 0, 0, 1], 4000).into();
        let (mut application, mut outbox) = (PatternApplication::default(), Outbox::default());
        let (mut datagram, mut bytes) = (Vec::new(), [0; 1 << 16]);
        let (mut received, mut last) = (0, Duration::ZERO);
        while received < self.length {
            assert!(self.now < limit, "{received} of {} bytes after {limit:?}", self.length);
            if self.restart.take_if(|at| *at <= self.now).is_some() {
                self.replicas[0].0 = new_server(99);
            }
            while let Some(delivery) = self.up.deliver(self.now) {
                let turn = self.turn % self.replicas.len();
                let (server, clock) = &mut self.replicas[turn];
                self.turn += 1;
                outbox.clear();
                let now = clock(self.now);
                server.handle(&delivery.payload, address, now, &mut application, &mut outbox).unwrap();
                for packet in outbox.packets() {
                    self.down.send(self.now, packet.to_vec(), false, ());
                }
            }
            let client_now = (self.client_clock)(self.now);
            while let Some(delivery) = self.down.deliver(self.now) {
                self.client.handle_datagram(&delivery.payload, client_now);
            }
            if self.client.poll_timeout().is_some_and(|at| at <= client_now) {
                self.client.handle_timeout(client_now);
            }
            let count = self.client.read(&mut bytes)?.unwrap_or(0);
            for (offset, &byte) in (received..).zip(&bytes[..count]) {
                assert_eq!(byte, pattern(5, offset), "byte {offset}");
            }
            received += count as u64;
            self.stall = self.stall.max(self.now - last);
            if count > 0 {
                last = self.now;
            }
            let mut sent = 0;
            while self.client.poll_transmit(client_now, &mut datagram) {
                sent += 1;
                assert!(sent < 10_000, "the client sends without end");
                self.up.send(self.now, datagram.clone(), false, ());
            }
            // Clocks that step have no inverse: timers are looked at every millisecond.
            let tick = self.now + MILLISECOND;
            self.now = tick
                .min(self.up.next_delivery().unwrap_or(tick))
                .min(self.down.next_delivery().unwrap_or(tick));
        }
        Ok(())
    }

    /// That an honest client was never found lying, whatever the clocks did.
    fn assert_honest(&self) {
        for (server, _) in &self.replicas {
            for reason in [Discard::Forged, Discard::Field, Discard::Proof, Discard::Malformed] {
                assert_eq!(server.stats().discarded(reason), 0, "{reason:?}");
            }
        }
    }
}

fn ordinary() -> Path {
    path(20, 10 * MILLISECOND, 50_000)
}

/// What one replica issues lies in the other one's future, which lets it pass unanswered.
#[test]
fn replicas_whose_clocks_differ_by_seconds_serve_a_stream_in_turns() {
    let mut service = Service::new(1 << 20, ordinary(), vec![ahead(Duration::ZERO), ahead(3 * SECOND)]);
    service.run(60 * SECOND).unwrap();
    let future = service.discarded(0, Discard::Future);
    println!("3 s apart: {:?}, longest stall {:?}, {future} from the future", service.now, service.stall);
    assert!(future > 0 && service.discarded(1, Discard::Future) == 0);
    service.assert_honest();
}

/// What the late replica issues is stale for the early one, and gets Refresh.
#[test]
fn replicas_further_apart_than_continuations_stay_fresh_go_on_by_refresh() {
    let mut service = Service::new(1 << 18, ordinary(), vec![ahead(Duration::ZERO), ahead(40 * SECOND)]);
    service.run(100 * SECOND).unwrap();
    let stale = service.discarded(1, Discard::Stale);
    println!("40 s apart: {:?}, longest stall {:?}, {stale} stale", service.now, service.stall);
    assert!(stale > 0);
    service.assert_honest();
}

#[test]
fn clocks_may_differ_by_the_skew_and_no_more() {
    for (apart, refused) in [(20, false), (25, true)] {
        let short = path(200, MILLISECOND / 10, 200_000);
        let mut service =
            Service::new(1 << 20, short, vec![ahead(Duration::ZERO), ahead(apart * MILLISECOND)]);
        service.run(20 * SECOND).unwrap();
        assert_eq!(service.discarded(0, Discard::Future) > 0, refused, "{apart} ms");
        service.assert_honest();
    }
}

/// It stands still until the time it has seen is reached again. By then the client has tried to restart so often that
/// its next attempts have to wait for an age that the server has yet to see: as long again, and again, or until
/// Refresh.
#[test]
fn a_servers_clock_that_steps_back_stops_a_stream_for_a_while() {
    for back in [MILLISECOND, 50 * MILLISECOND, 2 * SECOND, 20 * SECOND] {
        for restarted in [false, true] {
            let mut service = Service::new(4 << 20, ordinary(), vec![behind_from(SECOND, back)]);
            service.restart = restarted.then_some(SECOND);
            service.run(100 * SECOND).unwrap();
            println!("{back:?} back, {restarted}: {:?}, longest stall {:?}", service.now, service.stall);
            assert!(service.stall < back + (2 * back).min(30 * SECOND) + 700 * MILLISECOND);
            assert_eq!(service.discarded(0, Discard::Future) > 0, restarted && back > SECOND);
            service.assert_honest();
        }
    }
}

#[test]
fn a_servers_clock_may_leap() {
    for leap in [SECOND, 29 * SECOND, 31 * SECOND, 300 * SECOND, 6 * DAY] {
        let mut service = Service::new(4 << 20, ordinary(), vec![ahead_from(SECOND, leap)]);
        service.run(20 * SECOND).unwrap();
        println!("{leap:?} on: {:?}, longest stall {:?}", service.now, service.stall);
        assert!(service.stall < SECOND);
        service.assert_honest();
    }
    let mut service = Service::new(4 << 20, ordinary(), vec![ahead_from(SECOND, 8 * DAY)]);
    assert_eq!(service.run(20 * SECOND), Err(Failure::Expired));
}

#[test]
fn a_clients_clock_may_step_and_leap() {
    for step in [MILLISECOND, 50 * MILLISECOND, 2 * SECOND] {
        let mut service = Service::new(4 << 20, ordinary(), vec![ahead(Duration::ZERO)]);
        service.client_clock = Box::new(move |time| {
            let start = Timestamp::from_millis(5000);
            if time < SECOND { start + time } else { start + time - step }
        });
        service.run(20 * SECOND).unwrap();
        println!("{step:?} back: {:?}, longest stall {:?}", service.now, service.stall);
        assert!(service.stall < step + 700 * MILLISECOND);
        service.assert_honest();
        let mut service = Service::new(4 << 20, ordinary(), vec![ahead(Duration::ZERO)]);
        service.client_clock =
            Box::new(move |time| Timestamp::ZERO + time + if time < SECOND { Duration::ZERO } else { step });
        service.run(20 * SECOND).unwrap();
        println!("{step:?} on: {:?}, longest stall {:?}", service.now, service.stall);
        assert!(service.stall < SECOND);
        service.assert_honest();
    }
}

/// No clock shows the origin, or an hour before the end; they are the ends of what arithmetic has to bear.
#[test]
fn streams_run_at_both_ends_of_time() {
    for start in [Timestamp::ZERO, Timestamp::NEVER - 3600 * SECOND] {
        let mut service = Service::new(1 << 20, ordinary(), vec![Box::new(move |time| start + time)]);
        service.client_clock = Box::new(move |time| start + time);
        service.client = Client::new(
            ClientConfig { early_input: b"1048576 5 close\n".to_vec(), ..ClientConfig::default() },
            [7; 16],
            start,
        );
        service.run(20 * SECOND).unwrap();
        service.assert_honest();
    }
}

/// A clock that has reached its end: the stream fails, and nothing panics.
#[test]
fn time_may_come_to_an_end() {
    for left in [Duration::ZERO, MILLISECOND, SECOND] {
        let start = Timestamp::NEVER - left;
        let mut service = Service::new(4 << 20, ordinary(), vec![Box::new(move |time| start + time)]);
        assert!(service.run(200 * SECOND).is_err());
        let mut service = Service::new(4 << 20, ordinary(), vec![ahead(Duration::ZERO)]);
        service.client_clock = Box::new(move |time| start + time);
        assert!(service.run(200 * SECOND).is_err());
    }
}

/// Paced over a round trip, claims are up to one and a half old; continuations stay fresh for half a minute.
#[test]
fn round_trips_may_take_no_time_and_ten_seconds() {
    for (one_way, length) in
        [(Duration::ZERO, 8 << 20), (Duration::from_micros(1), 8 << 20), (5 * SECOND, 1 << 18)]
    {
        let mut service = Service::new(length, path(1000, one_way, 1 << 20), vec![ahead(Duration::ZERO)]);
        service.run(1000 * SECOND).unwrap();
        println!("{one_way:?} one way: {:?}", service.now);
        service.assert_honest();
    }
}
