use proptest::prelude::*;

use super::curve::MAX_WINDOW;
use super::*;

const MILLISECOND: u32 = 1000;

fn curves() -> impl Strategy<Value = CurveId> {
    prop_oneof![Just(CurveId::Cubic), Just(CurveId::Reno)]
}

prop_compose! {
    /// Whatever a continuation can carry, made by a curve or not.
    fn any_epoch()(
        curve in curves(),
        base in prop_oneof![1..5000u64, 1..MAX_NUMBER, MAX_NUMBER - 1000..MAX_NUMBER],
        window0 in prop_oneof![3 => 1..100u32, 1 => 1..=MAX_WINDOW],
        ssthresh in prop_oneof![2 => Just(u32::MAX), 2 => 2..500u32, 1 => any::<u32>()],
        (w_max, k, rtt) in prop_oneof![
            (0..1000u32, 0..10_000u32, 0..200 * MILLISECOND),
            any::<(u32, u32, u32)>(),
        ],
        flight in prop_oneof![0..300u32, any::<u32>()],
        exit in prop::option::of((0..500u32, RTT_BOUNDS)),
    ) -> Epoch {
        let growth = Growth { window0, ssthresh, w_max, k, rtt };
        let flight = u64::from(flight).min(base) as u32;
        let epoch = Epoch { curve, base, growth, flight, exit: None };
        let exit = exit.map(|(position, rtt)| SlowStartExit { position, rtt });
        Epoch { exit: exit.filter(|&exit| epoch.admits(exit)), ..epoch }
    }
}

/// Positions relative to a base.
fn relative() -> impl Strategy<Value = u64> {
    prop_oneof![4 => 0..2000u64, 1 => 0..MAX_POSITION - 1000]
}

fn slow_start(window0: u32) -> Epoch {
    Epoch::born(CurveId::Cubic, 1000, window0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 1000 }))]

    /// In the epoch a position owns one number, or two where the window grows; in the flight before it, the
    /// positions share `window0` numbers. Either way consecutive runs own consecutive numbers.
    #[test]
    fn shares_are_contiguous(
        epoch in any_epoch(),
        from in relative(),
        cuts in prop::collection::vec(1..70u64, 1..8),
    ) {
        let mut position = epoch.base + from;
        let mut expected = epoch.base + epoch.allowed(from);
        for cut in cuts {
            let owned = epoch.share(&(position..position + cut));
            prop_assert_eq!(owned.start, expected);
            prop_assert!((cut..=2 * cut).contains(&(owned.end - owned.start)));
            let single = (position..position + cut).map(|position| epoch.share(&(position..position + 1)));
            prop_assert_eq!(single.map(|one| one.end - one.start).sum::<u64>(), owned.end - owned.start);
            (position, expected) = (position + cut, owned.end);
        }
    }

    #[test]
    fn the_shares_of_a_run_are_those_of_its_positions(
        epoch in any_epoch(),
        back in 0..100u64,
        from in relative(),
        length in 0..200u64,
    ) {
        let first = (epoch.base + from).saturating_sub(back);
        let shares: Vec<_> = epoch.shares(first..first + length).collect();
        let singly = (first..first + length).map(|position| epoch.share(&(position..position + 1)));
        prop_assert_eq!(shares, singly.collect::<Vec<_>>());
    }

    #[test]
    fn a_flight_shares_the_first_window(epoch in any_epoch(), rank in any::<prop::sample::Index>()) {
        let window0 = u64::from(epoch.growth.window0);
        let first = epoch.first_position();
        prop_assert_eq!(epoch.share_start(epoch.base), epoch.base + window0);
        if epoch.flight > 0 {
            prop_assert_eq!(epoch.share(&(first..epoch.base)), epoch.base..epoch.base + window0);
            let first_share = epoch.share(&(first..first + 1));
            prop_assert!(!first_share.is_empty());
            prop_assert_eq!(epoch.share_start(first.saturating_sub(1)), epoch.base);
            let position = first + rank.index(epoch.flight as usize) as u64;
            let owned = epoch.share(&(position..position + 1));
            prop_assert!(owned.end - owned.start <= window0.div_ceil(epoch.flight.into()));
            prop_assert_eq!(epoch.share_start(position + 1), owned.end);
        }
    }

    #[test]
    fn windows_grow_by_at_most_one(epoch in any_epoch(), acked in relative()) {
        prop_assert_eq!(epoch.window(0), epoch.growth.window0);
        let near_exit = epoch.exit.map_or(0, |exit| u64::from(exit.position));
        for acked in [acked, near_exit, near_exit + 1, near_exit.saturating_sub(1)] {
            let (before, after) = (epoch.window(acked), epoch.window(acked + 1));
            prop_assert!((before..=before + 1).contains(&after) && after <= MAX_WINDOW);
        }
    }

    /// The successor begins where the presented epoch's allowance ends, with the reduced window.
    #[test]
    fn a_loss_opens_the_next_epoch(
        epoch in any_epoch(),
        lost in relative(),
        carried in any::<prop::sample::Index>(),
        rtt in RTT_BOUNDS,
    ) {
        let window = epoch.window(lost);
        let carried = 1 + carried.index(window as usize) as u32;
        prop_assert_eq!(epoch.recover(epoch.base + lost, 0, rtt), None);
        prop_assert_eq!(epoch.recover(epoch.base + lost, window + 1, rtt), None);
        let Some(next) = epoch.recover(epoch.base + lost, carried, rtt) else {
            prop_assert!(epoch.base + lost + u64::from(window) >= MAX_NUMBER);
            return Ok(());
        };
        prop_assert_eq!(next.base, epoch.share_start(epoch.base + lost));
        prop_assert_eq!(next.first_position(), epoch.base + lost + 1);
        prop_assert_eq!(next.flight, window - 1);
        prop_assert_eq!((next.curve, next.exit, next.growth.rtt), (epoch.curve, None, rtt));
        prop_assert_eq!(next.growth.window0, next.growth.ssthresh);
        // At most the whole window is reduced; at 2 packets and below nothing is left to reduce.
        let most = curve::curve(epoch.curve).reduced(window);
        prop_assert!((2..=most).contains(&next.growth.window0));
        // Every number of the flight has an owner in the new epoch, and none owns more than two.
        let owned = next.share(&(epoch.base + lost + 1..next.base));
        if window > 1 {
            prop_assert_eq!(owned, next.base..next.base + u64::from(next.growth.window0));
        }
    }

    /// An epoch born anew shares no number with the one it follows, whatever of that was granted.
    #[test]
    fn openings_leave_the_old_numbers_behind(
        epoch in any_epoch(),
        acked in relative(),
        window0: u32,
        rtt: u32,
        now in prop_oneof![0..1u64 << 52, any::<u64>()],
    ) {
        let now = Timestamp::from_micros(now);
        let restarted = epoch.restart(acked, rtt, now);
        let resumed = epoch.resume(acked, window0, rtt, now);
        prop_assert_eq!(restarted.is_some(), resumed.is_some());
        let (Some(restarted), Some(resumed)) = (restarted, resumed) else { return Ok(()) };
        for next in [restarted, resumed] {
            prop_assert!(next.base >= Epoch::birth_base(now, 0) && next.base < MAX_NUMBER);
            prop_assert!(next.base > epoch.share_start(epoch.base + acked + 256));
            prop_assert_eq!((next.curve, next.flight, next.exit), (epoch.curve, 0, None));
            prop_assert_eq!(next.growth.rtt, rtt);
        }
        let window = epoch.window(acked);
        let reduced = curve::curve(epoch.curve).reduced(window);
        prop_assert_eq!((restarted.growth.window0, restarted.growth.ssthresh), (RESTART_WINDOW, reduced));
        let most = INITIAL_WINDOW.min(window).min(window0.max(1));
        prop_assert_eq!(resumed.growth.window0, most);
    }

    #[test]
    fn an_exit_leaves_slow_start_as_it_was(
        curve in curves(),
        window0 in 1..2000u32,
        position in 0..5000u32,
        rtt in RTT_BOUNDS,
    ) {
        let before = Epoch::born(curve, 1, window0);
        let after = Epoch { exit: Some(SlowStartExit { position, rtt }), ..before };
        let admitted = after.exit.is_some_and(|exit| before.admits(exit));
        prop_assert!(admitted);
        let at = u64::from(position);
        for acked in [0, at / 2, at] {
            prop_assert_eq!(after.window(acked), before.window(acked));
        }
        for acked in [at + 1, at + 10, 2 * at + 100] {
            prop_assert!(after.window(acked) <= before.window(acked));
        }
        prop_assert_eq!(after.exit_number(), Some(1 + at + u64::from(window0) + at));
        prop_assert_eq!((before.rtt(), after.rtt(), before.exit_number()), (0, rtt, None));
    }

    #[test]
    fn extreme_values_do_no_harm(epoch in any_epoch(), position: u64, end: u64, rtt: u32, now: u64) {
        epoch.share(&(position..end));
        epoch.recover(position, end as u32, rtt);
        let now = Timestamp::from_micros(now);
        for acked in [position % MAX_POSITION, MAX_POSITION] {
            epoch.restart(acked, rtt, now);
            epoch.resume(acked, rtt, rtt, now);
            prop_assert!(epoch.allowed(acked) <= acked + u64::from(MAX_WINDOW));
        }
    }
}

#[test]
fn whole_epochs_are_numbered_without_gaps() {
    for (ssthresh, flight) in [(u32::MAX, 0), (40, 0), (8, 11), (8, 3)] {
        let growth = Growth { window0: 8, ssthresh, w_max: 12, k: 2154, rtt: 20 * MILLISECOND };
        let epoch = Epoch { curve: CurveId::Cubic, base: 1000, growth, flight, exit: None };
        let mut next = epoch.base + if flight == 0 { 8 } else { 0 };
        for position in epoch.first_position()..epoch.base + 3000 {
            let owned = epoch.share(&(position..position + 1));
            assert_eq!(owned.start, next, "{position}");
            next = owned.end;
        }
    }
}

/// Of a window of 100 the path is found to have held 60: the next one is reduced from these, over the whole flight.
#[test]
fn a_loss_reduces_what_the_path_has_carried() {
    let lost = slow_start(10).recover(1090, 60, 40 * MILLISECOND).unwrap();
    assert_eq!((lost.growth.window0, lost.growth.w_max, lost.flight), (42, 60, 99));
}

#[test]
fn a_loss_at_a_window_of_one_leaves_no_flight() {
    let lost = slow_start(1).recover(1000, 1, MILLISECOND).unwrap();
    assert_eq!((lost.base, lost.flight, lost.growth.window0), (1001, 0, 2));
    assert!(lost.share(&(1001..1001)).is_empty());
}

#[test]
fn what_is_no_position_of_the_epoch_cannot_be_lost() {
    let epoch = slow_start(10);
    for lost in [0, 999, 1000 + MAX_POSITION, u64::MAX] {
        assert_eq!(epoch.recover(lost, 1, MILLISECOND), None);
    }
    assert!(epoch.recover(999 + MAX_POSITION, 10, MILLISECOND).is_some());
    let last = Epoch { base: MAX_NUMBER - 11, ..epoch };
    assert!(last.recover(MAX_NUMBER - 11, 10, MILLISECOND).is_some());
    assert_eq!(last.recover(MAX_NUMBER - 10, 10, MILLISECOND), None);
    assert_eq!(last.restart(0, 0, Timestamp::ZERO), None);
}

#[test]
fn exits_lie_in_slow_start() {
    let bounded = Epoch { growth: Growth { ssthresh: 100, ..slow_start(10).growth }, ..slow_start(10) };
    for (epoch, position, rtt, admitted) in [
        (bounded, 0, RTT_BOUNDS.start, true),
        (bounded, 89, RTT_BOUNDS.end - 1, true),
        (bounded, 90, 1000, false),
        (bounded, 5, RTT_BOUNDS.start - 1, false),
        (bounded, 5, RTT_BOUNDS.end, false),
        (slow_start(10), MAX_WINDOW - 10, 1000, true),
        (slow_start(10), MAX_WINDOW - 9, 1000, false),
        (slow_start(10), u32::MAX, 1000, false),
    ] {
        assert_eq!(epoch.admits(SlowStartExit { position, rtt }), admitted, "{position} {rtt}");
    }
}

#[test]
fn births_follow_the_clock() {
    let at = |millis| Epoch::birth_base(Timestamp::from_millis(millis), 0);
    assert_eq!((at(0), at(1), at(1_790_000_000_000)), (1, 1 << 20, 1_790_000_000_000 << 20));
    assert_eq!(Epoch::birth_base(Timestamp::from_millis(1), 5 << 20), 5 << 20);
    assert_eq!(Epoch::birth_base(Timestamp::NEVER, 0), 1 << 62);
}

#[test]
fn adoption_is_bounded_by_the_claims_own_size() {
    for (own, most) in [(0, 2), (1, 2), (2, 3), (4, 6), (7, 10), (64, 96)] {
        assert!(adopts(own, most) && !adopts(own, most + 1), "{own}");
    }
}
