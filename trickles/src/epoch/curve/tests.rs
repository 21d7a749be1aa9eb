use super::*;
use std::time::Instant;

fn oracle(start: u32, prior: u32, w_max: f64, rtt_us: u32, n: u64, mut each: impl FnMut(u64, f64, bool)) {
    let rtt = f64::from(rtt_us) / 1e6;
    let k = ((w_max - f64::from(start)).max(0.0) / 0.4).cbrt();
    let w_max = w_max.max(f64::from(start));
    let wc = |t: f64| 0.4 * (t - k).powi(3) + w_max;
    let (mut cwnd, mut est, mut t) = (f64::from(start), f64::from(start), 0.0);
    let alpha = 9.0 / 17.0;
    for i in 0..n {
        each(i, cwnd, wc(t) < est);
        t += rtt / cwnd;
        est += if est >= f64::from(prior) { 1.0 } else { alpha } / cwnd;
        if wc(t) < est { cwnd = cwnd.max(est) } else { cwnd += (wc(t + rtt).clamp(cwnd, 1.5 * cwnd) - cwnd) / cwnd }
    }
}

#[test]
fn accuracy() {
    let mut worst = vec![];
    for rtt in [1000, 3000, 10_000, 20_000, 30_000, 50_000, 70_000, 100_000, 150_000, 200_000, 300_000, 500_000] {
        for w in [4u32, 6, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 1000, 2000, 5000, 10000, 50000] {
            for fast in [false, true] {
                let prev = if fast { curve(CurveId::Cubic).after_loss(&Growth::first(10), 2 * w, 1) } else { Growth::first(10) };
                let g = Cubic.after_loss(&prev, w, rtt);
                let Phase::Avoidance { start, .. } = g.phase(0) else { panic!() };
                let av = Avoidance::new(&g, start);
                let (mut hi, mut lo, mut ah, mut al) = (0.0f64, 0.0f64, 0, 0);
                let wm = f64::from(w) * if fast { 0.85 } else { 1.0 };
                let n = 30 * u64::from(w) * u64::from((3_000_000/rtt).clamp(2,30));
                oracle(g.window0, w, wm, rtt, n.min(3_000_000), |i, cwnd, _| {
                    let mine = av.window(i as f64);
                    let e = (mine - cwnd) / cwnd;
                    if e > hi { hi = e; ah = i; }
                    if e < lo { lo = e; al = i; }
                });
                worst.push((hi.max(-lo), rtt, w, fast, hi, ah, lo, al, n, av.crossings(), av.k));
            }
        }
    }
    worst.sort_by(|a, b| b.0.total_cmp(&a.0));
    for w in &worst[..30] { println!("{w:?}"); }
}

fn xorshift() -> impl FnMut() -> u64 {
    let mut seed = 1u64;
    move || { seed ^= seed << 13; seed ^= seed >> 7; seed ^= seed << 17; seed }
}
fn random_growth(rnd: &mut impl FnMut() -> u64) -> Growth {
        let start = 1u32.max((rnd() as u32) >> (12 + rnd() % 20)).min(MAX_WINDOW);
        let maxk = cube_root(u64::from(start) * CUBE_PER_PACKET);
        let k = match rnd() % 3 { 0 => 0, 1 => maxk, _ => (rnd() % u64::from(maxk + 1)) as u32 };
        let w_max = (u64::from(start) * (rnd() % 1000) / 500) as u32;
        Growth { window0: start, ssthresh: start, w_max, k, rtt: (rnd() as u32 % 600_000 >> (rnd() % 19)) }
}

#[test]
fn newton() {
    let mut bad = 0;
    let mut rnd = xorshift();
    for _ in 0..20_000_000 {
        let g = random_growth(&mut rnd);
        let av = Avoidance::new(&g, f64::from(g.window0));
        let area = av.cubic.area(-av.k) + ((rnd() >> 16) >> (rnd() % 48)) as f64 * av.rtt;
        let (s, t) = av.cubic.time(area);
        let (a, b) = (av.cubic.area(s), av.cubic.area(t));
        if av.cubic.window(s) > 2e6 { continue }
        if !(a <= area && area < b && a < b) { bad += 1; if bad < 10 { println!("{g:?} {s} {t} {a} {b} {area}"); } }
    }
    println!("bad {bad}");
}

#[test]
fn steps() {
    let mut bad = 0;
    let mut jump = 0.0f64;
    let mut rnd = xorshift();
    for _ in 0..300_000 {
        let g = random_growth(&mut rnd);
        let av = Avoidance::new(&g, f64::from(g.window0));
        let (a, b) = av.crossings();
        let mut at = vec![0.0, (rnd() >> 16 >> (rnd() % 48)) as f64];
        // find the boundaries by bisection on window
        for target in [a, b] { if target.is_finite() {
            let w = av.cubic.window(target);
            let (mut lo, mut hi) = (0u64, 1 << 48);
            while hi - lo > 1 { let m = (lo + hi) / 2; if av.window(m as f64) < w { lo = m } else { hi = m } }
            at.push(lo as f64);
        } }
        for i in at {
            let from = (i as u64).saturating_sub(5);
            for i in from..from + 10 {
                let (x, y) = (Cubic.window(&g, i), Cubic.window(&g, i + 1));
                if x < MAX_WINDOW { jump = jump.max(av.window(i as f64 + 1.0) - av.window(i as f64)); }
                if !(x <= y && y <= x + 1) { bad += 1; if bad < 10 { println!("{g:?} {i} {x} {y} {} {} {:?}", av.window(i as f64), av.window(i as f64+1.0), av.crossings()); } }
            }
        }
        if Cubic.window(&g, 0) != g.window0 { bad += 1; println!("{g:?}"); }
    }
    println!("bad {bad} {jump}");
}

#[test]
fn speed() {
    let prev = Growth::first(10);
    for (w, rtt) in [(100u32, 40_000), (10_000, 40_000), (20, 5_000), (20, 50_000)] {
        for (name, c) in [("cubic", curve(CurveId::Cubic)), ("reno", curve(CurveId::Reno))] {
            let g = c.after_loss(&prev, w, rtt);
            #[allow(clippy::disallowed_methods)]
            let t = Instant::now();
            let mut sum = 0u64;
            for i in 0..5_000_000u64 { sum += u64::from(c.window(std::hint::black_box(&g), i * 7 % 400_000)); }
            println!("{name} {w} {rtt} {:?}/call {sum}", t.elapsed() / 5_000_000);
        }
    }
}
