//! How much of a bottleneck flows get. `cargo test -p trickles --test throughput -- --nocapture` prints the
//! figures.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::time::Duration;

use common::{World, path};
use trickles::client::ClientConfig;
use trickles::stats::Discard;
use trickles_netem::Path;

const FOREVER: u64 = 1 << 40;
const ONE_WAY: Duration = Duration::from_millis(20);
/// What a 1500-byte MTU leaves of UDP payload.
const PACKET_SIZE: u16 = 1472;
const SECOND: Duration = Duration::from_secs(1);

/// Bytes in flight that fill 40 ms at `mbit`.
fn bdp(mbit: u64) -> usize {
    (mbit * 1_000_000 / 8 / 25) as usize
}

fn config() -> ClientConfig {
    ClientConfig { packet_size: Some(PACKET_SIZE), receive_buffer: 8 << 20, ..ClientConfig::default() }
}

fn ample() -> Path {
    path(1000, ONE_WAY, 1 << 20)
}

/// Share of the bottleneck's capacity used between two moments, headers included, and the goodput in Mbit/s.
fn utilisation(mut world: World, mbit: u64, from: u64, to: u64) -> (f64, f64) {
    world.run_until(SECOND * from as u32);
    let before = world.down.stats().delivered_bytes;
    let packets = world.down.stats().delivered_packets;
    world.run_until(SECOND * to as u32);
    // The emulator counts payload; the link also carries 28 bytes of IP and UDP header a packet.
    let bytes =
        world.down.stats().delivered_bytes - before + 28 * (world.down.stats().delivered_packets - packets);
    let goodput: f64 = (0..world.clients.len())
        .map(|index| world.goodput(index, SECOND * from as u32, SECOND * to as u32))
        .sum();
    (bytes as f64 * 8.0 / 1e6 / (to - from) as f64 / mbit as f64, goodput)
}

#[test]
fn one_flow_fills_the_bottleneck() {
    for queue in [0.5, 1.0, 2.0] {
        let down = path(100, ONE_WAY, (bdp(100) as f64 * queue) as usize);
        let mut world = World::new(ample(), down, 1);
        world.fetch(FOREVER, Duration::ZERO, config());
        let (used, goodput) = utilisation(world, 100, 3, 33);
        println!(
            "100 Mbit/s, 40 ms, queue {queue} BDP: {:.1} % used, goodput {goodput:.2} Mbit/s",
            used * 100.0
        );
        assert!(used >= 0.95, "queue {queue}: {used}");
        assert!(goodput >= 0.93 * 0.95 * 100.0, "queue {queue}: {goodput}");
    }
}

/// CUBIC grows by the clock, of which the server has only what was declared when the epoch began. RFC 9438 says K for the
/// time between two losses: in a queue of the flow's own making it takes a third longer.
#[test]
fn the_window_grows_by_the_clock() {
    for queue in [0.5, 1.0] {
        let mut world = World::new(ample(), path(100, ONE_WAY, (bdp(100) as f64 * queue) as usize), 1);
        world.fetch(FOREVER, Duration::ZERO, config());
        world.run_until(SECOND * 5);
        let mut losses = Vec::new();
        for tenth in 51..1500 {
            let before = world.down.stats().dropped_queue;
            world.run_until(SECOND * tenth / 10);
            if world.down.stats().dropped_queue > before {
                losses.push(f64::from(tenth) / 10.0);
            }
        }
        // One overflow may be seen as two.
        losses.dedup_by(|next, first| *next - *first < 1.0);
        let [first, .., last] = losses[..] else { panic!("{losses:?}") };
        let period = (last - first) / (losses.len() - 1) as f64;
        let window = (1.0 + queue) * bdp(100) as f64 / f64::from(PACKET_SIZE + 28);
        let k = (window * 0.3 / 0.4).cbrt();
        println!("queue {queue} BDP: {period:.1} s between losses, K {k:.1} s");
        assert!((0.85..1.45).contains(&(period / k)), "{queue}: {period}, {k}: {losses:?}");
    }
}

#[test]
fn four_flows_share_fairly() {
    let mut world = World::new(ample(), path(100, ONE_WAY, bdp(100)), 2);
    for flow in 0..4 {
        world.fetch(FOREVER, Duration::from_millis(137 * flow), config());
    }
    world.run_until(SECOND * 60);
    let shares: Vec<f64> = (0..4).map(|flow| world.goodput(flow, SECOND * 10, SECOND * 60)).collect();
    let sum: f64 = shares.iter().sum();
    let jain = sum * sum / (4.0 * shares.iter().map(|share| share * share).sum::<f64>());
    println!("4 flows, 100 Mbit/s, 40 ms, 1 BDP: {shares:.2?} Mbit/s, Jain {jain:.4}, sum {sum:.2}");
    assert!(jain >= 0.95, "{shares:?}");
    assert!(sum >= 0.93 * 0.95 * 100.0);
}

#[test]
fn random_loss_costs_no_more_than_the_response_function_says() {
    let loss = 0.01;
    let mut runs: Vec<(f64, f64)> = (0..9)
        .map(|seed| {
            let down = Path { loss, ..path(100, ONE_WAY, bdp(100)) };
            let mut world = World::new(ample(), down, seed);
            world.fetch(FOREVER, Duration::ZERO, config());
            world.run_until(SECOND * 5);
            let before = world.down.stats().delivered_packets;
            world.run_until(SECOND * 65);
            let goodput = world.goodput(0, SECOND * 5, SECOND * 65);
            // Packets sent in a round trip: those that arrived, and the lost.
            let arrived = world.down.stats().delivered_packets - before;
            (arrived as f64 / (1.0 - loss) * 0.04 / 60.0, goodput)
        })
        .collect();
    runs.sort_by(|a, b| a.0.total_cmp(&b.0));
    // RFC 9438 section 5.1: the larger of the CUBIC and the Reno-friendly average window, in packets.
    let cubic = 1.054 * (0.04f64.powf(0.75) / loss.powf(0.75));
    let friendly = (0.529 * 1.7 / (2.0 * 0.3 * loss)).sqrt();
    let predicted = cubic.max(friendly);
    let (packets, goodput) = runs[4];
    println!("1 % loss, 100 Mbit/s, 40 ms, 9 runs: {runs:.2?} packets a round trip and Mbit/s");
    println!("median {packets:.2} packets, {goodput:.2} Mbit/s; response function {predicted:.2} packets");
    assert!(packets >= predicted);
}

/// Thousands of packets are under way, in a queue of several round trips: claims that can take no more do not wait.
#[test]
fn a_long_fat_path_is_filled() {
    let one_way = Duration::from_millis(50);
    let mut world = World::new(ample(), path(500, one_way, 25_000_000), 1);
    world.fetch(FOREVER, Duration::ZERO, ClientConfig { receive_buffer: 64 << 20, ..config() });
    let (used, goodput) = utilisation(world, 500, 2, 10);
    println!("500 Mbit/s, 100 ms, queue 4 BDP: {:.1} % used, goodput {goodput:.2} Mbit/s", used * 100.0);
    assert!(used >= 0.95, "{used}");
}

/// One claim is for two trains, as long as hardly any is lost.
#[test]
fn a_fast_path_takes_few_claims() {
    const LENGTH: u64 = 64 << 20;
    let half = Duration::from_micros(500);
    for (loss, packets_a_claim) in [(0.0, 80.0), (0.02, 20.0)] {
        let up = Path { loss, ..path(10_000, half, 1 << 22) };
        let mut world = World::new(up, path(10_000, half, 1 << 22), 3);
        let client = world.fetch(LENGTH, Duration::ZERO, config());
        world.run_until(SECOND);
        let end = world.clients[client].finished_at.unwrap();
        let (packets, claims) = (world.down.stats().delivered_packets, world.up.stats().delivered_packets);
        println!("{loss} of the claims lost: {end:?}, {packets} packets and {claims} claims");
        assert_eq!(world.clients[client].received, LENGTH);
        assert!(packets as f64 / claims as f64 > packets_a_claim);
        assert!(end < Duration::from_millis(150));
    }
}

#[test]
fn lost_requests_are_not_congestion() {
    for loss in [0.01, 0.1] {
        let up = Path { loss, ..ample() };
        let mut world = World::new(up, path(20, ONE_WAY, bdp(20)), 3);
        world.fetch(FOREVER, Duration::ZERO, config());
        let (_, goodput) = utilisation(world, 20, 3, 63);
        println!("20 Mbit/s, 40 ms, {} % of requests lost: {goodput:.2} Mbit/s", loss * 100.0);
        assert!(goodput >= 18.0, "{loss}: {goodput}");
    }
    // Where so many are lost that none of those with a position may arrive, and from the first one on.
    for loss in [0.1, 0.2, 0.3] {
        let mut goodputs: Vec<f64> = (0..9)
            .map(|seed| {
                let up = Path { loss, ..ample() };
                let mut world = World::new(up, path(100, ONE_WAY, bdp(100)), seed);
                world.fetch(FOREVER, Duration::ZERO, config());
                utilisation(world, 100, 2, 12).1
            })
            .collect();
        goodputs.sort_by(f64::total_cmp);
        println!("100 Mbit/s, 40 ms, {} % of requests lost, 9 runs: {goodputs:.1?} Mbit/s", loss * 100.0);
        assert!(goodputs[4] >= 85.0, "{loss}: {goodputs:?}");
    }
}

#[test]
fn jitter_is_not_loss() {
    let jitter = Duration::from_millis(5);
    for (name, up, down) in [("requests", jitter, Duration::ZERO), ("answers", Duration::ZERO, jitter)] {
        let up = Path { jitter: up, ..ample() };
        let down = Path { jitter: down, ..path(100, ONE_WAY, bdp(100)) };
        let mut world = World::new(up, down, 4);
        world.fetch(FOREVER, Duration::ZERO, config());
        let (used, goodput) = utilisation(world, 100, 3, 33);
        println!("5 ms of jitter on {name}: {:.1} % used, goodput {goodput:.2} Mbit/s", used * 100.0);
        assert!(used >= 0.85, "{name}: {used}");
        assert!(goodput >= 0.93 * 0.85 * 100.0, "{name}: {goodput}");
    }
}

/// Slow start overruns a short queue before the window has reached what the path holds, and of a long one it loses half
/// of a flight. Either way the flow goes on at nearly full speed, and no continuation it presents is too old.
#[test]
fn a_loss_in_slow_start_leaves_the_path_full() {
    for (mbit, one_way, queue, from, to, least) in [
        (500, ONE_WAY, 0.25, 1, 5, 0.80),
        (500, ONE_WAY, 1.0, 1, 5, 0.92),
        (100, ONE_WAY * 7, 0.25, 4, 14, 0.80),
        (100, ONE_WAY * 7, 1.0, 5, 14, 0.92),
    ] {
        let product = (mbit * 1_000_000 / 8) as f64 * 2.0 * one_way.as_secs_f64();
        let down = path(mbit, one_way, (product * queue) as usize);
        let mut world = World::new(path(1000, one_way, 1 << 20), down, 1);
        world.fetch(FOREVER, Duration::ZERO, ClientConfig { receive_buffer: 64 << 20, ..config() });
        world.run_until(SECOND * to);
        let share = world.goodput(0, SECOND * from, SECOND * to) / mbit as f64;
        let stale = world.server.as_ref().unwrap().stats().discarded(Discard::Stale);
        println!("{mbit} Mbit/s, {:?}, queue {queue} BDP: goodput {share:.3} of the rate", one_way * 2);
        assert!(share >= least, "{mbit} Mbit/s, {one_way:?}, queue {queue}: {share}");
        assert_eq!(stale, 0);
    }
}

/// A queue of a round trip or more is noticed before it is full, and one whose delays vary is not taken for one.
#[test]
fn slow_start_does_not_overrun_a_long_queue() {
    let down = |mbit, round_trips, queue: f64| {
        let one_way = ONE_WAY * round_trips;
        let product = (mbit * 1_000_000 / 8) as f64 * 2.0 * one_way.as_secs_f64();
        path(mbit, one_way, (product * queue) as usize)
    };
    for (path, seconds, most) in [
        (down(100, 1, 4.0), 4, 0),
        (down(100, 7, 1.0), 6, 0),
        (down(500, 2, 4.0), 4, 0),
        (down(20, 2, 1.0), 4, 100),
    ] {
        let up = Path { delay: path.delay, ..ample() };
        let mut world = World::new(up, path.clone(), 1);
        world.fetch(FOREVER, Duration::ZERO, ClientConfig { receive_buffer: 64 << 20, ..config() });
        world.run_until(SECOND * seconds);
        let dropped = world.down.stats().dropped_queue;
        println!("{:?} bit/s, {:?}: {dropped} dropped", path.rate.unwrap(), path.delay * 2);
        assert!(dropped <= most, "{path:?}: {dropped}");
        assert!(
            world.goodput(0, SECOND * (seconds - 1), SECOND * seconds)
                > 0.93 * path.rate.unwrap() as f64 / 1e6
        );
    }
    let goodput = |seed| {
        let varying = |path| Path { jitter: Duration::from_millis(10), ..path };
        let mut world = World::new(varying(ample()), varying(path(100, ONE_WAY, bdp(100))), seed);
        world.fetch(FOREVER, Duration::ZERO, config());
        world.run_until(SECOND * 3);
        world.goodput(0, Duration::ZERO, SECOND * 3)
    };
    let mut goodputs: Vec<f64> = (1..10).map(goodput).collect();
    goodputs.sort_by(f64::total_cmp);
    println!("10 ms of jitter, 3 s, 9 runs: {goodputs:.1?} Mbit/s");
    assert!(goodputs[4] >= 74.0, "{goodputs:?}");
}

/// A loss in slow start while no queue stands says nothing of what the path holds: the window is reduced from what it is,
/// not from what arrives in a round trip, which is half as much.
#[test]
fn random_loss_ends_slow_start_at_seven_tenths_of_the_window() {
    let mut shares = Vec::new();
    for lost in (200..1000).step_by(50) {
        let down = Path { drop_packets: [lost].into(), ..path(1000, ONE_WAY, 100_000_000) };
        let mut world = World::new(ample(), down, 1);
        world.fetch(FOREVER, Duration::ZERO, ClientConfig { receive_buffer: 64 << 20, ..config() });
        let (mut peak, mut after) = (0, u32::MAX);
        for step in 1..500 {
            world.run_until(Duration::from_millis(step));
            let (window, _) = world.clients[0].client.congestion();
            (peak, after) =
                if window < peak / 8 * 7 { (peak, after.min(window)) } else { (peak.max(window), after) };
            if after < u32::MAX {
                break;
            }
        }
        shares.push(f64::from(after) / f64::from(peak));
    }
    println!("reduced to {shares:.2?} of the window");
    assert!(shares.iter().all(|share| (0.66..0.74).contains(share)), "{shares:?}");
}

/// Claims that nothing kept waiting catch up with nothing: the burst would overrun a short queue while the window is
/// still small.
#[test]
fn a_short_transfer_does_not_overrun_a_short_queue() {
    const LENGTH: u64 = 1 << 20;
    let milliseconds = |seed| {
        let one_way = Duration::from_micros(2500 + 37 * seed);
        let mut world = World::new(path(1000, one_way, 1 << 20), path(100, one_way, bdp(100) / 32), seed);
        world.fetch(LENGTH, Duration::ZERO, config());
        world.run_until(SECOND);
        world.clients[0].finished_at.unwrap().as_secs_f64() * 1e3
    };
    let times: Vec<f64> = (0..15).map(milliseconds).collect();
    let mean = times.iter().sum::<f64>() / times.len() as f64;
    println!("1 MiB, 100 Mbit/s, 5 ms, queue 0.25 BDP: {mean:.1} ms of {times:.0?}");
    assert!(mean < 140.0, "{times:?}");
}

/// What arrives after it was taken for lost teaches the client to wait longer, and slow start that such a loss has ended
/// begins again.
#[test]
fn reordering_is_not_loss_for_long() {
    // The first two are tolerated from the start.
    let cases = [(0.01, 1, 90.0), (0.05, 5, 90.0), (0.1, 20, 60.0), (0.2, 10, 80.0), (0.2, 20, 60.0)];
    for ((reorder, delay, least), seed) in
        cases.iter().flat_map(|case| (1..=4).map(move |seed| (*case, seed)))
    {
        let down =
            Path { reorder, reorder_delay: Duration::from_millis(delay), ..path(100, ONE_WAY, bdp(100)) };
        let mut world = World::new(ample(), down, seed);
        world.fetch(FOREVER, Duration::ZERO, config());
        let (used, goodput) = utilisation(world, 100, 1, 10);
        println!(
            "{} % of packets {delay} ms late: {:.1} % used, goodput {goodput:.2} Mbit/s",
            reorder * 100.0,
            used * 100.0
        );
        assert!(goodput >= least, "{reorder}, {delay} ms, seed {seed}: {goodput}");
    }
}

/// Slow start that real losses have ended does not begin again, however late other packets come.
#[test]
fn reordering_hides_no_losses() {
    let late = Duration::from_millis(20);
    let goodput = |seed| {
        let down = Path { loss: 0.002, reorder: 0.2, reorder_delay: late, ..path(100, ONE_WAY, bdp(100)) };
        let mut world = World::new(ample(), down, seed);
        world.fetch(FOREVER, Duration::ZERO, config());
        world.run_until(SECOND * 20);
        world.goodput(0, SECOND * 5, SECOND * 20)
    };
    let goodputs: Vec<f64> = (1..=5).map(goodput).collect();
    println!("0.2 % lost, 20 % late: {goodputs:.2?} Mbit/s");
    // sqrt(1.5 / p) packets a round trip are 7.9 Mbit/s.
    assert!(goodputs.iter().sum::<f64>() / 5.0 < 9.5, "{goodputs:?}");
}

/// A queue that marks never overflows, and the link stays full.
#[test]
fn marks_of_congestion_keep_queues_short() {
    for share in [0.5, 1.0] {
        let threshold = (bdp(100) as f64 * share) as usize;
        let down = Path { mark_threshold: Some(threshold), ..path(100, ONE_WAY, 8 * bdp(100)) };
        let mut world = World::new(ample(), down, 1);
        world.fetch(FOREVER, Duration::ZERO, config());
        world.run_until(SECOND * 33);
        let stats = *world.down.stats();
        let goodput = world.goodput(0, SECOND * 3, SECOND * 33);
        println!(
            "marks from {share} BDP on: {} of {} packets marked, {} lost, queue up to {:.2} BDP, {goodput:.2} Mbit/s",
            stats.ce_marked,
            stats.offered_packets,
            stats.dropped_queue,
            stats.max_queue_bytes as f64 / bdp(100) as f64
        );
        assert!(stats.ce_marked > 0 && stats.dropped_queue == 0);
        assert!(goodput >= 0.93 * 0.95 * 100.0, "{goodput}");
    }
}

/// Where every packet is marked the path does not know what it does.
#[test]
fn marks_on_everything_are_no_congestion() {
    let mut world = World::new(ample(), path(100, ONE_WAY, bdp(100)), 1);
    world.marks_all = true;
    world.fetch(FOREVER, Duration::ZERO, config());
    let (used, _) = utilisation(world, 100, 3, 13);
    assert!(used >= 0.95, "{used}");
}
