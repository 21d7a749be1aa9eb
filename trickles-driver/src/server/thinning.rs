//! Hellos that the server would refuse, dropped by the system before they are queued.

use std::io;
use std::net::UdpSocket;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::Context;
use std::time::Duration;

use trickles::time::Timestamp;

use crate::clock::Clock;
use crate::runtime::AsyncTimer;
use crate::socket::let_hellos_through;

/// For so long a share holds, unless far more arrive meanwhile than were to.
const PERIOD: Duration = Duration::from_millis(100);
/// Fewer a second are no burden, even to a server that may answer none.
const LEAST: u32 = 1000;
/// As many Hellos as the server may answer, times this, are a flood.
const FLOOD: f64 = 2.0;
/// The share is chosen so that as many arrive as the server may answer, times this: it still has to choose.
const AIM: f64 = 1.5;
/// By how much the share grows at most from one period to the next.
const MAX_GROWTH: f64 = 4.0;
/// Less than the share of the largest flood.
const MIN_SHARE: f64 = 1.0 / 65_536.0;

/// The share of Hellos that the system lets through: 1 if it drops none.
#[derive(Clone, Debug)]
pub(super) struct HelloShare(Arc<AtomicU64>);

impl HelloShare {
    pub(super) fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Relaxed))
    }

    fn set(&self, share: f64) {
        self.0.store(share.to_bits(), Relaxed);
    }
}

impl Default for HelloShare {
    fn default() -> Self {
        Self(Arc::new(1f64.to_bits().into()))
    }
}

/// Has the system drop Hellos at random, while far more arrive than the server may answer.
///
/// What is dropped would have been refused, after it had been queued, copied and parsed, which costs more than all
/// else about it, and in the queue it would have taken the place of others' datagrams. Only when a flood ends are
/// Hellos lost that would have been answered, until the share has grown again.
#[derive(Debug)]
pub(super) struct Thinning {
    /// How many Hellos are to arrive, times [`AIM`].
    per_second: u32,
    clock: Clock,
    share: HelloShare,
    began: Timestamp,
    /// How many had arrived by then.
    arrived: u64,
    /// Expires at the end of the period, if the system drops any.
    timer: Pin<Box<dyn AsyncTimer>>,
}

impl Thinning {
    /// `per_second`: how many Hellos the server may answer. `share` is kept up to date.
    pub(super) fn new(
        per_second: u32,
        clock: Clock,
        share: HelloShare,
        timer: Pin<Box<dyn AsyncTimer>>,
    ) -> Self {
        Self { per_second: per_second.max(LEAST), clock, share, began: clock.now(), arrived: 0, timer }
    }

    /// Takes note of how many Hellos have `arrived` in all. While some are dropped, the task is woken at the end of
    /// the period: else a server that hears of nobody would never come to hear of anybody.
    pub(super) fn poll(&mut self, arrived: u64, socket: &UdpSocket, cx: &mut Context<'_>) {
        let flood = FLOOD * f64::from(self.per_second) * PERIOD.as_secs_f64();
        while (arrived - self.arrived) as f64 > flood
            || self.share.get() < 1.0 && self.timer.as_mut().poll(cx).is_ready()
        {
            self.adapt(arrived, self.clock.now(), socket);
            self.timer.as_mut().reset(Clock::after(PERIOD));
        }
    }

    /// Begins the next period.
    fn adapt(&mut self, arrived: u64, now: Timestamp, socket: &UdpSocket) {
        let allowed = f64::from(self.per_second) * now.since(self.began).as_secs_f64();
        // Of none at all it is the most that it grows.
        let factor = AIM * allowed / (arrived - self.arrived) as f64;
        let before = self.share.get();
        let share = (before * factor.min(MAX_GROWTH)).clamp(MIN_SHARE, 1.0);
        (self.began, self.arrived) = (now, arrived);
        match let_through(socket, before, share) {
            Ok(()) => self.share.set(share),
            Err(error) => tracing::debug!(%error, "the system does not drop Hellos"),
        }
    }
}

/// Changes the system's share, if there is anything to change.
fn let_through(socket: &UdpSocket, before: f64, share: f64) -> io::Result<()> {
    if before < 1.0 || share < 1.0 {
        let_hellos_through(socket, share)?;
    }
    match (before < 1.0, share < 1.0) {
        (false, true) => tracing::warn!(share, "flood of Hellos: the system drops most of them"),
        (true, false) => tracing::info!("the flood of Hellos is over"),
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests;
