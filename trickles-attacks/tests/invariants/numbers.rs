//! Invariants 1 and 3: which numbers claims emit, and how many packets a position is worth.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use trickles::epoch::{CurveId, Epoch, SlowStartExit};
use trickles::wire::MAX_RUNS;

use crate::cases;
use trickles_attacks::lab::{Choices, Kind, Lab, Liar, Spec, Train, after_loss, runs_of, with_adopted};

const STEP: Duration = Duration::from_millis(1);
/// A round-trip time that no claim here is too early for, in microseconds.
const RTT: u32 = 500;

fn curves() -> impl Strategy<Value = CurveId> {
    prop_oneof![Just(CurveId::Cubic), Just(CurveId::Reno)]
}

/// Claims the positions of `wanted` in arbitrary order and pieces, presenting whatever serves, until all are
/// claimed. The claims agree on `exit`.
fn claim_in_any_order(
    lab: &mut Lab,
    liar: &mut Liar,
    wanted: u64,
    exit: Option<SlowStartExit>,
    choices: &mut Choices,
) {
    let birth = liar.trains[0].clone();
    let (tag, base) = (birth.fields.tag, birth.fields.epoch.base);
    let declared = Epoch { exit, ..birth.fields.epoch };
    let mut unclaimed: BTreeSet<u64> = (base..base + wanted).collect();
    while let Some(&lowest) = unclaimed.first() {
        lab.wait(STEP);
        let gap = liar.gap(&declared, tag);
        assert!(gap > lowest, "the next position to be claimed has been emitted");
        let start = *unclaimed.range(lowest + choices.below(gap - lowest)..).next().unwrap_or(&lowest);
        let start = if start < gap { start } else { lowest };
        let most = 1 + choices.below(32);
        let mut runs = runs_of(unclaimed.range(start..gap).copied().take(most as usize), 32);
        runs.truncate(MAX_RUNS);
        let end = runs.last().unwrap().end;
        let serving: Vec<&Train> = liar
            .trains
            .iter()
            .filter(|train| train.fields.earned < start && end <= train.fields.end() + 64)
            .collect();
        let train = (*choices.pick(&serving)).clone();
        let beyond_exit = exit.is_some_and(|exit| end > base + u64::from(exit.position));
        // A packet that stands for several numbers proves all of them or none.
        let proven = end + choices.below(gap - end + 1);
        let proven = if liar.proof(&declared, tag, proven).is_some() { proven } else { gap };
        let declares = beyond_exit
            || train.fields.epoch.exit.is_some()
            || declared.exit_number().is_some_and(|at| proven > at)
            || (exit.is_some() && choices.chance(30));
        let exit = exit.filter(|_| declares);
        let spec = Spec { exit, ..Spec::new(&train, Kind::Continue { proven }, runs.clone()) };
        let answer = liar.claim(lab, &spec);
        assert!(
            !answer.trains.is_empty(),
            "{runs:?} presented with {:?}: {:?}",
            train.fields,
            answer.notices
        );
        liar.receive(&answer);
        runs.into_iter().flatten().for_each(|position| assert!(unclaimed.remove(&position)));
    }
}

/// What a flow is like when it learns of a loss: the lost position, and the trains received behind it, in part.
struct Flight {
    lost: u64,
    trains: Vec<Train>,
    next: Epoch,
}

/// A flow claims `lost` positions; then that one is lost, and others behind it.
fn lose(lab: &mut Lab, liar: &mut Liar, position: u64, loss: u64, choices: &mut Choices) -> Option<Flight> {
    let epoch = liar.trains[0].fields.epoch;
    let lost = epoch.base + position;
    let next = after_loss(&epoch, lost, RTT).unwrap();
    let arrived: BTreeSet<u64> = (lost + 1..next.base).filter(|_| !choices.chance(loss)).collect();
    let mut claimed = epoch.base;
    let birth = liar.trains[0].clone();
    let mut held = vec![birth];
    while claimed < lost {
        lab.wait(STEP);
        let train = held.iter().find(|train| train.numbers().contains(&claimed))?.clone();
        let end = train.fields.end().min(claimed + 1 + choices.below(32)).min(lost);
        let answer = liar.claim(lab, &Spec::in_order(&train, claimed..end));
        for train in &answer.trains {
            liar.receive_train(train, |number| number < lost || arrived.contains(&number));
            let last = train.packets.last().unwrap().numbers.start;
            // A continuation that is lost with its packet cannot be presented.
            if last < lost || arrived.contains(&last) {
                held.push(train.clone());
            }
        }
        claimed = end;
    }
    let trains = held.into_iter().filter(|train| train.fields.end() > lost + 1).collect();
    Some(Flight { lost, trains, next })
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn claims_that_agree_share_no_number_and_leave_no_gap(
        curve in curves(),
        wanted in 11u64..600,
        exit in proptest::option::of((0u32..200, 10u32..1000)),
        hello in prop_oneof![Just(300), Just(1200), Just(4200)],
        seed in any::<u64>(),
    ) {
        let mut lab = Lab::new();
        let mut liar = Liar::connect(&mut lab, 1, curve, hello);
        let exit = exit.map(|(position, rtt)| SlowStartExit { position, rtt });
        claim_in_any_order(&mut lab, &mut liar, wanted, exit, &mut Choices::seeded(seed));
        let birth = liar.trains[0].fields;
        let declared = Epoch { exit, ..birth.epoch };
        let mut numbers = lab.ledger.numbers(birth.tag);
        numbers.sort_unstable();
        let expected: Vec<u64> = (declared.base..declared.base + declared.allowed(wanted)).collect();
        prop_assert_eq!(numbers, expected);
        prop_assert_eq!(lab.ledger.granted().0, wanted);
    }

    #[test]
    fn a_recovery_grants_exactly_the_reduced_window(
        curve in curves(),
        position in 0u64..300,
        loss in prop_oneof![Just(0u64), 0..60u64, 60..98u64],
        seed in any::<u64>(),
    ) {
        let mut choices = Choices::seeded(seed);
        let mut lab = Lab::new();
        let mut liar = Liar::connect(&mut lab, 1, curve, 4200);
        let Some(mut flight) = lose(&mut lab, &mut liar, position, loss, &mut choices) else { return Ok(()) };
        let Flight { lost, next, .. } = flight;
        let mut remaining: BTreeSet<u64> = (lost + 1..next.base).collect();
        choices.shuffle(&mut flight.trains);
        let mut tag = None;
        for train in &flight.trains {
            let own_start = train.fields.first.max(lost + 1);
            let trained = own_start..train.fields.end().min(next.base);
            // That a train's last packet arrived speaks for all of it.
            let unclaimed: Vec<u64> = remaining.range(trained.start..trained.end.max(trained.start)).copied().collect();
            for own in runs_of(unclaimed, 1 + choices.below(64)) {
                lab.wait(STEP);
                let lowest = (train.fields.earned + 1).max(lost + 1);
                let orphans = remaining.range(lowest..own_start.max(lowest)).copied();
                let runs = with_adopted(&next, orphans, own);
                let owned = runs.iter().any(|run| !next.share(run).is_empty());
                let spec = Spec::new(train, Kind::Recover { lost, rtt: RTT }, runs.clone());
                let answer = liar.claim(&mut lab, &spec);
                prop_assert_eq!(answer.trains.is_empty(), !owned, "{:?}", answer.notices);
                tag = tag.or(answer.trains.first().map(|train| train.fields.tag));
                liar.receive(&answer);
                for position in runs.into_iter().flatten() {
                    remaining.remove(&position);
                }
            }
        }
        // All was lost, or what arrived owns nothing: left to Restart.
        let Some(tag) = tag else { return Ok(()) };
        let mut unclaimed: BTreeSet<u64> = (next.base..next.base + u64::from(next.growth.window0)).collect();
        while let Some(&orphan) = remaining.first() {
            lab.wait(STEP);
            let gap = liar.gap(&next, tag);
            let own = *unclaimed.first().expect("the first window adopts what is left");
            prop_assert!(own < gap, "recovery stalls with {} positions left", remaining.len());
            unclaimed.remove(&own);
            let runs = with_adopted(&next, remaining.iter().copied(), own..own + 1);
            let serving = |train: &&Train| {
                train.fields.tag == tag && train.fields.earned < orphan && own < train.fields.end() + 64
            };
            let train = liar.trains.iter().rev().find(serving).expect("the lowest position has a server").clone();
            let spec = Spec::new(&train, Kind::Continue { proven: own + 1 }, runs.clone());
            let answer = liar.claim(&mut lab, &spec);
            prop_assert!(!answer.trains.is_empty(), "{:?}", answer.notices);
            liar.receive(&answer);
            for position in runs.into_iter().flatten() {
                remaining.remove(&position);
            }
        }
        let shared = next.base..next.base + u64::from(next.growth.window0);
        let mut numbers = lab.ledger.numbers(tag);
        numbers.retain(|number| shared.contains(number));
        prop_assert_eq!(numbers, shared.collect::<Vec<_>>());
    }

    #[test]
    fn a_position_is_worth_two_packets_in_slow_start_and_little_more_than_one_after(
        curve in curves(),
        window in 12u32..200,
    ) {
        let mut lab = Lab::new();
        let rtt = Duration::from_millis(10);
        let mut liar = Liar::connect(&mut lab, 1, curve, 4200);
        let mut flight = liar.enter_avoidance(&mut lab, window, rtt);
        let started = flight[0].fields.tag;
        let epoch = flight[0].fields.epoch;
        for _ in 0..30 {
            flight = liar.claim_all(&mut lab, &flight);
            lab.wait(rtt);
        }
        for (tag, tally) in &lab.ledger.epochs {
            let (before, after): (BTreeMap<u64, u64>, BTreeMap<u64, u64>) =
                tally.positions.iter().partition(|(position, _)| **position < tally.epoch.base);
            let most = after.values().max().copied().unwrap_or(0);
            prop_assert!(most <= 2, "{} packets for one position", most);
            let most = before.values().max().copied().unwrap_or(0);
            let bound = if tally.epoch.growth.window0 == 2 { 2 } else { 1 };
            prop_assert!(most <= bound, "{} packets for one position of a flight", most);
            if *tag == started {
                let (positions, packets) = (after.len() as f64, after.values().sum::<u64>() as f64);
                let share = 1.0 + 1.0 / f64::from(epoch.growth.window0);
                prop_assert!(positions > 100.0, "only {} positions", positions);
                prop_assert!(packets <= positions * share + 1.0, "{} packets for {}", packets, positions);
            }
        }
    }
}
