//! Input arrives, whole and in order, however an application takes it and whatever the network and the server
//! do; and as fast as output does.
//!
//! `TRICKLES_RUNS` sets how many seeded runs there are, `TRICKLES_SEED` replays one of them.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod application;
#[path = "../common/mod.rs"]
mod common;
mod corners;
mod remembered;

use std::time::Duration;

use application::{Uploads, digest};
use common::seeds::{Choices, outcomes};
use common::{World, new_server, path, pattern};
use trickles::client::ClientConfig;
use trickles::stats::Discard;
use trickles_netem::Path;

const MODES: [&str; 6] = ["sum", "lazy", "store", "echo", "dice", "shelf"];

/// A client that is about to upload.
struct Uploader {
    world: World<Uploads>,
    input: Vec<u8>,
    /// How much of it is written.
    written: usize,
}

impl Uploader {
    fn new(mode: &str, length: u64, seed: u64, up: Path, down: Path) -> Self {
        let mut world = World::with(Uploads::default(), up, down, seed);
        let config = ClientConfig {
            connect_timeout: Duration::from_secs(120),
            timeout: Duration::from_secs(120),
            ..ClientConfig::default()
        };
        let expected = match mode {
            "echo" => (seed, length),
            _ => (seed + 1, 8),
        };
        world.compare = mode != "dice";
        world.add(Duration::ZERO, config, vec![expected]);
        let line = format!("{mode} {length} {seed}\n").into_bytes();
        let input = line.into_iter().chain((0..length).map(|at| pattern(seed, at))).collect();
        let mut uploader = Self { world, input, written: 0 };
        uploader.write();
        uploader
    }

    fn write(&mut self) {
        let client = &mut self.world.clients[0].client;
        while let Ok(Some(count)) = client.write(&self.input[self.written..]) {
            self.written += count;
            if self.written == self.input.len() {
                client.shutdown();
                break;
            }
        }
        if self.world.clients[0].started {
            self.world.wake(0);
        }
    }

    /// Runs for `time`, in steps short enough for the client never to be without input.
    fn run(&mut self, time: Duration) {
        let end = self.world.now + time;
        while self.world.now < end && !self.is_over() {
            let step = if self.is_written() { time } else { Duration::from_millis(2) };
            self.world.run_until(end.min(self.world.now + step));
            if !self.is_written() {
                self.write();
            }
        }
    }

    fn is_written(&self) -> bool {
        self.written == self.input.len()
    }

    fn is_over(&self) -> bool {
        let client = &self.world.clients[0];
        client.finished_at.is_some() || client.client.failure().is_some()
    }

    #[track_caller]
    fn assert_complete(&self, hint: &str) {
        let client = &self.world.clients[0];
        assert!(
            client.client.failure().is_none() && client.finished_at.is_some() && client.client.is_flushed(),
            "{:?} after {} bytes received and {} left to write, at {:?}; {hint}\nup {:?}\ndown {:?}",
            client.client.failure(),
            client.received,
            self.input.len() - self.written,
            self.world.now,
            self.world.up.path(),
            self.world.down.path(),
        );
        if self.world.compare {
            assert_eq!(client.received, client.expected_total(), "{hint}");
        } else {
            let numbers = client.kept.chunks(8).map(|word| u64::from_be_bytes(word.try_into().unwrap()));
            let numbers: Vec<_> = numbers.collect();
            let (last, thrown) = numbers.split_last().unwrap();
            assert_eq!(thrown.iter().fold(0, |all, &number| digest(all, number)), *last, "{hint}");
        }
    }
}

fn ugly_path(choices: &mut Choices) -> Path {
    let rate = [5, 20, 100][choices.below(3) as usize];
    let delay = Duration::from_micros([200, 5_000, 30_000][choices.below(3) as usize]);
    Path {
        loss: choices.share(0.05),
        reorder: choices.share(0.1),
        reorder_delay: Duration::from_millis(1 + choices.below(20)),
        duplicate: choices.share(0.05),
        jitter: Duration::from_micros(choices.below(2000)),
        ..path(rate, delay, 10_000 + choices.below(400_000) as usize)
    }
}

/// How many bytes there were, and, if the server was not restarted, how many requests it has received and how many of
/// these it took for those of a stream that it does not remember.
fn run(seed: u64) -> [u64; 3] {
    let mut choices = Choices::new(seed);
    let mode = MODES[(seed % 6) as usize];
    let length = [0, 1, 900, 20_000, 150_000][choices.below(5) as usize] + choices.below(1000);
    let (up, down) = (ugly_path(&mut choices), ugly_path(&mut choices));
    let mut uploader = Uploader::new(mode, length.max(1), seed, up, down);
    let hint = format!("replay with TRICKLES_SEED={seed}");
    let mut restarts = 0;
    while !uploader.is_over() && uploader.world.now < Duration::from_secs(600) {
        uploader.run(Duration::from_millis(1 + choices.below(800)));
        let stats = uploader.world.server.as_ref().unwrap().stats();
        for reason in [Discard::Field, Discard::Proof, Discard::Early, Discard::UserContinuation] {
            assert_eq!(stats.discarded(reason), 0, "{reason:?}; {hint}");
        }
        if !uploader.is_over() && restarts < 6 && choices.below(2) == 0 {
            restarts += 1;
            uploader.world.server = None;
            uploader.run(Duration::from_millis(choices.below(400)));
            uploader.world.server = Some(new_server(restarts + 1));
        }
    }
    uploader.assert_complete(&hint);
    let stats = uploader.world.server.as_ref().unwrap().stats();
    let [received, forgotten] =
        if restarts == 0 { [stats.received, stats.discarded(Discard::Forgotten)] } else { [0; 2] };
    [length, received, forgotten]
}

#[test]
fn input_arrives_under_every_combination_of_trouble() {
    let runs = outcomes(2000, run);
    let [bytes, received, forgotten] = [0, 1, 2].map(|of| runs.iter().map(|run| run[of]).sum::<u64>());
    println!(
        "{} runs: {bytes} bytes of input exact, {forgotten} of {received} requests forgotten",
        runs.len()
    );
    // Were an abbreviated request made wrongly, its proof say, it would be one of them.
    assert!(30 * forgotten <= received || runs.len() < 1000, "{forgotten} of {received}");
}

/// Packets of input are fewer bytes than packets of output: each brings its own continuations. Apart from that an
/// upload uses a path as a download does.
#[test]
fn an_upload_is_as_fast_as_a_download() {
    let one_way = Duration::from_millis(20);
    let length = 6_000_000;
    let lossy = |loss| Path { loss, ..path(100, one_way, 500_000) };
    let rate = |time: Duration| length as f64 * 8.0 / time.as_secs_f64() / 1e6;
    for loss in [0.0, 0.001] {
        let mut download = World::new(lossy(0.0), lossy(loss), 1);
        download.fetch(length, Duration::ZERO, ClientConfig::default());
        download.run_until(Duration::from_secs(60));
        let download = rate(download.clients[0].finished_at.unwrap());
        for mode in ["sum", "lazy", "store"] {
            let mut uploader = Uploader::new(mode, length, 1, lossy(loss), lossy(0.0));
            uploader.run(Duration::from_secs(60));
            uploader.assert_complete(mode);
            let upload = rate(uploader.world.now);
            println!(
                "{:.1} % loss, 100 Mbit/s, 40 ms: {mode} {upload:.1} Mbit/s, download {download:.1} Mbit/s",
                loss * 100.0
            );
            assert!(upload > 0.6 * download, "{mode}: {upload:.1}, download {download:.1} Mbit/s");
        }
    }
}

/// While the window grows, each answer stands for two numbers, and so for two requests more. When slow start ends without
/// a loss, as many are to be under way as before, not twice as many.
#[test]
fn the_end_of_slow_start_is_no_burst_of_requests() {
    let link = path(5, Duration::from_millis(150), 750_000);
    let mut uploader = Uploader::new("shelf", 4_000_000, 1, link.clone(), link);
    uploader.run(Duration::from_secs(60));
    uploader.assert_complete("shelf");
    let dropped = uploader.world.up.stats().dropped_queue;
    println!("5 Mbit/s, 300 ms, 4 BDP: {dropped} requests dropped");
    assert!(dropped < 10, "{dropped}");
}

/// The same when a request is lost and no queue stands: seven tenths as many are to be under way as before, which is half
/// of seven tenths of the window.
#[test]
fn a_loss_in_slow_start_is_no_burst_of_requests_either() {
    let mut shares = Vec::new();
    for lost in (60..300).step_by(20) {
        let link = path(1000, Duration::from_millis(20), 100_000_000);
        let up = Path { drop_packets: [lost].into(), ..link.clone() };
        let mut uploader = Uploader::new("shelf", 4_000_000, 1, up, link);
        let (mut peak, mut after) = (0, u32::MAX);
        while after == u32::MAX && !uploader.is_over() {
            uploader.run(Duration::from_millis(1));
            let (window, _) = uploader.world.clients[0].client.congestion();
            (peak, after) = if window < peak / 2 { (peak, window) } else { (peak.max(window), after) };
        }
        shares.push(f64::from(after) / f64::from(peak));
    }
    println!("reduced to {shares:.2?} of the window");
    assert!(shares.iter().all(|share| (0.33..0.38).contains(share)), "{shares:?}");
}

/// Input is sent ahead as fast as the window grows, in rounds of 10, 20, 40 and 80, and a server that has seen all of it
/// stored in any order need not be told so a round trip later.
#[test]
fn a_short_upload_takes_as_many_round_trips_as_its_window_needs() {
    let round_trip = Duration::from_millis(100);
    for mode in ["sum", "shelf"] {
        let path = path(100, round_trip / 2, 500_000);
        let mut uploader = Uploader::new(mode, 100_000, 1, path.clone(), path);
        uploader.run(Duration::from_secs(60));
        uploader.assert_complete(mode);
        let rounds = uploader.world.now.as_secs_f64() / round_trip.as_secs_f64();
        println!("{mode}: 100 kB of input: {rounds:.2} round trips, the first one for the Hello");
        assert!(rounds < 5.6, "{mode}: {rounds}");
    }
}
