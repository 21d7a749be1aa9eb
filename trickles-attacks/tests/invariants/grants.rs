//! Invariant 2: no position of a flow is granted twice. The ledger of the laboratory watches.

use std::time::Duration;

use proptest::prelude::*;
use trickles::epoch::CurveId;
use trickles::replay::FilterConfig;
use trickles::server::ServerConfig;

use crate::cases;
use trickles_attacks::fuzz::Claims;
use trickles_attacks::lab::liar::hello;
use trickles_attacks::lab::{Choices, Kind, Lab, Liar, Spec, Train};

/// Certainly fresh where a generation of the filter lasts ten seconds: a quarter of that.
const FRESH: Duration = Duration::from_millis(2500);

fn filter(cells: usize, generation: u64) -> FilterConfig {
    FilterConfig { cells_per_generation: cells, shards: 1, generation: Duration::from_millis(generation) }
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn no_position_is_granted_twice_whatever_is_presented(
        (cells, generation) in prop_oneof![
            3 => Just((1 << 12, 120_000)),
            2 => Just((1 << 12, 2_000)),
            1 => Just((64, 2_000)),
        ],
        seed in any::<u64>(),
    ) {
        let mut lab = Lab::with(ServerConfig::default(), filter(cells, generation));
        lab.ledger.forgets = true;
        let mut attack = Claims::new(lab, Choices::seeded(seed));
        for _ in 0..300 {
            attack.step();
        }
        let (positions, packets) = attack.lab.ledger.granted();
        prop_assert!(positions >= 20 && packets >= 20, "the attack never got going: {positions} positions");
    }

    /// A lineage that lives as slowly as it may: at each step it claims the lowest of the positions held back,
    /// presenting its newest train just before that is too old. Positions above were granted in the beginning;
    /// after every step it claims them again with all it holds, the filter forgetting meanwhile.
    #[test]
    fn no_position_is_granted_twice_to_a_lineage_that_delays_every_step(
        held_back in 6u64..10,
        earliness in prop_oneof![Just(1u64), 1..400u64],
        skips in 0u64..30,
        seed in any::<u64>(),
    ) {
        let mut choices = Choices::seeded(seed);
        let config = ServerConfig { freshness: Duration::from_secs(600), ..ServerConfig::default() };
        let mut lab = Lab::with(config, filter(1 << 10, 10_000));
        keep_filter_busy(&mut lab, Duration::from_secs(20 + choices.below(10)));
        let mut liar = Liar::connect(&mut lab, 1, CurveId::Reno, 4200);
        let birth = liar.trains[0].clone();
        let (flow, base) = (birth.fields.flow, birth.fields.first);
        let mut granted: Vec<u64> = (base + held_back..base + 10).collect();
        let answer = liar.claim(&mut lab, &Spec::in_order(&birth, base + held_back..base + 10));
        prop_assert!(answer.packets > 0);
        keep_filter_busy(&mut lab, Duration::ZERO);
        let (mut newest, mut refreshed, mut steps) = (birth.clone(), 0, 0);
        let proven = Kind::Continue { proven: base + 10 };
        for position in base..base + held_back {
            if steps > 0 && choices.chance(skips) {
                continue;
            }
            let due = newest.fields.issued + FRESH - Duration::from_millis(earliness);
            lab.wait(due.since(lab.now));
            let answer = liar.claim(&mut lab, &Spec::one(&newest, proven, position..position + 1));
            if let Some(train) = answer.trains.first().filter(|train| !train.refresh) {
                newest = train.clone();
                granted.push(position);
                steps += 1;
            }
            liar.receive(&answer);
            for &position in &granted {
                for train in liar.trains.clone().into_iter().filter(|train| !train.refresh) {
                    let answer = liar.claim(&mut lab, &Spec::one(&train, proven, position..position + 1));
                    prop_assert!(answer.trains.iter().all(|train| train.refresh), "granted again: {}", position);
                    refreshed += answer.trains.len();
                }
            }
            keep_filter_busy(&mut lab, Duration::ZERO);
        }
        prop_assert!(granted.iter().all(|&position| lab.ledger.is_granted(flow, position)));
        prop_assert!(steps > 0, "the lineage never got going; {} refreshed", refreshed);
    }
}

/// A lineage that claims all in order, but late: its trains reach back to no position before the one that
/// earned them, however long ago that was granted.
#[test]
fn a_late_train_does_not_reach_back() {
    let config = ServerConfig { freshness: Duration::from_secs(600), ..ServerConfig::default() };
    let mut lab = Lab::with(config, filter(1 << 12, 10_000));
    keep_filter_busy(&mut lab, Duration::from_secs(25));
    let mut liar = Liar::connect(&mut lab, 1, CurveId::Reno, 4200);
    let birth = liar.trains[0].fields;
    let mut flight = liar.trains.clone();
    for _ in 0..9 {
        lab.wait(FRESH - Duration::from_millis(1));
        flight = liar.claim_all(&mut lab, &flight);
        assert!(!flight.is_empty());
        keep_filter_busy(&mut lab, Duration::ZERO);
        let proven = liar.gap(&birth.epoch, birth.tag);
        let newest: Vec<Train> = flight.iter().rev().take(2).chain(flight.first()).cloned().collect();
        let before = birth.first..flight[0].fields.first.min(birth.first + 60);
        let attempts = newest.iter().flat_map(|train| before.clone().map(move |position| (train, position)));
        for (train, position) in attempts {
            let answer =
                liar.claim(&mut lab, &Spec::one(train, Kind::Continue { proven }, position..position + 1));
            assert!(answer.trains.is_empty(), "{position}");
        }
    }
}

/// Lets time pass with a stranger's connection every second, so that generations succeed one another.
fn keep_filter_busy(lab: &mut Lab, time: Duration) {
    for _ in 0..=time.as_secs() {
        lab.wait(Duration::from_secs(u64::from(!time.is_zero())));
        let mut stranger = Liar::at(7);
        stranger.receive(&lab.exchange(&hello(CurveId::Reno, 0, 4200), stranger.address));
        let trains = stranger.trains.clone();
        stranger.claim_all(lab, &trains);
    }
}
