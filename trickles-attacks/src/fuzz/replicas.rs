//! Two replicas are shown the same datagrams at the same time. They share nothing but the key, so what they
//! answer must be equal, but for what names the process that issued it. Their clocks agree: what a process allows
//! for the skew of others it does not allow itself.

#![allow(clippy::unwrap_used, reason = "a laboratory may panic")]

use std::time::Duration;

use trickles::continuation::Continuation;
use trickles::epoch::CurveId;
use trickles::user_continuation::{Lineage, UserContinuation};
use trickles::wire::Input;

use super::mutate;
use crate::lab::{Answer, Choices, Kind, Lab, Liar, RANGE, Spec, Train, after_loss, runs_of};

const MOST_STEPS: usize = 100;

pub(super) fn run(bytes: &[u8]) {
    let mut choices = Choices::from_bytes(bytes);
    let mut replicas = [9, 10].map(|seed| Lab::replica(seed, Duration::ZERO));
    let mut liar = Liar::connect(&mut replicas[0], 1, CurveId::Cubic, 12_000);
    for _ in 0..MOST_STEPS {
        if choices.is_spent() {
            break;
        }
        let pause = match choices.below(20) {
            0 => Duration::from_secs(choices.below(60)),
            _ => Duration::from_millis(choices.below(300)),
        };
        replicas.iter_mut().for_each(|replica| replica.wait(pause));
        let Some(mut datagram) = request(&liar, &mut choices) else { continue };
        if choices.chance(10) {
            let mut behind = datagram.split_off(130.min(datagram.len()));
            mutate(&mut behind, &mut choices);
            datagram.extend(behind);
        }
        let address = liar.address;
        let [one, other] = [0, 1].map(|replica: usize| replicas[replica].exchange(&datagram, address));
        assert!(comparable(&one) == comparable(&other), "{}\n{}", summary(&one), summary(&other));
        // The client goes on with one of them.
        let taken = if choices.chance(50) { one } else { other };
        let (seed, lossy) = (choices.below(256), choices.chance(20));
        if let Some(user) = &taken.user {
            liar.user.clone_from(user);
        }
        for train in &taken.trains {
            liar.receive_train(train, |number| !lossy || (seed >> (number % 8)) & 1 != 0);
        }
    }
}

/// Fields without the issuer and everything that is a function of it.
type Fields = (Continuation, Vec<u8>, bool);
type Comparable<'a> = (Vec<Fields>, Vec<String>, Option<UserContinuation<'a>>, &'a [(u64, Vec<u8>)], usize);

fn comparable(answer: &Answer) -> Comparable<'_> {
    let trains = answer.trains.iter().map(|train| {
        let packets: Vec<u8> = train
            .packets
            .iter()
            .flat_map(|packet| [packet.numbers.start, packet.numbers.end, packet.nonce, packet.bytes as u64])
            .flat_map(u64::to_be_bytes)
            .collect();
        (Continuation { issuer: 0, ..train.fields }, packets, train.refresh)
    });
    let notices = answer.notices.iter().map(|notice| format!("{notice:?}"));
    let user = answer.user.as_deref().map(|user| {
        let user = UserContinuation::peek(user).expect("servers seal sane ones");
        UserContinuation { lineage: Lineage { processing: 0, ..user.lineage }, ..user }
    });
    (trains.collect(), notices.collect(), user, &answer.data, answer.bytes)
}

/// What an answer is, without the data.
fn summary(answer: &Answer) -> String {
    let trains: Vec<_> = answer.trains.iter().map(|train| (train.fields, train.refresh)).collect();
    format!("{} bytes, {:?}, {trains:?}", answer.bytes, answer.notices)
}

/// A claim of any kind, with what it needs to be granted more often than not.
fn request(liar: &Liar, choices: &mut Choices) -> Option<Vec<u8>> {
    let back = choices.below((liar.trains.len() as u64).min(8)) as usize;
    let train = &liar.trains[liar.trains.len() - 1 - back];
    let fields = &train.fields;
    let gap = liar.gap(&fields.epoch, fields.tag);
    let some = fields.first + choices.below(u64::from(fields.count))..fields.end();
    let spec = match choices.below(8) {
        0 => Spec::one(train, Kind::Restart { attempt: 0, rtt: 0 }, 0..2),
        1 => Spec::one(train, Kind::Resume { rtt: 400 }, 0..10),
        2 | 3 => {
            let lost = gap.min(some.start.saturating_sub(1));
            let next = after_loss(&fields.epoch, lost, 400)?;
            let own = some.start.max(lost + 1)..some.end.min(next.base);
            if own.is_empty() {
                return None;
            }
            Spec::new(train, Kind::Recover { lost, rtt: 400 }, runs_of(own, 32))
        }
        4 => return with_input(liar, train, gap, choices),
        _ => {
            let own = some.start..some.end.min(gap);
            if own.is_empty() {
                return None;
            }
            Spec::new(train, Kind::Continue { proven: gap }, runs_of(own, 32))
        }
    };
    let want = if choices.chance(30) { 1 + choices.below(3000) } else { u64::from(u32::MAX) };
    liar.request(&Spec { want, ..spec })
}

/// A claim of one position, with input.
fn with_input(liar: &Liar, train: &Train, proven: u64, choices: &mut Choices) -> Option<Vec<u8>> {
    let bytes = *choices.pick(&[&b"x"[..], b"PUT\n", b"BIG\n", &[7; 500]]);
    let user = UserContinuation::peek(&liar.user).unwrap();
    let offset = choices.near(&[user.input.start, user.input.start + RANGE]).min(u64::MAX - 500);
    let echo = choices.word();
    let input = Input { offset, bytes, fin: choices.chance(10) };
    let kind = Kind::Continue { proven };
    liar.request(&Spec { echo, kind, ..Spec::show(train, train.fields.first, input) })
}
