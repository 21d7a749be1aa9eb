//! Continuations that nobody issued, sealed with the right key: what a compromised replica could make, and what
//! lies behind the tag when the tag is right. The server must not panic, loop, or answer beyond its limits; and
//! where the tag is wrong it must not answer with a packet at all.

#![allow(clippy::unwrap_used, reason = "a laboratory may panic")]

use std::time::Duration;

use trickles::continuation::{BODY_LENGTH, Continuation, Sealed};
use trickles::epoch::{CurveId, SlowStartExit};
use trickles::server::ServerConfig;
use trickles::time::Timestamp;
use trickles::user_continuation::UserContinuation;
use trickles::wire::{Claim, ClaimKind, Input, MAX_EMIT, MAX_PACKET_SIZE, Request, Run, Runs};

use crate::forge::{Forge, encode_user};
use crate::lab::{Choices, Lab, Liar, SECRET, Train, most_carried, small_filter};

const MOST_CLAIMS: usize = 20;

pub(super) fn run(bytes: &[u8]) {
    let mut choices = Choices::from_bytes(bytes);
    let filter = trickles::replay::FilterConfig { cells_per_generation: 1 << 10, ..small_filter() };
    let mut lab = Lab::with(ServerConfig::default(), filter);
    let forge = Forge::new(&SECRET.1);
    let mut liar = Liar::connect(&mut lab, 1, CurveId::Cubic, 4200);
    let mut trains = liar.trains.clone();
    for _ in 0..MOST_CLAIMS {
        if choices.is_spent() {
            break;
        }
        lab.wait(pause(&mut choices));
        let train = choices.pick(&trains).clone();
        let (sealed, authentic) = seal(&train, &forge, &liar, &mut choices);
        let Some(fields) = Continuation::peek(&sealed) else {
            // It has a tag and no meaning.
            let user = liar.user.clone();
            let datagram = request(&train.fields, &sealed, &forge, &user, &mut choices);
            let answer = lab.exchange_forged(&datagram, liar.address);
            assert!(answer.packets == 0 && answer.bytes < datagram.len(), "an answer to nonsense");
            continue;
        };
        let user = user_continuation(&liar.user, &forge, fields.stream, &mut choices);
        let datagram = request(&fields, &sealed, &forge, &user, &mut choices);
        let answer = lab.exchange_forged(&datagram, liar.address);
        assert!(answer.packets <= MAX_EMIT as u64, "{} packets", answer.packets);
        assert!(answer.bytes <= MAX_EMIT * usize::from(MAX_PACKET_SIZE));
        assert!(authentic || answer.packets == 0, "packets for a wrong tag");
        assert!(answer.packets > 0 || answer.bytes < datagram.len(), "a notice longer than its request");
        if let Some(user) = &answer.user {
            liar.user.clone_from(user);
        }
        trains.extend(answer.trains);
    }
}

fn pause(choices: &mut Choices) -> Duration {
    match choices.below(8) {
        0 => Duration::from_secs(choices.below(100)),
        1 => Duration::from_micros(choices.below(1000)),
        _ => Duration::from_millis(choices.below(300)),
    }
}

/// A continuation made from that of a train, and whether its tag is right.
fn seal(train: &Train, forge: &Forge, liar: &Liar, choices: &mut Choices) -> (Sealed, bool) {
    let mut fields = train.fields;
    for _ in 0..choices.below(5) {
        change(&mut fields, choices);
    }
    let mut body: [u8; BODY_LENGTH] = *forge.seal(&fields, liar.address.ip()).first_chunk().unwrap();
    for _ in 0..choices.below(5).saturating_sub(3) {
        body[choices.below(BODY_LENGTH as u64) as usize] = choices.word() as u8;
    }
    let mut sealed = forge.seal_body(&body, liar.address.ip());
    let authentic = !choices.chance(5);
    if !authentic {
        let at = choices.below(sealed.len() as u64) as usize;
        sealed[at] ^= 1 << choices.below(8);
    }
    (sealed, authentic)
}

fn change(fields: &mut Continuation, choices: &mut Choices) {
    let epoch = &mut fields.epoch;
    let near = |choices: &mut Choices, value: u32| choices.near(&[u64::from(value), 1 << 20, 300, 2]) as u32;
    match choices.below(20) {
        0 => fields.key = choices.word() as u16,
        1 => fields.birth_key = choices.word() as u16,
        2 => fields.issuer = choices.word() as u32,
        3 => fields.stream = choices.word(),
        4 => fields.flow = choices.word(),
        5 => fields.tag = choices.word(),
        6 => epoch.curve = *choices.pick(&[CurveId::Reno, CurveId::Cubic]),
        7 => {
            // All numbers move together.
            let base = choices.near(&[epoch.base, 1, 1 << 47, 1 << 62, (1 << 63) - 1]);
            fields.first = base.wrapping_add(fields.first.wrapping_sub(epoch.base));
            fields.earned = base.wrapping_add(fields.earned.wrapping_sub(epoch.base));
            epoch.base = base;
        }
        8 => epoch.growth.window0 = near(choices, epoch.growth.window0),
        9 => epoch.growth.ssthresh = near(choices, epoch.growth.ssthresh),
        10 => epoch.growth.w_max = near(choices, epoch.growth.w_max),
        11 => epoch.growth.k = near(choices, epoch.growth.k),
        12 => epoch.growth.rtt = near(choices, epoch.growth.rtt),
        13 => epoch.flight = near(choices, epoch.growth.window0),
        14 => {
            let exit = SlowStartExit { position: near(choices, 10), rtt: near(choices, 1000) };
            epoch.exit = choices.chance(80).then_some(exit);
        }
        15 => {
            fields.first = choices.near(&[fields.first, epoch.base, epoch.base.wrapping_add(1 << 47)]);
            fields.earned = choices.near(&[fields.earned, fields.first, epoch.base]);
        }
        16 => fields.count = choices.near(&[1, 64, 255]) as u8,
        17 => {
            fields.issued = Timestamp::from_micros(choices.near(&[fields.issued.as_micros()]));
            fields.rooted = Timestamp::from_micros(choices.near(&[fields.issued.as_micros()]));
        }
        18 => fields.port = choices.word() as u16,
        _ => fields.bytes = near(choices, fields.bytes),
    }
}

/// The stream's user continuation, or one that is not quite that.
fn user_continuation(honest: &[u8], forge: &Forge, stream: u64, choices: &mut Choices) -> Vec<u8> {
    let mut user = UserContinuation::peek(honest).unwrap();
    user.stream = stream;
    match choices.below(8) {
        0 => return honest.to_vec(),
        1 => return choices.bytes(100),
        2 => {
            let ends = [choices.near(&[user.output.end]), choices.near(&[user.output.start])];
            user.output = ends[0].min(ends[1])..ends[0].max(ends[1]);
        }
        3 => {
            let ends = [choices.near(&[user.input.end]), choices.near(&[user.input.start])];
            user.input = ends[0].min(ends[1])..ends[0].max(ends[1]);
            user.any_order = choices.chance(50);
        }
        4 => {
            user.finished = choices.chance(50);
            user.input_closed = choices.chance(50);
            user.any_order = choices.chance(50);
        }
        5 => user.expires = Timestamp::from_micros(choices.near(&[user.expires.as_micros()])),
        _ => {}
    }
    forge.seal_user(&encode_user(&user))
}

/// A claim under this continuation, with proofs that match it.
fn request(
    fields: &Continuation,
    sealed: &Sealed,
    forge: &Forge,
    user_continuation: &[u8],
    choices: &mut Choices,
) -> Vec<u8> {
    let mut epoch = fields.epoch;
    let number =
        |choices: &mut Choices| choices.near(&[fields.first, epoch.base, fields.earned, fields.end()]);
    let kind_of = choices.below(4);
    let until = number(choices);
    let rtt = choices.near(&[10, 1000, 60_000_000]) as u32;
    let exit = match choices.below(4) {
        0 => Some(SlowStartExit { position: choices.near(&[10]) as u32, rtt }),
        _ => fields.epoch.exit,
    };
    let mut runs = Runs::default();
    for _ in 0..1 + choices.below(4) {
        let first = number(choices);
        let count = 1 + choices.below(64) as u8;
        if first.checked_add(u64::from(count)).is_none() {
            continue;
        }
        let from = choices.near(&[0, 1 << 60]);
        let wants = from..from.saturating_add(choices.near(&[0, 1, 1000, 100_000]));
        let wants = if wants.is_empty() { Vec::new() } else { vec![wants] };
        runs.push(Run { first, count }, &wants);
    }
    if exit.is_none_or(|exit| epoch.admits(exit)) {
        epoch.exit = exit;
    }
    let proof = match until.checked_sub(epoch.base).filter(|&length| length < 1 << 40) {
        Some(_) => forge.proof(&epoch, fields.tag, epoch.base..until),
        None => choices.word(),
    };
    let kind = match kind_of {
        0 => ClaimKind::Continue { proven: until, proof },
        1 => {
            let most = most_carried(&epoch, until);
            let carried = *choices.pick(&[most, most, most / 2, 1, 0, most.saturating_add(1)]);
            ClaimKind::Recover { lost: until, carried, rtt, proof }
        }
        2 => ClaimKind::Restart { attempt: choices.below(12) as u8, rtt: rtt * choices.below(2) as u32 },
        _ => ClaimKind::Resume { rtt },
    };
    let bytes = choices.bytes(60);
    let offset = choices.near(&[4, 0, 1 << 60]).min(u64::MAX - bytes.len() as u64);
    let input = choices.chance(30).then_some(Input { offset, bytes: &bytes, fin: choices.chance(20) });
    let packet_size = *choices.pick(&[1200, 1000, 1400, 9000]);
    let claim = Claim {
        echo: choices.word(),
        continuation: sealed,
        kind,
        exit,
        packet_size,
        runs,
        user_continuation,
        input,
        presumed: false,
    };
    let mut datagram = Vec::new();
    Request::Claim(claim).emit(choices.below(2000) as usize, &mut datagram);
    datagram
}
