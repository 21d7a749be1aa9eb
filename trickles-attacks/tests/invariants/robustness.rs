//! Invariant 5: the same bytes everywhere, and no input that panics or hangs.

use std::time::Duration;

use proptest::prelude::*;
use trickles::client::{Client, ClientConfig};
use trickles::epoch::CurveId;
use trickles::time::Timestamp;
use trickles::wire::Input;

use crate::cases;
use trickles_attacks::fuzz::mutate;
use trickles_attacks::lab::liar::hello;
use trickles_attacks::lab::{Choices, Kind, Lab, Liar, RANGE, Spec};

/// One datagram of each kind that a flow sends, all of them in order.
fn conversation(lab: &mut Lab) -> (Liar, Vec<Vec<u8>>) {
    let mut liar = Liar::connect(lab, 1, CurveId::Cubic, 4200);
    let mut sent = vec![hello(CurveId::Cubic, 1, 4200)];
    lab.wait(Duration::from_millis(300));
    let birth = liar.trains[0].clone();
    let spec = Spec::in_order(&birth, birth.fields.first..birth.fields.first + 6);
    let answer = liar.claim(lab, &spec);
    liar.receive(&answer);
    sent.push(liar.request(&spec).unwrap());
    let train = answer.trains[0].clone();
    let lost = train.fields.first;
    let specs = [
        Spec::in_order(&train, train.numbers()),
        Spec::one(&train, Kind::Recover { lost, rtt: 20 }, lost + 1..train.fields.end()),
        Spec::one(&birth, Kind::Restart { attempt: 0, rtt: 0 }, 0..2),
        Spec::one(&birth, Kind::Resume { rtt: 1000 }, 0..10),
    ];
    lab.wait(Duration::from_millis(1));
    for spec in specs {
        sent.push(liar.request(&spec).unwrap());
    }
    (liar, sent)
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn the_same_datagrams_at_the_same_times_bring_the_same_bytes(seed in any::<u64>()) {
        let mut choices = Choices::seeded(seed);
        let (mut one, mut other) = (Lab::new(), Lab::new());
        let (liar, sent) = conversation(&mut one);
        conversation(&mut other);
        let mut answered = 0;
        for _ in 0..100 {
            let mut datagram = choices.pick(&sent).clone();
            if choices.chance(30) {
                mutate(&mut datagram, &mut choices);
            }
            let pause = Duration::from_millis(choices.below(300));
            one.wait(pause);
            other.wait(pause);
            let answer = one.raw(&datagram, liar.address);
            answered += answer.len();
            prop_assert_eq!(answer, other.raw(&datagram, liar.address));
        }
        prop_assert!(answered > 0);
        prop_assert_eq!(one.server.stats(), other.server.stats());
    }

    /// Sealed parts are left alone, so that every check behind the seal is reached too.
    #[test]
    fn no_request_makes_a_server_panic_or_swell(seed in any::<u64>(), sealed in any::<bool>()) {
        let mut choices = Choices::seeded(seed);
        let mut lab = Lab::new();
        let (liar, sent) = conversation(&mut lab);
        for _ in 0..200 {
            let mut datagram = choices.pick(&sent).clone();
            if sealed && datagram[1] > 1 {
                let mut behind = datagram.split_off(10 + trickles::continuation::SEALED_LENGTH);
                mutate(&mut behind, &mut choices);
                datagram.extend(behind);
            } else {
                mutate(&mut datagram, &mut choices);
            }
            let answer = lab.raw(&datagram, liar.address);
            let bytes: usize = answer.iter().map(Vec::len).sum();
            prop_assert!(answer.len() <= trickles::wire::MAX_EMIT && bytes <= 128 * 9000);
        }
    }

    /// Whatever input says of itself, under user continuations of every kind, each with what the server
    /// remembers.
    #[test]
    fn no_input_makes_a_server_panic_or_stay_silent(seed in any::<u64>()) {
        let mut choices = Choices::seeded(seed);
        let mut lab = Lab::new();
        let mut liar = Liar::connect(&mut lab, 1, CurveId::Cubic, 12_000);
        let mut users = vec![liar.user.clone()];
        for _ in 0..4 {
            lab.wait(Duration::from_millis(20));
            let flight = std::mem::take(&mut liar.trains);
            for train in &flight {
                // What was answered with a notice leaves a gap.
                if liar.proof(&train.fields.epoch, train.fields.tag, train.fields.end()).is_none() {
                    continue;
                }
                for position in train.numbers() {
                    let bytes = *choices.pick(&[&b""[..], b"x", b"PUT\n", b"BIG\n", &[7; 500]]);
                    let near = *choices.pick(&[0, 4, 8, 8 + RANGE, 1 << 60, u64::MAX]);
                    let offset = near.wrapping_add(choices.below(8)).wrapping_sub(choices.below(8));
                    let offset = offset.min(u64::MAX - bytes.len() as u64);
                    let user_continuation = choices.pick(&users).clone();
                    let echo = choices.word();
                    let input = Input { offset, bytes, fin: choices.chance(20) };
                    let user = Some(&user_continuation[..]);
                    let spec = Spec { echo, user, length: 1200, ..Spec::show(train, position, input) };
                    let datagram = liar.request(&spec).unwrap();
                    let answer = lab.exchange(&datagram, liar.address);
                    prop_assert!(answer.packets + answer.notices.len() as u64 == 1, "{answer:?}");
                    users.extend(answer.user.clone());
                    liar.receive(&answer);
                }
            }
        }
    }

    #[test]
    fn random_bytes_are_discarded(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut lab = Lab::new();
        let address = Liar::at(1).address;
        let answer = lab.raw(&bytes, address);
        prop_assert!(answer.iter().map(Vec::len).sum::<usize>() <= bytes.len());
        let mut client = Client::new(ClientConfig::default(), [1; 16], Timestamp::ZERO);
        client.handle_datagram(&bytes, Timestamp::ZERO);
        prop_assert!(client.failure().is_none());
    }

    /// A hostile server answers with anything that resembles an answer.
    #[test]
    fn no_response_makes_a_client_panic_or_send_without_end(seed in any::<u64>(), percent in 0u64..60) {
        let mut choices = Choices::seeded(seed);
        let mut lab = Lab::new();
        let address = Liar::at(1).address;
        let config = ClientConfig { early_input: b"GET\n".to_vec(), ..ClientConfig::default() };
        let mut client = Client::new(config, [1; 16], Timestamp::ZERO);
        let (mut now, mut request, mut unread) = (Timestamp::ZERO, Vec::new(), [0; 4096]);
        for _ in 0..60 {
            let mut sent = Vec::new();
            while client.poll_transmit(now, &mut request) {
                sent.push(request.clone());
                prop_assert!(sent.len() < 1000, "sends without end");
            }
            now = now + Duration::from_millis(10);
            lab.wait(Duration::from_millis(10));
            for request in sent.iter().take(20) {
                for mut packet in lab.raw(request, address).into_iter().take(20) {
                    if choices.chance(percent) {
                        mutate(&mut packet, &mut choices);
                    }
                    client.handle_datagram(&packet, now);
                }
            }
            while matches!(client.read(&mut unread), Ok(Some(1..))) {}
            if client.poll_timeout().is_some_and(|at| at <= now) {
                client.handle_timeout(now);
            }
        }
    }
}
