//! Servers that answer a client's input with whatever they like.

use std::time::Duration;

use proptest::prelude::*;
use trickles::client::{Client, ClientConfig};
use trickles::time::Timestamp;
use trickles::wire::{Claim, Frame, Notice, Request, Response};

use crate::cases;
use crate::lab::{Choices, Lab, Liar};

/// Where the frames of a numbered packet begin.
const FRAMES: usize = 28;

/// Anything from nearby to the ends of the number space.
fn offset(choices: &mut Choices, near: u64) -> u64 {
    match choices.below(8) {
        0 => 0,
        1 => u64::MAX,
        2 => u64::MAX - choices.below(3000),
        3 => choices.word(),
        4 => near,
        _ => (near + choices.below(4000)).saturating_sub(choices.below(4000)),
    }
}

/// A user continuation that a client takes for one of its stream.
fn user_continuation(choices: &mut Choices, honest: &[u8], near: u64, echo: u64) -> Vec<u8> {
    let mut sealed = honest.to_vec();
    let mut put = |at: usize, bytes: &[u8]| sealed[at..at + bytes.len()].copy_from_slice(bytes);
    for at in [10, 26] {
        let (one, other) = (offset(choices, near), offset(choices, near));
        let start = if choices.chance(40) { 0 } else { one.min(other) };
        put(at, &start.to_be_bytes());
        put(at + 8, &one.max(other).to_be_bytes());
    }
    put(42, &[choices.below(8) as u8]);
    if choices.chance(70) {
        put(51, &echo.to_be_bytes());
    }
    sealed
}

/// What else a packet says before what it said.
fn embellish(packet: &[u8], choices: &mut Choices, honest: &[u8], near: u64) -> Vec<u8> {
    let Some(Response::Train(train)) = Response::parse(packet) else { return packet.to_vec() };
    let echo = train.echo;
    let mut hostile = packet[..FRAMES].to_vec();
    for _ in 0..choices.below(4) {
        if choices.chance(50) && !honest.is_empty() {
            let sealed = user_continuation(choices, honest, near, echo);
            Frame::UserContinuation(&sealed).emit(&mut hostile);
        } else {
            let (offset, length) = (offset(choices, near), choices.below(3000) as u16);
            let length = length.min(u16::try_from(u64::MAX - offset).unwrap_or(u16::MAX));
            Frame::Stored { offset, length }.emit(&mut hostile);
        }
    }
    for frame in train.frames.iter() {
        if !matches!(frame, Frame::UserContinuation(_)) || choices.chance(30) {
            frame.emit(&mut hostile);
        }
    }
    hostile
}

/// The same request with a user continuation that the server takes.
fn forgiven(request: &[u8], honest: &[u8]) -> Vec<u8> {
    let mut forgiven = Vec::new();
    match Request::parse(request) {
        Some(Request::Claim(claim)) => {
            let claim = Claim { user_continuation: honest, ..claim };
            Request::Claim(claim).emit(request.len(), &mut forgiven);
        }
        _ => forgiven.extend(request),
    }
    forgiven
}

/// What a request's input begins with.
fn input_of(request: &[u8]) -> Option<u64> {
    match Request::parse(request)? {
        Request::Claim(claim) => claim.input.map(|input| input.offset),
        _ => None,
    }
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn no_answer_to_input_makes_a_client_panic_or_spin(
        seed in any::<u64>(),
        hostility in 0u64..100,
        finishes in any::<bool>(),
    ) {
        let mut choices = Choices(seed);
        let mut lab = Lab::new();
        let address = Liar::at(1).address;
        let config = ClientConfig {
            early_input: b"PUT\n".to_vec(),
            send_buffer: 60_000,
            receive_buffer: 1 << 16,
            ..ClientConfig::default()
        };
        let mut client = Client::new(config, [1; 16], Timestamp::ZERO);
        let (mut now, mut request, mut unread) = (Timestamp::ZERO, Vec::new(), [0; 4096]);
        let mut honest = Vec::new();
        for round in 0..80 {
            while matches!(client.write(&[7; 5000]), Ok(Some(1..))) {}
            if finishes && round == 40 {
                client.shutdown();
            }
            let mut sent = Vec::new();
            while client.poll_transmit(now, &mut request) {
                sent.push(request.clone());
                prop_assert!(sent.len() < 1000, "sends without end");
            }
            // What is due is done, or cannot be: a client that names the present again would never sleep.
            for attempt in 0.. {
                let Some(at) = client.poll_timeout().filter(|&at| at <= now) else { break };
                prop_assert!(attempt < 3, "wakes at {at:?} for nothing, at {now:?}");
                client.handle_timeout(now);
                while client.poll_transmit(now, &mut request) {
                    sent.push(request.clone());
                    prop_assert!(sent.len() < 1000, "sends without end");
                }
            }
            let pause = Duration::from_millis(1 + choices.below(40));
            now = now + pause;
            lab.wait(pause);
            for request in sent.iter().take(40) {
                let near = input_of(request).unwrap_or(choices.below(60_000));
                for packet in lab.raw(&forgiven(request, &honest), address).into_iter().take(20) {
                    if let Some(Response::Train(train)) = Response::parse(&packet) {
                        for frame in train.frames.iter() {
                            if let Frame::UserContinuation(sealed) = frame {
                                honest = sealed.to_vec();
                            }
                        }
                    }
                    let packet = match choices.chance(hostility) {
                        true => embellish(&packet, &mut choices, &honest, near),
                        false => packet,
                    };
                    client.handle_datagram(&packet, now);
                    if choices.chance(hostility / 5) {
                        let echo = u64::from_be_bytes(packet[2..10].try_into().unwrap());
                        let millis = [0, 1, 50, 40_000, u32::MAX][choices.below(5) as usize];
                        let notice = *choices.pick(&[Notice::Pending(millis), Notice::Spent]);
                        let mut datagram = Vec::new();
                        Response::Notice { echo, notice }.emit(&mut datagram);
                        client.handle_datagram(&datagram, now);
                    }
                }
                if choices.chance(hostility / 5) {
                    let echo = u64::from_be_bytes(request[2..10].try_into().unwrap());
                    let notice = Notice::Pending(choices.below(100) as u32);
                    let mut datagram = Vec::new();
                    Response::Notice { echo, notice }.emit(&mut datagram);
                    client.handle_datagram(&datagram, now);
                }
            }
            while matches!(client.read(&mut unread), Ok(Some(1..))) {}
        }
    }
}
