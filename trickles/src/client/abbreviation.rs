//! What the server is believed to remember of the stream, so that requests with input need not repeat it
//! (docs/protocol.md 7.33).

use arrayvec::ArrayVec;

use crate::continuation::Continuation;
use crate::epoch::SlowStartExit;

/// Most answers in a row that have to come from one server before requests are abbreviated again.
const MAX_CAUTION: u32 = 4096;
/// By how much that grows when they were abbreviated in vain: where replicas take packets in turns, a window of requests
/// is lost to each attempt.
const GROWTH: u32 = 8;
/// How many more of them make up for a request that was abbreviated in vain.
const RELIEF: u32 = 64;

#[derive(Debug)]
pub(crate) struct Abbreviation {
    /// The newest continuations of up to two epochs that came in answer to input, from one server, in the order they were
    /// learned of.
    known: ArrayVec<Continuation, 2>,
    /// How many answers in a row it takes from one server, and how many there have been.
    caution: u32,
    right: u32,
}

impl Abbreviation {
    pub(crate) fn new() -> Self {
        Self { known: ArrayVec::new(), caution: 1, right: 0 }
    }

    /// Input was answered with this continuation: its server remembers the epoch.
    pub(crate) fn answered(&mut self, fields: &Continuation) {
        if self.known.iter().any(|known| known.issuer != fields.issuer) {
            (self.known, self.right) = (ArrayVec::new(), 0);
        }
        match self.known.iter_mut().find(|known| known.tag == fields.tag) {
            Some(known) if known.issued > fields.issued => {}
            Some(known) => *known = *fields,
            None => {
                if self.known.is_full() {
                    self.known.remove(0);
                }
                self.known.push(*fields);
            }
        }
        self.right += 1;
        if self.right >= self.caution + RELIEF {
            (self.caution, self.right) = ((self.caution / GROWTH).max(1), self.caution);
        }
    }

    /// An abbreviated request was not understood.
    pub(crate) fn refused(&mut self) {
        if self.is_due() {
            self.caution = (GROWTH * self.caution).min(MAX_CAUTION);
            (self.known, self.right) = (ArrayVec::new(), 0);
        }
    }

    /// Whether requests are to be abbreviated where they can.
    pub(crate) fn is_due(&self) -> bool {
        self.right >= self.caution
    }

    /// Whether one can that presents a continuation with these `fields`. `exit`: what it declares.
    pub(crate) fn allows(&self, fields: &Continuation, exit: Option<SlowStartExit>) -> bool {
        let alike = |known: &Continuation| {
            (known.tag, known.key, known.issuer, known.port, known.epoch)
                == (fields.tag, fields.key, fields.issuer, fields.port, fields.epoch)
        };
        self.is_due() && exit == fields.epoch.exit && self.known.iter().any(alike)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::epoch::{CurveId, Epoch};
    use crate::time::Timestamp;

    fn issued(issuer: u32, at: u64) -> Continuation {
        Continuation {
            key: 1,
            birth_key: 1,
            issuer,
            stream: 2,
            flow: 3,
            tag: 4,
            epoch: Epoch::born(CurveId::Cubic, 100, 10),
            first: 100,
            count: 1,
            earned: 99,
            issued: Timestamp::from_micros(at),
            rooted: Timestamp::from_micros(at),
            port: 5,
            bytes: 6,
        }
    }

    #[test]
    fn what_one_server_remembers_is_not_told_to_another() {
        let mut abbreviation = Abbreviation::new();
        assert!(!abbreviation.allows(&issued(7, 1), None));
        abbreviation.answered(&issued(7, 1));
        assert!(abbreviation.allows(&issued(7, 2), None));
        assert!(!abbreviation.allows(&issued(8, 2), None));
        assert!(!abbreviation.allows(&Continuation { port: 9, ..issued(7, 2) }, None));
        assert!(!abbreviation.allows(&issued(7, 2), Some(SlowStartExit { position: 3, rtt: 1000 })));
        let epoch = Epoch::born(CurveId::Cubic, 200, 10);
        let next = Continuation { epoch, tag: 8, first: 200, ..issued(7, 2) };
        assert!(!abbreviation.allows(&next, None));
        // The epoch before is remembered as well.
        abbreviation.answered(&next);
        assert!(abbreviation.allows(&next, None) && abbreviation.allows(&issued(7, 3), None));
        abbreviation.answered(&Continuation { tag: 9, ..next });
        assert!(abbreviation.allows(&next, None) && !abbreviation.allows(&issued(7, 3), None));
    }

    #[test]
    fn who_is_refused_takes_longer_to_believe_again_and_forgives_what_goes_well() {
        let mut abbreviation = Abbreviation::new();
        for needed in [1, 8, 64] {
            for at in 0..needed {
                assert!(!abbreviation.is_due());
                abbreviation.answered(&issued(7, at));
            }
            assert!(abbreviation.is_due());
            abbreviation.refused();
            // What was under way as well counts once.
            abbreviation.refused();
        }
        for at in 0..2000 {
            abbreviation.answered(&issued(7, at));
        }
        abbreviation.refused();
        (0..8).for_each(|at| abbreviation.answered(&issued(7, 2000 + at)));
        assert!(abbreviation.is_due());
        // Replicas that take packets in turns.
        (0..100).for_each(|at| abbreviation.answered(&issued(7 + at % 2, 2000 + u64::from(at))));
        assert!(!abbreviation.is_due());
    }
}
