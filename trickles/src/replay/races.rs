//! Threads racing for the same positions while generations turn over under them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use super::granted::Granted;
use super::tests::{at, filter};
use super::*;

/// Releases all threads within nanoseconds, which the standard barrier does not.
#[derive(Default)]
struct Barrier(AtomicUsize);

impl Barrier {
    fn wait(&self, threads: usize) {
        let place = self.0.fetch_add(1, Ordering::SeqCst);
        let full = (place / threads + 1) * threads;
        let mut spins = 0;
        while self.0.load(Ordering::SeqCst) < full {
            spins += 1;
            // More threads than processors: the others need ours.
            if spins % 256 == 0 { thread::yield_now() } else { std::hint::spin_loop() }
        }
    }
}

/// Every round, all threads ask for the same positions, and each is far enough in time halfway to make the
/// first of them rotate: once a round, so that nothing of the round is forgotten.
fn each_position_is_granted_once(threads: usize, cells: usize, rounds: u64) {
    const BLOCKS: u64 = 6;
    const LIFETIME: u64 = 1000;
    let filter = filter(cells, 1, Duration::from_micros(LIFETIME));
    let barrier = Barrier::default();
    let grants: Vec<AtomicU64> = (0..BLOCKS * 32).map(|_| AtomicU64::new(0)).collect();
    let race = |thread: u64| {
        let mut wrong = None;
        for round in 0..rounds {
            barrier.wait(threads);
            for turn in 0..BLOCKS {
                // In equal and in opposite orders, so that blocks meet the rotation in all stages.
                let block = if (thread & round).is_multiple_of(2) { turn } else { BLOCKS - 1 - turn };
                let now = at((round + u64::from(turn >= BLOCKS / 2)) * LIFETIME);
                // No two masks are equal.
                let mask = !(1 << ((thread + round) % 32));
                let new = filter.grant(0, round, block, mask, now);
                for bit in (0..32).filter(|bit| new & 1 << bit != 0) {
                    grants[(block * 32 + bit) as usize].fetch_add(1, Ordering::Relaxed);
                }
            }
            barrier.wait(threads);
            if thread == 0 {
                for (position, count) in grants.iter().enumerate() {
                    let count = count.swap(0, Ordering::Relaxed);
                    // A panic here would leave the others at the barrier.
                    if count != 1 {
                        wrong = wrong.or(Some((round, position, count)));
                    }
                }
            }
        }
        wrong
    };
    let wrong: Vec<_> = thread::scope(|scope| {
        let racers: Vec<_> = (0..threads as u64).map(|thread| scope.spawn(move || race(thread))).collect();
        racers.into_iter().filter_map(|racer| racer.join().unwrap()).collect()
    });
    assert_eq!(wrong, [], "round, position, times granted");
    let horizon = filter.horizon(0, at(rounds * LIFETIME));
    assert!(horizon <= Duration::from_micros(2 * LIFETIME), "one rotation a round: {horizon:?}");
}

#[test]
fn two_threads_and_small_tables() {
    each_position_is_granted_once(2, 32, 2_000);
}

#[test]
fn two_threads_and_a_long_clear() {
    each_position_is_granted_once(2, 4096, 1_000);
}

#[test]
fn four_threads() {
    each_position_is_granted_once(4, 64, 500);
}

/// Tables that overflow all the time, so that generations pass while calls are under way: what the horizon
/// promises must still hold between any two grants of a position.
#[test]
fn nothing_is_granted_twice_within_the_horizon() {
    const CALLS: u64 = 100_000;
    let filter = filter(32, 1, Duration::from_micros(40));
    let clock = AtomicU64::new(0);
    let run = |thread: u64| {
        let mut asked = BTreeSet::new();
        let mut grants = Vec::new();
        let mut random = thread + 1;
        for _ in 0..CALLS {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // A block asked for again and again until the clock has moved some way.
            let tick = clock.fetch_add(1, Ordering::Relaxed);
            let block = tick / 16 + (random >> 60);
            let new = filter.grant(0, 1, block, 0b11, at(tick));
            let granted = Granted::new(tick, |now| filter.horizon(0, now));
            asked.insert(block);
            grants.extend((0..2).filter(|bit| new & 1 << bit != 0).map(|bit| ((block, bit), granted)));
        }
        (asked, grants)
    };
    let runs: Vec<_> = thread::scope(|scope| {
        let runs: Vec<_> = (0..3).map(|thread| scope.spawn(move || run(thread))).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    let asked: BTreeSet<u64> = runs.iter().flat_map(|(asked, _)| asked).copied().collect();
    let mut earlier: BTreeMap<(u64, u32), Vec<Granted>> = BTreeMap::new();
    for (position, granted) in runs.into_iter().flat_map(|(_, grants)| grants) {
        let known = earlier.entry(position).or_default();
        for &other in known.iter() {
            assert!(granted.allows(other), "{position:?}: {granted:?} and {other:?}");
        }
        known.push(granted);
    }
    assert_eq!(earlier.len(), 2 * asked.len(), "every position was granted to someone");
    assert!(earlier.values().any(|grants| grants.len() > 1), "nothing was forgotten: the test shows nothing");
}
