use proptest::prelude::*;

use super::*;
use crate::continuation::tests::continuations;
use crate::continuation::{BODY_LENGTH, SEALED_LENGTH, Sealed};
use crate::epoch::{Epoch, SlowStartExit};
use crate::wire::{Request, Runs};

/// What fits into an integer of variable length.
fn varints() -> impl Strategy<Value = u64> {
    (0..=62u32, any::<u64>()).prop_map(|(bits, value)| value & ((1 << bits) - 1))
}

prop_compose! {
    pub(in crate::wire) fn abbreviated()(
        (echo, stream, count, issued, tag) in any::<(u64, u16, u8, u32, [u8; TAG_LENGTH])>(),
        (rooted_ago, bytes, epoch) in any::<(u32, u32, u8)>(),
        offset in varints(),
        (earned, varint, carried, rtt, recovers) in (varints(), varints(), any::<u32>(), any::<u32>(), any::<bool>()),
        runs in prop::collection::vec((varints(), any::<u8>()), 1..=MAX_RUNS),
        input in prop::collection::vec(any::<u8>(), 1..100),
    ) -> AbbreviatedClaim<'static> {
        let kind = match recovers {
            false => AbbreviatedKind::Continue { behind: varint },
            true => AbbreviatedKind::Recover { lost: varint, carried, rtt },
        };
        AbbreviatedClaim {
            echo, stream, epoch: epoch % 32, earned, count, issued: issued >> 8, rooted_ago, bytes, tag,
            runs: runs.into_iter().collect(), kind,
            input: Input { offset, bytes: input.leak(), fin: false },
        }
    }
}

prop_compose! {
    /// A continuation of a train that begins where its first position's numbers do, which every server's does.
    fn presented()(continuation in continuations(), earned in varints()) -> Continuation {
        let epoch = continuation.epoch;
        let earned = epoch.first_position() - 1 + earned % (MAX_POSITION / 2);
        let ago = continuation.rooted_ago() / ROOTED_STEP * ROOTED_STEP;
        let first = train_start(&epoch, earned);
        Continuation { epoch, first, earned, ..continuation }.rooted_before(ago).unwrap()
    }
}

fn sealed(presented: &Continuation, tag: [u8; TAG_LENGTH]) -> Sealed {
    let mut sealed = [0; SEALED_LENGTH];
    sealed[..BODY_LENGTH].copy_from_slice(&presented.encode());
    sealed[BODY_LENGTH..].copy_from_slice(&tag);
    sealed
}

/// A claim that presents this continuation.
fn claim<'a>(sealed: &'a Sealed, presented: &Continuation, runs: Runs, kind: ClaimKind) -> Claim<'a> {
    Claim {
        echo: 7,
        continuation: sealed,
        kind,
        exit: presented.epoch.exit,
        packet_size: 1200,
        runs,
        user_continuation: &[1, 2, 3],
        input: None,
        presumed: false,
    }
}

proptest! {
    #[test]
    fn abbreviated_claims_are_read_as_they_were_written(abbreviated in abbreviated()) {
        let mut datagram = Vec::new();
        Request::Abbreviated(abbreviated.clone()).emit(2000, &mut datagram);
        prop_assert_eq!(datagram.len(), abbreviated.length() + abbreviated.input.bytes.len());
        let is_usual = abbreviated.runs.len() == 1 && matches!(abbreviated.kind, AbbreviatedKind::Continue { .. });
        prop_assert!(!is_usual || abbreviated.length() <= AbbreviatedClaim::OVERHEAD);
        for length in 0..=abbreviated.length() {
            prop_assert_eq!(Request::parse(&datagram[..length]), None);
        }
        prop_assert_eq!(Request::parse(&datagram), Some(Request::Abbreviated(abbreviated)));
    }

    /// Whoever remembers the epoch and the lineage has the whole claim again.
    #[test]
    fn an_abbreviated_claim_says_what_the_whole_one_does(
        (presented, other) in (presented(), continuations()),
        (tag, mask) in any::<([u8; TAG_LENGTH], Mask)>(),
        gaps in prop::collection::vec((1..200u64, 1..=20u8), 1..=MAX_RUNS),
        (recovers, number, carried, rtt, proof) in any::<(bool, u64, u32, u32, u64)>(),
        offset in 0..VARINT_END,
        since in 0..1u64 << 23,
    ) {
        let mut runs = Runs::default();
        for (gap, count) in gaps {
            let end = if runs.is_empty() { presented.earned } else { runs.span().end };
            let run = Run { first: end + gap, count };
            prop_assert!(runs.push(run, &[]));
        }
        let kind = match recovers {
            false => ClaimKind::Continue { proven: runs.span().end + number % (1 << 60), proof },
            true => ClaimKind::Recover { lost: presented.epoch.base + number % (1 << 48), carried, rtt, proof },
        };
        let sealed = sealed(&presented, tag);
        let claim = claim(&sealed, &presented, runs.clone(), kind);
        let input = Input { offset, bytes: &[1; 30], fin: false };
        let abbreviated = AbbreviatedClaim::of(&claim, input, &presented, &mask).unwrap();
        let Continuation { key, birth_key, issuer, stream, flow, tag: name, epoch, .. } = presented;
        let remembered = Continuation { key, birth_key, issuer, stream, flow, tag: name, epoch, ..other };
        let now = presented.issued + Duration::from_micros(since);
        prop_assert_eq!(abbreviated.presented(&remembered, presented.port, now), Some(presented));
        prop_assert!(abbreviated.is_of(name) && !abbreviated.is_of(name ^ 1 << 4));
        let (read, proven) = abbreviated.claimed(&presented).unwrap();
        prop_assert_eq!((read, abbreviated.kind(proven, proof)), (runs, kind));
        prop_assert_eq!(abbreviated.tag(&mask, proof), tag);
        prop_assert_eq!(abbreviated.input, input);
        // To whoever remembers something else, or knows of another proof, the tag says nothing.
        for byte in 0..TAG_LENGTH {
            let mut other = mask;
            other[byte] ^= 1;
            prop_assert!(abbreviated.tag(&other, proof) != tag);
        }
        for bit in 0..u64::BITS {
            prop_assert!(abbreviated.tag(&mask, proof ^ 1 << bit) != tag);
        }
    }

    /// Whatever is claimed to be remembered, reading is total.
    #[test]
    fn restoring_is_total(
        abbreviated in abbreviated(),
        remembered in continuations(),
        (port, now) in any::<(u16, u64)>(),
    ) {
        let now = Timestamp::from_micros(now);
        if let Some(presented) = abbreviated.presented(&remembered, port, now) {
            prop_assert_eq!(Continuation::decode(&presented.encode()), Some(presented));
            if let Some((runs, _)) = abbreviated.claimed(&presented) {
                prop_assert!(runs.span().start >= presented.earned);
            }
        }
    }
}

#[test]
fn what_needs_more_words_is_not_abbreviated() {
    let epoch = Epoch::born(crate::epoch::CurveId::Cubic, 1000, 10);
    let now = Timestamp::from_micros(1 << 50);
    let presented = Continuation {
        key: 1,
        birth_key: 1,
        issuer: 2,
        stream: 3,
        flow: 4,
        tag: 5,
        epoch,
        first: epoch.share_start(1005),
        count: 1,
        earned: 1005,
        issued: now,
        rooted: now,
        port: 6,
        bytes: 100,
    };
    let sealed = sealed(&presented, [9; TAG_LENGTH]);
    let run = |wants| {
        let mut runs = Runs::default();
        assert!(runs.push(Run { first: 1006, count: 1 }, wants));
        runs
    };
    let kind = ClaimKind::Continue { proven: 1007, proof: 8 };
    let plain = claim(&sealed, &presented, run(&[]), kind);
    let input = Input { offset: 0, bytes: b"input", fin: false };
    let of = |claim: &Claim<'_>, presented| AbbreviatedClaim::of(claim, input, &presented, &[0; TAG_LENGTH]);
    assert!(of(&plain, presented).is_some());
    for input in [Input { fin: true, ..input }, Input { offset: VARINT_END, ..input }] {
        assert_eq!(AbbreviatedClaim::of(&plain, input, &presented, &[0; TAG_LENGTH]), None);
    }
    assert_eq!(of(&Claim { presumed: true, ..plain.clone() }, presented), None);
    let wanting = Claim { runs: run(std::slice::from_ref(&(0..10))), ..plain.clone() };
    let nothing = Claim { runs: Runs::default(), ..plain.clone() };
    let exit = Some(SlowStartExit { position: 3, rtt: 1000 });
    let declaring = Claim { exit, ..plain.clone() };
    let restarting = Claim { kind: ClaimKind::Restart { attempt: 0, rtt: 0 }, ..plain.clone() };
    let resuming = Claim { kind: ClaimKind::Resume { rtt: 0 }, ..plain.clone() };
    for claim in [wanting, nothing, declaring, restarting, resuming] {
        assert_eq!(of(&claim, presented), None);
    }
    // Nothing of a server's.
    let rooted = now - Duration::from_micros(u64::from(ROOTED_STEP) / 2);
    assert_eq!(of(&plain, Continuation { rooted, ..presented }), None);
    assert_eq!(of(&plain, Continuation { first: presented.first + 1, ..presented }), None);
    // What the flight before the epoch has earned is of a server's.
    let epoch = Epoch { flight: 20, ..epoch };
    assert!(
        of(&plain, Continuation { epoch, first: epoch.share_start(990), earned: 990, ..presented }).is_some()
    );
    assert_eq!(of(&plain, Continuation { epoch, first: 1000, earned: 970, ..presented }), None);
}
