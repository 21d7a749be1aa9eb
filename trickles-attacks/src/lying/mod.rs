//! What lying brings: clients that claim what they like, on a path without congestion, so that the protocol
//! alone bounds what they obtain. Nothing in it is random.

#![allow(clippy::unwrap_used, reason = "a laboratory may panic")]

mod claims;
mod forks;
mod inputs;
mod openings;
mod sizes;

use crate::{Attack, Outcome};

/// A way to lie.
trait Strategy: Send + Sync {
    fn name(&self) -> &'static str;
    fn run(&self) -> Outcome;
}

struct Lie<S>(S);

impl<S: Strategy> Attack for Lie<S> {
    fn name(&self) -> String {
        self.0.name().into()
    }

    fn strength(&self) -> String {
        String::new()
    }

    fn run(&self) -> anyhow::Result<Outcome> {
        Ok(self.0.run())
    }
}

fn lie(strategy: impl Strategy + 'static) -> Box<dyn Attack> {
    Box::new(Lie(strategy))
}

/// All of them.
pub fn attacks() -> Vec<Box<dyn Attack>> {
    vec![
        lie(claims::Replay),
        lie(claims::Resplit),
        lie(forks::Losses { window: 300, adopts: false }),
        lie(forks::Losses { window: 300, adopts: true }),
        lie(forks::Losses { window: 16, adopts: false }),
        lie(forks::Losses { window: 16, adopts: true }),
        lie(forks::Exits),
        lie(claims::InventedLosses),
        lie(claims::InventedAdoption),
        lie(claims::OverstatedRtt),
        lie(claims::ImpossibleRtt),
        lie(claims::TooSoonForItsRtt),
        lie(openings::Expired),
        lie(openings::RestartBomb),
        lie(openings::RestartsInSlowStart),
        lie(openings::ResumeBomb),
        lie(openings::RefreshBomb),
        lie(sizes::Tiny),
        lie(sizes::TinyBehindTheOpening),
        lie(sizes::Banked),
        lie(inputs::Inputs::Ahead),
        lie(inputs::Inputs::Stored),
        lie(inputs::Inputs::OldState),
        lie(inputs::Inputs::Beyond),
        lie(inputs::Inputs::Copies),
        lie(inputs::RefusedThenFull),
    ]
}
