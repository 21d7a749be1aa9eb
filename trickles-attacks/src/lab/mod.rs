//! A server without a network around it: datagrams in, answers out, time as an input. Everything it emits
//! goes through a [`Ledger`], which knows whether it may be.

#![allow(clippy::unwrap_used, missing_docs, reason = "a laboratory may panic; its names say what they are")]

mod choices;
mod haul;
mod ledger;
pub mod liar;

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use trickles::continuation::{Continuation, Sealed};
use trickles::epoch::{Epoch, SlowStartExit, adopts};
use trickles::key_ring::KeyRing;
use trickles::replay::{FilterConfig, FingerprintFilter, ReplayFilter};
use trickles::server::{Application, Event, Next, Outbox, Output, Reset, Server, ServerConfig, Unanswered};
use trickles::stats::Discard;
use trickles::time::Timestamp;
use trickles::user_continuation::MAX_STATE;
use trickles::wire::{Frame, MAX_GRANT, MAX_RUNS, Notice, Request, Response};

pub use choices::Choices;
pub use haul::{Haul, Meter};
pub use ledger::Ledger;
pub use liar::{Kind, Liar, Spec, after_loss, most_carried};

/// When the servers' clocks begin: some day in 2026.
pub const EPOCH: Timestamp = Timestamp::from_millis(1_790_000_000_000);
/// What servers allow for between their clocks unless told otherwise.
pub const SKEW: Duration = Duration::from_millis(20);
/// The key of every server, and its id.
pub const SECRET: (u16, [u8; 32]) = (1, [0x42; 32]);

/// The key ring of every server.
pub fn key_ring() -> KeyRing {
    KeyRing::new(&[SECRET]).unwrap()
}

/// How much is taken in any order behind a `PUT`.
pub const RANGE: u64 = 1000;

/// Answers whatever is asked with as many bytes as are asked for.
#[derive(Debug, Default)]
pub struct Endless;

impl Application for Endless {
    fn input(&mut self, event: &Event<'_>) -> Result<Next, Unanswered> {
        let input = event.input.map_or(&[][..], |input| input.bytes);
        let (consumed, any_order) = (input.len(), if input == b"PUT\n" { RANGE } else { 0 });
        let state = if input == b"BIG\n" { vec![0; MAX_STATE] } else { Vec::new() };
        Ok(Next { state, output: 0..1 << 60, consumed, any_order, ..Next::default() })
    }

    fn store(&mut self, event: &Event<'_>) -> Result<usize, Unanswered> {
        Ok(event.input.map_or(0, |input| input.bytes.len()))
    }
}

impl Output for Endless {
    fn read(&mut self, _: &[u8], _: Range<u64>, _: u64, buffer: &mut [u8]) -> Result<usize, Reset> {
        buffer.fill(7);
        Ok(buffer.len())
    }
}

/// One packet of a train.
#[derive(Clone, Debug)]
pub struct Packet {
    pub numbers: Range<u64>,
    pub nonce: u64,
    pub bytes: usize,
}

/// Consecutive numbers under one continuation.
#[derive(Clone, Debug)]
pub struct Train {
    pub sealed: Sealed,
    pub fields: Continuation,
    pub packets: Vec<Packet>,
    pub refresh: bool,
}

impl Train {
    pub fn numbers(&self) -> Range<u64> {
        self.fields.first..self.fields.end()
    }
}

/// What one datagram made the server send.
#[derive(Debug, Default)]
pub struct Answer {
    pub trains: Vec<Train>,
    pub notices: Vec<Notice>,
    pub user: Option<Vec<u8>>,
    /// Output bytes with their offsets.
    pub data: Vec<(u64, Vec<u8>)>,
    pub packets: u64,
    pub bytes: usize,
}

impl Answer {
    /// Reads what was sent in answer to `request`.
    fn parse<'a>(request: &[u8], datagrams: impl Iterator<Item = &'a [u8]>) -> Self {
        match Request::parse(request) {
            Some(Request::Claim(claim)) => {
                Self::read(Continuation::peek(claim.continuation), claim.exit, datagrams)
            }
            _ => Self::read(None, None, datagrams),
        }
    }

    /// Reads what was sent in answer to a claim that presents a continuation with these fields and declares `exit`.
    fn read<'a>(
        presented: Option<Continuation>,
        exit: Option<SlowStartExit>,
        datagrams: impl Iterator<Item = &'a [u8]>,
    ) -> Self {
        let mut expected = presented.as_ref().map_or(0, |presented| presented.first);
        let mut answer = Self::default();
        let (mut packets, mut continuation) = (Vec::new(), None);
        for datagram in datagrams {
            answer.bytes += datagram.len();
            let train = match Response::parse(datagram).expect("servers send well-formed responses") {
                Response::Train(train) => train,
                Response::Notice { notice, .. } => {
                    answer.notices.push(notice);
                    continue;
                }
            };
            answer.packets += 1;
            for frame in train.frames.iter() {
                match frame {
                    Frame::Continuation(sealed) => {
                        let fields = Continuation::peek(sealed).expect("servers seal sane continuations");
                        expected = fields.first;
                        continuation.get_or_insert((*sealed, fields));
                    }
                    Frame::Abbreviated { fields, exit: exits } => {
                        let numbers = train.numbers(expected).expect("servers have sane numbers");
                        let numbers = numbers.start..numbers.end + u64::from(train.left);
                        let presented = presented.as_ref().expect("claims present a continuation");
                        let restored = presented.restore(fields, numbers, exit.filter(|_| exits));
                        continuation = Some(restored.expect("servers seal sane continuations"));
                    }
                    Frame::UserContinuation(user) => answer.user = Some(user.to_vec()),
                    Frame::Data { offset, bytes } => answer.data.push((offset, bytes.to_vec())),
                    _ => {}
                }
            }
            let numbers = train.numbers(expected).expect("servers have sane numbers");
            packets.push(Packet { numbers, nonce: train.nonce, bytes: datagram.len() });
            if train.left == 0 {
                let (sealed, fields) =
                    continuation.take().expect("a train's first packet has its continuation");
                let packets = std::mem::take(&mut packets);
                answer.trains.push(Train { sealed, fields, packets, refresh: train.refresh });
            }
        }
        assert!(packets.is_empty(), "a train without an end");
        answer
    }
}

/// A server, its clock and its ledger.
pub struct Lab {
    pub server: Server,
    pub filter: Arc<FingerprintFilter>,
    pub now: Timestamp,
    pub ledger: Ledger,
    /// UDP payload of the numbered packets that went through the ledger.
    emitted: u64,
    outbox: Outbox,
}

impl Default for Lab {
    fn default() -> Self {
        Self::new()
    }
}

impl Lab {
    pub fn new() -> Self {
        Self::with(ServerConfig::default(), small_filter())
    }

    pub fn with(config: ServerConfig, filter: FilterConfig) -> Self {
        Self::seeded(config, filter, 9)
    }

    /// One of several processes of a service, which allow for `max_skew` between their clocks, [`SKEW`] by default.
    pub fn replica(seed: u8, max_skew: Duration) -> Self {
        Self::seeded(ServerConfig { max_skew, ..ServerConfig::default() }, small_filter(), seed)
    }

    fn seeded(config: ServerConfig, filter: FilterConfig, seed: u8) -> Self {
        Self::over(config, Arc::new(FingerprintFilter::new(filter, [3; 16], EPOCH)), seed)
    }

    fn over(config: ServerConfig, filter: Arc<FingerprintFilter>, seed: u8) -> Self {
        Self {
            server: Server::new(config, key_ring(), filter.clone(), [seed; 16]),
            filter,
            now: EPOCH,
            ledger: Ledger::default(),
            emitted: 0,
            outbox: Outbox::default(),
        }
    }

    /// Another process of the service that has the same filter.
    pub fn beside(&self, seed: u8) -> Self {
        Self { now: self.now, ..Self::over(ServerConfig::default(), self.filter.clone(), seed) }
    }

    pub fn wait(&mut self, time: Duration) {
        self.now = self.now + time;
    }

    /// Hands a datagram to the server; the ledger sees what comes out.
    pub fn exchange(&mut self, datagram: &[u8], from: SocketAddr) -> Answer {
        self.exchange_with(&mut Endless, datagram, from)
    }

    /// The same with another application.
    pub fn exchange_with<A: Application>(
        &mut self,
        application: &mut A,
        datagram: &[u8],
        from: SocketAddr,
    ) -> Answer {
        self.outbox.clear();
        self.server.handle(datagram, from, self.now, application, &mut self.outbox).unwrap();
        let answer = Answer::parse(datagram, self.outbox.packets());
        self.record(answer)
    }

    /// The same for an abbreviated claim, which does not say which continuation it presents.
    pub fn exchange_presenting<A: Application>(
        &mut self,
        application: &mut A,
        presented: &Continuation,
        datagram: &[u8],
        from: SocketAddr,
    ) -> Answer {
        self.outbox.clear();
        self.server.handle(datagram, from, self.now, application, &mut self.outbox).unwrap();
        let answer = Answer::read(Some(*presented), presented.epoch.exit, self.outbox.packets());
        self.record(answer)
    }

    fn record(&mut self, answer: Answer) -> Answer {
        self.ledger.record(&answer.trains, self.now, self.horizon());
        let packets = answer.trains.iter().flat_map(|train| &train.packets);
        self.emitted += packets.map(|packet| packet.bytes as u64).sum::<u64>();
        answer
    }

    /// The same for claims under continuations that no server has issued, of which the ledger knows nothing.
    pub fn exchange_forged(&mut self, datagram: &[u8], from: SocketAddr) -> Answer {
        Answer::parse(datagram, self.raw(datagram, from).iter().map(Vec::as_slice))
    }

    /// The same without a look at the answer: its packets.
    pub fn raw(&mut self, datagram: &[u8], from: SocketAddr) -> Vec<Vec<u8>> {
        self.outbox.clear();
        self.server.handle(datagram, from, self.now, &mut Endless, &mut self.outbox).unwrap();
        self.outbox.packets().map(<[u8]>::to_vec).collect()
    }

    /// How far back the filter remembers, where it has one shard.
    pub fn horizon(&self) -> Duration {
        self.filter.horizon(0, self.now)
    }

    pub fn discarded(&self, reason: Discard) -> u64 {
        self.server.stats().discarded(reason)
    }
}

/// A filter for one shard that forgets by age only.
pub fn small_filter() -> FilterConfig {
    FilterConfig { cells_per_generation: 1 << 14, shards: 1, ..FilterConfig::default() }
}

/// Consecutive positions as runs of at most `most`.
pub fn runs_of(positions: impl IntoIterator<Item = u64>, most: u64) -> Vec<Range<u64>> {
    let mut runs: Vec<Range<u64>> = Vec::new();
    for position in positions {
        match runs.last_mut() {
            Some(run) if run.end == position && run.end - run.start < most => run.end += 1,
            _ => runs.push(position..position + 1),
        }
    }
    runs
}

/// A run of a claim's own positions, and before it the lowest of `candidates` that it may adopt.
pub fn with_adopted(next: &Epoch, candidates: impl Iterator<Item = u64>, own: Range<u64>) -> Vec<Range<u64>> {
    let mut numbers = 0;
    let fits = |position: &u64| {
        let share = next.share(&(*position..position + 1));
        numbers += share.end - share.start;
        adopts(own.end - own.start, numbers)
    };
    let mut runs =
        runs_of(candidates.take((MAX_GRANT - (own.end - own.start)) as usize).take_while(fits), 64);
    runs.truncate(MAX_RUNS - 1);
    runs.push(own);
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_allow_by_default_what_replicas_here_do() {
        assert_eq!(ServerConfig::default().max_skew, SKEW);
    }
}
