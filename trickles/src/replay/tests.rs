use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;

use super::table::{Slot, Table};
use super::*;

const KEY: [u8; 16] = *b"a fixed test key";
const SECOND: u64 = 1_000_000;

pub(super) fn at(micros: u64) -> Timestamp {
    Timestamp::from_micros(micros)
}

pub(super) fn filter(cells: usize, shards: usize, generation: Duration) -> FingerprintFilter {
    FingerprintFilter::new(FilterConfig { cells_per_generation: cells, shards, generation }, KEY, at(0))
}

/// Never rotates by age.
fn ageless(cells: usize) -> FingerprintFilter {
    filter(cells, 1, Duration::MAX)
}

/// What a filter does, written down plainly.
#[derive(Default)]
struct Oracle(BTreeSet<(u64, u64, u32)>);

impl Oracle {
    fn granted(&self, flow: u64, block: u64) -> u32 {
        (0..32).filter(|&bit| self.0.contains(&(flow, block, bit))).fold(0, |mask, bit| mask | 1 << bit)
    }

    fn grant(&mut self, flow: u64, block: u64, mask: u32) -> u32 {
        (0..32)
            .filter(|&bit| mask & 1 << bit != 0 && self.0.insert((flow, block, bit)))
            .fold(0, |new, bit| new | 1 << bit)
    }
}

proptest! {
    #[test]
    fn blocks_cover_a_range_in_order(start: u64, length in 0u64..200) {
        let range = start..start.saturating_add(length);
        let numbers: Vec<u64> = blocks(range.clone())
            .flat_map(|(block, mask)| {
                (0..32).filter(move |&bit| mask & 1 << bit != 0).map(move |bit| block * 32 + bit)
            })
            .collect();
        prop_assert_eq!(numbers, range.clone().collect::<Vec<_>>());
        prop_assert!(blocks(range).all(|(block, mask)| mask != 0 && block < FIRST_MARK_BLOCK));
    }

    #[test]
    fn equals_a_set_while_nothing_is_forgotten(
        calls in prop::collection::vec((0u64..3, 0u64..8, 0u64..40, any::<u32>(), any::<u32>(), any::<u64>()), 1..200)
    ) {
        let filter = filter(4096, 3, Duration::MAX);
        let mut oracle = Oracle::default();
        for (shard, flow, block, some, others, now) in calls {
            // A flow has one client, hence one shard.
            let flow = flow * 3 + shard;
            prop_assert_eq!(filter.granted(shard, flow, block), oracle.granted(flow, block));
            let mask = some & others;
            prop_assert_eq!(filter.grant(shard, flow, block, mask, at(now)), oracle.grant(flow, block, mask));
            prop_assert_eq!(filter.horizon(shard, at(now)), Duration::MAX);
        }
    }

    /// Rotations by age and by fullness, with a clock that also steps back.
    #[test]
    fn grants_nothing_twice_within_the_horizon(
        calls in prop::collection::vec((0u64..3, 0u64..20, 1u32..8, -2_000i64..4_000), 1..400)
    ) {
        let filter = filter(32, 1, Duration::from_millis(20));
        let mut newest_grant = BTreeMap::new();
        let mut now = 0u64;
        for (flow, block, mask, step) in calls {
            now = now.saturating_add_signed(step);
            let before = filter.granted(0, flow, block);
            let new = filter.grant(0, flow, block, mask, at(now));
            let horizon = filter.horizon(0, at(now));
            prop_assert_eq!(new & !mask, 0);
            prop_assert_eq!(filter.granted(0, flow, block) & new, new);
            for bit in (0..3).filter(|bit| mask & 1 << bit != 0) {
                let granted = newest_grant.get(&(flow, block, bit)).copied();
                if new & 1 << bit == 0 {
                    prop_assert!(granted.is_some(), "refused although fresh");
                    prop_assert!(before & 1 << bit != 0, "refused although the test saw nothing");
                } else {
                    prop_assert!(granted.is_none_or(|then| at(now).since(at(then)) >= horizon), "granted twice");
                    newest_grant.insert((flow, block, bit), now);
                }
            }
        }
    }
}

#[test]
fn memory_is_fixed_and_rounded_up() {
    assert_eq!(filter(1 << 12, 4, Duration::MAX).memory(), 2 * 8 * (1 << 12));
    assert_eq!(filter(3000, 1, Duration::MAX).memory(), 2 * 8 * 4096);
    assert_eq!(filter(0, 0, Duration::MAX).memory(), 2 * 8 * 32);
    assert_eq!(filter(1, 5, Duration::MAX).memory(), 5 * 2 * 8 * 32);
    let filter = FingerprintFilter::new(FilterConfig::default(), KEY, at(0));
    assert_eq!(filter.memory(), 32 << 20);
    assert_eq!(format!("{filter:?}"), "FingerprintFilter { shards: 16, memory: 33554432, .. }");
}

#[test]
fn a_table_fills_its_last_cell_and_then_refuses_whole_masks() {
    let table = Table::new(4);
    let slot = |fingerprint: u64| Slot::from_hash((fingerprint << 32) | (fingerprint * 7));
    for fingerprint in 1..=32 {
        assert_eq!(table.set(slot(fingerprint), 0b101), Some(0b101));
    }
    assert_eq!(table.used(), 32);
    assert_eq!(table.set(slot(33), 1), None);
    assert_eq!(table.set(slot(33), 0), Some(0));
    assert_eq!(table.get(slot(33)), 0);
    for fingerprint in 1..=32 {
        assert_eq!(table.set(slot(fingerprint), 0b111), Some(0b010));
        assert_eq!(table.get(slot(fingerprint)), 0b111);
    }
    table.clear();
    assert_eq!((table.used(), table.get(slot(1))), (0, 0));
}

#[test]
fn a_zero_fingerprint_is_not_an_empty_cell() {
    let table = Table::new(4);
    let zero = Slot::from_hash(5);
    assert_eq!(table.set(zero, 1), Some(1));
    assert_eq!(table.set(zero, 3), Some(2));
    assert_eq!(table.used(), 1);
}

/// Generations are told apart by what they forget: block 0 was granted in the first.
fn fill_until_forgotten(filter: &FingerprintFilter) -> (u64, u64) {
    assert_eq!(filter.grant(0, 0, 0, u32::MAX, at(1)), u32::MAX);
    for block in 1..filter.memory() as u64 {
        assert_eq!(filter.grant(0, 0, block, u32::MAX, at(1)), u32::MAX, "refused at block {block}");
        assert_eq!(filter.granted(0, 0, block), u32::MAX);
        if filter.horizon(0, at(1)) != Duration::MAX {
            let forgotten = (0..=block).take_while(|&block| filter.granted(0, 0, block) == 0).count();
            return (forgotten as u64, block + 1);
        }
    }
    unreachable!("a filter of fixed size must forget")
}

#[test]
fn rotates_when_sixty_percent_full() {
    // Small enough that no block finds its four buckets full before.
    let (forgotten, granted) = fill_until_forgotten(&ageless(256));
    assert_eq!((forgotten, granted), (256 * 3 / 5, 2 * (256 * 3 / 5)));
}

#[test]
fn rotates_at_once_when_a_block_finds_no_room() {
    let cells = 1 << 18;
    let (forgotten, granted) = fill_until_forgotten(&ageless(cells));
    let sixty_percent = cells as u64 * 3 / 5;
    assert!((cells as u64 / 2..sixty_percent).contains(&forgotten), "{forgotten} of {cells} cells");
    assert!(granted < 2 * sixty_percent);
}

#[test]
fn remembers_one_generation_at_least_and_two_at_most() {
    let filter = filter(1024, 1, Duration::from_secs(100));
    let grant = |block, seconds| filter.grant(0, 1, block, 1, at(seconds * SECOND));
    let horizon = |seconds| filter.horizon(0, at(seconds * SECOND));
    assert_eq!(grant(0, 10), 1);
    assert_eq!(grant(1, 99), 1);
    // The call that finds the generation old still belongs to it.
    assert_eq!(grant(2, 150), 1);
    assert_eq!(grant(3, 151), 1);
    assert_eq!((0..4).map(|block| grant(block, 249)).sum::<u32>(), 0);
    assert_eq!(horizon(249), Duration::MAX);
    // Nothing is granted here, but the generation is 100 s old: all up to 150 s is forgotten.
    assert_eq!(grant(3, 250), 0);
    assert_eq!(horizon(250), Duration::from_secs(100));
    assert_eq!(horizon(260), Duration::from_secs(110));
    assert_eq!((0..4).map(|block| filter.granted(0, 1, block)).collect::<Vec<_>>(), [0, 0, 0, 1]);
    assert_eq!((0..4).map(|block| grant(block, 260)).collect::<Vec<_>>(), [1, 1, 1, 0]);
    // Long idle times are remembered too.
    assert_eq!(horizon(5000), Duration::from_secs(4850));
    assert_eq!(grant(0, 5000), 0);
    assert_eq!(horizon(5000), Duration::from_secs(5000 - 151));
}

#[test]
fn an_empty_generation_forgets_nothing() {
    let filter = filter(1024, 1, Duration::from_secs(1));
    for seconds in 0..10 {
        assert_eq!(filter.grant(0, 1, 1, 0, at(seconds * SECOND)), 0);
        assert_eq!(filter.horizon(0, at(seconds * SECOND)), Duration::MAX);
    }
}

#[test]
fn clocks_that_disagree_rotate_once() {
    let filter = filter(32, 1, Duration::from_secs(100));
    let grant = |block, seconds| filter.grant(0, 1, block, 1, at(seconds * SECOND));
    // One clock is 60 s ahead. The slower one fills the generation and turns it over.
    assert_eq!(grant(0, 95), 1);
    for block in 1..20 {
        assert_eq!(grant(block, 35), 1);
    }
    // By its own time the faster one now has to wait for 195 s, not 135 s, to turn over the next.
    for block in [20, 21] {
        assert_eq!(grant(block, 194), 1);
        assert_eq!(filter.horizon(0, at(194 * SECOND)), Duration::MAX);
    }
    assert_eq!(grant(22, 195), 1);
    assert_eq!(filter.horizon(0, at(195 * SECOND)), Duration::from_secs(100));

    // A clock behind everything forgotten is certain of nothing.
    filter.grant(0, 3, 0, 1, at(400 * SECOND));
    filter.grant(0, 3, 0, 1, at(900 * SECOND));
    assert_eq!(filter.horizon(0, at(5 * SECOND)), Duration::ZERO);
}

#[test]
fn one_shard_filling_up_leaves_the_others_alone() {
    let filter = filter(32 * 8, 8, Duration::MAX);
    let attacker = 1;
    for block in 0..1000 {
        assert_eq!(filter.grant(attacker, 9, block, 1, at(1)), 1);
    }
    assert_eq!(filter.horizon(attacker, at(2)), Duration::from_micros(1));
    let forgetful = (0..1000).filter(|&shard| filter.horizon(shard, at(2)) != Duration::MAX).count();
    assert!((80..170).contains(&forgetful), "{forgetful} of 1000 prefixes share the attacker's shard");
}

#[test]
fn the_null_filter_grants_everything() {
    let filter: Box<dyn ReplayFilter> = Box::new(NullFilter);
    assert_eq!(filter.grant(1, 2, 3, 0b11, at(4)), 0b11);
    assert_eq!(filter.grant(1, 2, 3, 0b11, at(4)), 0b11);
    assert_eq!((filter.granted(1, 2, 3), filter.horizon(1, at(5))), (0, Duration::MAX));
}

/// At the most a filter ever holds, one generation full and the other nearly so, ten million blocks never
/// granted must show no position. Some 0.03 are expected to, and the key is fixed, so the outcome is too.
#[test]
fn false_positives_stay_below_one_in_ten_million() {
    let filter = ageless(1 << 20);
    for block in 0..1_000_000 {
        assert_eq!(filter.grant(0, 1, block, u32::MAX, at(1)), u32::MAX);
    }
    assert_eq!(filter.horizon(0, at(1)), Duration::MAX, "both generations are in use");
    let found = (0..10_000_000u64).filter(|&block| filter.granted(0, 2, block) != 0).count();
    assert_eq!(found, 0);
}
