//! Congestion curves: the window as a closed-form function of the packets acknowledged in an epoch
//! (docs/protocol.md sections 5.23 to 5.32).
//!
//! A server that remembers nothing cannot count acknowledgements one by one, so a curve answers for any
//! position at once. Replicas must agree to the bit: everything here is integers, or IEEE 754 addition,
//! subtraction, multiplication, division, square root and floor, which round the same way everywhere.

use std::fmt::Debug;

#[cfg(test)]
mod tests;

/// The largest window, in packets; every curve is constant once it gets there.
pub const MAX_WINDOW: u32 = 1 << 20;

/// Beyond any epoch's positions (docs/protocol.md section 5.2); more acknowledged packets count as this many.
const MAX_ACKED: u64 = 1 << 48;

/// What a reduction leaves at least, in packets (RFC 9438 section 4.6, RFC 5681 section 3.1).
const MIN_WINDOW: u32 = 2;

/// Parameters of an epoch's window function, as they travel in a continuation.
///
/// [`Growth::first`] and the methods of [`Curve`] make meaningful ones; the promises of [`Curve`] hold for any
/// other values too, `window0` being taken as the nearest in its range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Growth {
    /// The window at the start of the epoch, in packets, `1..=MAX_WINDOW`.
    pub window0: u32,
    /// Where slow start ends, in packets; `u32::MAX` while no congestion has been met.
    pub ssthresh: u32,
    /// The window at which congestion was last met or the first slow start left, in packets; 0 before either.
    ///
    /// This is `cwnd_prior` of RFC 9438 section 4.1.2, `W_max` before fast convergence lowers it. The lowered
    /// one follows from `k`, exactly at any window: `W_max = max(window0, ssthresh) + C K^3`.
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

    /// The window at which congestion avoidance starts, in packets.
    fn avoidance_start(&self) -> u32 {
        self.ssthresh.max(self.window0).clamp(1, MAX_WINDOW)
    }
}

/// A congestion control algorithm, as a pure function of an epoch's parameters.
///
/// For every `growth` and `i`, `window(growth, i) <= window(growth, i + 1) <= window(growth, i) + 1`, never more
/// than [`MAX_WINDOW`], and `window(growth, 0)` is `window0`: the numbering of packets rests on it
/// (docs/protocol.md section 5.3).
pub trait Curve: Debug + Send + Sync {
    /// What a congestion event leaves of a window of `window` whole packets, at least 2: `beta * (window + 1/2)`,
    /// rounded, since the window before it was cut to whole packets was half a packet more on average.
    fn reduced(&self, window: u32) -> u32;

    /// The window of congestion avoidance in packets and fractions of one, once `acked` packets (up to 2^49)
    /// are acknowledged in it: at first the larger of `window0` and `ssthresh`, then growing by less than a
    /// packet for each, or anything beyond [`MAX_WINDOW`].
    fn avoidance(&self, growth: &Growth, acked: u64) -> f64;

    /// The window, in packets, once `acked` packets of the epoch are acknowledged.
    fn window(&self, growth: &Growth, acked: u64) -> u32 {
        let grown = u64::from(growth.window0.clamp(1, MAX_WINDOW)) + acked.min(MAX_ACKED);
        match grown.checked_sub(u64::from(growth.avoidance_start())) {
            None => grown as u32,
            Some(acked) => (self.avoidance(growth, acked) as u32).min(MAX_WINDOW),
        }
    }

    /// The epoch after a loss met at `window` packets (Recover), in congestion avoidance from the reduced window
    /// on; `rtt` in microseconds.
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

/// Additive increase by `alpha` packets per round trip. A round trip acknowledges one window `w`, so
/// `dw/di = alpha / w`.
fn additive(from: f64, alpha: f64, acked: f64) -> f64 {
    (from * from + 2.0 * alpha * acked).sqrt()
}

/// The inverse of [`additive`]: how many packets are acknowledged while the window grows to `to`.
fn additive_acked(from: f64, alpha: f64, to: f64) -> f64 {
    (to * to - from * from) / (2.0 * alpha)
}

#[derive(Debug)]
struct Reno;

impl Curve for Reno {
    fn reduced(&self, window: u32) -> u32 {
        (2 * u64::from(window)).div_ceil(4).max(MIN_WINDOW.into()) as u32
    }

    fn avoidance(&self, growth: &Growth, acked: u64) -> f64 {
        additive(f64::from(growth.avoidance_start()), 1.0, acked as f64)
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
        ((u64::from(window) * 70 + 85) / 100).max(MIN_WINDOW.into()) as u32
    }

    fn avoidance(&self, growth: &Growth, acked: u64) -> f64 {
        CubicAvoidance::new(growth).window(acked as f64)
    }

    fn after_loss(&self, previous: &Growth, window: u32, rtt: u32) -> Growth {
        let start = self.reduced(window);
        let met = u64::from(window) * CUBES;
        // Fast convergence (RFC 9438 section 4.7): W_max = W (1 + beta) / 2.
        let w_max = if previous.w_max > 0 && met < previous.plateau() { met / 20 * 17 } else { met };
        Growth { window0: start, ssthresh: start, w_max: window, k: 0, rtt }.with_plateau(w_max)
    }

    fn resumed(&self, previous: &Growth, window0: u32, rtt: u32) -> Growth {
        let growth = Growth { window0, rtt, ..*previous };
        if previous.k == 0 { growth } else { growth.with_plateau(previous.plateau()) }
    }
}

/// `C` in packets per cubic second (RFC 9438 section 5).
const C: f64 = 0.4;

/// `1 / C` in cubic milliseconds per packet: with windows in this fraction of a packet, `K` is an integer root.
const CUBES: u64 = 2_500_000_000;

/// `alpha_cubic = 3 (1 - beta) / (1 + beta)` (RFC 9438 section 4.3).
const ALPHA: f64 = 9.0 / 17.0;

/// The most that a round trip [counts](counted) on the cubic's clock, in microseconds.
///
/// `dW/di = rtt W'(t) / W` must not exceed 1. At half a second it is at most `0.59 / cbrt(w_max)` beyond the
/// plateau. Before, it is largest at the start, `0.6 K^2 / start`, and with `C K^3 <= start` that is below 1
/// from 2 packets on; a start of 1 flattens before its first packet is through.
const MAX_RTT: u32 = 500_000;

/// What a round trip counts that was declared, in microseconds: a quarter more. Declared is a little less than the
/// shortest one, and that is met while the queue that the flow makes itself is shortest.
pub(crate) fn counted(rtt: u32) -> u32 {
    rtt.saturating_add(rtt / 4)
}

impl Growth {
    /// What the cubic gains from its start to its plateau, in `1 / CUBES` packets.
    ///
    /// A reduction at most halves the window, so no [`Curve`] makes it more than the start. More would let the
    /// window grow by more than a packet per packet, and counts as no plateau.
    fn rise(&self) -> u64 {
        let cube = u64::from(self.k).saturating_pow(3);
        if cube <= u64::from(self.avoidance_start()) * CUBES { cube } else { 0 }
    }

    /// `W_max` of RFC 9438, in `1 / CUBES` packets.
    fn plateau(&self) -> u64 {
        u64::from(self.avoidance_start()) * CUBES + self.rise()
    }

    fn with_plateau(self, w_max: u64) -> Self {
        Self { k: cube_root(w_max.saturating_sub(u64::from(self.avoidance_start()) * CUBES)), ..self }
    }
}

/// The integer cube root, of up to 18 bits.
fn cube_root(cube: u64) -> u32 {
    (0..18).rev().fold(0u64, |root, bit| {
        let next = root | 1 << bit;
        if next.pow(3) <= cube { next } else { root }
    }) as u32
}

/// Congestion avoidance of one CUBIC epoch: the larger of the cubic and the Reno-friendly estimate `W_est`.
///
/// Both are functions of time, and packets are acknowledged at the rate `W / rtt` of the larger. To take the
/// larger of two functions of *packets* would run the cubic's clock too fast once `W_est` has led (windows up
/// to 90 % too large). Hence three stretches: the cubic until `W_est` overtakes it, `W_est` until it falls
/// behind for good, the cubic from there.
///
/// Time is in seconds and zero at the plateau; the epoch begins at `-k`.
struct CubicAvoidance {
    start: f64,
    /// Where `W_est` turns from slope `ALPHA` to slope 1.
    prior: f64,
    k: f64,
    rtt: f64,
    cubic: CubicFunction,
}

impl CubicAvoidance {
    fn new(growth: &Growth) -> Self {
        let start = f64::from(growth.avoidance_start());
        let k = if growth.rise() == 0 { 0.0 } else { f64::from(growth.k) / 1e3 };
        let cubic = CubicFunction { w_max: start + C * (k * k * k) };
        let prior = f64::from(growth.w_max.min(MAX_WINDOW)).max(cubic.w_max);
        Self { start, prior, k, rtt: f64::from(counted(growth.rtt).min(MAX_RTT)) / 1e6, cubic }
    }

    /// Monotone by construction: every stretch is, and is kept between the windows at its ends.
    fn window(&self, acked: f64) -> f64 {
        if self.rtt == 0.0 {
            return Friendly::new(self.start, self.prior).window(acked);
        }
        let origin = self.cubic.area(-self.k);
        let area = origin + acked * self.rtt;
        let Some((overtaken, resumes)) = self.friendly_stretch() else {
            return self.cubic.window_at_area(area).max(self.start);
        };
        let low = self.cubic.window(overtaken).max(self.start);
        let lead = (self.cubic.area(overtaken) - origin) / self.rtt;
        if acked < lead {
            return self.cubic.window_at_area(area).clamp(self.start, low);
        }
        let friendly = Friendly::new(low, self.prior);
        let high = self.cubic.window(resumes).max(low);
        let window = friendly.window(acked - lead);
        if window <= high {
            return window;
        }
        let beyond = acked - lead - friendly.acked(high);
        self.cubic.window_at_area(self.cubic.area(resumes) + beyond * self.rtt).max(high)
    }

    /// When `W_est` overtakes the cubic and when it falls behind for good, if it leads at all.
    fn friendly_stretch(&self) -> Option<(f64, f64)> {
        let bend = (self.prior - self.start) * self.rtt / ALPHA - self.k;
        let early = self.early_crossings();
        let late = self.late_crossing(bend, 1.0).filter(|&end| end > bend);
        let overtaken = match early {
            Some((overtaken, _)) if overtaken <= bend => overtaken.max(-self.k),
            _ => late.and_then(|_| self.late_crossing(bend, -1.0))?,
        };
        Some((overtaken, late.or(early.map(|(_, end)| end))?))
    }

    /// Where the line of slope `ALPHA / rtt` meets the cubic, apart from the start that they share: dividing
    /// that root out leaves a quadratic equation.
    fn early_crossings(&self) -> Option<(f64, f64)> {
        let square = 4.0 * ALPHA / (C * self.rtt) - 3.0 * self.k * self.k;
        let root = square.max(0.0).sqrt();
        (square >= 0.0).then_some(((self.k - root) / 2.0, (self.k + root) / 2.0))
    }

    /// Where the line of slope `1 / rtt` through `prior` at `bend` meets the cubic before (`side` = -1) and
    /// after (1) the two are parallel.
    ///
    /// In units of `1 / sqrt(C rtt)` that is `x^3 - x + c = 0`. Without its third-order term the expansion
    /// about `x = 1 / sqrt(3)`, where they are parallel, is solved by a root; Newton's method does the rest.
    fn late_crossing(&self, bend: f64, side: f64) -> Option<f64> {
        const PARALLEL: f64 = 0.577_350_269_189_625_8;
        let unit = 1.0 / (C * self.rtt).sqrt();
        let c = (bend - (self.prior - self.cubic.w_max) * self.rtt) / unit;
        let square = 2.0 / 9.0 - c * PARALLEL;
        (square > 0.0).then(|| {
            let guess = PARALLEL + side * square.sqrt();
            unit * (0..3).fold(guess, |x, _| x - (x * x * x - x + c) / (3.0 * x * x - 1.0))
        })
    }
}

/// `W_est` of RFC 9438 section 4.3 as a function of packets: slope `ALPHA` up to `prior`, then slope 1.
struct Friendly {
    from: f64,
    prior: f64,
    /// Packets acknowledged on the way to `prior`.
    bend: f64,
}

impl Friendly {
    fn new(from: f64, prior: f64) -> Self {
        let prior = prior.max(from);
        Self { from, prior, bend: additive_acked(from, ALPHA, prior) }
    }

    fn window(&self, acked: f64) -> f64 {
        if acked < self.bend {
            additive(self.from, ALPHA, acked).min(self.prior)
        } else {
            additive(self.prior, 1.0, acked - self.bend)
        }
    }

    fn acked(&self, window: f64) -> f64 {
        if window < self.prior {
            additive_acked(self.from, ALPHA, window)
        } else {
            self.bend + additive_acked(self.prior, 1.0, window)
        }
    }
}

/// `W(t) = C t^3 + W_max`, RFC 9438 section 4.2 with the origin of time at the plateau.
struct CubicFunction {
    w_max: f64,
}

impl CubicFunction {
    /// Resolution of the clock in seconds, a power of two so that ticks are exact.
    const TICK: f64 = 1.0 / (1 << 20) as f64;

    /// Monotone in floating point too: rounding keeps order and every operation does.
    fn window(&self, t: f64) -> f64 {
        C * (t * t * t) + self.w_max
    }

    /// The integral of the window from the plateau to `t`: packets acknowledged, times `rtt`.
    fn area(&self, t: f64) -> f64 {
        (C / 4.0 * (t * t * t) + self.w_max) * t
    }

    fn window_at_area(&self, area: f64) -> f64 {
        self.window(self.tick_at_area(area))
    }

    /// The last tick by which no more than `area` is reached.
    ///
    /// Newton's method alone wobbles in the last bits, and the window with it wherever the plateau is an
    /// integer. In a tick the integral grows by far more than its rounding error, so the last tick to pass the
    /// comparison is unique, and monotone in `area`. Up to `MAX_WINDOW` a tick is worth at most 0.03 packets.
    fn tick_at_area(&self, area: f64) -> f64 {
        let linear = area / self.w_max;
        // Either term alone has a larger solution, from which Newton's method comes down in order. Four steps
        // end within a tick for any plateau up to twice the start; one is spare.
        let guess = if linear > 0.0 { linear.min((4.0 / C * area).sqrt().sqrt()) } else { linear };
        let t = (0..5).fold(guess, |t, _| t - (self.area(t) - area) / self.window(t));
        let tick = (t / Self::TICK).floor() * Self::TICK;
        if self.area(tick) > area {
            tick - Self::TICK
        } else if self.area(tick + Self::TICK) <= area {
            tick + Self::TICK
        } else {
            tick
        }
    }
}
