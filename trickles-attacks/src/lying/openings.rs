//! Openings in quantity: Restart, Resume, Refresh.

use std::time::Duration;

use trickles::epoch::CurveId;
use trickles::replay::FilterConfig;
use trickles::server::ServerConfig;

use super::claims::{RTT, WINDOW, in_avoidance};
use super::{Outcome, Strategy};
use crate::lab::liar::count_packets;
use crate::lab::{Kind, Lab, Liar, Spec, Train};

const SLOT: Duration = Duration::from_millis(200);
/// So many slots are touched by a bombardment that begins at the beginning of one.
const SLOTS: u64 = 20;

/// Waits for the beginning of a slot.
fn align(lab: &mut Lab) {
    let slot = SLOT.as_micros() as u64;
    lab.wait(Duration::from_micros(slot - lab.now.as_micros() % slot));
}

/// Presents every train held so far for an opening of this kind, every 10 ms.
fn bombard(kinds: &[Kind]) -> u64 {
    let (mut lab, mut liar, flight) = in_avoidance(WINDOW);
    liar.claim_all(&mut lab, &flight);
    lab.wait(Duration::from_secs(2));
    align(&mut lab);
    let mut obtained = 0;
    for _ in 0..SLOTS * (SLOT.as_millis() as u64 / 10) {
        let step = (liar.trains.len() / 12).max(1);
        let trains: Vec<Train> = liar.trains.iter().rev().step_by(step).cloned().collect();
        for train in &trains {
            for &kind in kinds {
                let answer = liar.claim(&mut lab, &Spec::one(train, kind, 0..10));
                obtained += answer.packets;
                liar.receive(&answer);
            }
        }
        lab.wait(Duration::from_millis(10));
    }
    obtained
}

pub(super) struct RestartBomb;

impl Strategy for RestartBomb {
    fn name(&self) -> &'static str {
        "Restarts from all it holds, all attempts, every 10 ms"
    }

    fn run(&self) -> Outcome {
        let kinds: Vec<Kind> = (0..=10).map(|attempt| Kind::Restart { attempt, rtt: 0 }).collect();
        // In place of each a new connection could have had ten packets.
        Outcome::packets(bombard(&kinds), 10 * SLOTS, 2.0 * SLOTS as f64)
    }
}

pub(super) struct ResumeBomb;

impl Strategy for ResumeBomb {
    fn name(&self) -> &'static str {
        "Resumes and Restarts from all it holds, every 10 ms"
    }

    fn run(&self) -> Outcome {
        let kinds = [Kind::Resume { rtt: 40_000 }, Kind::Restart { attempt: 0, rtt: 0 }];
        Outcome::packets(bombard(&kinds), 10 * SLOTS, 10.0 * SLOTS as f64)
    }
}

/// Each opening goes through its slow start until the next slot; as many new connections may do the same.
pub(super) struct RestartsInSlowStart;

impl RestartsInSlowStart {
    const OPENINGS: u64 = 6;
    const ROUNDS: usize = 4;

    fn new_connections() -> u64 {
        let mut lab = Lab::new();
        let connection = |port| {
            let mut liar = Liar::connect(&mut lab, port, CurveId::Cubic, 12_000);
            let mut flight = liar.trains.clone();
            let mut packets = count_packets(&flight);
            for _ in 0..Self::ROUNDS {
                lab.wait(RTT);
                flight = liar.claim_all(&mut lab, &flight);
                packets += count_packets(&flight);
            }
            packets
        };
        (0..Self::OPENINGS as u16).map(connection).sum()
    }
}

impl Strategy for RestartsInSlowStart {
    fn name(&self) -> &'static str {
        "opens in every slot, and slow start from each"
    }

    fn run(&self) -> Outcome {
        let (mut lab, mut liar, flight) = in_avoidance(WINDOW);
        let last = flight.last().unwrap().clone();
        lab.wait(SLOT);
        let mut obtained = 0;
        for slot in 0..Self::OPENINGS {
            let kind = match slot % 2 {
                0 => Kind::Restart { attempt: 0, rtt: 0 },
                _ => Kind::Resume { rtt: 40_000 },
            };
            let answer = liar.claim(&mut lab, &Spec::one(&last, kind, 0..10));
            assert!(answer.packets > 0, "{:?}", answer.notices);
            liar.receive(&answer);
            let mut flight = answer.trains;
            obtained += count_packets(&flight);
            for _ in 0..Self::ROUNDS {
                lab.wait(RTT);
                flight = liar.claim_all(&mut lab, &flight);
                obtained += count_packets(&flight);
            }
            lab.wait(SLOT - RTT * Self::ROUNDS as u32);
        }
        let connections = Self::new_connections();
        Outcome::packets(obtained, connections, connections as f64)
    }
}

/// A server whose filter forgets after ten seconds, and a flow on it.
fn forgetful() -> (Lab, Liar, Vec<Train>) {
    let config = ServerConfig { freshness: Duration::from_secs(600), ..ServerConfig::default() };
    let filter = FilterConfig { generation: Duration::from_secs(10), shards: 1, ..FilterConfig::default() };
    let mut lab = Lab::with(config, FilterConfig { cells_per_generation: 1 << 14, ..filter });
    let mut liar = Liar::connect(&mut lab, 1, CurveId::Cubic, 4200);
    let flight = liar.enter_avoidance(&mut lab, 100, RTT);
    (lab, liar, flight)
}

/// Others make the filter pass from generation to generation.
fn pass_generations(lab: &mut Lab) {
    for second in 0..32 {
        lab.wait(Duration::from_secs(1));
        let mut stranger = Liar::connect(lab, 1000 + second, CurveId::Reno, 4200);
        let trains = stranger.trains.clone();
        assert!(!stranger.claim_all(lab, &trains).is_empty());
    }
}

/// Claims again what was granted before the filter forgot it.
pub(super) struct Expired;

impl Strategy for Expired {
    fn name(&self) -> &'static str {
        "waits until its marks expire and claims again"
    }

    fn run(&self) -> Outcome {
        let (mut lab, mut liar, mut flight) = forgetful();
        let mut sent = Vec::new();
        for _ in 0..4 {
            sent.extend(
                flight.iter().map(|train| liar.request(&Spec::in_order(train, train.numbers())).unwrap()),
            );
            flight = liar.claim_all(&mut lab, &flight);
            lab.wait(RTT);
        }
        pass_generations(&mut lab);
        let mut obtained = 0;
        for datagram in &sent {
            obtained += lab.exchange(datagram, liar.address).packets;
        }
        // One Refresh in this slot.
        Outcome::packets(obtained, 1, 1.0)
    }
}

/// Presents stale continuations all the time and claims what each Refresh gives.
pub(super) struct RefreshBomb;

impl Strategy for RefreshBomb {
    fn name(&self) -> &'static str {
        "is refreshed from all it holds, every 10 ms"
    }

    fn run(&self) -> Outcome {
        let (mut lab, liar, _) = forgetful();
        pass_generations(&mut lab);
        align(&mut lab);
        let stale = liar.trains.clone();
        let mut obtained = 0;
        for _ in 0..SLOTS * (SLOT.as_millis() as u64 / 10) {
            for train in stale.iter().rev().take(20) {
                let answer = liar.claim(&mut lab, &Spec::one(train, Kind::Resume { rtt: 0 }, 0..10));
                assert!(
                    answer.trains.iter().all(|train| train.refresh && train.fields.epoch.growth.window0 == 1)
                );
                obtained += answer.packets;
            }
            lab.wait(Duration::from_millis(10));
        }
        Outcome::packets(obtained, 10 * SLOTS, SLOTS as f64)
    }
}
