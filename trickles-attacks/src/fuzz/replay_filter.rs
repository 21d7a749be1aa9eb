//! The replay filter beside a set that remembers every position with the time of its grant.

use std::collections::BTreeMap;
use std::time::Duration;

use trickles::replay::{FilterConfig, FingerprintFilter, ReplayFilter};

use crate::lab::{Choices, EPOCH};

const MOST_STEPS: usize = 2000;

/// Positions so near together that they meet, of few flows under few shards.
pub(super) fn run(bytes: &[u8]) {
    let mut choices = Choices::from_bytes(bytes);
    let config = FilterConfig {
        cells_per_generation: *choices.pick(&[32, 64, 1024]),
        shards: *choices.pick(&[1, 2, 0]),
        generation: Duration::from_millis(*choices.pick(&[1000, 1, 120_000])),
    };
    let filter = FingerprintFilter::new(config, [7; 16], EPOCH);
    let mut set = BTreeMap::new();
    let mut now = EPOCH;
    let memory = filter.memory();
    for _ in 0..MOST_STEPS {
        if choices.is_spent() {
            break;
        }
        let shard = choices.below(3);
        // A flow is named under one shard only.
        let flow = shard << 8 | choices.below(4);
        let block = match choices.below(8) {
            0 => u64::MAX - choices.below(2),
            _ => choices.below(64),
        };
        let place = |bit: u32| (shard, flow, block, bit);
        let bits = |mask: u32| (0..32).filter(move |bit| mask & 1 << bit != 0);
        match choices.below(4) {
            0 => {
                let step = Duration::from_micros(choices.below(1 << 21));
                now = if choices.chance(20) { now - step } else { now + step };
            }
            1 => {
                let horizon = filter.horizon(shard, now);
                let granted = filter.granted(shard, flow, block);
                for bit in bits(!granted) {
                    let known = set.get(&place(bit)).filter(|&&at| now.since(at) < horizon && at <= now);
                    assert!(
                        known.is_none(),
                        "bit {bit} granted at {known:?} is forgotten; now {now:?}, {horizon:?}"
                    );
                }
            }
            _ => {
                let mask = choices.word() as u32;
                let granted = filter.grant(shard, flow, block, mask, now);
                assert_eq!(granted & !mask, 0, "more than was asked for");
                // What holds for a grant is the horizon after it.
                let horizon = filter.horizon(shard, now);
                for bit in bits(granted) {
                    let before = set.insert(place(bit), now);
                    let twice = before.is_some_and(|at| at <= now && now.since(at) < horizon);
                    assert!(!twice, "bit {bit} granted at {before:?} and at {now:?}; {horizon:?}");
                }
                for bit in bits(mask & !granted) {
                    assert!(set.contains_key(&place(bit)), "bit {bit} refused, never granted");
                }
            }
        }
        assert_eq!(filter.memory(), memory);
    }
}
