//! Streams of requests, one after another, that use little of their window: how long answers take, and what streams may
//! do when they need much of it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::time::Duration;

use common::{World, path};
use trickles::client::ClientConfig;

const ONE_WAY: Duration = Duration::from_millis(10);
/// A queue of one round trip at 20 Mbit/s.
const QUEUE: usize = 50_000;
const DOWNLOAD: u64 = 4 << 20;

#[derive(Debug)]
struct Outcome {
    /// The congestion window at the beginning, in packets.
    window: u32,
    /// How many packets the bottleneck has dropped.
    dropped: u64,
    time: Duration,
}

/// A download after so many small requests, one after another.
fn download_after(requests: u64) -> Outcome {
    let mut world = World::new(path(1000, ONE_WAY, 1 << 20), path(20, ONE_WAY, QUEUE), 1);
    let expected = (0..requests).map(|seed| (seed, 1000)).chain([(requests, DOWNLOAD)]).collect();
    let config = ClientConfig { early_input: b"1000 0\n".to_vec(), ..ClientConfig::default() };
    let client = world.add(Duration::ZERO, config, expected);
    for seed in 1..=requests {
        world.run_until(world.now + 2 * ONE_WAY + Duration::from_millis(5));
        assert_eq!(world.clients[client].received, 1000 * seed);
        let line =
            if seed == requests { format!("{DOWNLOAD} {seed} close\n") } else { format!("1000 {seed}\n") };
        assert_eq!(world.clients[client].client.write(line.as_bytes()).unwrap(), Some(line.len()));
        world.wake(client);
    }
    let (window, _) = world.clients[client].client.congestion();
    let start = world.now;
    world.run_until(start + Duration::from_secs(60));
    let end = world.clients[client].finished_at.unwrap();
    Outcome { window, dropped: world.down.stats().dropped_queue, time: end - start }
}

/// RFC 9002, section 7.8: a window that is not used does not grow. Here it does, by the arithmetic of positions, so that
/// it has to be left in time.
#[test]
fn a_download_after_many_small_requests_is_as_gentle_as_one_at_once() {
    let at_once = download_after(1);
    for requests in [50, 500, 2000] {
        let after = download_after(requests);
        println!("after {requests} requests: {after:?}, instead of {at_once:?}");
        assert!(after.window <= 60);
        assert!(after.dropped < 2 * at_once.dropped);
        assert!(after.time < at_once.time * 6 / 5);
    }
}

/// Milliseconds that an answer of `size` bytes takes on average, of 60 one after another on one stream: 100 Mbit/s and
/// 40 ms.
fn mean_time(size: u64) -> f64 {
    const ANSWERS: u64 = 60;
    let half = Duration::from_millis(20);
    let mut world = World::new(path(1000, half, 1 << 20), path(100, half, 500_000), 1);
    let expected = (0..ANSWERS).map(|seed| (seed, size)).collect();
    let config = ClientConfig {
        early_input: format!("{size} 0\n").into_bytes(),
        packet_size: Some(1400),
        ..ClientConfig::default()
    };
    let client = world.add(Duration::ZERO, config, expected);
    for seed in 1..=ANSWERS {
        while world.clients[client].received < size * seed {
            world.run_until(world.now + Duration::from_millis(1));
        }
        if seed < ANSWERS {
            let line = format!("{size} {seed}\n");
            assert_eq!(world.clients[client].client.write(line.as_bytes()).unwrap(), Some(line.len()));
            world.wake(client);
        }
    }
    world.now.as_secs_f64() * 1e3 / ANSWERS as f64
}

/// What a packet was too short for must not be missing in the answers to come: the budget of an answer follows from the
/// train whose continuation is presented, and the last packet of an answer is seldom full.
#[test]
fn answers_one_after_another_take_little_more_than_a_round_trip() {
    const ROUND_TRIP: f64 = 40.0;
    /// What one claim can have at most.
    const LONGEST_TRAIN: u64 = 64 * 1400;
    for size in [1000, 3000, 5000, 20_000, 50_000, 100_000, 400_000] {
        let transmission = size as f64 * 8.0 / 100e3;
        let mean = mean_time(size);
        println!("{size} bytes: {mean:.0} ms on average, {transmission:.0} ms of transmission");
        let round_trips = if size < LONGEST_TRAIN { 1.3 } else { 2.3 };
        assert!(mean < round_trips * ROUND_TRIP + transmission);
    }
}
