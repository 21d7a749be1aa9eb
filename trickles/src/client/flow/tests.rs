use super::super::run::Sent;
use super::*;
use crate::epoch::CurveId;
use crate::wire::Frames;

fn first() -> Continuation {
    let epoch = Epoch::born(CurveId::Cubic, 1000, 10);
    Continuation {
        key: 1,
        birth_key: 1,
        issuer: 1,
        stream: 1,
        flow: 1,
        tag: 1,
        epoch,
        first: 1000,
        count: 10,
        earned: 999,
        issued: Timestamp::ZERO,
        rooted: Timestamp::ZERO,
        port: 1,
        bytes: 12_000,
    }
}

#[test]
fn patience_does_not_shorten_a_round_trip() {
    let at = Timestamp::from_millis;
    let mut flow = Flow::new(&first());
    let sent = |echo, time| Sent { echo, at: at(time) };
    let run = Run {
        positions: 1000..1001,
        numbers: 1010..1012,
        pending: mask(2),
        wants: Box::new([]),
        user_continuation: Arc::new([]),
        packet_size: 1200,
        input: None,
        first: sent(1, 0),
        last: sent(2, 500),
        presented: 2,
        answered: None,
        spent: None,
        parked: None,
        delayed: None,
    };
    flow.add_run(run, Duration::from_millis(40));
    assert!(flow.park(2, at(2000)) && flow.unpark(at(2000)));
    let frames = Frames::default();
    let train = Train { echo: 2, refresh: false, number: 1010, span: 2, left: 0, nonce: 0, frames };
    let arrival = flow.receive(&train, at(2001), &mut |_| {});
    assert_eq!(arrival.elapsed, Some(Duration::from_millis(1501)));
}
