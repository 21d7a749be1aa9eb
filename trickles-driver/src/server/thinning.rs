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
/// Less than the share of the largest flood. At 1000 Hellos a second that would still be one in a minute.
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
/// else about it, and in the queue it would have taken the place of others' datagrams.
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
mod tests {
    use std::net::Ipv4Addr;
    use std::task::Waker;

    use proptest::prelude::*;

    use super::*;
    use crate::fake::FakeRuntime;
    use crate::runtime::Runtime;

    fn thinning(per_second: u32) -> Thinning {
        let timer = FakeRuntime.new_timer(Clock::after(PERIOD));
        Thinning::new(per_second, Clock::unix(), HelloShare::default(), timer)
    }

    fn socket() -> UdpSocket {
        UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()
    }

    /// The share after so many periods in each of which so many a second are sent.
    fn settled(thinning: &mut Thinning, sent: f64, periods: u32) -> f64 {
        let socket = socket();
        for _ in 0..periods {
            let arrived = (sent * thinning.share.get() * PERIOD.as_secs_f64()) as u64;
            thinning.adapt(thinning.arrived + arrived, thinning.began + PERIOD, &socket);
        }
        thinning.share.get()
    }

    #[test]
    fn a_flood_is_thinned_to_what_the_server_may_answer_and_half_as_much_again() {
        let share = settled(&mut thinning(10_000), 15_000_000.0, 3);
        assert!((0.0009..0.0011).contains(&share), "{share}");
    }

    #[test]
    fn after_a_flood_all_are_let_through_within_a_second() {
        let mut thinning = thinning(10_000);
        settled(&mut thinning, 20_000_000.0, 3);
        assert_eq!(settled(&mut thinning, 0.0, 6), 1.0);
    }

    #[test]
    fn what_arrives_over_a_longer_time_is_no_flood() {
        let mut thinning = thinning(10_000);
        thinning.began = Timestamp::from_micros(thinning.began.as_micros() - 1_000_000);
        let mut cx = Context::from_waker(Waker::noop());
        for (arrived, looked_at) in [(2000, 0), (2001, 2001)] {
            thinning.poll(arrived, &socket(), &mut cx);
            assert_eq!((thinning.share.get(), thinning.arrived), (1.0, looked_at));
        }
    }

    #[test]
    fn a_server_that_hears_of_nobody_comes_to_hear_of_them_again() {
        let mut thinning = thinning(10_000);
        let (mut cx, socket) = (Context::from_waker(Waker::noop()), socket());
        thinning.poll(1_000_000, &socket, &mut cx);
        assert!(thinning.share.get() < 0.1);
        // The timer expires every other time.
        (0..30).for_each(|_| thinning.poll(1_000_000, &socket, &mut cx));
        assert_eq!(thinning.share.get(), 1.0);
    }

    proptest! {
        #[test]
        fn the_share_is_one_whatever_arrives(
            per_second: u32,
            periods in prop::collection::vec((0..u64::from(u32::MAX), 0..10_000_000u64), 1..50),
        ) {
            let (mut thinning, socket) = (thinning(per_second), socket());
            for (more, micros) in periods {
                let now = thinning.began + Duration::from_micros(micros);
                thinning.adapt(thinning.arrived + more, now, &socket);
                prop_assert!((MIN_SHARE..=1.0).contains(&thinning.share.get()));
            }
        }
    }
}
