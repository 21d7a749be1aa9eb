use proptest::prelude::*;

use super::*;

const KEY: [u8; 16] = 0x7ed4_2245_dcd5_2b4a_8f34_0de6_49e3_d4f4_u128.to_be_bytes();

proptest! {
    /// However the packets of a run are cut, their nonces XOR to that of the run.
    #[test]
    fn runs_telescope(
        key: [u8; 16],
        tag: u64,
        start in 0..u64::MAX - (1 << 20),
        spans in prop::collection::vec(1..300u64, 0..40),
        shuffle: prop::sample::Index,
    ) {
        let mut packets = Vec::new();
        let mut end = start;
        for span in spans {
            packets.push(end..end + span);
            end += span;
        }
        if !packets.is_empty() {
            let middle = shuffle.index(packets.len());
            packets.rotate_left(middle);
        }
        let proof = packets.iter().fold(0, |proof, packet| proof ^ run(&key, tag, packet.clone()));
        prop_assert_eq!(proof, run(&key, tag, start..end));
    }

    /// Packets in a row, and any others, have the nonces of their numbers: under the one tag, under the other, or
    /// some under each.
    #[test]
    fn an_exit_changes_the_tag(
        tags: [u64; 2],
        exit in prop::option::of(0..2000u64),
        starts in prop::collection::vec((any::<bool>(), 0..2000u64, 0..5u64), 1..20),
    ) {
        let mut nonces = Nonces::new(&KEY, tags[0], exit.map(|first| (first, tags[1])));
        let mut end = 0;
        for (follows, start, span) in starts {
            let start = if follows { end } else { start };
            end = start + span;
            let one = |number| {
                let tag = if exit.is_some_and(|first| number >= first) { tags[1] } else { tags[0] };
                run(&KEY, tag, number..number + 1)
            };
            let expected = (start..end).fold(0, |proof, number| proof ^ one(number));
            prop_assert_eq!(nonces.of(start..end), expected);
        }
    }

    /// One packet not received, another epoch or another key: the proof does not match.
    #[test]
    fn proofs_are_of_one_run_epoch_and_key(
        tag: u64,
        start in 1..u64::MAX - 1000,
        length in 1..500u64,
        missing: prop::sample::Index,
    ) {
        let whole = start..start + length;
        let proof = run(&KEY, tag, whole.clone());
        let lost = start + missing.index(length as usize) as u64;
        prop_assert_ne!(proof ^ run(&KEY, tag, lost..lost + 1), proof);
        prop_assert_ne!(run(&KEY, tag.wrapping_add(1), whole.clone()), proof);
        prop_assert_ne!(run(&KEY, tag, start - 1..whole.end - 1), proof);
        prop_assert_ne!(run(&[0; 16], tag, whole), proof);
    }
}

#[test]
fn every_bit_of_a_proof_counts() {
    let expected = run(&KEY, 6, 1000..1003);
    assert!(proves(expected, expected));
    for bit in 0..64 {
        assert!(!proves(expected ^ 1 << bit, expected), "{bit}");
    }
}

/// As another implementation of SipHash-2-4 computes them.
#[test]
fn values_are_fixed() {
    assert_eq!(prf(&KEY, &[6, 1000]), 0x3122_e472_4ae0_02d0);
    assert_eq!(run(&KEY, 6, 1000..1003), 0x3e6a_256d_1041_c3a6);
    assert_eq!(run(&KEY, 6, 1000..1000), 0);
}
