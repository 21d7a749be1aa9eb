//! Invariant 4: a claim proves that its whole prefix was received.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::Index;
use trickles::epoch::{CurveId, SlowStartExit};
use trickles::stats::Discard;

use crate::cases;
use trickles_attacks::lab::{Kind, Lab, Liar, Spec, Train};

const RTT: Duration = Duration::from_millis(10);

/// A flow in slow start that received everything, and its last round trip, nothing of which it has claimed.
fn grown(lab: &mut Lab, window: u32) -> (Liar, Vec<Train>) {
    let mut liar = Liar::connect(lab, 1, CurveId::Cubic, 4200);
    let flight = liar.grow(lab, window, RTT);
    (liar, flight)
}

/// Claims the last train of a flight: by Continue, or by Recover as if the first number had been lost.
fn last_train(flight: &[Train], recovers: bool) -> Spec<'_> {
    let train = flight.last().unwrap();
    let (first, end) = (flight[0].fields.first, train.fields.end());
    let kind =
        if recovers { Kind::Recover { lost: first, rtt: 1000 } } else { Kind::Continue { proven: end } };
    // In a recovery not every position owns a number, but one of four does.
    Spec::one(train, kind, train.fields.first.max(end - 4)..end)
}

/// The first number after those that a claim has to prove.
fn proven(spec: &Spec<'_>) -> u64 {
    match spec.kind {
        Kind::Continue { proven } => proven,
        Kind::Recover { lost, .. } => lost,
        _ => unreachable!("openings prove nothing"),
    }
}

/// Whether a claim with this proof brings nothing, for its proof alone.
fn is_disproved(lab: &mut Lab, liar: &Liar, spec: &Spec<'_>, proof: u64) -> bool {
    let before = lab.discarded(Discard::Proof);
    let answer = lab.exchange(&liar.request_with_proof(spec, proof), liar.address);
    assert_eq!(answer.packets == 0, lab.discarded(Discard::Proof) > before, "discarded for something else");
    assert!(answer.notices.is_empty());
    answer.packets == 0
}

fn right_proof(liar: &Liar, spec: &Spec<'_>) -> u64 {
    let epoch = spec.epoch();
    liar.proof(&epoch, spec.train.fields.tag, proven(spec)).expect("all was received")
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn a_number_that_was_not_received_disproves_a_claim(
        window in 20u32..200,
        holes in proptest::collection::vec(any::<Index>(), 1..6),
        recovers in any::<bool>(),
    ) {
        let mut lab = Lab::new();
        let (liar, flight) = grown(&mut lab, window);
        let spec = last_train(&flight, recovers);
        let needed: Vec<u64> = liar
            .trains
            .iter()
            .flat_map(|train| &train.packets)
            .filter(|packet| packet.numbers.start < proven(&spec))
            .map(|packet| packet.nonce)
            .collect();
        let holes: BTreeSet<usize> = holes.iter().map(|hole| hole.index(needed.len())).collect();
        let received = needed.iter().enumerate().filter(|(index, _)| !holes.contains(index));
        let proof = received.fold(0, |proof, (_, nonce)| proof ^ nonce);
        prop_assert!(is_disproved(&mut lab, &liar, &spec, proof));
        // Nothing was marked, and the claim itself is in order.
        prop_assert!(!is_disproved(&mut lab, &liar, &spec, right_proof(&liar, &spec)));
    }

    #[test]
    fn any_other_word_disproves_a_claim(
        window in 20u32..200,
        flips in 1u64..,
        recovers in any::<bool>(),
        shifted in any::<bool>(),
    ) {
        let mut lab = Lab::new();
        let (liar, flight) = grown(&mut lab, window);
        let spec = last_train(&flight, recovers);
        let proof = right_proof(&liar, &spec);
        prop_assert!(is_disproved(&mut lab, &liar, &spec, proof ^ flips));
        if shifted {
            let further = match spec.kind {
                Kind::Continue { proven } => Kind::Continue { proven: proven + 1 },
                Kind::Recover { lost, rtt } => Kind::Recover { lost: lost + 1, rtt },
                other => other,
            };
            let spec = Spec { kind: further, ..spec };
            prop_assert!(is_disproved(&mut lab, &liar, &spec, proof));
        }
    }

    /// Positions held back fetch the numbers that one fork misses in another fork, where they mean nothing.
    #[test]
    fn what_one_fork_reveals_proves_nothing_in_another(window in 40u32..200, held_back in 1u64..15) {
        let mut lab = Lab::new();
        let (mut liar, flight) = grown(&mut lab, window);
        let (first, epoch) = (flight[0].fields.first, flight[0].fields.epoch);
        let exit = Some(SlowStartExit { position: (first - epoch.base) as u32, rtt: 1000 });
        let spec = Spec::in_order(&flight[0], first..first + held_back);
        let lent = liar.claim(&mut lab, &spec);
        let behind = first + held_back..first + 20;
        let spec = Spec { exit, ..Spec::in_order(&flight[0], behind) };
        let answer = liar.claim(&mut lab, &spec);
        liar.receive(&answer);
        let train = &answer.trains[0];
        let run = train.fields.first..train.fields.first + 1;
        let missing = train.fields.epoch.exit_number().unwrap()..run.start;
        let borrowed: Vec<_> =
            lent.trains.iter().flat_map(|train| &train.packets).filter(|packet| missing.contains(&packet.numbers.start)).collect();
        prop_assert_eq!(borrowed.len() as u64, missing.end - missing.start);
        let common = liar.proof(&epoch, train.fields.tag, missing.start).unwrap();
        let proof = borrowed.iter().fold(common ^ train.packets[0].nonce, |proof, packet| proof ^ packet.nonce);
        let spec = Spec::new(train, Kind::Continue { proven: run.end }, vec![run]);
        prop_assert!(is_disproved(&mut lab, &liar, &spec, proof));
    }

    #[test]
    fn forks_that_declare_other_losses_share_no_nonce(window in 40u32..200, between in 1u64..4) {
        let mut lab = Lab::new();
        let (liar, flight) = grown(&mut lab, window);
        let first = flight[0].fields.first;
        let mut nonces = BTreeMap::new();
        let mut shared = 0;
        for (lost, run) in [(first, first + 20..first + 32), (first + between, first + 8..first + 20)] {
            let answer = liar.claim(&mut lab, &Spec::new(&flight[0], Kind::Recover { lost, rtt: 1000 }, vec![run]));
            for packet in answer.trains.iter().flat_map(|train| &train.packets) {
                let other = nonces.insert(packet.numbers.start, packet.nonce);
                shared += u64::from(other.is_some());
                prop_assert_ne!(other, Some(packet.nonce));
            }
        }
        prop_assert!(shared > 0, "{} numbers, none in both", nonces.len());
    }
}
