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
