//! A server that is killed and comes back without its memory.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::time::Duration;

use common::{World, new_server, path};
use trickles::client::ClientConfig;
use trickles::time::Timestamp;

/// Longest time without a received byte while the server is away for `outage` at each second.
fn longest_stall(one_way: Duration, outage: Duration) -> Duration {
    let mut world = World::new(path(1000, one_way, 1 << 20), path(200, one_way, 500_000), 1);
    world.fetch(100_000_000, Duration::ZERO, ClientConfig::default());
    let step = Duration::from_millis(1);
    let (mut longest, mut last_progress, mut received) = (Duration::ZERO, Duration::ZERO, 0);
    let mut life = 1;
    let mut down_until = None;
    while world.clients[0].finished_at.is_none() && world.now < Duration::from_secs(60) {
        world.run_until(world.now + step);
        if world.clients[0].received > received {
            longest = longest.max(world.now - last_progress);
            (last_progress, received) = (world.now, world.clients[0].received);
        }
        if down_until.is_none() && world.now.as_secs() == u64::from(life) {
            world.server = None;
            down_until = Some(world.now + outage);
        }
        if down_until.is_some_and(|until| until <= world.now) {
            life += 1;
            down_until = None;
            world.server = Some(new_server(life));
        }
    }
    assert!(world.clients[0].finished_at.is_some(), "{} bytes after {:?}", received, world.now);
    assert!(life > 3, "the server was restarted {life} times only");
    longest
}

#[test]
fn a_restart_stalls_a_download_for_less_than_a_second() {
    for (one_way, outage) in [(50, 25), (50, 300), (10_000, 25), (10_000, 300)] {
        let (one_way, outage) = (Duration::from_micros(one_way), Duration::from_millis(outage));
        let longest = longest_stall(one_way, outage);
        println!("one way {one_way:?}, server away for {outage:?}: longest stall {longest:?}");
        assert!(longest < outage + Duration::from_millis(700), "{longest:?}");
    }
}

/// The machine was suspended, say, and every deadline is long past.
#[test]
fn a_client_that_wakes_late_asks_once() {
    let one_way = Duration::from_millis(5);
    let mut world = World::new(path(1000, one_way, 1 << 20), path(200, one_way, 500_000), 1);
    world.fetch(100_000_000, Duration::ZERO, ClientConfig::default());
    world.run_until(Duration::from_millis(500));
    let client = &mut world.clients[0].client;
    let now = Timestamp::ZERO + Duration::from_secs(20);
    let (mut sent, mut request) = (0, Vec::new());
    for attempt in 0.. {
        client.handle_timeout(now);
        while client.poll_transmit(now, &mut request) {
            sent += 1;
        }
        if client.poll_timeout().is_some_and(|at| at > now) {
            assert!(attempt < 2, "{attempt} timers in a row");
            break;
        }
        assert!(attempt < 10, "{:?} is over", client.poll_timeout());
    }
    assert!((1..=2).contains(&sent), "{sent} requests");
}
