//! What lying brings: clients that claim what they like, on a path without congestion, so that the protocol
//! alone bounds what they obtain, in virtual time. Nothing in it is random.
//!
//! What a client obtains is the UDP payload of the numbered packets it receives. An honest client has the same
//! path and as much time.

#![allow(clippy::unwrap_used, reason = "a laboratory may panic")]

mod claims;
mod clocks;
mod forks;
mod hidden;
mod honest;
mod inputs;
mod lineages;
mod openings;
mod recoveries;
mod replicas;
mod round_trips;
mod sizes;
mod stolen;
mod strangers;

use std::time::Duration;

use crate::{Attack, Outcome};

/// A way to lie.
trait Strategy: Send + Sync {
    /// What is done, in a few words.
    fn name(&self) -> String;

    /// How hard it is tried.
    fn strength(&self) -> String;

    fn run(&self) -> Outcome;
}

struct Lie<S>(S);

impl<S: Strategy> Attack for Lie<S> {
    fn name(&self) -> String {
        self.0.name()
    }

    fn strength(&self) -> String {
        self.0.strength()
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
    let skews = [0, 20, 2000].map(Duration::from_millis);
    let mut all = vec![
        lie(claims::Replay),
        lie(claims::Resplit),
        lie(claims::Optimistic { window: 300 }),
        lie(claims::Optimistic { window: 16 }),
        lie(hidden::HiddenLosses),
        lie(hidden::BelievedProofs),
        lie(forks::Losses { window: 300, adopts: false }),
        lie(forks::Losses { window: 300, adopts: true }),
        lie(forks::Losses { window: 16, adopts: false }),
        lie(forks::Losses { window: 16, adopts: true }),
        lie(forks::Exits),
        lie(recoveries::InventedLosses),
        lie(recoveries::InventedAdoption),
        lie(recoveries::LateAdoption),
        lie(round_trips::WaitedFor),
        lie(round_trips::NotWaitedFor),
        lie(round_trips::NotBorneOut),
        lie(lineages::Delayed),
        lie(openings::Expired),
        lie(openings::RestartsTooEarly),
        lie(openings::RestartBomb),
        lie(openings::ResumeBomb),
        lie(openings::RefreshBomb),
        lie(openings::SlowStarts { after_a_loss: true }),
        lie(openings::SlowStarts { after_a_loss: false }),
        lie(sizes::Tiny { behind_full: false }),
        lie(sizes::Tiny { behind_full: true }),
        lie(sizes::TinyBehindTheOpening),
        lie(sizes::Banked),
        lie(inputs::Inputs::Ahead),
        lie(inputs::Inputs::Stored),
        lie(inputs::Inputs::OldState),
        lie(inputs::Inputs::Beyond),
        lie(inputs::Inputs::Copies),
        lie(inputs::RefusedThenFull),
        lie(strangers::StreamIds),
        lie(strangers::UserContinuations),
        lie(stolen::OtherAddress),
        lie(stolen::SameNat),
        lie(stolen::SpoofedPorts),
        lie(stolen::SpoofedSource),
        lie(replicas::Copies { replicas: 5, shared: true }),
    ];
    all.extend([2, 3, 5].map(|replicas| lie(replicas::Copies { replicas, shared: false })));
    all.extend([2, 3, 5].map(|replicas| lie(replicas::Forks { replicas })));
    all.extend([2, 3].map(|replicas| lie(replicas::Openings { replicas })));
    all.extend(skews.map(|ahead| lie(clocks::Clocks { ahead })));
    all
}
