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

/// A flow that has claimed each of `numbers` by itself, a millisecond after the other: number `n` under echo value `n`.
fn claimed_one_by_one(numbers: Range<u64>) -> Flow {
    let mut flow = Flow::new(&first());
    for number in numbers.clone() {
        let sent = sent(number, number - numbers.start);
        let position = number - 10;
        let run = Run { first: sent, last: sent, ..run(position..position + 1, number..number + 1) };
        flow.add_run(run, SMOOTHED);
    }
    flow
}

/// Whether `number` is lost by then.
fn is_lost(flow: &mut Flow, number: u64, millis: u64) -> bool {
    flow.detect_losses(SMOOTHED, Timestamp::from_millis(millis), &mut |_| {});
    flow.lost.contains(number)
}

#[test]
fn three_later_packets_make_a_loss_where_nothing_was_reordered() {
    let mut flow = claimed_one_by_one(1010..1030);
    flow.request_loss = 0;
    receive(&mut flow, 1010, 1010..1011, 0, 41);
    for (number, lost) in [(1012, false), (1013, false), (1014, true)] {
        receive(&mut flow, number, number..number + 1, 0, number - 970);
        assert_eq!(is_lost(&mut flow, 1011, number - 970), lost, "{number}");
    }
}

#[test]
fn a_path_that_reorders_is_given_a_quarter_of_its_round_trip() {
    // A packet that comes late by one, and one that was declared lost.
    for (late, by) in [(1011, 1), (1011, 4)] {
        let mut flow = claimed_one_by_one(1010..1040);
        flow.request_loss = 0;
        receive(&mut flow, 1010, 1010..1011, 0, 41);
        for number in (late + 1)..=(late + by) {
            receive(&mut flow, number, number..number + 1, 0, 43);
            is_lost(&mut flow, late, 43);
        }
        assert_eq!(flow.lost.contains(late), by == 4);
        receive(&mut flow, late, late..late + 1, 0, 43);
        let missing = late + by + 1;
        (missing + 1..missing + 9).for_each(|number| {
            receive(&mut flow, number, number..number + 1, 0, 60);
        });
        let wait = if by == 4 { 20 } else { 10 };
        assert!(!is_lost(&mut flow, missing, 60 + wait - 1), "{by}");
        assert!(is_lost(&mut flow, missing, 60 + wait), "{by}");
    }
}

#[test]
fn what_another_claim_may_yet_bring_is_waited_for() {
    let presented_again = Run { presented: 2, last: sent(2, 2), ..run(1000..1002, 1010..1012) };
    let input = Run { input: Some(1), ..presented_again.clone() };
    let decided = Run { last: sent(1, 0), ..presented_again.clone() };
    for (run, waits) in [(presented_again, true), (input, true), (decided, false)] {
        let mut flow = Flow::new(&first());
        flow.request_loss = 0;
        flow.add_run(run, SMOOTHED);
        for number in 1012..1020 {
            let (first, position) = (sent(number, 1), number - 10);
            let run = Run { first, last: first, ..self::run(position..position + 1, number..number + 1) };
            flow.add_run(run, SMOOTHED);
        }
        // The answer to the first claim grants half of the run, or all.
        receive(&mut flow, 1, 1010..1011, u8::from(!waits), 41);
        for number in 1012..1016 {
            receive(&mut flow, number, number..number + 1, 0, 42);
        }
        assert_eq!(is_lost(&mut flow, 1011, 42), !waits);
        assert!(is_lost(&mut flow, 1011, 52));
    }
}

#[test]
fn what_a_server_keeps_is_overtaken_by_others() {
    let mut flow = claimed_one_by_one(1010..1030);
    flow.request_loss = 0;
    flow.note_hold();
    receive(&mut flow, 1010, 1010..1011, 0, 41);
    (1012..1020).for_each(|number| {
        receive(&mut flow, number, number..number + 1, 0, 42);
    });
    assert!(!is_lost(&mut flow, 1011, 51));
    assert!(is_lost(&mut flow, 1011, 52));
}

#[test]
fn what_was_claimed_later_than_what_overtakes_it_is_waited_for() {
    let mut flow = Flow::new(&first());
    flow.request_loss = 0;
    // Adopted late: a lower number than others that are on their way.
    for (number, at) in [(1010, 0), (1012, 0), (1013, 0), (1014, 0), (1011, 3)] {
        let sent = sent(number, at);
        let run = Run { first: sent, last: sent, ..run(number - 10..number - 9, number..number + 1) };
        flow.add_run(run, SMOOTHED);
    }
    for number in [1010, 1012, 1013, 1014] {
        receive(&mut flow, number, number..number + 1, 0, 44);
    }
    assert!(!is_lost(&mut flow, 1011, 44));
    // Nor does it say that the path reorders, when it comes.
    receive(&mut flow, 1011, 1011..1012, 0, 47);
    assert!(!flow.tolerance.seen);
}
