//! The server: a pure function of (continuation, claim, now), plus a key ring, a replay filter and counters.
//! Nothing in it is per connection.
//!
//! A datagram is [received](Server::receive): checked in the order of docs/protocol.md section 6.1. What passes
//! becomes a [`Minisocket`], which an application answers; the answer is [numbered, sealed and
//! emitted](Server::respond) as trains. [`Server::handle`] does all of it for an [`Application`].

mod admit;
mod answer;
mod emit;
mod input;
mod minisocket;
mod outbox;
mod positions;
mod recall;
mod repetition;
mod respond;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use input::InputCache;
pub use minisocket::{
    Application, Demand, Event, Minisocket, Next, Output, Received, Reply, Reset, Unanswered, Wanted,
};
pub use outbox::{Batch, Outbox};
pub use repetition::RequestId;
use respond::Scratch;

use crate::key_ring::{KeyRing, Seal};
use crate::replay::ReplayFilter;
use crate::stats::Stats;
use crate::time::Timestamp;
use crate::user_continuation::MAX_STATE;
use crate::wire::{BASE_PACKET_SIZE, MAX_PACKET_SIZE, Notice, Response};

/// How a server behaves. All replicas of a service share `service` and the key ring.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// The service label, at most 255 bytes: continuations of one service mean nothing to another.
    pub service: Vec<u8>,
    /// Largest packets it sends, in bytes of UDP payload.
    pub packet_size: u16,
    /// How far the clocks of replicas may differ.
    pub max_skew: Duration,
    /// Oldest continuation that is granted anything but Refresh; the replay filter may shorten it.
    pub freshness: Duration,
    /// How long a user continuation stays valid.
    pub user_continuation_lifetime: Duration,
    /// After how long a client asks again for output that is not there yet.
    pub pending: Duration,
    /// Most notices and Refreshes a second that are for authentic requests, refusals apart; an eighth of them at
    /// once.
    pub notices_per_second: u32,
    /// Most refusals a second, an eighth of them at once, those of abbreviated claims and all others apart. Anybody
    /// can ask for one, by a claim that was granted before or is sealed under an unknown key, and each costs a system
    /// call.
    pub refusals_per_second: u32,
    /// Most Hellos that are answered a second, an eighth of them at once. Anybody can send Hellos from anywhere,
    /// and each costs as much as a small answer: this leaves the rest of the server's time to clients that it
    /// has heard from before. While it is used up new streams open slowly, since clients have to try again: a
    /// service of many short streams needs more.
    pub hellos_per_second: u32,
    /// Of how many streams the newest user continuation is remembered, so that their clients can send input
    /// without waiting for each answer, and leave out of it what the server knows; up to 5 KiB each, and 65,536 of
    /// them at most. It is never needed for anything else.
    pub input_cache: usize,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            service: Vec::new(),
            packet_size: MAX_PACKET_SIZE,
            max_skew: Duration::from_millis(20),
            freshness: Duration::from_secs(30),
            user_continuation_lifetime: Duration::from_secs(7 * 24 * 3600),
            pending: Duration::from_secs(1),
            notices_per_second: 100_000,
            refusals_per_second: 10_000,
            hellos_per_second: 10_000,
            input_cache: 1024,
        }
    }
}

/// Why an answer was not taken. The event is lost; its client asks again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// The next state is longer than [`MAX_STATE`] bytes.
    #[error("the next state has {0} bytes, the most is {MAX_STATE}")]
    StateTooLong(usize),
    /// More input was consumed than the event holds.
    #[error("consumed {0} bytes of input, the event holds {1}")]
    ConsumedTooMuch(usize, usize),
    /// The output range ends before it begins.
    #[error("the next output range ends before it begins")]
    OutputRange,
    /// The reply is not of the kind that the event demands.
    #[error("the reply is not what the event demands, {0:?}")]
    WrongReply(Demand),
}

/// A server of one service. Memory does not depend on the number of clients.
pub struct Server {
    config: ServerConfig,
    seal: Seal,
    filter: Arc<dyn ReplayFilter>,
    /// Tells this process from every other issuer of continuations.
    issuer: u32,
    seed: [u8; 16],
    births: u64,
    /// How often input was processed, counted from a number that differs from process to process.
    processings: u32,
    /// Latest time seen: the clock never steps back.
    clock: Timestamp,
    notices: Allowance,
    refusals: Allowance,
    /// Those of abbreviated claims, which keep what is under way from counting as lost.
    forgotten: Allowance,
    hellos: Allowance,
    inputs: InputCache,
    scratch: Scratch,
    stats: Stats,
}

impl Server {
    /// A server with `seed`, 16 random bytes that no other process has.
    pub fn new(config: ServerConfig, ring: KeyRing, filter: Arc<dyn ReplayFilter>, seed: [u8; 16]) -> Self {
        let service = config.service[..config.service.len().min(255)].into();
        let issuer = u32::from_be_bytes([seed[0], seed[1], seed[2], seed[3]]);
        let seal = Seal { ring, service };
        let inputs = InputCache::new(config.input_cache);
        Self {
            config,
            seal,
            filter,
            issuer,
            seed,
            births: 0,
            processings: issuer,
            clock: Timestamp::ZERO,
            notices: Allowance::default(),
            refusals: Allowance::default(),
            forgotten: Allowance::default(),
            hellos: Allowance::default(),
            inputs,
            scratch: Scratch::default(),
            stats: Stats::default(),
        }
    }

    /// What became of the datagrams received.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Replaces the key ring: keys may come and go at any time.
    pub fn set_key_ring(&mut self, ring: KeyRing) {
        self.seal.ring = ring;
        // What is remembered may be sealed under a key that is gone.
        self.inputs = InputCache::new(self.config.input_cache);
    }

    /// Takes one datagram and lets `application` answer it; what is to be sent to `from` is added to `outbox`.
    ///
    /// # Errors
    /// [`AnswerError`] when the application breaks its contract.
    pub fn handle<A: Application>(
        &mut self,
        datagram: &[u8],
        from: SocketAddr,
        now: Timestamp,
        application: &mut A,
        outbox: &mut Outbox,
    ) -> Result<(), AnswerError> {
        let minisocket = match self.receive(datagram, from, now, outbox) {
            Some(Received::Event(minisocket)) => minisocket,
            Some(Received::Reset { stream, code }) => {
                application.reset(stream, code);
                return Ok(());
            }
            None => return Ok(()),
        };
        let reply = match minisocket.demand() {
            Demand::Next => application.input(&minisocket.event()).map(Reply::Next),
            Demand::Store => application.store(&minisocket.event()).map(Reply::Stored),
            Demand::Output => Ok(Reply::Output),
        };
        match reply {
            Ok(reply) => self.respond(minisocket, reply, application, now, outbox),
            Err(Unanswered::Reset(code)) => {
                self.refuse(minisocket, Reset(code), outbox);
                Ok(())
            }
            Err(Unanswered::Later(delay)) => {
                self.park(&minisocket, delay, now, outbox);
                Ok(())
            }
        }
    }

    /// Ends the event's stream with an error.
    pub fn refuse(&mut self, minisocket: Minisocket<'_>, reset: Reset, outbox: &mut Outbox) {
        self.notify(minisocket.now, minisocket.echo, Notice::Reset(reset.0), outbox);
    }

    /// Tells the client that the answer takes time, and to ask again if it has not come after `delay`. Nothing
    /// is granted. The event can still be answered, or be dropped.
    pub fn park(
        &mut self,
        minisocket: &Minisocket<'_>,
        delay: Duration,
        now: Timestamp,
        outbox: &mut Outbox,
    ) {
        let millis = u32::try_from(delay.as_millis()).unwrap_or(u32::MAX);
        self.notify(now, minisocket.echo, Notice::Pending(millis), outbox);
    }

    fn notify(&mut self, now: Timestamp, echo: u64, notice: Notice, outbox: &mut Outbox) {
        let granted = match notice {
            Notice::Pending(_) | Notice::Reset(_) => self.notices.take(now, self.config.notices_per_second),
            Notice::Forgotten => self.forgotten.take(now, self.config.refusals_per_second),
            _ => self.refusals.take(now, self.config.refusals_per_second),
        };
        if granted {
            let start = outbox.bytes.len();
            Response::Notice { echo, notice }.write_to(&mut outbox.bytes);
            self.queue(start..outbox.bytes.len(), outbox);
        }
    }

    fn queue(&mut self, range: std::ops::Range<usize>, outbox: &mut Outbox) {
        self.stats.sent += 1;
        self.stats.sent_bytes += range.len() as u64;
        outbox.queue(range);
    }

    fn packet_size(&self, asked: u16) -> u16 {
        asked.min(self.config.packet_size.max(BASE_PACKET_SIZE))
    }
}

/// Bounds how often something is done that anybody can ask for.
#[derive(Debug, Default)]
struct Allowance {
    /// In millionths of one time.
    left: u64,
    at: Timestamp,
}

impl Allowance {
    const ONCE: u64 = 1_000_000;

    /// Whether it may be done once more, at `per_second` on average and an eighth of that at once.
    fn take(&mut self, now: Timestamp, per_second: u32) -> bool {
        let earned = (now.since(self.at).as_micros() as u64).saturating_mul(u64::from(per_second));
        let most = u64::from(per_second.div_ceil(8)) * Self::ONCE;
        self.at = self.at.max(now);
        self.left = self.left.saturating_add(earned).min(most);
        let granted = self.left >= Self::ONCE;
        self.left -= if granted { Self::ONCE } else { 0 };
        granted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_allowance_is_what_its_rate_says_in_any_second_and_an_eighth_of_it_at_once() {
        let mut allowance = Allowance::default();
        let mut now = Timestamp::from_millis(1_790_000_000_000);
        let at_once = (0..1000).filter(|_| allowance.take(now, 80)).count();
        assert_eq!(at_once, 10);
        let mut taken = 0;
        for _ in 0..2000 {
            now = now + Duration::from_millis(1);
            taken += (0..3).filter(|_| allowance.take(now, 80)).count();
        }
        assert_eq!(taken, 160);
        assert!(!allowance.take(now + Duration::from_secs(1), 0));
    }

    #[test]
    fn time_counts_once_for_an_allowance_that_is_asked_about_the_past() {
        let mut allowance = Allowance::default();
        let now = Timestamp::from_millis(1_790_000_000_000);
        let taken = (0..1000).filter(|turn| {
            // An event that was held for a second is refused between others.
            let late = if turn % 2 == 0 { Duration::ZERO } else { Duration::from_secs(1) };
            allowance.take(now - late, 80)
        });
        assert_eq!(taken.count(), 10);
    }
}
