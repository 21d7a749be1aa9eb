//! Requests with input leave out what their server remembers, and only that.

use std::time::Duration;

use trickles::stats::Discard;
use trickles_netem::Path;

use crate::Uploader;
use crate::common::{new_server, path};

const LENGTH: u64 = 1_000_000;

fn uploader(mode: &str, length: u64) -> Uploader {
    let link = path(100, Duration::from_millis(10), 500_000);
    let mut uploader = Uploader::new(mode, length, 1, link.clone(), link);
    // Begun.
    uploader.run(Duration::from_millis(100));
    uploader
}

impl Uploader {
    fn forgotten(&self) -> u64 {
        self.world.server.as_ref().unwrap().stats().discarded(Discard::Forgotten)
    }

    fn sent_bytes(&self) -> u64 {
        self.world.clients[0].client.stats().sent_bytes
    }
}

/// Of 1200 bytes of a request some 60 are not input; where all is said it is some 300.
#[test]
fn an_uploads_overhead_is_small() {
    for mode in ["sum", "lazy", "store"] {
        let mut uploader = uploader(mode, LENGTH);
        uploader.run(Duration::from_secs(60));
        uploader.assert_complete(mode);
        // What is shown again because it was left once is no overhead.
        let shown = if mode == "lazy" { LENGTH * 8 / 7 } else { LENGTH };
        let ratio = shown as f64 / uploader.sent_bytes() as f64;
        println!("{mode}: {ratio:.3} of the bytes of requests are input, {} refused", uploader.forgotten());
        assert!(ratio > 0.9 && uploader.forgotten() == 0, "{mode}: {ratio}");
    }
}

/// A server that is replaced refuses what was under way, and is told everything once.
#[test]
fn a_server_that_has_forgotten_is_told_again() {
    for mode in ["sum", "store"] {
        let mut uploader = uploader(mode, 2 * LENGTH);
        let window = u64::from(uploader.world.clients[0].client.congestion().0);
        uploader.world.server = Some(new_server(2));
        uploader.run(Duration::from_millis(100));
        let (refused, before) = (uploader.forgotten(), uploader.sent_bytes());
        assert!((1..=window + 2).contains(&refused), "{mode}: {refused} refused, window {window}");
        uploader.run(Duration::from_secs(60));
        uploader.assert_complete(mode);
        assert_eq!(uploader.forgotten(), refused, "{mode}");
        println!(
            "{mode}: {refused} refused, {before} bytes sent by then, {} in all {:?}",
            uploader.sent_bytes(),
            uploader.world.now
        );
        assert!(uploader.sent_bytes() < 2 * LENGTH * 2, "{mode}: {} bytes", uploader.sent_bytes());
    }
}

/// Whatever answer is lost, the input goes on after a few round trips. What is remembered may be ahead of all that the
/// client can make sense of.
#[test]
fn a_lost_answer_costs_a_few_round_trips() {
    for mode in ["sum", "lazy", "shelf", "echo", "dice"] {
        let length = if mode == "echo" { 10_000 } else { LENGTH / 10 };
        let time = |lost: Option<Duration>| {
            let link = path(100, Duration::from_millis(10), 500_000);
            let mut uploader = Uploader::new(mode, length, 1, link.clone(), link.clone());
            if let Some(at) = lost {
                uploader.run(at);
                uploader.world.down.set_path(Path { loss: 1.0, ..link.clone() });
                uploader.run(Duration::from_micros(400));
                uploader.world.down.set_path(link);
            }
            uploader.run(Duration::from_secs(60));
            uploader.assert_complete(mode);
            uploader.world.now
        };
        let usual = time(None);
        // The answer to the Hello, which comes after 20 ms, would be waited for longer.
        let slowest =
            (25..usual.as_millis() as u64).map(|at| time(Some(Duration::from_millis(at)))).max().unwrap();
        println!("{mode}: {usual:?}, with a loss at most {slowest:?}");
        let most = Duration::from_millis(20 * 8 + 200);
        assert!(slowest < usual + most, "{mode}: {slowest:?} instead of {usual:?}");
    }
}

/// Where replicas take packets in turns, and share neither cache nor filter, few requests are abbreviated in vain.
#[test]
fn replicas_that_take_turns_are_told_everything() {
    for mode in ["sum", "store"] {
        let mut uploader = uploader(mode, 4 * LENGTH);
        let mut other = Some(new_server(2));
        let mut turns = 0;
        while !uploader.is_over() && turns < 100_000 {
            uploader.run(Duration::from_millis(3));
            std::mem::swap(&mut uploader.world.server, &mut other);
            turns += 1;
        }
        uploader.assert_complete(mode);
        let both = [&uploader.world.server, &other].map(|server| server.as_ref().unwrap().stats());
        let refused: u64 = both.iter().map(|stats| stats.discarded(Discard::Forgotten)).sum();
        let events: u64 = both.iter().map(|stats| stats.events).sum();
        println!("{mode}: {refused} refused, {events} answered, {:?}", uploader.world.now);
        assert!(refused < events / 8, "{mode}: {refused} of {events}");
    }
}
