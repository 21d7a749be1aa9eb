//! The checks on a request, in the order of docs/protocol.md section 6.1. Nothing is looked up or decoded
//! before the authentication tag has been verified, but what an abbreviated claim refers to, and nothing is marked
//! before there is an answer.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::minisocket::{Plan, Taken};
use super::positions::{check_continue, check_declared, check_recover, check_rtt, half_exceeds};
use super::recall::{Asked, Presents};
use super::{Demand, Minisocket, Outbox, Received, Server};
use crate::continuation::{BODY_LENGTH, Continuation, Sealed};
use crate::epoch::{Epoch, INITIAL_WINDOW, SlowStartExit};
use crate::key_ring::Purpose;
use crate::nonce;
use crate::replay::blocks;
use crate::stats::Discard;
use crate::time::Timestamp;
use crate::user_continuation::UserContinuation;
use crate::wire::{ClaimKind, Envelope, Hello, Notice, Request, Run, Runs, VERSION, echo};

/// Restart and Resume are granted once per flow and slot of this length.
pub(super) const SLOT: Duration = Duration::from_millis(200);
/// Most doublings of the restart time-out.
const MAX_ATTEMPT: u8 = 10;

/// A request that is refused: why, and what the client is told.
pub(super) struct Refusal(pub(super) Discard, pub(super) Option<Notice>);

impl From<Discard> for Refusal {
    fn from(discard: Discard) -> Self {
        Self(discard, None)
    }
}

/// What a request carries about its sender and time.
#[derive(Clone, Copy)]
pub(super) struct Arrival {
    pub(super) from: SocketAddr,
    pub(super) now: Timestamp,
    length: usize,
}

impl Server {
    /// Takes one datagram. What passes every check is returned to be answered; refusals and notices to be
    /// sent to `from` are added to `outbox`; anything else is discarded and counted.
    ///
    /// `now`: microseconds of the Unix epoch; a clock that steps back counts as one that stands still.
    pub fn receive<'a>(
        &mut self,
        datagram: &'a [u8],
        from: SocketAddr,
        now: Timestamp,
        outbox: &mut Outbox,
    ) -> Option<Received<'a>> {
        self.stats.received += 1;
        self.clock = self.clock.max(now);
        let from = SocketAddr::new(from.ip().to_canonical(), from.port());
        let arrival = Arrival { from, now: self.clock, length: datagram.len() };
        if let Some(&version) = datagram.first().filter(|&&version| version != VERSION) {
            self.stats.discard(Discard::Version);
            // Where any version keeps it: behind version and type.
            if let Some(echo) = echo(datagram).filter(|_| version != 0 && datagram.len() >= 64) {
                self.notify(arrival.now, echo, Notice::Version(VERSION), outbox);
            }
            return None;
        }
        let Some(envelope) = Envelope::parse(datagram) else {
            self.stats.discard(Discard::Malformed);
            return None;
        };
        match self.admit(envelope, arrival, outbox) {
            Ok(received) => {
                self.stats.events += u64::from(received.is_some());
                received
            }
            Err(Refusal(discard, notice)) => {
                self.stats.discard(discard);
                if let Some(notice) = notice {
                    self.notify(arrival.now, envelope.echo, notice, outbox);
                }
                None
            }
        }
    }

    fn admit<'a>(
        &mut self,
        envelope: Envelope<'a>,
        arrival: Arrival,
        outbox: &mut Outbox,
    ) -> Result<Option<Received<'a>>, Refusal> {
        let (continuation, recalled) = match (envelope.continuation, envelope) {
            (Some(sealed), _) => (self.open(sealed, arrival.from.ip())?, None),
            (None, envelope) => match envelope.open() {
                Some(Request::Hello(hello)) => {
                    return self.admit_hello(&hello, arrival).map(Received::Event).map(Some);
                }
                Some(Request::Abbreviated(claim)) => {
                    let (continuation, asked) = self.recall(&claim, arrival)?;
                    (continuation, Some(asked))
                }
                _ => return Err(Discard::Malformed.into()),
            },
        };
        if continuation.issued > arrival.now + self.skew(&continuation) {
            return Err(Discard::Future.into());
        }
        if !self.is_fresh(&continuation, arrival) || self.seal.ring.get(continuation.birth_key).is_none() {
            self.stats.discard(Discard::Stale);
            self.refresh(&continuation, envelope.echo, arrival.from, arrival.now, arrival.length, outbox);
            return Ok(None);
        }
        let asked = match recalled {
            Some(asked) => asked,
            None => match envelope.open() {
                Some(Request::Claim(claim)) => Asked::from(claim),
                Some(Request::Reset { code, .. }) => {
                    return Ok(Some(Received::Reset { stream: continuation.stream, code }));
                }
                _ => return Err(Discard::Malformed.into()),
            },
        };
        self.admit_claim(asked, continuation, arrival).map(Received::Event).map(Some)
    }

    fn open(&self, sealed: &Sealed, client: IpAddr) -> Result<Continuation, Refusal> {
        let (body, tag) = sealed.split_at(BODY_LENGTH);
        let (Some(body), Some(tag)) = (body.first_chunk(), tag.first_chunk()) else {
            return Err(Discard::Malformed.into());
        };
        let id = u16::from_be_bytes([body[0], body[1]]);
        let Some(keys) = self.seal.ring.get(id) else {
            return Err(Refusal(Discard::UnknownKey, Some(Notice::UnknownKey(id))));
        };
        if !self.seal.verify(keys, Purpose::Continuation, Some(client), body, tag) {
            return Err(Discard::Forged.into());
        }
        Continuation::decode(body).ok_or(Discard::Field.into())
    }

    /// By how much this server's clock may differ from the issuer's.
    fn skew(&self, continuation: &Continuation) -> Duration {
        if continuation.issuer == self.issuer { Duration::ZERO } else { self.config.max_skew }
    }

    pub(super) fn shard(client: IpAddr) -> u64 {
        match client {
            IpAddr::V4(address) => u64::from(u32::from(address) >> 8),
            IpAddr::V6(address) => (u128::from(address) >> 80) as u64 | 1 << 63,
        }
    }

    fn is_fresh(&self, continuation: &Continuation, arrival: Arrival) -> bool {
        self.is_remembered(continuation, Self::shard(arrival.from.ip()), arrival.now)
    }

    /// Whether every grant that could conflict with a claim of this continuation is still remembered.
    pub(super) fn is_remembered(&self, continuation: &Continuation, shard: u64, now: Timestamp) -> bool {
        let limit = self.config.freshness.min(self.filter.horizon(shard, now) / 4);
        continuation.age(now) < limit && now.since(continuation.rooted) < 2 * limit
    }

    fn admit_hello<'a>(&mut self, hello: &Hello<'a>, arrival: Arrival) -> Result<Minisocket<'a>, Refusal> {
        if *hello.service != *self.seal.service {
            return Err(Refusal(Discard::NoService, Some(Notice::NoService)));
        }
        if !self.hellos.take(arrival.now, self.config.hellos_per_second) {
            return Err(Discard::Limited.into());
        }
        let epoch = Epoch::born(hello.curve, Epoch::birth_base(arrival.now, 0), INITIAL_WINDOW);
        let stream = self.name(hello.stream_id, arrival.from.ip());
        let flow = self.name(hello.stream_id, arrival.from.ip());
        let continuation = self.birth(stream, flow, 0, epoch, arrival.from.port(), arrival.now);
        let mut runs = Runs::default();
        // All that fits is wanted: what there is, the application has yet to say.
        let everything = 0..u64::MAX;
        runs.push(Run { first: 0, count: INITIAL_WINDOW as u8 }, std::slice::from_ref(&everything));
        let input = Some(hello.input).filter(|input| input.fin || !input.bytes.is_empty());
        Ok(Minisocket {
            client: arrival.from,
            now: arrival.now,
            demand: Demand::Next,
            input: input.map(Taken::new),
            echo: hello.echo,
            request_length: arrival.length,
            packet_size: self.packet_size(hello.packet_size),
            continuation,
            plan: Plan::Open { epoch, packets: INITIAL_WINDOW as u8, slot: None },
            runs,
            presented: None,
            cached: None,
            lineage: None,
            front: Vec::new(),
            unproven: true,
            opened_as: Some(hello.stream_id),
            shard: Self::shard(arrival.from.ip()),
        })
    }

    /// A name that no client can choose and no two births share.
    fn name(&mut self, stream_id: u64, client: IpAddr) -> u64 {
        self.births += 1;
        let address = match client {
            IpAddr::V4(address) => u128::from(u32::from(address)),
            IpAddr::V6(address) => u128::from(address),
        };
        let seed = u128::from_be_bytes(self.seed);
        let keys = self.seal.ring.signing();
        let words = [
            (address >> 64) as u64,
            address as u64,
            stream_id,
            self.clock.as_micros(),
            (seed >> 64) as u64,
            seed as u64,
            self.births,
        ];
        nonce::prf(&keys.tag, &words)
    }

    /// The state of a flow in an epoch born `now`: no train has been sent in it.
    pub(super) fn birth(
        &self,
        stream: u64,
        flow: u64,
        parent: u64,
        epoch: Epoch,
        port: u16,
        now: Timestamp,
    ) -> Continuation {
        let key = self.seal.ring.signing().id();
        Continuation {
            key,
            birth_key: key,
            issuer: self.issuer,
            stream,
            flow,
            tag: self.epoch_tag(key, flow, parent, &epoch, now),
            epoch,
            first: epoch.base,
            count: 1,
            earned: epoch.base - 1,
            issued: now,
            rooted: now,
            port,
            bytes: 0,
        }
    }

    /// Keyed digest of an epoch's parameters and ancestry; `born` is zero for the successor after a loss.
    pub(super) fn epoch_tag(
        &self,
        birth_key: u16,
        flow: u64,
        parent: u64,
        epoch: &Epoch,
        born: Timestamp,
    ) -> u64 {
        let keys = self.seal.ring.get(birth_key).unwrap_or_else(|| self.seal.ring.signing());
        let growth = epoch.growth;
        let words = [
            flow,
            parent,
            born.as_micros(),
            epoch.base,
            u64::from(epoch.curve as u8),
            u64::from(growth.window0) << 32 | u64::from(growth.ssthresh),
            u64::from(growth.w_max) << 32 | u64::from(growth.k),
            u64::from(growth.rtt) << 32 | u64::from(epoch.flight),
        ];
        nonce::prf(&keys.tag, &words)
    }

    fn admit_claim<'a>(
        &mut self,
        claim: Asked<'a>,
        mut continuation: Continuation,
        arrival: Arrival,
    ) -> Result<Minisocket<'a>, Refusal> {
        let skewed_age = continuation.age(arrival.now) + self.skew(&continuation);
        self.declare_exit(&mut continuation.epoch, claim.exit, skewed_age)?;
        let plan = match claim.kind {
            ClaimKind::Continue { proven, proof } => {
                check_continue(&claim.runs, &continuation, proven)?;
                self.check_proof(&claim.presents, &continuation, proven, proof)?;
                Plan::Grant { lost: None }
            }
            ClaimKind::Recover { lost, carried, rtt, proof } => {
                check_rtt(rtt, skewed_age)?;
                let next = continuation.epoch.recover(lost, carried, rtt).ok_or(Discard::Field)?;
                check_recover(&claim.runs, &continuation, lost, &next)?;
                self.check_proof(&claim.presents, &continuation, lost, proof)?;
                let Continuation { birth_key, flow, tag, .. } = continuation;
                let tag = self.epoch_tag(birth_key, flow, tag, &next, Timestamp::ZERO);
                Plan::Grant { lost: Some((lost, next, tag)) }
            }
            ClaimKind::Restart { attempt, rtt } => {
                let declared = check_declared(rtt, skewed_age)?;
                let slowest = declared.max(continuation.epoch.rtt());
                let rto = Duration::from_micros(2 * u64::from(slowest)).max(SLOT);
                if attempt > MAX_ATTEMPT || skewed_age < rto * (1 << attempt) {
                    return Err(Discard::Early.into());
                }
                let acked = continuation.earned.saturating_sub(continuation.epoch.base);
                let epoch = continuation.epoch.restart(acked, declared, arrival.now).ok_or(Discard::Field)?;
                self.opening(&claim, epoch, arrival.now)?
            }
            ClaimKind::Resume { rtt } => {
                let declared = check_declared(rtt, skewed_age)?;
                let acked = continuation.earned.saturating_sub(continuation.epoch.base);
                let epoch = continuation
                    .epoch
                    .resume(acked, INITIAL_WINDOW, declared, arrival.now)
                    .ok_or(Discard::Field)?;
                self.opening(&claim, epoch, arrival.now)?
            }
        };
        if half_exceeds(continuation.epoch.rtt(), skewed_age) {
            return Err(Discard::Rtt.into());
        }
        if matches!(plan, Plan::Grant { .. }) && self.is_spent(&claim.runs, &continuation, arrival) {
            return Err(Refusal(Discard::Spent, Some(Notice::Spent)));
        }
        let presented = self.open_user_continuation(&claim.presents, &continuation, arrival.now)?;
        let located = self.locate(&claim, &presented, arrival.now);
        if let Presents::Sealed(sealed) = claim.presents
            && located.demand == Demand::Store
        {
            // It takes further chunks, and answers to these bring no other.
            self.inputs.put_presented(sealed, &presented, arrival.now);
        }
        let unproven = continuation.port != arrival.from.port();
        Ok(Minisocket {
            client: arrival.from,
            now: arrival.now,
            demand: located.demand,
            input: located.input,
            echo: claim.echo,
            request_length: arrival.length,
            packet_size: self.packet_size(claim.packet_size),
            continuation,
            plan,
            runs: claim.runs,
            presented: Some(presented),
            cached: located.cached,
            lineage: located.lineage,
            front: located.front,
            unproven,
            opened_as: None,
            shard: Self::shard(arrival.from.ip()),
        })
    }

    /// Enters a declared exit into the presented epoch, or checks that it is the one already there.
    fn declare_exit(
        &self,
        epoch: &mut Epoch,
        declared: Option<SlowStartExit>,
        skewed_age: Duration,
    ) -> Result<(), Refusal> {
        match (epoch.exit, declared) {
            (None, Some(exit)) => {
                check_rtt(exit.rtt, skewed_age)?;
                if !epoch.admits(exit) {
                    return Err(Discard::Field.into());
                }
                epoch.exit = Some(exit);
            }
            (carried, declared) if carried == declared => {}
            _ => return Err(Discard::Field.into()),
        }
        Ok(())
    }

    fn check_proof(
        &self,
        presents: &Presents<'_>,
        continuation: &Continuation,
        proven: u64,
        proof: u64,
    ) -> Result<(), Refusal> {
        // With another proof the tag of what is recalled would not have been verified.
        let is_recalled = matches!(presents, Presents::Remembered);
        let proves = is_recalled || nonce::proves(proof, self.proof(continuation, proven));
        if proves { Ok(()) } else { Err(Discard::Proof.into()) }
    }

    /// What proves that all numbers of the epoch before `proven` were received.
    pub(super) fn proof(&self, continuation: &Continuation, proven: u64) -> u64 {
        self.nonces(continuation).of(continuation.epoch.base..proven)
    }

    fn opening(&self, claim: &Asked<'_>, epoch: Epoch, now: Timestamp) -> Result<Plan, Refusal> {
        let slot = now.as_micros() / SLOT.as_micros() as u64;
        match claim.runs.iter().next() {
            Some((Run { first: 0, count }, _)) if claim.runs.len() == 1 => {
                let packets = epoch.growth.window0.min(u32::from(count)) as u8;
                Ok(Plan::Open { epoch, packets, slot: Some(slot) })
            }
            _ => Err(Discard::Field.into()),
        }
    }

    /// Whether all positions claimed have been granted: what is replayed costs no more than this.
    fn is_spent(&self, runs: &Runs, continuation: &Continuation, arrival: Arrival) -> bool {
        let shard = Self::shard(arrival.from.ip());
        let is_granted = |(block, mask)| self.filter.granted(shard, continuation.flow, block) & mask == mask;
        runs.iter().all(|(run, _)| blocks(run.positions()).all(is_granted))
    }

    fn open_user_continuation<'a>(
        &self,
        presents: &Presents<'a>,
        continuation: &Continuation,
        now: Timestamp,
    ) -> Result<UserContinuation<'a>, Refusal> {
        let refused = Refusal(Discard::UserContinuation, Some(Notice::Expired));
        let user = match *presents {
            Presents::Remembered => {
                self.inputs.get(continuation.stream, now).map(|held| held.user.into_owned())
            }
            Presents::Sealed(sealed) if self.inputs.holds(continuation.stream, sealed) => {
                UserContinuation::peek(sealed)
            }
            Presents::Sealed(sealed) => UserContinuation::open(&self.seal, sealed),
        };
        match user {
            Some(user) if user.stream == continuation.stream && now < user.expires => Ok(user),
            _ => Err(refused),
        }
    }
}
