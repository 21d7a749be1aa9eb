//! What one client gets of another's stream by names and states that are the other's.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;

use trickles::epoch::CurveId;
use trickles::server::{Application, Event, Next, Output, Reset, ServerConfig, Unanswered};
use trickles::user_continuation::{MAX_STATE, UserContinuation};
use trickles::wire::{BASE_PACKET_SIZE, Hello, Input, Request};

use super::honest::{HELLO, RTT};
use super::{Outcome, Strategy};
use crate::lab::{Answer, Kind, Lab, Liar, Spec, small_filter};

/// What the victim writes, and nobody else.
const SECRET: u8 = 0xd5;
/// What an intruder writes.
const NOISE: u8 = 0x11;
/// The name that the victim has chosen for its stream.
const STREAM: u64 = 7;

/// Answers a stream with all that was written to it, and always leaves some of the input for later.
struct Diary;

impl Application for Diary {
    fn input(&mut self, event: &Event<'_>) -> Result<Next, Unanswered> {
        let input = event.input.map_or(&[][..], |input| input.bytes);
        let consumed = input.len().saturating_sub(8);
        let mut state = [event.state.unwrap_or_default(), &input[..consumed]].concat();
        state.truncate(MAX_STATE);
        Ok(Next { output: 0..state.len() as u64, state, consumed, ..Next::default() })
    }
}

impl Output for Diary {
    fn read(&mut self, state: &[u8], _: Range<u64>, at: u64, buffer: &mut [u8]) -> Result<usize, Reset> {
        buffer.copy_from_slice(&state[at as usize..at as usize + buffer.len()]);
        Ok(buffer.len())
    }
}

/// Bytes of the victim's in what somebody received: by chance there are no four of them in a row.
fn secrets(answer: &Answer) -> u64 {
    let data = answer.data.iter().map(|(_, bytes)| bytes);
    let of = |bytes: &Vec<u8>| bytes.windows(4).filter(|window| *window == [SECRET; 4]).count() as u64;
    data.chain(&answer.user).map(of).sum()
}

fn hello(bytes: &[u8]) -> Vec<u8> {
    let input = Input { offset: 0, bytes, fin: false };
    let (curve, packet_size, service) = (CurveId::Cubic, BASE_PACKET_SIZE, &b""[..]);
    let mut datagram = Vec::new();
    Request::Hello(Hello { echo: 4, curve, packet_size, stream_id: STREAM, service, input })
        .emit(HELLO, &mut datagram);
    datagram
}

/// A claim of one position of a client's first train with input under some user continuation, as long as
/// there is any.
fn with_input(client: &Liar, position: u64, user_continuation: &[u8], input: Option<Input<'_>>) -> Vec<u8> {
    let train = &client.trains[0];
    let position = train.fields.first + position;
    let kind = Kind::Continue { proven: train.fields.end() };
    let spec = Spec {
        want: MAX_STATE as u64,
        user: Some(user_continuation),
        input,
        ..Spec::one(train, kind, position..position + 1)
    };
    client.request(&spec).unwrap()
}

/// A server with one slot for all it remembers of streams, and a victim whose input is in it.
fn victim() -> (Lab, Liar) {
    let mut lab = Lab::with(ServerConfig { input_cache: 1, ..ServerConfig::default() }, small_filter());
    let mut victim = Liar::at(1);
    victim.receive(&lab.exchange_with(&mut Diary, &hello(&[SECRET; 40]), victim.address));
    lab.wait(RTT);
    write(&mut lab, &mut victim, 0);
    (lab, victim)
}

/// The victim writes on, at the position that comes next.
fn write(lab: &mut Lab, victim: &mut Liar, position: u64) {
    let input = Input { offset: 32 + 32 * position, bytes: &[SECRET; 40], fin: false };
    let datagram = with_input(victim, position, &victim.user, Some(input));
    let answer = lab.exchange_with(&mut Diary, &datagram, victim.address);
    assert!(secrets(&answer) > 0, "the victim has what is its own");
    victim.receive(&answer);
}

fn at(ip: [u8; 4], port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::from(ip)), port)
}

/// Opens streams by the victim's name, from elsewhere and from its own address, and shows input ahead of its own
/// to meet the victim's.
pub(super) struct StreamIds;

impl Strategy for StreamIds {
    fn name(&self) -> String {
        "opens streams by a victim's stream id".into()
    }

    fn strength(&self) -> String {
        "4 addresses, 9 inputs, 1 slot".into()
    }

    /// Section 3.10: names are the server's, and no two births share one, whatever clients call them.
    fn run(&self) -> Outcome {
        let (mut lab, mut victim) = victim();
        let (first, user) = (victim.trains[0].clone(), victim.user.clone());
        let mut stolen = 0;
        let mut names = BTreeSet::from([first.fields.flow, first.fields.stream]);
        let ip = [10, 1, 2, 3];
        for (round, address) in
            [at([10, 9, 9, 9], 1), at([10, 1, 2, 4], 1), at(ip, 2), at(ip, 1)].into_iter().enumerate()
        {
            let mut intruder = Liar::at(0).moved(address);
            let answer = lab.exchange_with(&mut Diary, &hello(&[NOISE; 40]), address);
            stolen += secrets(&answer);
            intruder.receive(&answer);
            let fields = intruder.trains[0].fields;
            // Under a name of the victim's all of its positions could be spent.
            stolen += [fields.flow, fields.stream].iter().filter(|name| !names.insert(**name)).count() as u64;
            lab.wait(RTT);
            write(&mut lab, &mut victim, 1 + round as u64);
            // Behind what the victim has shown, within what is left of that, and before it: the nearer to its own
            // input, the later, since what is taken of that takes the slot.
            let shown = UserContinuation::peek(&victim.user).unwrap().input.start;
            let ahead = [100, 9, 8, 7, 1, 0].map(|behind| shown + behind);
            for (position, offset) in ahead.into_iter().chain([shown - 1, 33, 32]).enumerate() {
                let input = Input { offset, bytes: &[NOISE; 20], fin: false };
                let datagram = with_input(&intruder, position as u64, &intruder.user, Some(input));
                stolen += secrets(&lab.exchange_with(&mut Diary, &datagram, address));
            }
        }
        // What is spent of the victim's counts as well.
        victim.user = user;
        for position in first.fields.first + 5..first.fields.end() {
            let kind = Kind::Continue { proven: first.fields.end() };
            let spec = Spec { want: 1, ..Spec::one(&first, kind, position..position + 1) };
            stolen += u64::from(victim.claim(&mut lab, &spec).packets == 0);
        }
        Outcome::none_of("bytes of another", stolen)
    }
}

/// Presents a user continuation of the victim's under its own continuations.
pub(super) struct UserContinuations;

impl Strategy for UserContinuations {
    fn name(&self) -> String {
        "presents a victim's user continuation as its own".into()
    }

    fn strength(&self) -> String {
        "4 kinds, 3 inputs, every splice".into()
    }

    /// Section 6.1, check 12: a user continuation is of one stream.
    fn run(&self) -> Outcome {
        let (mut lab, victim) = victim();
        let mut thief = Liar::at(0).moved(at([10, 9, 9, 9], 1));
        thief.receive(&lab.exchange_with(&mut Diary, &hello(&[NOISE; 40]), thief.address));
        lab.wait(RTT);
        let own = thief.user.clone();
        let train = thief.trains[0].clone();
        let (first, end) = (train.fields.first, train.fields.end());
        let splice = |at: usize| [&own[..at], victim.user.get(at..).unwrap_or_default()].concat();
        let mut stolen = 0;
        for user in [victim.user.clone()].into_iter().chain((1..own.len()).map(splice)) {
            let inputs = [None, Some(0), Some(64)];
            for (position, offset) in inputs.into_iter().enumerate() {
                let input = offset.map(|offset| Input { offset, bytes: &[NOISE; 40], fin: false });
                let datagram = with_input(&thief, position as u64, &user, input);
                stolen += secrets(&lab.exchange_with(&mut Diary, &datagram, thief.address));
            }
            thief.user = user;
            let recover = Kind::Recover { lost: first, rtt: 1000 };
            for (kind, run) in [
                (recover, first + 4..end),
                (Kind::Restart { attempt: 0, rtt: 0 }, 0..2),
                (Kind::Resume { rtt: 0 }, 0..10),
            ] {
                let datagram = thief.request(&Spec::one(&train, kind, run)).unwrap();
                stolen += secrets(&lab.exchange_with(&mut Diary, &datagram, thief.address));
            }
            lab.wait(RTT);
        }
        Outcome::none_of("bytes of another", stolen)
    }
}
