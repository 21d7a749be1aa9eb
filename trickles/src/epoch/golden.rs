//! What the closed forms say, all in one digest: client and every replica must agree to the bit, however they were
//! compiled (docs/protocol.md section 5.32).
//!
//! `scripts/check-arithmetic` computes it at every optimisation level and on machines of other kinds. Who changes
//! a closed form changes the digest, and with it, once anything is released, the protocol version.

use sha2::{Digest, Sha256};

use super::*;

/// Growths that are left out: an interpreter takes all day.
const STEP: usize = if cfg!(miri) { 97 } else { 1 };
const DIGEST: &str = if cfg!(miri) {
    "201296aca4177983c568c93d213e65633d9a93093865e2fad4eb34d4faf87b54"
} else {
    "0ad68aba7b4a6bb43155cf4a7b6250c56861ef87f4751aa488ad5729588b4ebf"
};

const ACKED: [u64; 18] = [
    0,
    1,
    2,
    9,
    10,
    11,
    99,
    1000,
    4567,
    10_000,
    123_456,
    1_000_000,
    100_000_000,
    1 << 40,
    MAX_POSITION - 1,
    MAX_POSITION,
    1 << 48,
    u64::MAX - 1,
];
const RTTS: [u32; 8] = [0, 1, 10, 1000, 50_000, 500_000, 60_000_000, u32::MAX];
const CURVES: [CurveId; 2] = [CurveId::Cubic, CurveId::Reno];

struct Results(Sha256);

impl Results {
    fn add(&mut self, value: u64) {
        self.0.update(value.to_be_bytes());
    }

    fn growth(&mut self, growth: &Growth) {
        let Growth { window0, ssthresh, w_max, k, rtt } = *growth;
        for value in [window0, ssthresh, w_max, k, rtt] {
            self.add(value.into());
        }
    }

    fn epoch(&mut self, epoch: Option<Epoch>) {
        let Some(Epoch { curve, base, growth, flight, exit }) = epoch else { return self.add(u64::MAX) };
        self.add(u8::from(curve).into());
        self.add(base);
        self.growth(&growth);
        self.add(flight.into());
        assert_eq!(exit, None, "no epoch begins with an exit");
    }

    /// All that a curve says about a growth.
    fn curve(&mut self, id: CurveId, growth: &Growth) {
        let curve = curve::curve(id);
        for acked in ACKED {
            self.add(curve.window(growth, acked).into());
            self.add(curve.avoidance(growth, acked.min(1 << 48)).to_bits());
        }
        for window in [1, 2, 17, 1000, curve::MAX_WINDOW] {
            self.add(curve.reduced(window).into());
            self.growth(&curve.after_loss(growth, window, growth.rtt));
            self.growth(&curve.after_timeout(growth, window, growth.rtt));
            self.growth(&curve.after_slow_start_exit(growth, window, growth.rtt));
            self.growth(&curve.resumed(growth, window, growth.rtt));
        }
    }

    /// All that an epoch says.
    fn closed_forms(&mut self, epoch: &Epoch) {
        self.add(epoch.exit_number().unwrap_or(0));
        self.add(epoch.rtt().into());
        self.add(epoch.first_position());
        for acked in ACKED.into_iter().filter(|&acked| acked < MAX_POSITION) {
            let position = epoch.base + acked;
            self.add(epoch.window(acked).into());
            self.add(epoch.allowed(acked));
            self.add(epoch.share_start(position));
            let share = epoch.share(&(position..position + 64));
            self.add(share.end - share.start);
            let window = epoch.window(acked);
            for carried in [window, window.div_ceil(2)] {
                self.epoch(epoch.recover(position, carried, 40_000));
            }
            for now in [Timestamp::ZERO, Timestamp::from_millis(1_790_000_000_000), Timestamp::NEVER] {
                self.epoch(epoch.restart(acked, 40_000, now));
                self.epoch(epoch.resume(acked, INITIAL_WINDOW, 40_000, now));
            }
        }
        let flight = u64::from(epoch.flight);
        for rank in [0, 1, flight / 3, flight / 2, flight.saturating_sub(1), flight] {
            self.add(epoch.share_start(epoch.first_position() + rank));
        }
    }
}

/// Every combination of parameters at and between their limits.
fn lattice() -> impl Iterator<Item = Growth> {
    const LARGEST: u32 = curve::MAX_WINDOW;
    let of = |window0| {
        let of = move |ssthresh| {
            let of = move |w_max| {
                let of = move |k| RTTS.map(move |rtt| Growth { window0, ssthresh, w_max, k, rtt });
                [0, 1, 2500, 4217, 42_171, 131_072, u32::MAX].into_iter().flat_map(of)
            };
            [0, 3, 100, 60_000, LARGEST, u32::MAX].into_iter().flat_map(of)
        };
        [0, 2, 70, 40_000, LARGEST, u32::MAX].into_iter().flat_map(of)
    };
    [1, 2, 10, 100, 5000, LARGEST].into_iter().flat_map(of).step_by(STEP)
}

/// What becomes of a flow in a long life, the same in every run.
fn lives() -> impl Iterator<Item = (CurveId, Growth)> {
    let mut state = 1u64;
    let mut random = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut growth = Growth::first(INITIAL_WINDOW);
    (0..6000).map(move |event| {
        let id = CURVES[event / 3000];
        let (curve, rtt) = (curve::curve(id), RTTS[random(8) as usize] / (1 + random(7) as u32));
        let bits = random(24);
        let window = curve.window(&growth, random(1 << bits));
        growth = match random(8) {
            0 => curve.after_timeout(&growth, window, rtt),
            1 => curve.after_slow_start_exit(&growth, window, rtt),
            2 => curve.resumed(&growth, window.min(INITIAL_WINDOW), rtt),
            3 => Growth::first(INITIAL_WINDOW),
            _ => curve.after_loss(&growth, window, rtt),
        };
        (id, growth)
    })
}

#[test]
fn the_closed_forms_are_the_same_everywhere() {
    let mut results = Results(Sha256::new());
    for growth in lattice() {
        for id in CURVES {
            results.curve(id, &growth);
        }
    }
    for (number, (id, growth)) in lives().step_by(STEP).enumerate() {
        results.curve(id, &growth);
        if number % 10 != 0 {
            continue;
        }
        for base in [1, 1000, 1 << 40, MAX_NUMBER - (1 << 20), MAX_NUMBER - 1] {
            for flight in [0, 1, 99, u32::MAX] {
                let flight = u64::from(flight).min(base) as u32;
                let epoch = Epoch { curve: id, base, growth, flight, exit: None };
                results.closed_forms(&epoch);
                let exit =
                    Some(SlowStartExit { position: 7, rtt: 30_000 }).filter(|&exit| epoch.admits(exit));
                results.closed_forms(&Epoch { exit, ..epoch });
            }
        }
    }
    for own in 0..200 {
        results.add((0..400).filter(|&numbers| adopts(own, numbers)).count() as u64);
    }
    for millis in [0, 1, 1 << 41, 1 << 42, 1 << 43, u64::MAX] {
        results.add(Epoch::birth_base(Timestamp::from_millis(millis), 1 << 30));
    }
    let digest: String = results.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(digest, DIGEST);
}
