//! How streams end: half close, reset from either side, and peers that are not there.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::time::Duration;

use common::{World, path};
use trickles::client::{Client, ClientConfig, Failure, WriteError};
use trickles::time::Timestamp;
use trickles_netem::Path;

const ONE_WAY: Duration = Duration::from_millis(10);
const SECOND: Duration = Duration::from_secs(1);

fn world() -> World {
    World::new(path(100, ONE_WAY, 100_000), path(100, ONE_WAY, 100_000), 1)
}

/// A client that has asked for `length` bytes and leaves its side open.
fn open(world: &mut World, length: u64) -> usize {
    let early_input = format!("{length} 7\n").into_bytes();
    world.add(Duration::ZERO, ClientConfig { early_input, ..ClientConfig::default() }, vec![(7, length)])
}

#[test]
fn the_output_goes_on_after_a_half_close() {
    let mut world = world();
    let client = open(&mut world, 3_000_000);
    world.run_until(SECOND / 10);
    world.clients[client].client.shutdown();
    assert!(!world.clients[client].client.is_flushed());
    world.wake(client);
    world.run_until(SECOND / 5);
    let endpoint = &mut world.clients[client];
    assert!(endpoint.client.is_flushed() && endpoint.received < 3_000_000);
    assert_eq!(endpoint.client.write(b"more"), Err(WriteError::Closed));
    world.run_until(SECOND * 10);
    assert_eq!(world.clients[client].received, 3_000_000);
    assert!(world.clients[client].finished_at.is_some());
}

#[test]
fn a_reset_reaches_the_application_and_ends_the_stream() {
    let mut world = world();
    let client = open(&mut world, 3_000_000);
    world.run_until(SECOND / 10);
    world.clients[client].client.reset(42);
    world.wake(client);
    world.run_until(SECOND);
    assert_eq!(world.application.resets, [42]);
    assert_eq!(world.clients[client].client.failure(), Some(Failure::Aborted));
    assert_eq!(world.clients[client].client.poll_timeout(), None);
}

#[test]
fn the_application_can_reset_a_stream() {
    let mut world = world();
    let early_input = b"nonsense\n".to_vec();
    let client =
        world.add(Duration::ZERO, ClientConfig { early_input, ..ClientConfig::default() }, Vec::new());
    world.run_until(SECOND);
    assert_eq!(world.clients[client].client.failure(), Some(Failure::Reset(2)));
}

#[test]
fn nobody_there_is_a_time_out() {
    let mut world = world();
    world.server = None;
    let client = open(&mut world, 1);
    world.run_until(SECOND * 9);
    assert_eq!(world.clients[client].client.failure(), None);
    world.run_until(SECOND * 11);
    assert_eq!(world.clients[client].client.failure(), Some(Failure::TimedOut));
}

#[test]
fn repeated_refusals_end_an_attempt_to_connect_but_no_stream() {
    let mut world = world();
    let client = open(&mut world, 1_000_000);
    let refuse = |world: &mut World| {
        let now = world.timestamp();
        (0..3).for_each(|_| world.clients[client].client.handle_unreachable(now));
        world.clients[client].client.failure()
    };
    world.run_until(SECOND / 10);
    assert_eq!(refuse(&mut world), None);
    let mut nobody = self::world();
    nobody.server = None;
    open(&mut nobody, 1);
    nobody.run_until(SECOND / 10);
    assert_eq!(refuse(&mut nobody), Some(Failure::Refused));
}

#[test]
fn an_idle_stream_sends_nothing_and_wakes_up_days_later() {
    let mut world = world();
    let client = open(&mut world, 100_000);
    world.run_until(SECOND * 5);
    assert_eq!(world.clients[client].received, 100_000);
    let quiet = world.datagrams;
    world.run_until(SECOND * 3 * 86_400);
    assert_eq!(world.datagrams, quiet, "an idle client is silent");
    world.clients[client].expected.push((8, 200_000));
    assert_eq!(world.clients[client].client.write(b"200000 8\n"), Ok(Some(9)));
    world.wake(client);
    world.run_until(world.now + SECOND * 5);
    assert_eq!(world.clients[client].received, 300_000);
}

#[test]
fn packets_that_the_path_does_not_carry_are_given_up() {
    let config = ClientConfig { packet_size: Some(9000), ..ClientConfig::default() };
    let mut client = Client::new(config, [1; 16], Timestamp::ZERO);
    let (mut now, mut lengths, mut datagram) = (Timestamp::ZERO, Vec::new(), Vec::new());
    while lengths.len() < 4 {
        client.handle_timeout(now);
        while client.poll_transmit(now, &mut datagram) {
            lengths.push(datagram.len());
        }
        now = client.poll_timeout().unwrap();
    }
    assert_eq!(lengths, [9000, 1200, 9000, 1200]);
}

/// A path that loses what is larger than 1300 bytes from the beginning, and one that does from the middle of a
/// transfer on.
#[test]
fn a_stream_goes_on_in_packets_that_the_path_carries() {
    let narrow = |largest| Path { largest, ..path(100, SECOND / 50, 1 << 20) };
    let config = || ClientConfig { packet_size: Some(1472), ..ClientConfig::default() };
    let mut world = World::new(narrow(1300), narrow(1300), 1);
    let client = world.fetch(5_000_000, Duration::ZERO, config());
    world.run_until(SECOND * 5);
    assert!(world.clients[client].finished_at.is_some(), "{}", world.clients[client].received);

    let mut world = World::new(narrow(1500), narrow(1500), 1);
    let client = world.fetch(20_000_000, Duration::ZERO, config());
    world.run_until(SECOND);
    let before = world.clients[client].received;
    assert!((1..20_000_000).contains(&before), "{before}");
    world.down.set_path(narrow(1300));
    world.run_until(SECOND * 5);
    assert!(world.clients[client].finished_at.is_some(), "{}", world.clients[client].received);
    assert!(world.down.stats().dropped_large > 0);
}
