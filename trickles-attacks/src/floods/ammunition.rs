//! What the floods consist of.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use trickles::continuation::{Continuation, SEALED_LENGTH, Sealed};
use trickles::epoch::{CurveId, Epoch};
use trickles::time::Timestamp;
use trickles::wire::{
    AbbreviatedClaim, BASE_PACKET_SIZE, Claim, ClaimKind, Frame, HELLO_OVERHEAD, Hello, Input,
    MAX_PACKET_SIZE, MIN_CLAIM, Request, Response, Run, Runs, VERSION,
};

use super::flooder::{Source, Volley};
use super::server::{SECRET, ServerProcess};
use super::trace;
use crate::forge::Forge;
use crate::lab::Choices;

/// How many volleys differ from each other.
const VOLLEYS: usize = 64;
/// From how many addresses a flood comes.
const ADDRESSES: u32 = 256;
/// Random datagrams have these lengths, in turns.
const LENGTHS: [usize; 8] = [1, 15, 63, 64, MIN_CLAIM, 600, 1200, 9000];
/// How much the transfer moves whose requests are repeated.
const RECORDED: u64 = 64 << 20;
/// How long the server may stay silent.
const PATIENCE: Duration = Duration::from_secs(10);
/// How old a continuation is that is too old, by far.
const STALE: Duration = Duration::from_secs(60);

/// What a Hello brings: servers remember something of streams that have brought any.
const INPUT: &[u8] = b"GET /\n";

/// A kind of flood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flood {
    /// Claims that look right up to the tag of their continuation, from many addresses.
    Forged,
    /// Claims that look right up to the id of their key, which no server holds: each could bring a refusal.
    UnknownKey,
    /// Abbreviated claims of a stream that the server remembers, right up to the masked tag: each could bring a refusal.
    Abbreviated,
    /// Random bytes of mixed lengths from many addresses, half of which begin as this protocol does.
    Random,
    /// Hellos from many addresses, as short as they can be.
    ShortHellos,
    /// Hellos from many addresses, padded to the largest packet size, which buys the longest answer.
    LongHellos,
    /// The requests of a transfer that has taken place, from where it took place, over and over.
    Replay,
    /// Claims of continuations that are authentic and too old, of as many flows: each could bring a Refresh.
    Stale,
}

impl Flood {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Forged,
        Self::UnknownKey,
        Self::Abbreviated,
        Self::Random,
        Self::ShortHellos,
        Self::LongHellos,
        Self::Replay,
        Self::Stale,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Forged => "flood of forged claims",
            Self::UnknownKey => "flood under an unknown key",
            Self::Abbreviated => "flood of abbreviated claims",
            Self::Random => "flood of random bytes",
            Self::ShortHellos => "flood of Hellos, short",
            Self::LongHellos => "flood of Hellos, padded",
            Self::Replay => "flood of a captured trace",
            Self::Stale => "flood of old claims",
        }
    }

    /// Where it comes from, ready to be sent to `server`.
    pub(super) fn sources(self, server: &mut ServerProcess) -> anyhow::Result<Vec<Source>> {
        let mut choices = Choices::seeded(1);
        let now = wall_clock()?;
        let volleys: Arc<[Volley]> = match self {
            Self::Forged => volleys(|_| Volley::of(MIN_CLAIM, || forged(&mut choices, now))),
            Self::UnknownKey => volleys(|_| Volley::of(MIN_CLAIM, || under_unknown_key(&mut choices, now))),
            Self::Abbreviated => {
                let socket = UdpSocket::bind((address(0), 0))?;
                let fields = opened(server, &socket, &mut choices)?;
                let volleys = volleys(|_| Volley::of(MIN_CLAIM, || abbreviated(&mut choices, &fields)));
                return Ok(vec![Source::from_socket(socket, volleys)?]);
            }
            Self::Random => volleys(|index| {
                let length = LENGTHS[index % LENGTHS.len()];
                Volley::of(length, || random(&mut choices, length))
            }),
            Self::ShortHellos => {
                let length = HELLO_OVERHEAD + INPUT.len();
                volleys(|_| Volley::of(length, || hello(&mut choices, length)))
            }
            Self::LongHellos => {
                let length = usize::from(MAX_PACKET_SIZE);
                volleys(|_| Volley::of(length, || hello(&mut choices, length)))
            }
            Self::Replay => {
                let (socket, requests) = trace::record(server, address(0), RECORDED)?;
                return Ok(vec![Source::from_socket(socket, Volley::of_all(&requests))?]);
            }
            Self::Stale => {
                let then = Timestamp::from_micros(now.as_micros() - STALE.as_micros() as u64);
                let at = address(0);
                let volleys = volleys(|_| {
                    Volley::of(MIN_CLAIM, || {
                        let sealed = sealed(&mut choices, at, then);
                        claim(&mut choices, &sealed)
                    })
                });
                return Ok(vec![Source::new(at, volleys, 0)?]);
            }
        };
        let source = |number| Source::new(address(number), volleys.clone(), number as usize);
        (0..ADDRESSES).map(source).collect()
    }
}

/// A source of the largest datagrams, enough for every buffer that a server receives into.
pub(super) fn largest() -> anyhow::Result<Source> {
    let length = usize::from(MAX_PACKET_SIZE);
    Source::new(address(0), [Volley::of(length, || vec![0; length])].into(), 0)
}

/// Each in another prefix, and none in that of the honest client.
fn address(number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(Ipv4Addr::new(127, 16, 0, 1).to_bits() + (number << 8))
}

fn volleys(make: impl FnMut(usize) -> Volley) -> Arc<[Volley]> {
    (0..VOLLEYS).map(make).collect()
}

fn random(choices: &mut Choices, length: usize) -> Vec<u8> {
    let mut datagram: Vec<u8> = (0..length).map(|_| choices.word() as u8).collect();
    if choices.chance(50) {
        datagram[0] = VERSION;
    }
    datagram
}

fn hello(choices: &mut Choices, length: usize) -> Vec<u8> {
    let hello = Hello {
        echo: choices.word(),
        curve: CurveId::Cubic,
        packet_size: MAX_PACKET_SIZE,
        stream_id: choices.word(),
        service: b"",
        input: Input { offset: 0, bytes: INPUT, fin: false },
    };
    let mut datagram = Vec::new();
    Request::Hello(hello).emit(length, &mut datagram);
    datagram
}

fn forged(choices: &mut Choices, now: Timestamp) -> Vec<u8> {
    let mut sealed = sealed(choices, Ipv4Addr::LOCALHOST, now);
    sealed[SEALED_LENGTH - 16..].fill_with(|| choices.word() as u8);
    claim(choices, &sealed)
}

fn under_unknown_key(choices: &mut Choices, now: Timestamp) -> Vec<u8> {
    let mut sealed = sealed(choices, Ipv4Addr::LOCALHOST, now);
    sealed[..2].copy_from_slice(&(SECRET.0 + 1).to_be_bytes());
    claim(choices, &sealed)
}

/// Opens a stream that brings input, and returns its continuation.
fn opened(
    server: &mut ServerProcess,
    socket: &UdpSocket,
    choices: &mut Choices,
) -> anyhow::Result<Continuation> {
    let request = hello(choices, usize::from(BASE_PACKET_SIZE));
    server.ask(|to| Ok(socket.send_to(&request, to).map(drop)?))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut buffer = vec![0; usize::from(MAX_PACKET_SIZE)];
    let length = socket.recv(&mut buffer).context("no answer to a Hello")?;
    let Some(Response::Train(train)) = Response::parse(&buffer[..length]) else {
        bail!("a Hello is refused")
    };
    let continuation = train.frames.iter().find_map(|frame| match frame {
        Frame::Continuation(sealed) => Continuation::peek(sealed),
        _ => None,
    });
    continuation.context("an opening without a continuation")
}

fn abbreviated(choices: &mut Choices, fields: &Continuation) -> Vec<u8> {
    let mut sealed = [0; SEALED_LENGTH];
    sealed.fill_with(|| choices.word() as u8);
    let claim = made_up(choices, &sealed, Run { first: fields.first, count: 1 });
    let input = Input { offset: INPUT.len() as u64, bytes: &[0; MIN_CLAIM], fin: false };
    let mut datagram = Vec::new();
    if let Some(abbreviated) = AbbreviatedClaim::of(&claim, input, fields, &[0; 16]) {
        Request::Abbreviated(abbreviated).emit(0, &mut datagram);
    }
    // All are of one length.
    datagram.truncate(MIN_CLAIM);
    datagram
}

/// A continuation of a flow of its own.
fn sealed(choices: &mut Choices, client: Ipv4Addr, issued: Timestamp) -> Sealed {
    let epoch = Epoch::born(CurveId::Cubic, Epoch::birth_base(issued, 0), 10);
    let fields = Continuation {
        key: SECRET.0,
        birth_key: SECRET.0,
        issuer: choices.word() as u32,
        stream: choices.word(),
        flow: choices.word(),
        tag: choices.word(),
        epoch,
        first: epoch.base,
        count: 10,
        earned: epoch.base - 1,
        issued,
        rooted: issued,
        port: 4433,
        bytes: 90_000,
    };
    Forge::new(&SECRET.1).seal(&fields, IpAddr::V4(client))
}

fn claim(choices: &mut Choices, sealed: &Sealed) -> Vec<u8> {
    let claim = made_up(choices, sealed, Run { first: 1, count: 4 });
    let mut datagram = Vec::new();
    Request::Claim(claim).emit(MIN_CLAIM, &mut datagram);
    datagram
}

/// A Continue of one run, with a proof that is none.
fn made_up<'a>(choices: &mut Choices, sealed: &'a Sealed, run: Run) -> Claim<'a> {
    let mut runs = Runs::default();
    runs.push(run, &[]);
    Claim {
        echo: choices.word(),
        continuation: sealed,
        kind: ClaimKind::Continue { proven: run.positions().end, proof: choices.word() },
        exit: None,
        packet_size: MAX_PACKET_SIZE,
        runs,
        user_continuation: &[],
        input: None,
        presumed: false,
    }
}

/// The servers' time.
#[expect(clippy::disallowed_methods, reason = "a server in another process goes by it")]
fn wall_clock() -> anyhow::Result<Timestamp> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(Timestamp::ZERO + since)
}
