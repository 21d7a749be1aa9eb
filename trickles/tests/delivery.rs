//! Every byte arrives, once, in order, whatever the network and the server do.
//!
//! `TRICKLES_RUNS` sets how many seeded runs there are, `TRICKLES_SEED` replays one of them.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::time::Duration;

use common::seeds::{Choices, outcomes};
use common::{World, new_server, path};
use trickles::client::ClientConfig;
use trickles::epoch::CurveId;
use trickles::stats::Discard;
use trickles_netem::Path;

const ONE_WAY: Duration = Duration::from_millis(5);

fn ugly_path(choices: &mut Choices) -> Path {
    let rate = [2, 10, 50, 200][choices.below(4) as usize];
    let delay = Duration::from_micros([200, 5_000, 20_000, 80_000][choices.below(4) as usize]);
    Path {
        loss: choices.share(0.1),
        reorder: choices.share(0.1),
        reorder_delay: Duration::from_millis(1 + choices.below(20)),
        duplicate: choices.share(0.05),
        corrupt: choices.share(0.01),
        jitter: Duration::from_micros(choices.below(3000)),
        ..path(rate, delay, 4000 + choices.below(400_000) as usize)
    }
}

/// What one run was like, for the message when it fails.
#[derive(Debug)]
struct Run {
    bytes: u64,
    seconds: f64,
    restarts: u32,
}

fn run(seed: u64) -> Run {
    let mut choices = Choices::new(seed);
    let (up, down) = (ugly_path(&mut choices), ugly_path(&mut choices));
    let mut world = World::new(up, down, seed);
    // Several answers on one stream: requests short and long, the last one closing.
    let answers = 1 + choices.below(3);
    let mut request = Vec::new();
    let mut expected = Vec::new();
    for answer in 0..answers {
        let length = [0, 1, 1000, 30_000, 200_000, 500_000][choices.below(6) as usize] + choices.below(1000);
        let padding = [0, 0, 700, 5000][choices.below(4) as usize];
        let close = if answer + 1 == answers && choices.below(2) == 0 { " close" } else { "" };
        request.extend(format!("{length} {}{:padding$}{close}\n", seed + answer, "").into_bytes());
        expected.push((seed + answer, length));
    }
    let early = choices.below(request.len() as u64 + 1) as usize;
    let config = ClientConfig {
        early_input: request[..early.min(1000)].to_vec(),
        curve: if choices.below(2) == 0 { CurveId::Cubic } else { CurveId::Reno },
        receive_buffer: [64 << 10, 1 << 20][choices.below(2) as usize],
        connect_timeout: Duration::from_secs(120),
        timeout: Duration::from_secs(120),
        ..ClientConfig::default()
    };
    let sent = config.early_input.len();
    let client = world.add(Duration::ZERO, config, expected);
    let endpoint = &mut world.clients[client];
    assert_eq!(endpoint.client.write(&request[sent..]), Ok(Some(request.len() - sent)));
    endpoint.client.shutdown();
    let mut restarts = 0;
    let limit = Duration::from_secs(600);
    while world.clients[client].finished_at.is_none() && world.now < limit {
        let pause = Duration::from_millis(1 + choices.below(1500));
        world.run_until(world.now + pause);
        // An honest client makes no claim that a server finds wrong.
        let stats = world.server.as_ref().unwrap().stats();
        for reason in [Discard::Field, Discard::Proof, Discard::Early, Discard::UserContinuation] {
            assert_eq!(stats.discarded(reason), 0, "{reason:?}; replay with TRICKLES_SEED={seed}");
        }
        // With jitter a claim may come back sooner than the smallest round trip of its epoch, now and then.
        let hasty = stats.discarded(Discard::Rtt);
        assert!(hasty <= 3 + stats.events / 20, "{hasty} too early; replay with TRICKLES_SEED={seed}");
        if world.clients[client].finished_at.is_none() && restarts < 6 && choices.below(2) == 0 {
            // The process is gone, its memory with it; a while later another one listens.
            restarts += 1;
            world.server = None;
            world.run_until(world.now + Duration::from_millis(choices.below(400)));
            world.server = Some(new_server(restarts as u8 + 1));
        }
    }
    let endpoint = &world.clients[client];
    let outcome = Run { bytes: endpoint.received, seconds: world.now.as_secs_f64(), restarts };
    let failure = endpoint.client.failure();
    assert!(
        failure.is_none() && endpoint.finished_at.is_some() && endpoint.received == endpoint.expected_total(),
        "{outcome:?}: {failure:?} after {} of {} bytes; replay with TRICKLES_SEED={seed}\nup {:?}\ndown {:?}",
        endpoint.received,
        endpoint.expected_total(),
        world.up.path(),
        world.down.path(),
    );
    outcome
}

#[test]
fn every_byte_arrives_under_every_combination_of_trouble() {
    let runs = outcomes(500, run);
    let bytes: u64 = runs.iter().map(|run| run.bytes).sum();
    let restarts: u32 = runs.iter().map(|run| run.restarts).sum();
    let seconds: f64 = runs.iter().map(|run| run.seconds).sum();
    println!("{} runs: {bytes} bytes exact, {restarts} server restarts, {seconds:.0} s emulated", runs.len());
}

/// What gets past no kernel still reaches the parsers here. Bytes may be wrong then, but nothing panics, hangs
/// or is accepted under a forged continuation.
#[test]
fn corruption_that_a_kernel_would_drop_is_survived() {
    let (mut forged, mut complete) = (0, 0);
    for seed in 0..50 {
        let broken =
            Path { corrupt: 0.2, corrupt_bits: 8, verify_checksum: false, ..path(20, ONE_WAY, 100_000) };
        let mut world = World::new(broken.clone(), broken, seed);
        world.compare = false;
        world.fetch(100_000, Duration::ZERO, ClientConfig::default());
        world.run_until(Duration::from_secs(20));
        forged += world.server.as_ref().unwrap().stats().discarded(Discard::Forged);
        complete += u32::from(world.clients[0].received == 100_000);
    }
    println!("{forged} forgeries discarded, {complete} of 50 streams complete");
    assert!(forged > 100 && complete > 10);
}
