//! A client that remembers every packet it received and can claim anything it likes.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::time::Duration;

use trickles::epoch::{CurveId, Epoch, SlowStartExit};
use trickles::user_continuation::UserContinuation;
use trickles::wire::{
    AbbreviatedClaim, BASE_PACKET_SIZE, Claim, ClaimKind, Hello, Input, MIN_CLAIM, Request, Run, Runs,
};

use super::{Answer, Lab, Train};

/// What a claim asks for, its proof left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Continue { proven: u64 },
    Recover { lost: u64, rtt: u32 },
    Restart { attempt: u8, rtt: u32 },
    Resume { rtt: u32 },
}

/// The most that a client can say a path has carried when `lost` is lost: all of the window.
pub fn most_carried(epoch: &Epoch, lost: u64) -> u32 {
    epoch.window(lost.saturating_sub(epoch.base))
}

/// The epoch that follows the loss of `lost` if the client says so.
pub fn after_loss(epoch: &Epoch, lost: u64, rtt: u32) -> Option<Epoch> {
    epoch.recover(lost, most_carried(epoch, lost), rtt)
}

/// A claim to be made.
#[derive(Clone, Debug)]
pub struct Spec<'a> {
    pub echo: u64,
    pub train: &'a Train,
    pub kind: Kind,
    pub exit: Option<SlowStartExit>,
    /// What the path is said to have carried in a Recover, if it is not all of the window.
    pub carried: Option<u32>,
    pub runs: Vec<Range<u64>>,
    /// Bytes wanted for each run.
    pub want: u64,
    /// The user continuation, if it is not the newest.
    pub user: Option<&'a [u8]>,
    pub input: Option<Input<'a>>,
    /// Whether it is only presumed that all before it is stored.
    pub presumed: bool,
    /// The request is padded to this many bytes.
    pub length: usize,
}

impl<'a> Spec<'a> {
    /// A claim of `runs` that presents `train`, wants all there is, and declares what the train carries.
    pub fn new(train: &'a Train, kind: Kind, runs: Vec<Range<u64>>) -> Self {
        Self {
            echo: 5,
            train,
            kind,
            exit: train.fields.epoch.exit,
            carried: None,
            runs,
            want: u64::from(u32::MAX),
            user: None,
            input: None,
            presumed: false,
            length: MIN_CLAIM,
        }
    }

    /// A claim of one run.
    pub fn one(train: &'a Train, kind: Kind, run: Range<u64>) -> Self {
        Self::new(train, kind, Vec::from([run]))
    }

    /// A claim of one position of the train, all of which has arrived, with input and without wants.
    pub fn show(train: &'a Train, position: u64, input: Input<'a>) -> Self {
        let kind = Kind::Continue { proven: train.fields.end() };
        Self { want: 0, input: Some(input), ..Self::one(train, kind, position..position + 1) }
    }

    /// A claim of positions of the train itself.
    pub fn in_order(train: &'a Train, positions: Range<u64>) -> Self {
        let kind = Kind::Continue { proven: positions.end };
        Self::new(train, kind, super::runs_of(positions, 32))
    }

    /// The presented epoch with what is declared entered.
    pub fn epoch(&self) -> Epoch {
        Epoch { exit: self.exit, ..self.train.fields.epoch }
    }
}

/// The part of an epoch in which nonces are of one kind: its tag, and the declared exit behind it.
type Fork = (u64, Option<(u32, u32)>);

/// How far a fork is known from its base on, and the proof up to the end of every packet of that.
type Prefix = (u64, BTreeMap<u64, u64>);

#[derive(Clone, Debug)]
pub struct Liar {
    pub address: SocketAddr,
    pub user: Vec<u8>,
    /// Everything received, oldest first.
    pub trains: Vec<Train>,
    /// First number of a packet to its end and nonce.
    known: BTreeMap<Fork, BTreeMap<u64, (u64, u64)>>,
    prefixes: RefCell<BTreeMap<Fork, Prefix>>,
}

impl Liar {
    pub fn at(port: u16) -> Self {
        let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 1, 2, 3)), port);
        Self {
            address,
            user: Vec::new(),
            trains: Vec::new(),
            known: BTreeMap::new(),
            prefixes: RefCell::default(),
        }
    }

    /// The same with another address.
    pub fn moved(self, address: SocketAddr) -> Self {
        Self { address, ..self }
    }

    /// Opens a flow with a Hello of `length` bytes and receives the answer.
    pub fn connect(lab: &mut Lab, port: u16, curve: CurveId, length: usize) -> Self {
        let mut liar = Self::at(port);
        let answer = lab.exchange(&hello(curve, u64::from(port), length), liar.address);
        liar.receive(&answer);
        liar
    }

    pub fn receive(&mut self, answer: &Answer) {
        if let Some(user) = &answer.user {
            self.user.clone_from(user);
        }
        answer.trains.iter().for_each(|train| self.receive_train(train, |_| true));
    }

    /// Receives those packets of a train that `arrives` says do; its continuation comes with the last one.
    pub fn receive_train(&mut self, train: &Train, arrives: impl Fn(u64) -> bool) {
        for packet in train.packets.iter().filter(|packet| arrives(packet.numbers.start)) {
            let fork = fork_at(&train.fields.epoch, train.fields.tag, packet.numbers.start);
            let known = self.known.entry(fork).or_default();
            known.insert(packet.numbers.start, (packet.numbers.end, packet.nonce));
        }
        if train.packets.last().is_some_and(|packet| arrives(packet.numbers.start)) {
            self.trains.push(train.clone());
        }
    }

    /// The XOR of the nonces from the epoch's base to `end`, if every packet before it was received.
    pub fn proof(&self, epoch: &Epoch, tag: u64, end: u64) -> Option<u64> {
        self.gap(epoch, tag);
        self.prefixes.borrow()[&fork_at(epoch, tag, u64::MAX)].1.get(&end).copied()
    }

    /// The first number of the epoch that was not received.
    pub fn gap(&self, epoch: &Epoch, tag: u64) -> u64 {
        let mut prefixes = self.prefixes.borrow_mut();
        let fork = fork_at(epoch, tag, u64::MAX);
        let start = || (epoch.base, BTreeMap::from([(epoch.base, 0)]));
        let (next, proofs) = prefixes.entry(fork).or_insert_with(start);
        let packet = |number: u64| self.known.get(&fork_at(epoch, tag, number))?.get(&number).copied();
        while let Some((end, nonce)) = packet(*next) {
            let proof = proofs[next] ^ nonce;
            proofs.insert(end, proof);
            *next = end;
        }
        *next
    }

    /// The claim as a datagram; `None` when its prefix cannot be proven.
    pub fn request(&self, spec: &Spec<'_>) -> Option<Vec<u8>> {
        let epoch = spec.epoch();
        let tag = spec.train.fields.tag;
        let proven = match spec.kind {
            Kind::Continue { proven } => proven,
            Kind::Recover { lost, .. } => lost,
            Kind::Restart { .. } | Kind::Resume { .. } => epoch.base,
        };
        Some(self.request_with_proof(spec, self.proof(&epoch, tag, proven)?))
    }

    /// The same without what the server remembers, if it has told the newest user continuation last; `None` also when it
    /// cannot be said like that.
    pub fn abbreviated(&self, spec: &Spec<'_>) -> Option<Vec<u8>> {
        let (Kind::Continue { proven: end } | Kind::Recover { lost: end, .. }) = spec.kind else {
            return None;
        };
        self.abbreviated_with_proof(spec, self.proof(&spec.epoch(), spec.train.fields.tag, end)?)
    }

    /// The abbreviated claim with a proof made up.
    pub fn abbreviated_with_proof(&self, spec: &Spec<'_>, proof: u64) -> Option<Vec<u8>> {
        let claim = self.claimed(spec, proof);
        let mask = UserContinuation::peek(&self.user)?.mask();
        let abbreviated = AbbreviatedClaim::of(&claim, spec.input?, &spec.train.fields, &mask)?;
        let mut datagram = Vec::new();
        Request::Abbreviated(abbreviated).emit(0, &mut datagram);
        Some(datagram)
    }

    /// The claim with a proof made up.
    pub fn request_with_proof(&self, spec: &Spec<'_>, proof: u64) -> Vec<u8> {
        let mut datagram = Vec::new();
        Request::Claim(self.claimed(spec, proof)).emit(spec.length, &mut datagram);
        datagram
    }

    fn claimed<'a>(&'a self, spec: &'a Spec<'_>, proof: u64) -> Claim<'a> {
        let epoch = spec.epoch();
        let kind = match spec.kind {
            Kind::Continue { proven } => ClaimKind::Continue { proven, proof },
            Kind::Recover { lost, rtt } => {
                let carried = spec.carried.unwrap_or_else(|| most_carried(&epoch, lost));
                ClaimKind::Recover { lost, carried, rtt, proof }
            }
            Kind::Restart { attempt, rtt } => ClaimKind::Restart { attempt, rtt },
            Kind::Resume { rtt } => ClaimKind::Resume { rtt },
        };
        let mut runs = Runs::default();
        for run in &spec.runs {
            let run = Run { first: run.start, count: u8::try_from(run.end - run.start).unwrap() };
            let wants = 0..spec.want;
            let wants = if wants.is_empty() { &[] } else { std::slice::from_ref(&wants) };
            assert!(runs.push(run, wants), "{:?}", spec.runs);
        }
        Claim {
            echo: spec.echo,
            continuation: &spec.train.sealed,
            kind,
            exit: spec.exit,
            packet_size: BASE_PACKET_SIZE,
            runs,
            user_continuation: spec.user.unwrap_or(&self.user),
            input: spec.input,
            presumed: spec.presumed,
        }
    }

    /// Makes a claim and returns what it brought, not received yet. Nothing when it cannot be proven.
    pub fn claim(&self, lab: &mut Lab, spec: &Spec<'_>) -> Answer {
        self.request(spec).map_or_else(Answer::default, |datagram| lab.exchange(&datagram, self.address))
    }

    /// Claims every position of these trains in order, as an honest client that lost nothing; returns what it
    /// got and received.
    pub fn claim_all(&mut self, lab: &mut Lab, trains: &[Train]) -> Vec<Train> {
        let mut got = Vec::new();
        for train in trains {
            let answer = self.claim(lab, &Spec::in_order(train, train.numbers()));
            self.receive(&answer);
            got.extend(answer.trains);
        }
        got
    }

    /// Declares `lost` lost and claims what is behind it in `flight`; returns what it got and received.
    pub fn recover_all(&mut self, lab: &mut Lab, lost: u64, rtt: u32, flight: &[Train]) -> Vec<Train> {
        let mut got = Vec::new();
        for train in flight {
            let positions = train.fields.first.max(lost + 1)..train.fields.end();
            if positions.is_empty() {
                continue;
            }
            let spec = Spec::new(train, Kind::Recover { lost, rtt }, super::runs_of(positions, 32));
            let answer = self.claim(lab, &spec);
            self.receive(&answer);
            got.extend(answer.trains);
        }
        got
    }

    /// Slow start, one round trip a step, to a window of at least `window`; returns the last flight.
    pub fn grow(&mut self, lab: &mut Lab, window: u32, rtt: Duration) -> Vec<Train> {
        let mut flight = self.trains.clone();
        while count_packets(&flight) < u64::from(window) {
            lab.wait(rtt);
            flight = self.claim_all(lab, &flight);
        }
        lab.wait(rtt);
        flight
    }

    /// Grows to `window` and loses one packet: from there on congestion avoidance. Returns the flight of the
    /// new epoch, one round trip later.
    pub fn enter_avoidance(&mut self, lab: &mut Lab, window: u32, rtt: Duration) -> Vec<Train> {
        let flight = self.grow(lab, window, rtt);
        let lost = flight[0].fields.first;
        let flight = self.recover_all(lab, lost, rtt.as_micros() as u32, &flight);
        lab.wait(rtt);
        flight
    }
}

pub fn count_packets(trains: &[Train]) -> u64 {
    trains.iter().map(|train| train.packets.len() as u64).sum()
}

fn fork_at(epoch: &Epoch, tag: u64, number: u64) -> Fork {
    let exit = epoch.exit_number().filter(|&at| number >= at).and(epoch.exit);
    (tag, exit.map(|exit| (exit.position, exit.rtt)))
}

/// A Hello of `length` bytes that asks for everything.
pub fn hello(curve: CurveId, stream_id: u64, length: usize) -> Vec<u8> {
    let input = Input { offset: 0, bytes: b"GET\n", fin: false };
    let packet_size = BASE_PACKET_SIZE;
    let hello = Hello { echo: 4, curve, packet_size, stream_id, service: b"", input };
    let mut datagram = Vec::new();
    Request::Hello(hello).emit(length, &mut datagram);
    datagram
}
