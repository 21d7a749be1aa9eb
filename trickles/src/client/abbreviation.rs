//! What the server is believed to remember of the stream, so that requests with input need not repeat it
//! (docs/protocol.md 7.33).

use crate::continuation::Continuation;
use crate::epoch::SlowStartExit;

/// Most answers in a row that have to come from one server before requests are abbreviated again.
const MAX_CAUTION: u32 = 1024;
/// How many more of them make up for a request that was abbreviated in vain.
const RELIEF: u32 = 64;

#[derive(Debug)]
pub(crate) struct Abbreviation {
    /// The newest continuation that came in answer to input.
    newest: Option<Continuation>,
    /// How many answers in a row it takes from one server, and how many there have been.
    caution: u32,
    right: u32,
}

impl Abbreviation {
    pub(crate) fn new() -> Self {
        Self { newest: None, caution: 1, right: 0 }
    }

    /// Input was answered with this continuation: its server remembers the epoch.
    pub(crate) fn answered(&mut self, fields: &Continuation) {
        let alike = self.newest.is_some_and(|newest| newest.issuer == fields.issuer);
        if self.newest.is_some_and(|newest| newest.issued > fields.issued) && alike {
            return;
        }
        self.newest = Some(*fields);
        self.right = if alike { self.right + 1 } else { 1 };
        if self.right >= self.caution + RELIEF {
            (self.caution, self.right) = ((self.caution / 2).max(1), self.caution);
        }
    }

    /// An abbreviated request was not understood.
    pub(crate) fn refused(&mut self) {
        if self.is_due() {
            self.caution = (2 * self.caution).min(MAX_CAUTION);
            (self.newest, self.right) = (None, 0);
        }
    }

    /// Whether requests are to be abbreviated where they can.
    pub(crate) fn is_due(&self) -> bool {
        self.right >= self.caution
    }

    /// Whether one can that presents a continuation with these `fields`. `exit`: what it declares.
    pub(crate) fn allows(&self, fields: &Continuation, exit: Option<SlowStartExit>) -> bool {
        let alike = |newest: &Continuation| {
            (newest.key, newest.issuer, newest.port, newest.epoch)
                == (fields.key, fields.issuer, fields.port, fields.epoch)
        };
        self.is_due() && exit == fields.epoch.exit && self.newest.is_some_and(|newest| alike(&newest))
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
        assert!(!abbreviation.allows(&Continuation { epoch, first: 200, ..issued(7, 2) }, None));
    }

    #[test]
    fn who_is_refused_takes_twice_as_long_to_believe_again_and_forgives_what_goes_well() {
        let mut abbreviation = Abbreviation::new();
        for needed in [1, 2, 4] {
            for at in 0..needed {
                assert!(!abbreviation.is_due());
                abbreviation.answered(&issued(7, at));
            }
            assert!(abbreviation.is_due());
            abbreviation.refused();
            // What was under way as well counts once.
            abbreviation.refused();
        }
        for at in 0..1000 {
            abbreviation.answered(&issued(7, at));
        }
        abbreviation.refused();
        abbreviation.answered(&issued(7, 1000));
        abbreviation.answered(&issued(7, 1001));
        assert!(abbreviation.is_due());
        // Replicas that take packets in turns.
        (0..100).for_each(|at| abbreviation.answered(&issued(7 + at % 2, 2000 + u64::from(at))));
        assert!(!abbreviation.is_due());
    }
}
