use super::*;
use proptest::prelude::*;

const CURVES: [CurveId; 2] = [CurveId::Cubic, CurveId::Reno];

fn cubic(window0: u32, w_max: u32, k: u32, rtt: u32) -> Growth {
    Growth { window0, ssthresh: window0, w_max, k, rtt }
}

#[test]
fn ids_round_trip_and_strangers_are_refused() {
    for id in CURVES {
        assert_eq!(CurveId::from_u8(u8::from(id)), Some(id));
    }
    assert_eq!((0..=u8::MAX).filter_map(CurveId::from_u8).count(), CURVES.len());
    assert_eq!((u8::from(CurveId::default()), u8::from(CurveId::Reno)), (1, 2));
    assert_eq!(CURVES.map(|id| curve(id).reduced(10)), [7, 5]);
}

#[test]
fn reductions_count_the_cut_half_packet_and_keep_two() {
    for (window, by_cubic, by_reno) in
        [(0, 2, 2), (2, 2, 2), (3, 2, 2), (4, 3, 2), (5, 4, 3), (9, 7, 5), (1 << 20, 734_004, 1 << 19)]
    {
        assert_eq!((Cubic.reduced(window), Reno.reduced(window)), (by_cubic, by_reno), "{window}");
    }
    assert_eq!(Cubic.reduced(u32::MAX), 3_006_477_107);
}

#[test]
fn a_loss_starts_at_the_reduced_window_and_sets_the_plateau_at_the_window_it_met() {
    assert_eq!(Reno.after_loss(&Growth::first(10), 101, 7), cubic(51, 101, 0, 7));
    let growth = Cubic.after_loss(&Growth::first(10), 100, 40_000);
    // K = cbrt(30 / 0.4) = 4.2172 s.
    assert_eq!(growth, cubic(70, 100, 4217, 40_000));
    let plateau = growth.plateau() as f64 / CUBES as f64;
    assert!((99.98..=100.0).contains(&plateau), "{plateau}");
}

#[test]
fn fast_convergence_lowers_the_plateau_below_the_previous_one() {
    let previous = Cubic.after_loss(&Growth::first(10), 100, 40_000);
    // K = cbrt((0.85 * 99 - 70) / 0.4) = 3.2827 s, against 4.1696 s without.
    assert_eq!(Cubic.after_loss(&previous, 99, 40_000), cubic(70, 99, 3282, 40_000));
    assert_eq!(Cubic.after_loss(&previous, 100, 40_000), cubic(70, 100, 4217, 40_000));
    // What counts is the lowered plateau (84.15), not the window met (99).
    let lowered = Cubic.after_loss(&previous, 99, 40_000);
    assert_eq!(Cubic.after_loss(&lowered, 85, 40_000).k, 3968);
    assert_eq!(Cubic.after_loss(&lowered, 84, 40_000).k, 3141);
}

#[test]
fn a_timeout_restarts_from_two_packets_towards_the_reduced_window() {
    for (id, ssthresh) in [(CurveId::Cubic, 70), (CurveId::Reno, 50)] {
        let previous = curve(id).after_loss(&Growth::first(10), 200, 1);
        let growth = curve(id).after_timeout(&previous, 100, 40_000);
        assert_eq!(growth, Growth { window0: 2, ssthresh, w_max: 100, k: 0, rtt: 40_000 });
        assert_eq!(curve(id).window(&growth, u64::from(ssthresh) - 2), ssthresh);
    }
}

#[test]
fn slow_start_counts_packets_until_ssthresh() {
    for id in CURVES {
        let growth = Growth { window0: 10, ssthresh: 20, w_max: 30, k: 0, rtt: 40_000 };
        let windows: Vec<_> = (0..=12).map(|i| curve(id).window(&growth, i)).collect();
        assert_eq!(windows, [10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 20, 20], "{id:?}");
        assert_eq!(curve(id).window(&Growth::first(10), 5000), 5010);
    }
}

#[test]
fn an_exit_from_slow_start_begins_a_plateau_of_its_own() {
    for id in CURVES {
        let growth = curve(id).after_slow_start_exit(&Growth::first(10), 50, 40_000);
        assert_eq!(growth, cubic(50, 50, 0, 40_000), "{id:?}");
        // The first round trips grow by one packet each, whatever the curve.
        let windows: Vec<_> = (0..3).map(|n| curve(id).window(&growth, n * 51)).collect();
        assert_eq!(windows, [50, 51, 52], "{id:?}");
    }
}

#[test]
fn resuming_keeps_the_plateau() {
    let lost = Cubic.after_loss(&Growth::first(10), 100, 40_000);
    let below = Cubic.resumed(&lost, 10, 50_000);
    assert_eq!(below, Growth { window0: 10, ssthresh: 70, w_max: 100, k: 4217, rtt: 50_000 });
    // K = cbrt((100 - 80) / 0.4) = 3.684 s, and back.
    let above = Cubic.resumed(&lost, 80, 50_000);
    assert_eq!(above, Growth { window0: 80, ssthresh: 70, w_max: 100, k: 3683, rtt: 50_000 });
    assert_eq!(Cubic.resumed(&above, 10, 50_000).k, 4216);
    assert_eq!(Cubic.resumed(&lost, 100, 50_000).k, 0);
    assert_eq!(Cubic.resumed(&Growth::first(10), 9, 1), Growth { rtt: 1, ..Growth::first(9) });
    for (window0, ssthresh) in [(2, 70), (9, 2)] {
        let without = Growth { window0, ssthresh, w_max: 100, k: 0, rtt: 1 };
        assert_eq!(Cubic.resumed(&without, 3, 1).k, 0);
    }
    assert_eq!(Reno.resumed(&lost, 10, 50_000), below);
}

#[test]
fn a_round_trip_beyond_the_cap_counts_as_the_cap() {
    let at = |rtt| Cubic.window(&cubic(700, 1000, 9085, rtt), 10_000);
    assert_eq!(at(MAX_RTT), at(u32::MAX));
    // A quarter is added before.
    assert_eq!(at(MAX_RTT / 5 * 4), at(MAX_RTT));
    assert!(at(MAX_RTT / 5 * 4 - 40_000) < at(MAX_RTT));
    assert_eq!([0, 3, 4, 40_001, u32::MAX].map(counted), [0, 3, 5, 50_001, u32::MAX]);
}

/// Replicas agree to the bit: these values were computed once and hold on every platform and at every
/// optimisation level. Each line is in another stretch of the curve, or at another scale.
#[test]
fn windows_are_the_same_everywhere() {
    let long = cubic(70_000, 100_000, 42_171, 80_000);
    let short = cubic(14, 20, 2466, 16_000);
    let mixed = cubic(140, 200, 5313, 40_000);
    for (growth, acked, bits) in [
        (long, 0, 0x40f1_1700_0000_0000),
        (long, 1_000_000, 0x40f1_cb85_dbef_bb6b),
        (long, 40_000_000, 0x40f8_69f0_a11e_92b4),
        (long, 400_000_000, 0x412a_5d01_5471_43f4),
        (short, 100, 0x4031_5ff0_663e_1d7e),
        (short, 1_000, 0x4046_7148_efb0_36b4),
        (short, 10_000, 0x4061_af24_76e8_ac6c),
        (short, 1_000_000, 0x40a9_cc8e_b08a_7b8a),
        (mixed, 10_000, 0x4068_4793_a387_1a6e),
        (mixed, 18_000, 0x4068_fec5_9b27_64a1),
        (mixed, 30_000, 0x406e_110e_5c6b_b226),
        (mixed, 200_000, 0x409a_3f75_6535_93ef),
        (mixed, 1_000_000_000, 0x4134_66e0_e2d0_c3c2),
    ] {
        let window = Cubic.avoidance(&growth, acked);
        assert_eq!(window.to_bits(), bits, "{growth:?} {acked}: {window} {:#x}", window.to_bits());
    }
    assert_eq!(Reno.avoidance(&short, 12_345).to_bits(), 0x4063_b818_5792_da07);
}

/// CUBIC acknowledgement by acknowledgement as RFC 9438 sections 4.2 to 4.5 describe it, on the ack clock.
fn per_ack_cubic(start: f64, prior: f64, w_max: f64, rtt: f64, acked: u64, mut see: impl FnMut(u64, f64)) {
    let w_max = w_max.max(start);
    let k = ((w_max - start) / 0.4).cbrt();
    let w_cubic = |t: f64| 0.4 * (t - k).powi(3) + w_max;
    let (mut cwnd, mut w_est, mut t) = (start, start, 0.0);
    for i in 0..acked {
        see(i, cwnd);
        t += rtt / cwnd;
        w_est += if w_est < prior { 3.0 * 0.3 / 1.7 } else { 1.0 } / cwnd;
        if w_cubic(t) < w_est {
            cwnd = w_est.max(cwnd);
        } else {
            cwnd += (w_cubic(t + rtt).clamp(cwnd, 1.5 * cwnd) - cwnd) / cwnd;
        }
    }
}

/// The worst relative error of the closed form over an epoch; less than 0.15 packets is none.
fn worst_error(growth: &Growth, w_max: f64, acked: u64) -> (f64, u64) {
    let (start, rtt) = (f64::from(growth.avoidance_start()), 1.25 * f64::from(growth.rtt) / 1e6);
    let mut worst = (0.0, 0);
    per_ack_cubic(start, f64::from(growth.w_max), w_max, rtt, acked, |i, cwnd| {
        let error = (Cubic.avoidance(growth, i) - cwnd).abs();
        if error > 0.15 && error / cwnd > worst.0 {
            worst = (error / cwnd, i);
        }
    });
    worst
}

#[test]
#[cfg_attr(miri, ignore = "an interpreter takes hours")]
fn cubic_follows_the_per_ack_algorithm() {
    for rtt in [1, 5, 10, 20, 30, 50, 70, 100, 150, 200, 300].map(|ms| ms * 1000) {
        for window in [4, 6, 10, 20, 50, 100, 200, 500, 2000, 10_000] {
            let declared = rtt / 5 * 4;
            let acked = (40 * u64::from(window) * u64::from(3_000_000 / rtt).clamp(2, 30)).min(300_000);
            let first = Cubic.after_loss(&Growth::first(10), window, declared);
            let high = Cubic.after_loss(&Growth::first(10), window + 1, declared);
            let met = f64::from(window);
            let timeout = Cubic.after_timeout(&first, window, declared);
            for (what, growth, w_max) in [
                ("loss", first, met),
                ("fast convergence", Cubic.after_loss(&high, window, declared), 0.85 * met),
                ("timeout", timeout, f64::from(timeout.ssthresh)),
                ("slow start exit", Cubic.after_slow_start_exit(&first, window, declared), met),
            ] {
                let (error, at) = worst_error(&growth, w_max, acked);
                // The per-ACK algorithm aims a round trip ahead, in which a tiny window grows by half.
                let tolerance = if window < 10 { 0.05 } else { 0.03 };
                assert!(error < tolerance, "{what}: {error:.3} at {at} of {acked}, {growth:?}");
            }
        }
    }
}

/// `cwnd += alpha / cwnd` for every acknowledgement, with `alpha` = 1 from `prior` on.
fn assert_additive(id: CurveId, growth: &Growth, alpha: f64) {
    let mut cwnd = f64::from(growth.avoidance_start());
    for i in 0..200_000 {
        let window = curve(id).avoidance(growth, i);
        assert!((window / cwnd - 1.0).abs() < 0.03, "{id:?}, {growth:?} at {i}: {window} for {cwnd}");
        cwnd += if cwnd < f64::from(growth.w_max) { alpha } else { 1.0 } / cwnd;
    }
}

#[test]
#[cfg_attr(miri, ignore = "an interpreter takes hours")]
fn additive_increase_follows_the_per_ack_algorithm() {
    for window in [3, 4, 10, 50, 300, 2000] {
        assert_additive(CurveId::Reno, &Reno.after_loss(&Growth::first(10), window, 40_000), 1.0);
        // Without a sample of the round trip CUBIC is its Reno-friendly part.
        assert_additive(CurveId::Cubic, &Cubic.after_loss(&Growth::first(10), window, 0), ALPHA);
    }
}

#[test]
fn the_estimate_leads_between_its_crossings_with_the_cubic() {
    // A quarter is added to what is declared.
    let avoidance = CubicAvoidance::new(&cubic(140, 200, 5313, 40_000));
    let (overtaken, resumes) = avoidance.friendly_stretch().unwrap();
    let bend = (avoidance.prior - 140.0) * 0.05 / ALPHA;
    for t in [overtaken, resumes] {
        let age = t + avoidance.k;
        let w_est = if age < bend { 140.0 + age * ALPHA / 0.05 } else { 200.0 + (age - bend) / 0.05 };
        assert!((w_est - avoidance.cubic.window(t)).abs() < 1e-6, "{t}: {w_est}");
    }
    assert!(overtaken < resumes);
    assert!(CubicAvoidance::new(&cubic(7000, 10_000, 19_574, 50_000)).friendly_stretch().is_none());
}

#[test]
fn stretches_meet_without_a_step_back() {
    // Rounding takes the square root past `prior` here.
    let friendly = Friendly::new(5_708.901_628_129_651, 8_191.598_443_580_284);
    assert!(friendly.window(friendly.bend.next_down()) <= friendly.prior);
    for (window, rtt) in (1..2000).map(|n| (2 + n % 300, 1 + n * n % 70_000)) {
        let avoidance = CubicAvoidance::new(&Cubic.after_loss(&Growth::first(10), window, rtt));
        let CubicAvoidance { start, prior, k, rtt, cubic } = &avoidance;
        let Some((overtaken, resumes)) = avoidance.friendly_stretch() else { continue };
        let friendly = Friendly::new(cubic.window(overtaken).max(*start), *prior);
        let lead = (cubic.area(overtaken) - cubic.area(-k)) / rtt;
        for seam in [lead, lead + friendly.bend, lead + friendly.acked(cubic.window(resumes))] {
            for acked in [seam.floor() - 1.0, seam.floor()].map(|acked| acked.max(0.0)) {
                assert!(avoidance.window(acked) <= avoidance.window(acked + 1.0), "{window}, {rtt}");
            }
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "an interpreter takes hours")]
fn the_clock_is_exact_at_its_ticks() {
    for (n, start) in (0..20_000).map(|n| (n, f64::from(1 + n * n % 5000))) {
        let cubic = CubicFunction { w_max: 1.4 * start };
        let tick = f64::from(n * 1001) * CubicFunction::TICK;
        assert_eq!(cubic.tick_at_area(cubic.area(tick)), tick);
        assert_eq!(cubic.tick_at_area(cubic.area(tick).next_down()), tick - CubicFunction::TICK);
    }
}

fn packets() -> impl Strategy<Value = u32> {
    prop_oneof![0..20u32, 0..2000u32, 0..=MAX_WINDOW]
}

fn rtts() -> impl Strategy<Value = u32> {
    prop_oneof![Just(0), 1..1000u32, 1000..300_000u32, 300_000..1_000_000u32, any::<u32>()]
}

/// Any values at all, also such as no curve makes.
fn any_growth() -> impl Strategy<Value = Growth> {
    let k = prop_oneof![Just(0), 0..5000u32, 0..150_000u32, any::<u32>()];
    let any_packets = || prop_oneof![3 => packets(), 1 => any::<u32>()];
    (any_packets(), any_packets(), any_packets(), k, rtts())
        .prop_map(|(window0, ssthresh, w_max, k, rtt)| Growth { window0, ssthresh, w_max, k, rtt })
}

/// What a life of losses, timeouts and pauses makes.
fn lived_growth() -> impl Strategy<Value = (CurveId, Growth)> {
    let event = (0..4u8, packets(), rtts());
    (prop::sample::select(&CURVES[..]), prop::collection::vec(event, 1..6)).prop_map(|(id, events)| {
        let curve = curve(id);
        let live = |growth: Growth, (event, window, rtt): (u8, u32, u32)| match event {
            0 => curve.after_timeout(&growth, window, rtt),
            1 => curve.after_slow_start_exit(&growth, window, rtt),
            2 => curve.resumed(&growth, window.min(10), rtt),
            _ => curve.after_loss(&growth, window, rtt),
        };
        (id, events.into_iter().fold(Growth::first(10), live))
    })
}

fn positions() -> impl Strategy<Value = u64> {
    (0..=48u32, any::<u64>()).prop_map(|(bits, random)| random & ((1 << bits) - 1))
}

fn assert_step(id: CurveId, growth: &Growth, i: u64) {
    let (window, next) = (curve(id).window(growth, i), curve(id).window(growth, i + 1));
    assert!(window <= next && next <= window + 1, "{id:?}, {growth:?} at {i}: {window}, then {next}");
    assert!(next <= MAX_WINDOW);
}

/// The first position whose window is at least `window`.
fn reached(id: CurveId, growth: &Growth, window: u32) -> u64 {
    let (mut low, mut high) = (0, MAX_ACKED);
    while low < high {
        let middle = low.midpoint(high);
        if curve(id).window(growth, middle) < window { low = middle + 1 } else { high = middle }
    }
    low
}

fn assert_invariant(id: CurveId, growth: &Growth, positions: &[u64], windows: &[u32]) {
    assert_eq!(curve(id).window(growth, 0), growth.window0.clamp(1, MAX_WINDOW));
    let avoidance = CubicAvoidance::new(growth);
    let seams = avoidance.friendly_stretch().filter(|_| avoidance.rtt > 0.0);
    let seams = seams.map_or([0; 2], |(a, b)| [a, b].map(|t| avoidance.cubic.window(t) as u32));
    // The edges between stretches, the bends and the plateau are where a closed form would tear.
    let edges = [growth.ssthresh, growth.w_max, avoidance.cubic.w_max as u32].into_iter().chain(seams);
    let edges = edges.chain(windows.iter().copied()).map(|window| reached(id, growth, window));
    for i in positions.iter().copied().chain(edges) {
        for i in i.saturating_sub(20)..i + 20 {
            assert_step(id, growth, i);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 2000 }))]

    #[test]
    fn windows_grow_by_at_most_one_packet_per_packet(
        (id, growth) in lived_growth(),
        positions in prop::collection::vec(positions(), 8),
        windows in prop::collection::vec(2..MAX_WINDOW, 4),
    ) {
        assert_invariant(id, &growth, &positions, &windows);
    }

    #[test]
    fn the_invariant_holds_for_values_that_no_curve_makes(
        id in prop::sample::select(&CURVES[..]),
        growth in any_growth(),
        positions in prop::collection::vec(positions(), 8),
        windows in prop::collection::vec(2..MAX_WINDOW, 4),
    ) {
        assert_invariant(id, &growth, &positions, &windows);
    }

    #[test]
    fn fractions_of_a_packet_never_shrink((id, growth) in lived_growth(), acked in positions()) {
        let (window, next) = (curve(id).avoidance(&growth, acked), curve(id).avoidance(&growth, acked + 1));
        prop_assert!(window <= next);
        prop_assert!(next - window < 1.0 || next >= f64::from(MAX_WINDOW));
    }

    #[test]
    fn no_curve_makes_a_plateau_that_does_not_count((_, growth) in lived_growth()) {
        prop_assert_eq!(growth.rise(), u64::from(growth.k).pow(3));
    }

    #[test]
    fn the_clock_stops_at_the_last_tick(growth in any_growth(), age in prop_oneof![0.0..1e-4, 0.0..280.0]) {
        let CubicAvoidance { k, cubic, .. } = CubicAvoidance::new(&growth);
        let exact: f64 = age - k;
        let area = cubic.area(exact);
        let tick = cubic.tick_at_area(area);
        prop_assert!(cubic.area(tick) <= area && area < cubic.area(tick + CubicFunction::TICK));
        prop_assert!((tick - exact).abs() < 1.01 * CubicFunction::TICK);
    }

    #[test]
    fn cube_roots_are_exact(cube in 0..1u64 << 54) {
        let root = u64::from(cube_root(cube));
        prop_assert!(root.pow(3) <= cube && cube < (root + 1).pow(3));
    }
}

#[test]
#[cfg_attr(miri, ignore = "an interpreter takes hours")]
fn whole_epochs_keep_the_invariant() {
    for id in CURVES {
        for (window, rtt) in
            [(4, 40_000), (4, 500_000), (10, 100_000), (100, 10_000), (200, 50_000), (3000, 90_000)]
        {
            let growth = curve(id).after_loss(&Growth::first(10), window, rtt);
            (0..300_000).for_each(|i| assert_step(id, &growth, i));
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "an interpreter takes hours")]
fn extreme_values_keep_the_invariant() {
    let extremes = [0, 1, 2, MAX_WINDOW, u32::MAX];
    let any = |n: usize| extremes[n % extremes.len()];
    for n in 0..extremes.len().pow(5) {
        let growth = Growth {
            window0: any(n),
            ssthresh: any(n / 5),
            w_max: any(n / 25),
            k: any(n / 125),
            rtt: any(n / 625),
        };
        for id in CURVES {
            assert_invariant(id, &growth, &[0, MAX_ACKED, u64::MAX - 20], &[]);
        }
    }
}
