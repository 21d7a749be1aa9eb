//! Congestion curves: the window as a closed-form function of the packets acknowledged in an epoch
//! (docs/protocol.md, "Curves").
//!
//! A server that remembers nothing cannot count acknowledgements one by one, so a curve answers for any
//! position at once. Replicas must agree to the bit: everything here is integers, or IEEE 754 addition,
//! subtraction, multiplication, division, square root and floor, which round the same way everywhere.

use std::fmt::Debug;

#[cfg(test)]
mod tests;

/// The largest window, in packets; every curve is constant once it gets there.
pub const MAX_WINDOW: u32 = 1 << 20;

/// Positions of an epoch end here (docs/protocol.md); more acknowledged packets than this count as this many.
const MAX_ACKED: u64 = 1 << 48;

/// The least that a reduction leaves, in packets (RFC 9438 section 4.6, RFC 5681 section 3.1).
const MIN_WINDOW: u32 = 2;

/// Parameters of an epoch's window function, as they travel in a continuation: integers, so that replicas
/// agree to the bit.
///
/// [`Growth::first`] and the methods of [`Curve`] make meaningful ones; any other values do no harm either.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Growth {
    /// The window at the start of the epoch, in packets, `1..=MAX_WINDOW`.
    pub window0: u32,
    /// Where slow start ends, in packets; `u32::MAX` while no congestion has been met.
    pub ssthresh: u32,
    /// The window at which congestion was last met or the first slow start left, in packets: `cwnd_prior` of
    /// RFC 9438 section 4.1.2, which is `W_max` before fast convergence lowers it. 0 before either.
    ///
    /// `W_max` itself is where `k` leads.
    pub w_max: u32,
    /// `K` of RFC 9438 section 4.2, in milliseconds rounded down: how long the cubic takes from the start of
    /// congestion avoidance to its plateau, `W_max`.
    pub k: u32,
    /// Round-trip time in microseconds, frozen for the epoch; 0 when there is no sample.
    pub rtt: u32,
}

impl Growth {
    /// The first epoch of a flow: slow start from `window0` packets without an end.
    pub fn first(window0: u32) -> Self {
        Self { window0, ssthresh: u32::MAX, w_max: 0, k: 0, rtt: 0 }
    }

    fn phase(&self, acked: u64) -> Phase {
        let start = self.avoidance_start();
        let grown = u64::from(self.window0.clamp(1, MAX_WINDOW)) + acked.min(MAX_ACKED);
        match grown.checked_sub(u64::from(start)) {
            None => Phase::SlowStart { window: grown as u32 },
            Some(acked) => Phase::Avoidance { start: f64::from(start), acked: acked as f64 },
        }
    }

    fn avoidance_start(&self) -> u32 {
        self.ssthresh.max(self.window0).clamp(1, MAX_WINDOW)
    }
}

enum Phase {
    SlowStart {
        window: u32,
    },
    /// `acked` packets acknowledged since the window was `start`.
    Avoidance {
        start: f64,
        acked: f64,
    },
}

/// A congestion control algorithm, as a pure function of an epoch's parameters.
///
/// For every `growth` and `i`, `window(growth, i) <= window(growth, i + 1) <= window(growth, i) + 1`, and
/// `window(growth, 0)` is `window0`: the numbering of packets rests on it (docs/protocol.md, section 2).
pub trait Curve: Debug + Send + Sync {
    /// What a congestion event leaves of a window of `window` packets: `max(2, floor(beta * window))`.
    fn reduced(&self, window: u32) -> u32;

    /// The window, in packets, once `acked` packets of the epoch are acknowledged.
    fn window(&self, growth: &Growth, acked: u64) -> u32;

    /// The epoch after a loss met at `window` packets (Recover); `rtt` in microseconds.
    fn after_loss(&self, previous: &Growth, window: u32, rtt: u32) -> Growth;

    /// The epoch after the flow fell silent at `window` packets (Restart): slow start from 2 packets to the
    /// reduced window, then a curve without a plateau (RFC 9438 section 4.8); `rtt` in microseconds.
    fn after_timeout(&self, _previous: &Growth, window: u32, rtt: u32) -> Growth {
        Growth { window0: MIN_WINDOW, ssthresh: self.reduced(window), w_max: window, k: 0, rtt }
    }

    /// Congestion avoidance from `window` packets on because the round trip grew (HyStart++, RFC 9406 section
    /// 4.2); `rtt` in microseconds. After an exit at position `x`, position `i` has `acked = i - x` here.
    fn after_slow_start_exit(&self, _previous: &Growth, window: u32, rtt: u32) -> Growth {
        Growth { window0: window, ssthresh: window, w_max: window, k: 0, rtt }
    }

    /// The epoch that takes `previous` up again at `window0` packets, nothing having been lost (Resume); `rtt`
    /// in microseconds.
    fn resumed(&self, previous: &Growth, window0: u32, rtt: u32) -> Growth {
        Growth { window0, rtt, ..*previous }
    }
}

/// Which curve a flow follows, as it travels in a continuation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum CurveId {
    /// CUBIC, RFC 9438.
    #[default]
    Cubic = 1,
    /// Reno, RFC 5681.
    Reno = 2,
}

impl CurveId {
    /// The curve of this number, if there is one.
    pub fn from_u8(id: u8) -> Option<Self> {
        match id {
            1 => Some(Self::Cubic),
            2 => Some(Self::Reno),
            _ => None,
        }
    }
}

impl From<CurveId> for u8 {
    fn from(id: CurveId) -> Self {
        id as Self
    }
}

/// The curve that `id` names.
pub fn curve(id: CurveId) -> &'static dyn Curve {
    match id {
        CurveId::Cubic => &Cubic,
        CurveId::Reno => &Reno,
    }
}

/// Additive increase by `alpha` packets per round trip, from `window` packets on. A round trip acknowledges
/// one window `w`, so `dw/di = alpha / w`.
fn additive(window: f64, alpha: f64, acked: f64) -> f64 {
    (window * window + 2.0 * alpha * acked).sqrt()
}

/// The inverse of [`additive`]: how many packets are acknowledged while the window grows to `to`.
fn additive_acked(from: f64, alpha: f64, to: f64) -> f64 {
    (to * to - from * from) / (2.0 * alpha)
}

/// Whole packets; the cast saturates.
fn packets(window: f64) -> u32 {
    (window as u32).min(MAX_WINDOW)
}

#[derive(Debug)]
struct Reno;

impl Curve for Reno {
    fn reduced(&self, window: u32) -> u32 {
        (window / 2).max(MIN_WINDOW)
    }

    fn window(&self, growth: &Growth, acked: u64) -> u32 {
        match growth.phase(acked) {
            Phase::SlowStart { window } => window,
            Phase::Avoidance { start, acked } => packets(additive(start, 1.0, acked)),
        }
    }

    fn after_loss(&self, _previous: &Growth, window: u32, rtt: u32) -> Growth {
        let start = self.reduced(window);
        Growth { window0: start, ssthresh: start, w_max: window, k: 0, rtt }
    }
}

#[derive(Debug)]
struct Cubic;

impl Curve for Cubic {
    fn reduced(&self, window: u32) -> u32 {
        ((u64::from(window) * 7 / 10) as u32).max(MIN_WINDOW)
    }

    fn window(&self, growth: &Growth, acked: u64) -> u32 {
        match growth.phase(acked) {
            Phase::SlowStart { window } => window,
            Phase::Avoidance { start, acked } => packets(Avoidance::new(growth, start).window(acked)),
        }
    }

    fn after_loss(&self, previous: &Growth, window: u32, rtt: u32) -> Growth {
        let start = self.reduced(window);
        let met = u64::from(window) * CUBE_PER_PACKET;
        // Fast convergence, RFC 9438 section 4.7: W_max = W (1 + beta) / 2.
        let w_max = if previous.w_max > 0 && met < plateau(previous) { met / 20 * 17 } else { met };
        Growth { window0: start, ssthresh: start, w_max: window, k: 0, rtt }.with_plateau(w_max)
    }

    fn resumed(&self, previous: &Growth, window0: u32, rtt: u32) -> Growth {
        let growth = Growth { window0, rtt, ..*previous };
        if previous.k == 0 { growth } else { growth.with_plateau(plateau(previous)) }
    }
}

/// `1 / C` for `C = 0.4` packets per cubic second (RFC 9438 section 5), in cubic milliseconds per packet.
const CUBE_PER_PACKET: u64 = 2_500_000_000;
const C: f64 = 0.4;
const ALPHA: f64 = 9.0 / 17.0;
const MAX_RTT: u32 = 500_000;

fn plateau(growth: &Growth) -> u64 {
    u64::from(growth.avoidance_start()) * CUBE_PER_PACKET + growth.rise()
}

impl Growth {
    fn rise(&self) -> u64 {
        let cube = u64::from(self.k).saturating_pow(3);
        if cube > u64::from(self.avoidance_start()) * CUBE_PER_PACKET { 0 } else { cube }
    }
    fn with_plateau(self, plateau: u64) -> Self {
        let start = u64::from(self.avoidance_start()) * CUBE_PER_PACKET;
        Self { k: cube_root(plateau.saturating_sub(start)), ..self }
    }
}

fn cube_root(cube: u64) -> u32 {
    (0..18).rev().fold(0u64, |root, bit| {
        let next = root | 1 << bit;
        if next.pow(3) <= cube { next } else { root }
    }) as u32
}

struct Avoidance {
    start: f64,
    prior: f64,
    k: f64,
    rtt: f64,
    cubic: Cube,
}

impl Avoidance {
    fn new(growth: &Growth, start: f64) -> Self {
        let k = if growth.rise() == 0 { 0.0 } else { f64::from(growth.k) / 1e3 };
        let cubic = Cube { plateau: start + C * (k * k * k) };
        let rtt = f64::from(growth.rtt.min(MAX_RTT)) / 1e6;
        Self { start, prior: f64::from(growth.w_max.min(MAX_WINDOW)).max(cubic.plateau), k, rtt, cubic }
    }

    fn window(&self, acked: f64) -> f64 {
        let (first, second) = self.crossings();
        let begin = self.cubic.area(-self.k);
        let area = acked * self.rtt;
        let lead = self.cubic.area(first) - begin;
        if first > -self.k && !(area >= lead) {
            return self.cubic.at_area(begin + area).clamp(self.start, self.cubic.window(first));
        }
        let from = if first > -self.k { self.cubic.window(first) } else { self.start };
        let acked = if first > -self.k { acked - lead / self.rtt } else { acked };
        let bend = additive_acked(from, ALPHA, self.prior).max(0.0);
        let friendly = if acked < bend { additive(from, ALPHA, acked) } else { additive(from.max(self.prior), 1.0, acked - bend) };
        if second == f64::INFINITY { return friendly; }
        let to = self.cubic.window(second);
        if friendly <= to { return friendly; }
        let end = if to < self.prior { additive_acked(from, ALPHA, to) } else { bend + additive_acked(from.max(self.prior), 1.0, to) };
        self.cubic.at_area((acked - end) * self.rtt + self.cubic.area(second)).max(to)
    }

    fn crossings(&self) -> (f64, f64) {
        if self.rtt == 0.0 { return (-self.k, f64::INFINITY); }
        let bend = (self.prior - self.start) * self.rtt / ALPHA - self.k;
        let disc = 4.0 * ALPHA / (C * self.rtt) - 3.0 * self.k * self.k;
        let root = if disc < 0.0 { None } else { Some(disc.sqrt()) };
        let unit = (1.0 / (C * self.rtt)).sqrt();
        let eta = (bend - (self.prior - self.cubic.plateau) * self.rtt) / unit;
        const XC: f64 = 0.577_350_269_189_625_8;
        let spread = (2.0 / 3.0 * XC - eta) * XC;
        let spread = if spread > 0.0 { Some(spread.sqrt()) } else { None };
        let newton = |x: f64| { let mut x = x; for _ in 0..3 { x -= (x * x * x - x + eta) / (3.0 * x * x - 1.0); } x * unit };
        let first = match (root, spread) {
            (Some(r), _) if (self.k - r) / 2.0 <= bend => ((self.k - r) / 2.0).max(-self.k),
            (_, Some(d)) if bend < XC * unit => newton(XC - d),
            _ => return (f64::INFINITY, f64::INFINITY),
        };
        let second = match (root, spread) {
            (_, Some(d)) if { newton(XC + d) > bend } => newton(XC + d),
            (Some(r), _) => (self.k + r) / 2.0,
            _ => unreachable!(),
        };
        (first, second)
    }
}

#[derive(Clone, Copy)]
struct Cube { plateau: f64 }
impl Cube {
    fn window(&self, s: f64) -> f64 { C * (s * s * s) + self.plateau }
    fn area(&self, s: f64) -> f64 { (C / 4.0 * (s * s * s) + self.plateau) * s }
    fn time(&self, area: f64) -> (f64, f64) {
        const STEPS: u32 = 2;
        const TICK: f64 = 1.0 / (1u32 << 20) as f64;
        let mut s = area / self.plateau;
        if s > 0.0 { s = s.min((area * (4.0 / C)).sqrt().sqrt()); }
        for _ in 0..STEPS { s -= (self.area(s) - area) / self.window(s); }
        let tick = (s / TICK).floor() * TICK;
        if self.area(tick) > area { (tick - TICK, tick) } else if self.area(tick + TICK) <= area { (tick + TICK, tick + 2.0 * TICK) } else { (tick, tick + TICK) }
    }
    fn at_area(&self, area: f64) -> f64 { self.window(self.time(area).0) }
}
