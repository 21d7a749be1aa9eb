//! Other calls, and rotations, at every point of a grant: between any two of its atomic operations.
//!
//! Unlike threads that race this always meets the same interleavings, however busy the machine is.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::atomic::{self, Ordering};
use std::time::Duration;

use super::granted::Granted;
use super::tests::{at, filter};
use super::*;

/// The standard type, but every operation is a point at which a call can be interrupted.
#[derive(Default)]
pub(super) struct AtomicU64(atomic::AtomicU64);

impl AtomicU64 {
    pub(super) fn new(value: u64) -> Self {
        Self(atomic::AtomicU64::new(value))
    }

    pub(super) fn load(&self, order: Ordering) -> u64 {
        interruption_point();
        self.0.load(order)
    }

    pub(super) fn store(&self, value: u64, order: Ordering) {
        interruption_point();
        self.0.store(value, order);
    }

    pub(super) fn fetch_add(&self, value: u64, order: Ordering) -> u64 {
        interruption_point();
        self.0.fetch_add(value, order)
    }

    pub(super) fn fetch_sub(&self, value: u64, order: Ordering) -> u64 {
        interruption_point();
        self.0.fetch_sub(value, order)
    }

    pub(super) fn fetch_max(&self, value: u64, order: Ordering) -> u64 {
        interruption_point();
        self.0.fetch_max(value, order)
    }

    pub(super) fn compare_exchange_weak(
        &self,
        current: u64,
        new: u64,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u64, u64> {
        interruption_point();
        self.0.compare_exchange(current, new, success, failure)
    }
}

type Interruption = Box<dyn FnOnce()>;

#[derive(Default)]
struct Plan {
    step: usize,
    /// Ascending by step.
    interruptions: Vec<(usize, Interruption)>,
}

thread_local! {
    static PLAN: RefCell<Option<Plan>> = const { RefCell::new(None) };
}

fn interruption_point() {
    let Some(mut plan) = PLAN.take() else { return };
    while plan.interruptions.first().is_some_and(|(step, _)| *step == plan.step) {
        // The plan is out of its place, so what this calls is not interrupted unless by a plan of its own.
        plan.interruptions.remove(0).1();
    }
    plan.step += 1;
    PLAN.set(Some(plan));
}

/// Runs a call with interruptions before the given of its operations; returns how many operations it had.
fn interrupted(interruptions: Vec<(usize, Interruption)>, call: impl FnOnce()) -> usize {
    let outer = PLAN.replace(Some(Plan { step: 0, interruptions }));
    call();
    PLAN.replace(outer).map_or(0, |plan| plan.step)
}

const LIFETIME: u64 = 100;

/// A filter, and whether it kept its promises about one block.
struct Case {
    filter: FingerprintFilter,
    clock: Cell<u64>,
    asked: Cell<u32>,
    grants: RefCell<Vec<(u32, Granted)>>,
}

impl Case {
    fn new() -> Rc<Self> {
        let filter = filter(32, 1, Duration::from_micros(LIFETIME));
        Rc::new(Self { filter, clock: Cell::new(1), asked: Cell::new(0), grants: RefCell::default() })
    }

    fn tick(&self, by: u64) -> u64 {
        self.clock.set(self.clock.get() + by);
        self.clock.get()
    }

    fn ask(&self, mask: u32, now: u64) {
        let new = self.filter.grant(0, 1, 1, mask, at(now));
        assert_eq!(new & !mask, 0);
        let granted = Granted::new(now, |now| self.filter.horizon(0, now));
        for &(mask, other) in self.grants.borrow().iter() {
            assert!(new & mask == 0 || granted.allows(other), "{granted:?} and {other:?}");
        }
        self.grants.borrow_mut().push((new, granted));
        self.asked.set(self.asked.get() | mask);
    }

    /// Makes the generation old and touches the filter, which then rotates if it can.
    fn turn(&self) {
        let now = self.tick(LIFETIME);
        self.filter.grant(0, 2, now, 1, at(now));
    }

    /// Each letter is a call: Ask for the same positions, for Some of them, or Turn the generation over.
    fn act(&self, script: &str) {
        for letter in script.chars() {
            match letter {
                'A' => self.ask(0b111, self.tick(1)),
                'S' => self.ask(0b001, self.tick(1)),
                _ => self.turn(),
            }
        }
    }

    fn finish(&self) {
        let granted = self.grants.borrow().iter().fold(0, |all, (mask, _)| all | mask);
        assert_eq!(granted, self.asked.get(), "a position nobody was granted");
    }
}

fn acting(case: &Rc<Case>, script: &'static str) -> Interruption {
    let case = Rc::clone(case);
    Box::new(move || case.act(script))
}

/// What happened before, so that calls start in different generations and find some positions granted.
const BEFORE: [&str; 4] = ["", "T", "ST", "STT"];

/// A call that has to repeat has so many more operations at most.
const REPEATS: usize = 20;

/// Runs `check` for the step counts of a grant under way, with and without a rotation of its own.
fn for_each_grant(check: impl Fn(&dyn Fn() -> Rc<Case>, u64, usize)) {
    for before in BEFORE {
        for advance in [1, LIFETIME] {
            let prepare = || {
                let case = Case::new();
                case.act(before);
                case
            };
            let case = prepare();
            let now = case.tick(advance);
            let steps = interrupted(Vec::new(), || case.ask(0b011, now));
            check(&prepare, advance, steps);
        }
    }
}

#[test]
fn calls_interrupted_twice() {
    const SCRIPTS: [&str; 8] = ["A", "S", "T", "TA", "ST", "TT", "TSA", "TTA"];
    for_each_grant(|prepare, advance, steps| {
        for (first, second) in
            (0..steps + REPEATS).flat_map(|first| (first..steps + REPEATS).map(move |second| (first, second)))
        {
            for (one, two) in SCRIPTS.into_iter().flat_map(|one| SCRIPTS.map(|two| (one, two))) {
                let case = prepare();
                let now = case.tick(advance);
                let plan = vec![(first, acting(&case, one)), (second, acting(&case, two))];
                interrupted(plan, || case.ask(0b011, now));
                case.finish();
            }
        }
    });
}

#[test]
fn interruptions_interrupted() {
    for_each_grant(|prepare, advance, steps| {
        for (first, second) in
            (0..steps + REPEATS).flat_map(|first| (0..steps + REPEATS).map(move |second| (first, second)))
        {
            for (before, within) in [("", "T"), ("T", "T"), ("T", "A"), ("T", "TA"), ("TT", "T")] {
                let case = prepare();
                let now = case.tick(advance);
                let inner = Rc::clone(&case);
                let interruption: Interruption = Box::new(move || {
                    inner.act(before);
                    let now = inner.tick(1);
                    interrupted(vec![(second, acting(&inner, within))], || inner.ask(0b110, now));
                });
                interrupted(vec![(first, interruption)], || case.ask(0b011, now));
                case.finish();
            }
        }
    });
}
