//! What clients obtain that do not lie.

use std::time::Duration;

use trickles::epoch::CurveId;

use crate::lab::{Haul, Lab, Liar, Meter, Train};

pub(super) const RTT: Duration = Duration::from_millis(40);
/// Where slow start is left, in packets.
pub(super) const WINDOW: u32 = 300;
/// A Hello that may be answered with a whole window.
pub(super) const HELLO: usize = 4200;

/// A flow whose slow start ended at `window` packets, and its flight.
pub(super) fn in_avoidance(window: u32, rtt: Duration) -> (Lab, Liar, Vec<Train>) {
    let mut lab = Lab::new();
    let mut liar = Liar::connect(&mut lab, 1, CurveId::Cubic, HELLO);
    let flight = liar.enter_avoidance(&mut lab, window, rtt);
    (lab, liar, flight)
}

/// Claims everything in order for so many round trips.
pub(super) fn claim_in_order(
    lab: &mut Lab,
    client: &mut Liar,
    mut flight: Vec<Train>,
    rounds: usize,
    rtt: Duration,
) -> Haul {
    let meter = Meter::start(lab);
    for _ in 0..rounds {
        flight = client.claim_all(lab, &flight);
        lab.wait(rtt);
    }
    meter.read(lab)
}

/// In congestion avoidance, slow start left at `window` packets.
pub(super) fn avoidance(window: u32, rounds: usize, rtt: Duration) -> Haul {
    let (mut lab, mut client, flight) = in_avoidance(window, rtt);
    claim_in_order(&mut lab, &mut client, flight, rounds, rtt)
}

/// In slow start, from the answer to Hello on, without it.
pub(super) fn slow_start(rounds: usize) -> Haul {
    connections(1, rounds)
}

/// The same for so many connections at once.
pub(super) fn connections(count: u16, rounds: usize) -> Haul {
    let mut lab = Lab::new();
    let mut clients: Vec<Liar> =
        (0..count).map(|port| Liar::connect(&mut lab, port, CurveId::Cubic, HELLO)).collect();
    let mut flights: Vec<Vec<Train>> = clients.iter().map(|client| client.trains.clone()).collect();
    let meter = Meter::start(&lab);
    for _ in 0..rounds {
        lab.wait(RTT);
        for (client, flight) in clients.iter_mut().zip(&mut flights) {
            *flight = client.claim_all(&mut lab, flight);
        }
    }
    meter.read(&lab)
}
