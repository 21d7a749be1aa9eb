//! Openings in quantity: Restart, Resume, Refresh.

use std::time::Duration;

use trickles::epoch::CurveId;
use trickles::replay::FilterConfig;
use trickles::server::ServerConfig;
use trickles::wire::BASE_PACKET_SIZE;

use super::honest::{self, HELLO, RTT, WINDOW, in_avoidance};
use super::{Outcome, Strategy};
use crate::lab::{Haul, Kind, Lab, Liar, Meter, Spec, Train, small_filter};

pub(super) const SLOT: Duration = Duration::from_millis(200);
/// So many slots are touched by a bombardment that begins at the beginning of one.
const SLOTS: u32 = 20;
/// How often something is presented.
const PACE: Duration = Duration::from_millis(10);
/// Of a Refresh (docs/protocol.md section 2.17).
const REFRESH: usize = 149;

/// Waits for the beginning of a slot.
pub(super) fn align(lab: &mut Lab) {
    let slot = SLOT.as_micros() as u64;
    lab.wait(Duration::from_micros(slot - lab.now.as_micros() % slot));
}

/// What an honest client obtains meanwhile.
fn meanwhile() -> f64 {
    honest::avoidance(WINDOW, (SLOT * SLOTS).div_duration_f64(RTT) as usize, RTT).rate()
}

/// So many bytes in every slot, in kB/s.
fn in_each_slot(bytes: usize) -> f64 {
    Haul { bytes: bytes as u64, time: SLOT }.rate()
}

/// Presents every train held so far for an opening of this kind, at every pace.
fn bombard(kinds: &[Kind]) -> f64 {
    let (mut lab, mut liar, flight) = in_avoidance(WINDOW, RTT);
    liar.claim_all(&mut lab, &flight);
    lab.wait(Duration::from_secs(2));
    align(&mut lab);
    let meter = Meter::start(&lab);
    while meter.read(&lab).time < SLOT * SLOTS {
        let step = (liar.trains.len() / 12).max(1);
        let trains: Vec<Train> = liar.trains.iter().rev().step_by(step).cloned().collect();
        for train in &trains {
            for &kind in kinds {
                let answer = liar.claim(&mut lab, &Spec::one(train, kind, 0..10));
                liar.receive(&answer);
            }
        }
        lab.wait(PACE);
    }
    meter.read(&lab).rate()
}

pub(super) struct RestartBomb;

impl Strategy for RestartBomb {
    fn name(&self) -> String {
        "Restarts from all it holds, with every attempt".into()
    }

    fn strength(&self) -> String {
        format!("every {PACE:?} for {SLOTS} slots")
    }

    /// Sections 5.20 and 5.22: two packets in a slot.
    fn run(&self) -> Outcome {
        let kinds: Vec<Kind> = (0..=10).map(|attempt| Kind::Restart { attempt, rtt: 0 }).collect();
        let bound = in_each_slot(2 * usize::from(BASE_PACKET_SIZE));
        Outcome::rate(bombard(&kinds), meanwhile(), bound)
    }
}

/// Restarts before the time-out has passed.
pub(super) struct RestartsTooEarly;

impl Strategy for RestartsTooEarly {
    fn name(&self) -> String {
        "Restarts before the time-out, with every attempt".into()
    }

    fn strength(&self) -> String {
        "all trains, 12 attempts, 3 ages".into()
    }

    /// Section 5.20: not before `rto * 2^attempt`, which is at least 200 ms.
    fn run(&self) -> Outcome {
        let (mut lab, liar, flight) = in_avoidance(WINDOW, RTT);
        let meter = Meter::start(&lab);
        // The flight is as old as a round trip. Attempts are due at 200, 400 and 800 ms.
        for (later, first) in [(Duration::ZERO, 0), (SLOT, 1), (SLOT, 2)] {
            lab.wait(later);
            for train in &flight {
                for attempt in first..=11 {
                    liar.claim(&mut lab, &Spec::one(train, Kind::Restart { attempt, rtt: 0 }, 0..2));
                }
            }
        }
        Outcome::rate(meter.read(&lab).rate(), honest::avoidance(WINDOW, 1, RTT).rate(), 0.0)
    }
}

pub(super) struct ResumeBomb;

impl Strategy for ResumeBomb {
    fn name(&self) -> String {
        "Resumes and Restarts from all it holds".into()
    }

    fn strength(&self) -> String {
        format!("every {PACE:?} for {SLOTS} slots")
    }

    /// Sections 5.21 and 5.22: ten packets in a slot, as a new connection has.
    fn run(&self) -> Outcome {
        let kinds = [Kind::Resume { rtt: 40_000 }, Kind::Restart { attempt: 0, rtt: 0 }];
        let bound = in_each_slot(10 * usize::from(BASE_PACKET_SIZE));
        Outcome::rate(bombard(&kinds), meanwhile(), bound)
    }
}

/// Enters slow start anew in every slot, and goes on with every opening beside the others.
pub(super) struct SlowStarts {
    /// The flow has met a loss, so that slow start ends.
    pub(super) after_a_loss: bool,
}

impl SlowStarts {
    const OPENINGS: u32 = 3;

    /// Opens in every slot and claims all that comes of it. `open` returns a flight of the client's.
    fn bundle(lab: &mut Lab, mut open: impl FnMut(&mut Lab, u32) -> (Liar, Vec<Train>)) -> Haul {
        let mut flows = Vec::new();
        let meter = Meter::start(lab);
        for slot in 0..Self::OPENINGS {
            flows.push(open(lab, slot));
            for _ in 0..SLOT.div_duration_f64(RTT) as u32 {
                lab.wait(RTT);
                for (client, flight) in &mut flows {
                    *flight = client.claim_all(lab, flight);
                }
            }
        }
        meter.read(lab)
    }

    fn attack(lab: &mut Lab, liar: &Liar, last: &Train, kinds: &[Kind]) -> f64 {
        lab.wait(SLOT);
        align(lab);
        let haul = Self::bundle(lab, |lab, slot| {
            let mut liar = liar.clone();
            let kind = kinds[slot as usize % kinds.len()];
            let answer = liar.claim(lab, &Spec::one(last, kind, 0..10));
            liar.receive(&answer);
            (liar, answer.trains)
        });
        haul.rate()
    }
}

impl Strategy for SlowStarts {
    fn name(&self) -> String {
        let after = if self.after_a_loss { "after a loss" } else { "without a loss" };
        format!("goes through slow start from every slot, {after}")
    }

    fn strength(&self) -> String {
        format!("{} slots, Resume and Restart", Self::OPENINGS)
    }

    /// Sections 5.20 to 5.22: one opening in a slot, which is worth no more than the flow that it comes from if
    /// that met a loss, and otherwise no more than a new connection.
    fn run(&self) -> Outcome {
        let (resume, restart) = (Kind::Resume { rtt: 0 }, Kind::Restart { attempt: 0, rtt: 0 });
        let rounds = (SLOT * Self::OPENINGS).div_duration_f64(RTT) as usize;
        if self.after_a_loss {
            let attack = |kinds: &[Kind]| {
                let (mut lab, liar, flight) = in_avoidance(WINDOW, RTT);
                Self::attack(&mut lab, &liar, flight.last().unwrap(), kinds)
            };
            let obtained = attack(&[resume]).max(attack(&[restart])).max(attack(&[resume, restart]));
            let honest = honest::avoidance(WINDOW, rounds, RTT).rate();
            return Outcome::rate(obtained, honest, f64::from(Self::OPENINGS) * honest);
        }
        let mut lab = Lab::new();
        let mut liar = Liar::connect(&mut lab, 1, CurveId::Cubic, HELLO);
        let flight = liar.grow(&mut lab, 40, RTT);
        let obtained = Self::attack(&mut lab, &liar, flight.last().unwrap(), &[resume]);
        let connections = Self::bundle(&mut Lab::new(), |lab, slot| {
            let client = Liar::connect(lab, slot as u16, CurveId::Cubic, HELLO);
            let flight = client.trains.clone();
            (client, flight)
        });
        Outcome::rate(obtained, honest::slow_start(rounds).rate(), connections.rate())
    }
}

/// A server whose filter forgets after ten seconds, and a flow on it.
fn forgetful() -> (Lab, Liar, Vec<Train>) {
    let config = ServerConfig { freshness: Duration::from_secs(600), ..ServerConfig::default() };
    let filter = FilterConfig { generation: Duration::from_secs(10), ..small_filter() };
    let mut lab = Lab::with(config, filter);
    let mut liar = Liar::connect(&mut lab, 1, CurveId::Cubic, HELLO);
    let flight = liar.enter_avoidance(&mut lab, 100, RTT);
    (lab, liar, flight)
}

/// Others make the filter pass from generation to generation.
fn pass_generations(lab: &mut Lab) {
    for second in 0..32 {
        lab.wait(Duration::from_secs(1));
        let mut stranger = Liar::connect(lab, 1000 + second, CurveId::Reno, HELLO);
        let trains = stranger.trains.clone();
        assert!(!stranger.claim_all(lab, &trains).is_empty());
    }
}

/// Claims again what was granted before the filter forgot it.
pub(super) struct Expired;

impl Strategy for Expired {
    fn name(&self) -> String {
        "waits until its marks expire and claims again".into()
    }

    fn strength(&self) -> String {
        format!("4 flights, every {PACE:?} for {SLOTS} slots")
    }

    /// Sections 5.22 and 6.9: what is stale brings a Refresh in a slot.
    fn run(&self) -> Outcome {
        let (mut lab, mut liar, mut flight) = forgetful();
        lab.ledger.forgets = true;
        let mut sent = Vec::new();
        for _ in 0..4 {
            let requests = flight.iter().map(|train| liar.request(&Spec::in_order(train, train.numbers())));
            sent.extend(requests.flatten());
            flight = liar.claim_all(&mut lab, &flight);
            lab.wait(RTT);
        }
        pass_generations(&mut lab);
        align(&mut lab);
        let meter = Meter::start(&lab);
        while meter.read(&lab).time < SLOT * SLOTS {
            for datagram in &sent {
                lab.exchange(datagram, liar.address);
            }
            lab.wait(PACE);
        }
        Outcome::rate(meter.read(&lab).rate(), meanwhile(), in_each_slot(REFRESH))
    }
}

/// Presents stale continuations all the time, and what each Refresh gives as well.
pub(super) struct RefreshBomb;

impl Strategy for RefreshBomb {
    fn name(&self) -> String {
        "is refreshed from all it holds".into()
    }

    fn strength(&self) -> String {
        format!("20 trains every {PACE:?} for {SLOTS} slots")
    }

    /// Section 5.22: one Refresh in a slot, whatever else is asked for.
    fn run(&self) -> Outcome {
        let (mut lab, mut liar, _) = forgetful();
        pass_generations(&mut lab);
        align(&mut lab);
        let meter = Meter::start(&lab);
        let stale = liar.trains.clone();
        while meter.read(&lab).time < SLOT * SLOTS {
            for train in stale.iter().rev().take(20) {
                let answer = liar.claim(&mut lab, &Spec::one(train, Kind::Resume { rtt: 0 }, 0..10));
                liar.receive(&answer);
            }
            let refreshed = liar.trains.last().unwrap().clone();
            liar.claim(&mut lab, &Spec::one(&refreshed, Kind::Resume { rtt: 0 }, 0..10));
            lab.wait(PACE);
        }
        Outcome::rate(meter.read(&lab).rate(), meanwhile(), in_each_slot(REFRESH))
    }
}
