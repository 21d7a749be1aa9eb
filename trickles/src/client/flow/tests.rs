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

const SMOOTHED: Duration = Duration::from_millis(40);

fn sent(echo: u64, millis: u64) -> Sent {
    Sent { echo, at: Timestamp::from_millis(millis) }
}

/// Claimed once, under echo value 1.
fn run(positions: Range<u64>, numbers: Range<u64>) -> Run {
    Run {
        positions,
        pending: mask(numbers.end - numbers.start),
        numbers,
        wants: Box::new([]),
        user_continuation: Arc::new([]),
        packet_size: 1200,
        form: Form::Abbreviated,
        input: None,
        first: sent(1, 0),
        last: sent(1, 0),
        presented: 1,
        answered: None,
        granted_to: None,
        spent: None,
        parked: None,
        delayed: None,
        doubted: None,
    }
}

/// A packet for one number or two, of a train with `left` more.
fn receive(flow: &mut Flow, echo: u64, numbers: Range<u64>, left: u8, millis: u64) -> Arrival {
    let (number, span) = (numbers.start, (numbers.end - numbers.start) as u8);
    let frames = Frames::default();
    let train = Train { echo, refresh: false, number: number as u32, span, left, nonce: 0, frames };
    let numbers = number..number + u64::from(span);
    flow.receive(&train, numbers, false, Timestamp::from_millis(millis), &mut |_| {})
}

#[test]
fn patience_does_not_shorten_a_round_trip() {
    let at = Timestamp::from_millis;
    let mut flow = Flow::new(&first());
    let run = Run { last: sent(2, 500), presented: 2, ..run(1000..1001, 1010..1012) };
    flow.add_run(run, SMOOTHED);
    assert!(flow.park(2, at(2000)) && flow.unpark(at(2000)));
    let arrival = receive(&mut flow, 2, 1010..1012, 0, 2001);
    assert_eq!(arrival.elapsed, Some(Duration::from_millis(1501)));
}

/// Claims 1 and 2 both carry the run 1000..1002. The answer to the first grants half of it: the rest is not to be
/// claimed again before the answer to the second is known, which grants it, or another run behind it.
#[test]
fn what_one_answer_does_not_grant_the_next_one_may() {
    for grants_rest in [true, false] {
        let mut flow = Flow::new(&first());
        let repeated = Run { presented: 2, last: sent(2, 500), ..run(1000..1002, 1010..1014) };
        let fresh = Run { first: sent(2, 500), last: sent(2, 500), ..run(1002..1003, 1014..1016) };
        flow.add_run(repeated, SMOOTHED);
        flow.add_run(fresh, SMOOTHED);
        let claimed = |flow: &Flow| flow.claimed.iter().flatten().collect::<Vec<u64>>();
        receive(&mut flow, 1, 1010..1011, 1, 600);
        receive(&mut flow, 1, 1011..1012, 0, 600);
        assert_eq!(claimed(&flow), [1000, 1001, 1002], "before it is decided");
        if grants_rest {
            receive(&mut flow, 2, 1012..1013, 1, 600);
            receive(&mut flow, 2, 1013..1014, 0, 600);
        }
        receive(&mut flow, 2, 1014..1015, 1, 600);
        let expected: &[u64] = if grants_rest { &[1000, 1001, 1002] } else { &[1000, 1002] };
        assert_eq!(claimed(&flow), expected, "once it is");
        assert_eq!(flow.runs.len(), 1, "only the fresh run is under way");
        receive(&mut flow, 2, 1015..1016, 0, 600);
        assert!(flow.runs.is_empty());
    }
}
