//! Models for loom: a few calls in every order of their operations, with every value that each load may see.
//!
//! CONTRIBUTING.md has the command. A model returns what came of one execution. What came of all of them is
//! compared with the complete list of what may: so a model fails on what must not happen, and also if what it
//! is about never happens.
//!
//! Two threads without rotations are checked exhaustively. With rotations a thread is stopped where it could
//! have gone on at most 4 times in an execution, with three threads at most twice.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use loom::model::Builder;
use loom::thread;

use super::granted::Granted;
use super::shard::Shard;
use super::table::{Slot, Table};
use crate::time::Timestamp;

const LIFETIME: u64 = 10;

/// With rotations, two threads.
const FOUR_PREEMPTIONS: Option<usize> = Some(4);

/// What came of all executions, or of those with no more than so many preemptions.
fn outcomes<T: Ord + Send + 'static>(
    preemptions: Option<usize>,
    model: impl Fn() -> T + Send + Sync + 'static,
) -> BTreeSet<T> {
    let outcomes = Arc::new(Mutex::new(BTreeSet::new()));
    let seen = Arc::clone(&outcomes);
    let mut builder = Builder::new();
    builder.preemption_bound = preemptions;
    builder.max_branches = 10_000;
    builder.check(move || {
        let outcome = model();
        seen.lock().unwrap().insert(outcome);
    });
    std::mem::take(&mut outcomes.lock().unwrap())
}

/// Two calls at the same time.
fn race<T: Send + Sync + 'static, A: 'static, B>(
    shared: impl Into<Arc<T>>,
    one: impl FnOnce(&T) -> A + 'static,
    other: impl FnOnce(&T) -> B,
) -> (A, B) {
    let shared = shared.into();
    let theirs = Arc::clone(&shared);
    let thread = thread::spawn(move || one(&theirs));
    let other = other(&shared);
    (thread.join().unwrap(), other)
}

fn at(micros: u64) -> Timestamp {
    Timestamp::from_micros(micros)
}

/// Eight cells in each generation.
fn shard() -> Shard {
    Shard::new(1, Duration::from_micros(LIFETIME), at(0))
}

/// A block whose first bucket is 0, and whose further ones are the same for all.
fn slot(block: u64) -> Slot {
    Slot::from_hash((2 * block + 1) << 33)
}

/// Turns the generation over if it is old, and grants nothing.
fn turn(shard: &Shard, now: u64) {
    assert_eq!(shard.grant(slot(100), 0, at(now)), 0);
}

/// Grants block 0, and looks at the horizon after it as a server does.
fn ask(shard: &Shard, mask: u32, now: u64) -> (u32, Granted) {
    let new = shard.grant(slot(0), mask, at(now));
    (new, Granted::new(now, |late| shard.horizon(late)))
}

#[test]
fn of_two_calls_for_the_same_positions_one_gets_them() {
    let seen = outcomes(None, || {
        race(shard(), |shard| shard.grant(slot(0), 0b11, at(1)), |shard| shard.grant(slot(0), 0b11, at(1)))
    });
    assert_eq!(seen, [(0b11, 0), (0, 0b11)].into());
}

#[test]
fn two_calls_share_what_both_ask_for() {
    let seen = outcomes(None, || {
        race(shard(), |shard| shard.grant(slot(0), 0b011, at(1)), |shard| shard.grant(slot(0), 0b110, at(1)))
    });
    assert_eq!(seen, [(0b011, 0b100), (0b001, 0b110)].into());
}

#[test]
fn a_rotation_between_two_calls_changes_nothing() {
    let seen = outcomes(FOUR_PREEMPTIONS, || {
        race(
            shard(),
            |shard| shard.grant(slot(0), 0b11, at(1)),
            |shard| {
                turn(shard, LIFETIME);
                shard.grant(slot(0), 0b11, at(LIFETIME))
            },
        )
    });
    assert_eq!(seen, [(0b11, 0), (0, 0b11)].into());
}

/// Both calls find the generation old, and one rotates: the second generation would forget the first.
#[test]
fn calls_that_rotate_share_what_both_ask_for() {
    let seen = outcomes(FOUR_PREEMPTIONS, || {
        let shard = Arc::new(shard());
        let granted = race(
            Arc::clone(&shard),
            |shard: &Shard| shard.grant(slot(0), 0b011, at(LIFETIME)),
            |shard: &Shard| shard.grant(slot(0), 0b110, at(LIFETIME)),
        );
        assert_eq!(shard.horizon(at(LIFETIME)), Duration::MAX, "rotated twice");
        granted
    });
    assert_eq!(seen, [(0b011, 0b100), (0b001, 0b110)].into());
}

/// Who comes late to a rotation must not clear what was granted since.
#[test]
fn a_generation_is_cleared_only_before_it_begins() {
    let turn_and_ask = |shard: &Shard| {
        turn(shard, LIFETIME);
        shard.grant(slot(0), 0b11, at(LIFETIME))
    };
    let seen = outcomes(FOUR_PREEMPTIONS, move || race(shard(), turn_and_ask, turn_and_ask));
    assert_eq!(seen, [(0b11, 0), (0, 0b11)].into());
}

#[test]
fn after_two_rotations_both_get_it_only_if_the_horizon_says_so() {
    let seen = outcomes(FOUR_PREEMPTIONS, || {
        let ((one, first), (other, second)) = race(
            shard(),
            |shard| ask(shard, 1, 1),
            |shard| {
                turn(shard, LIFETIME);
                turn(shard, 2 * LIFETIME);
                ask(shard, 1, 2 * LIFETIME)
            },
        );
        (one, other, one & other == 0 || second.forgot(first))
    });
    assert_eq!(seen, [(1, 0, true), (0, 1, true), (1, 1, true)].into());
}

/// The generation that knows a position is cleared while another call looks there.
#[test]
fn what_is_cleared_is_declared_forgotten_first() {
    let seen = outcomes(FOUR_PREEMPTIONS, || {
        let shard = shard();
        let (_, first) = ask(&shard, 1, 1);
        turn(&shard, LIFETIME);
        let ((new, second), ()) =
            race(shard, |shard| ask(shard, 1, LIFETIME), |shard| turn(shard, 2 * LIFETIME));
        (new, second.forgot(first))
    });
    assert_eq!(seen, [(0, false), (0, true), (1, true)].into());
}

#[test]
fn a_look_finds_what_was_granted_while_generations_turn_over() {
    let seen = outcomes(FOUR_PREEMPTIONS, || {
        let shard = shard();
        let (_, first) = ask(&shard, 1, 1);
        let (found, ()) = race(
            shard,
            move |shard| {
                let found = shard.granted(slot(0));
                (found, Granted::new(0, |late| shard.horizon(late)).forgot(first))
            },
            |shard| {
                turn(shard, LIFETIME);
                turn(shard, 2 * LIFETIME);
            },
        );
        found
    });
    assert_eq!(seen, [(1, false), (1, true), (0, true)].into());
}

/// Whichever block takes the last cell of the first bucket, the other continues in the next.
#[test]
fn blocks_that_overflow_a_full_bucket_are_granted_once_each() {
    let seen = outcomes(None, || {
        let table = Table::new(2);
        for block in 2..9 {
            assert_eq!(table.set(slot(block), 1), Some(1));
        }
        let ask = |table: &Table, block| table.set(slot(block), 0b11);
        race(
            table,
            move |table| [ask(table, 0), ask(table, 1)],
            move |table| {
                let last = ask(table, 1);
                [ask(table, 0), last]
            },
        )
    });
    let (all, none) = (Some(0b11), Some(0));
    assert_eq!(
        seen,
        [([all, all], [none, none]), ([all, none], [none, all]), ([none, none], [all, all])].into()
    );
}

/// All buckets open to a block are full, so that its calls have to rotate before there is room.
#[test]
fn calls_that_find_no_room_share_what_both_ask_for() {
    let seen = outcomes(FOUR_PREEMPTIONS, || {
        // Below the 60 % at which a generation is full.
        let shard = Shard::new(8, Duration::MAX, at(0));
        loom::stop_exploring();
        for block in 2..34 {
            assert_eq!(shard.grant(slot(block), 1, at(1)), 1);
        }
        loom::explore();
        race(shard, |shard| shard.grant(slot(0), 0b011, at(1)), |shard| shard.grant(slot(0), 0b110, at(1)))
    });
    assert_eq!(seen, [(0b011, 0b100), (0b001, 0b110)].into());
}

/// The third turns the generation over, twice, under two that ask.
#[test]
fn three_threads() {
    let seen = outcomes(Some(2), || {
        let shard = Arc::new(shard());
        let theirs = Arc::clone(&shard);
        let rotating = thread::spawn(move || {
            turn(&theirs, LIFETIME);
            turn(&theirs, 2 * LIFETIME);
        });
        let ((one, first), (other, second)) =
            race(shard, |shard| ask(shard, 0b011, 1), |shard| ask(shard, 0b110, 2));
        rotating.join().unwrap();
        (one, other, one & other == 0 || first.allows(second))
    });
    assert_eq!(seen, [(0b011, 0b100, true), (0b001, 0b110, true), (0b011, 0b110, true)].into());
}
