//! Any sequence of datagrams to a client: what a server would answer, embellished, damaged, lost, late, or made
//! up. It must not panic, spin, or send without end.

#![allow(clippy::unwrap_used, reason = "a laboratory may panic")]

use std::time::Duration;

use trickles::client::{Client, ClientConfig};
use trickles::time::Timestamp;
use trickles::wire::{Claim, Frame, Notice, Request, Response, TRAIN_HEADER};

use crate::lab::{Choices, Lab, Liar};

/// Most datagrams a client may send before it is given the next input.
const MOST_SENT: usize = 1000;

pub(super) fn run(bytes: &[u8]) {
    let mut choices = Choices::from_bytes(bytes);
    let (hostility, finishes) = (choices.below(100), choices.chance(50));
    serve_hostile(&mut choices, hostility, finishes);
}

/// Lets a client write, read and finish, and answers as a hostile server may. `hostility`: in percent.
///
/// # Panics
/// When the client does, spins, or sends without end.
pub fn serve_hostile(choices: &mut Choices, hostility: u64, finishes: bool) {
    let mut session = Session::new();
    for round in 0..80 {
        while matches!(session.client.write(&[7; 5000]), Ok(Some(1..))) {}
        if finishes && round == 40 {
            session.client.shutdown();
        }
        let sent = session.drain();
        let pause = match choices.chance(hostility / 10) {
            true => Duration::from_millis(choices.below(100_000)),
            false => Duration::from_millis(1 + choices.below(40)),
        };
        session.now = session.now + pause;
        session.lab.wait(pause);
        for request in sent.iter().take(40) {
            session.answer(request, choices, hostility);
        }
        if choices.chance(hostility / 5) {
            session.client.handle_datagram(&choices.bytes(80), session.now);
        }
        while matches!(session.client.read(&mut [0; 4096]), Ok(Some(1..))) {}
        if choices.is_spent() {
            break;
        }
    }
}

/// A client and what answers it.
struct Session {
    client: Client,
    lab: Lab,
    now: Timestamp,
    /// The newest user continuation that the server made.
    honest: Vec<u8>,
}

impl Session {
    fn new() -> Self {
        let config = ClientConfig {
            early_input: b"PUT\n".to_vec(),
            send_buffer: 60_000,
            receive_buffer: 1 << 16,
            ..ClientConfig::default()
        };
        let client = Client::new(config, [1; 16], Timestamp::ZERO);
        Self { client, lab: Lab::new(), now: Timestamp::ZERO, honest: Vec::new() }
    }

    /// All that the client sends until it waits for something.
    fn drain(&mut self) -> Vec<Vec<u8>> {
        let (mut sent, mut request) = (Vec::new(), Vec::new());
        // What is due is done, or cannot be: a client that names the present again would never sleep.
        for attempt in 0.. {
            while self.client.poll_transmit(self.now, &mut request) {
                sent.push(request.clone());
                assert!(sent.len() < MOST_SENT, "sends without end");
            }
            let Some(at) = self.client.poll_timeout().filter(|&at| at <= self.now) else { break };
            assert!(attempt < 3, "wakes at {at:?} for nothing, at {:?}", self.now);
            self.client.handle_timeout(self.now);
        }
        sent
    }

    fn answer(&mut self, request: &[u8], choices: &mut Choices, hostility: u64) {
        let near = input_of(request).unwrap_or_else(|| choices.below(60_000));
        let address = Liar::at(1).address;
        for packet in self.lab.raw(&forgiven(request, &self.honest), address).into_iter().take(20) {
            if let Some(Response::Train(train)) = Response::parse(&packet) {
                for frame in train.frames.iter() {
                    if let Frame::UserContinuation(sealed) = frame {
                        self.honest = sealed.to_vec();
                    }
                }
            }
            let mut packet = match choices.chance(hostility) {
                true => embellish(&packet, choices, &self.honest, near),
                false => packet,
            };
            if choices.chance(hostility / 8) {
                mutate(&mut packet, choices);
            }
            if !choices.chance(hostility / 8) {
                self.client.handle_datagram(&packet, self.now);
            }
            if choices.chance(hostility / 5) {
                let millis = *choices.pick(&[0, 1, 50, 40_000, u32::MAX]);
                let notice = *choices.pick(&[
                    Notice::Pending(millis),
                    Notice::Spent,
                    Notice::Expired,
                    Notice::UnknownKey(millis as u16),
                    Notice::NoService,
                    Notice::Version(millis as u8),
                    Notice::Reset(millis),
                ]);
                self.notify(&packet, notice);
            }
        }
        if choices.chance(hostility / 5) {
            self.notify(request, Notice::Pending(choices.below(100) as u32));
        }
    }

    /// A notice that names what `datagram` names.
    fn notify(&mut self, datagram: &[u8], notice: Notice) {
        let Some(echo) = datagram.get(2..10) else { return };
        let echo = u64::from_be_bytes(echo.try_into().unwrap());
        let mut datagram = Vec::new();
        Response::Notice { echo, notice }.emit(&mut datagram);
        self.client.handle_datagram(&datagram, self.now);
    }
}

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
    let mut hostile = packet[..TRAIN_HEADER].to_vec();
    for _ in 0..choices.below(4) {
        if choices.chance(50) && !honest.is_empty() {
            let sealed = user_continuation(choices, honest, near, echo);
            Frame::UserContinuation(&sealed).emit(&mut hostile);
        } else if choices.chance(30) {
            let fields = std::array::from_fn(|_| choices.word() as u8);
            Frame::Abbreviated { fields: &fields, exit: choices.chance(50) }.emit(&mut hostile);
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

/// Overwrites, extends or cuts.
pub fn mutate(datagram: &mut Vec<u8>, choices: &mut Choices) {
    for _ in 0..=choices.below(4) {
        let at = choices.below(datagram.len() as u64 + 1) as usize;
        match choices.below(5) {
            0 => datagram.truncate(at),
            1 => datagram.extend((0..choices.below(40)).map(|_| choices.word() as u8).collect::<Vec<_>>()),
            2 => datagram[at..].iter_mut().take(4).for_each(|byte| *byte = 0xff),
            _ => datagram[at..].iter_mut().take(1).for_each(|byte| *byte = choices.word() as u8),
        }
    }
}
