//! Somebody has read a victim's datagrams, and presents what was in them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::honest::{self, RTT, WINDOW, in_avoidance};
use super::openings::{SLOT, align};
use super::{Outcome, Strategy};
use crate::lab::liar::count_packets;
use crate::lab::{Haul, Kind, Lab, Liar, Meter, Spec, Train};

const ROUNDS: usize = 20;

fn other_port(address: SocketAddr, by: u16) -> SocketAddr {
    SocketAddr::new(address.ip(), address.port() + by)
}

/// Every claim that a stolen flight allows.
fn claims<'a>(flight: &'a [Train]) -> impl Iterator<Item = Spec<'a>> {
    let first = &flight[0];
    let (lost, rtt) = (first.fields.first, RTT.as_micros() as u32);
    flight.iter().flat_map(move |train| {
        let from = train.fields.first.max(lost + 1);
        [
            Spec::in_order(train, train.numbers()),
            Spec::one(train, Kind::Recover { lost, rtt }, from..train.fields.end()),
            Spec::one(train, Kind::Resume { rtt: 0 }, 0..10),
            Spec::one(train, Kind::Restart { attempt: 0, rtt: 0 }, 0..2),
        ]
    })
}

/// From addresses that are not the victim's.
pub(super) struct OtherAddress;

impl Strategy for OtherAddress {
    fn name(&self) -> String {
        "presents stolen continuations from other addresses".into()
    }

    fn strength(&self) -> String {
        "all claims of a flight, 4 addresses".into()
    }

    /// Section 3.5: the tag covers the client's address.
    fn run(&self) -> Outcome {
        let (mut lab, mut victim, flight) = in_avoidance(WINDOW, RTT);
        let port = victim.address.port();
        let mut obtained = 0;
        for address in [[10, 1, 2, 4], [10, 1, 3, 3], [127, 0, 0, 1], [0, 0, 0, 0]] {
            let thief = victim.clone().moved(SocketAddr::new(IpAddr::V4(Ipv4Addr::from(address)), port));
            for spec in claims(&flight) {
                obtained += thief.claim(&mut lab, &spec).bytes as u64;
            }
        }
        let left = victim.claim_all(&mut lab, &flight);
        assert!(
            obtained > 0 || count_packets(&left) >= count_packets(&flight),
            "the victim has lost packets"
        );
        Outcome::none_of("bytes", obtained)
    }
}

/// From another port of the victim's address: somebody behind the same NAT, who reads all that the victim gets
/// until then and is always first from then on. The victim gets what is left.
pub(super) struct SameNat;

impl Strategy for SameNat {
    fn name(&self) -> String {
        "takes a victim's flow over behind the same NAT".into()
    }

    fn strength(&self) -> String {
        format!("{ROUNDS} round trips, first in each")
    }

    /// Sections 6.13 and 9.1: at one address a continuation is good at every port. Both together have one flow.
    fn run(&self) -> Outcome {
        let (mut lab, mut victim, flight) = in_avoidance(WINDOW, RTT);
        let mut thief = victim.clone().moved(other_port(victim.address, 1));
        let meter = Meter::start(&lab);
        let (mut its, mut left) = (flight.clone(), flight);
        for round in 0..ROUNDS {
            // At first an answer has three times the bytes of its request.
            its = match round {
                0 => claim_padded(&mut lab, &mut thief, &its),
                _ => thief.claim_all(&mut lab, &its),
            };
            left = victim.claim_all(&mut lab, &left);
            lab.wait(RTT);
        }
        let honest = honest::avoidance(WINDOW, ROUNDS, RTT).rate();
        Outcome::rate(meter.read(&lab).rate(), honest, honest)
    }
}

/// Claims every position by itself, in requests of a third of what two packets have.
fn claim_padded(lab: &mut Lab, thief: &mut Liar, flight: &[Train]) -> Vec<Train> {
    let mut got = Vec::new();
    for train in flight {
        for position in train.numbers() {
            let kind = Kind::Continue { proven: train.fields.end() };
            let spec = Spec { length: 800, ..Spec::one(train, kind, position..position + 1) };
            let answer = thief.claim(lab, &spec);
            thief.receive(&answer);
            got.extend(answer.trains);
        }
    }
    got
}

/// With the victim's address and other ports: whoever is there behind the same NAT receives the answers.
pub(super) struct SpoofedPorts;

impl Strategy for SpoofedPorts {
    fn name(&self) -> String {
        "aims a server at a victim's neighbours by spoofed ports".into()
    }

    fn strength(&self) -> String {
        "all claims of a flight, 5 lengths".into()
    }

    /// Section 6.13: what goes to a port that proved nothing is three times the request.
    fn run(&self) -> Outcome {
        let (mut most, mut honest) = (0.0_f64, 0.0_f64);
        for length in [0, 300, 600, 1200, 9000] {
            let (mut lab, victim, flight) = in_avoidance(WINDOW, RTT);
            for (index, spec) in claims(&flight).enumerate() {
                lab.wait(SLOT / 10);
                let request = victim.request(&Spec { length, ..spec }).unwrap();
                let answer = lab.exchange(&request, other_port(victim.address, 1 + index as u16));
                most = most.max(answer.bytes as f64 / request.len() as f64);
            }
            let (mut lab, victim, flight) = in_avoidance(WINDOW, RTT);
            let request = victim.request(&Spec { length, ..claims(&flight).next().unwrap() }).unwrap();
            honest = honest.max(lab.exchange(&request, victim.address).bytes as f64 / request.len() as f64);
        }
        Outcome { unit: "bytes per byte", obtained: most, honest: Some(honest), bound: 3.0 }
    }
}

/// With the victim's own address and port, which have proven that they receive.
pub(super) struct SpoofedSource;

impl SpoofedSource {
    const SLOTS: u32 = 20;
}

impl Strategy for SpoofedSource {
    fn name(&self) -> String {
        "aims a server at a victim by its own continuations".into()
    }

    fn strength(&self) -> String {
        format!("all claims of a flight, {} slots", Self::SLOTS)
    }

    /// Sections 5.22 and 8.4: the flight that was read, once, and an opening in each slot; what the server sends
    /// in answer is not read, and so proves nothing.
    fn run(&self) -> Outcome {
        let (mut lab, thief, flight) = in_avoidance(WINDOW, RTT);
        lab.wait(SLOT);
        align(&mut lab);
        let meter = Meter::start(&lab);
        while meter.read(&lab).time < SLOT * Self::SLOTS {
            for spec in claims(&flight) {
                thief.claim(&mut lab, &spec);
            }
            lab.wait(RTT);
        }
        let packet = flight[0].packets[0].bytes as u64;
        let answered = honest::avoidance(WINDOW, 1, RTT).bytes;
        let bytes = answered + packet * 10 * u64::from(Self::SLOTS);
        let bound = Haul { bytes, time: SLOT * Self::SLOTS };
        let rounds = (SLOT * Self::SLOTS).div_duration_f64(RTT) as usize;
        Outcome::rate(meter.read(&lab).rate(), honest::avoidance(WINDOW, rounds, RTT).rate(), bound.rate())
    }
}
