//! Lineages that live as slowly as they may, to outlive what the filter remembers.

use std::time::Duration;

use trickles::epoch::CurveId;
use trickles::replay::FilterConfig;
use trickles::server::ServerConfig;

use super::honest::HELLO;
use super::{Outcome, Strategy};
use crate::lab::{Kind, Lab, Liar, Spec, Train, small_filter};

/// Of a filter whose generations last ten seconds, the freshness limit is a quarter.
const GENERATION: Duration = Duration::from_secs(10);

/// Holds positions back and claims one of them with its newest train just before that is too old, and so on. The
/// others were granted in the beginning, and are claimed again after every step with all it holds, while the
/// filter forgets.
pub(super) struct Delayed;

impl Delayed {
    /// How long before the limit.
    const EARLY: [Duration; 3] =
        [Duration::from_millis(1), Duration::from_millis(50), Duration::from_millis(400)];
    const HELD_BACK: [u64; 3] = [4, 7, 9];

    fn attack(held_back: u64, early: Duration) -> u64 {
        let config = ServerConfig { freshness: Duration::from_secs(600), ..ServerConfig::default() };
        let mut lab = Lab::with(config, FilterConfig { generation: GENERATION, ..small_filter() });
        lab.ledger.forgets = true;
        for _ in 0..25 {
            lab.wait(Duration::from_secs(1));
            stranger(&mut lab);
        }
        let mut liar = Liar::connect(&mut lab, 1, CurveId::Reno, HELLO);
        let birth = liar.trains[0].clone();
        let base = birth.fields.first;
        let mut granted: Vec<u64> = (base + held_back..base + 10).collect();
        liar.claim(&mut lab, &Spec::in_order(&birth, base + held_back..base + 10));
        let proven = Kind::Continue { proven: base + 10 };
        let (mut newest, mut twice) = (birth, 0);
        for position in base..base + held_back {
            let due = newest.fields.issued + GENERATION / 4;
            lab.wait(due.since(lab.now + early));
            let answer = liar.claim(&mut lab, &Spec::one(&newest, proven, position..position + 1));
            if let Some(train) = answer.trains.first().filter(|train| !train.refresh) {
                newest = train.clone();
                granted.push(position);
            }
            liar.receive(&answer);
            for &position in &granted {
                for train in liar.trains.clone().iter().filter(|train| !train.refresh) {
                    let answer = liar.claim(&mut lab, &Spec::one(train, proven, position..position + 1));
                    let again = answer.trains.iter().filter(|train| !train.refresh);
                    twice +=
                        again.flat_map(|train| &train.packets).map(|packet| packet.bytes as u64).sum::<u64>();
                }
            }
            stranger(&mut lab);
        }
        assert!(granted.len() > 10 - held_back as usize, "the lineage never got going");
        twice
    }
}

/// Somebody else is granted something, which lets the filter's generations pass.
fn stranger(lab: &mut Lab) {
    let mut stranger = Liar::connect(lab, 99, CurveId::Reno, HELLO);
    let trains: Vec<Train> = stranger.trains.clone();
    stranger.claim_all(lab, &trains);
}

impl Strategy for Delayed {
    fn name(&self) -> String {
        "delays every step of a lineage to just under the limit".into()
    }

    fn strength(&self) -> String {
        "up to 9 steps, 3 delays".into()
    }

    /// Sections 6.9 and 6.10: a lineage is refused before the filter forgets what it was granted.
    fn run(&self) -> Outcome {
        let attempts = Self::HELD_BACK.into_iter().flat_map(|held| Self::EARLY.map(|early| (held, early)));
        Outcome::none_of("bytes twice", attempts.map(|(held, early)| Self::attack(held, early)).sum())
    }
}
