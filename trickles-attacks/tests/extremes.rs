//! Numbers, windows, round trips and clocks at the ends of their ranges, under continuations that a holder of the
//! keys has made: nobody else can make a flow get there.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::time::Duration;

use trickles::client::{Client, ClientConfig, Failure};
use trickles::continuation::Continuation;
use trickles::epoch::{CurveId, Epoch, Growth, MAX_NUMBER, MAX_POSITION, SlowStartExit};
use trickles::server::{Application, Event, Next, Outbox, Output, Reset, Unanswered};
use trickles::time::Timestamp;
use trickles::user_continuation::{Lineage, UserContinuation};
use trickles::wire::{Claim, ClaimKind, DATA_OVERHEAD, Form, Frame, Request, Run, Runs, room};
use trickles_attacks::forge::{Forge, encode_user};
use trickles_attacks::lab::{Choices, EPOCH, Lab, SECRET, after_loss, most_carried};
use trickles_netem::{Link, Path};

const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const PORT: u16 = 4000;
const STREAM: u64 = 0x57ea;
const SECOND: Duration = Duration::from_secs(1);
const LARGEST: u32 = 1 << 20;

/// A user continuation of a stream whose output are so many bytes.
fn user_continuation(forge: &Forge, length: u64) -> Vec<u8> {
    forge.seal_user(&encode_user(&UserContinuation {
        key: SECRET.0,
        stream: STREAM,
        output: 0..length,
        finished: true,
        input: 0..u64::MAX,
        any_order: false,
        input_closed: true,
        expires: Timestamp::NEVER,
        lineage: Lineage { echo: 0, processing: 0 },
        state: Default::default(),
    }))
}

/// Output in which no two stretches look alike.
struct Noise;

impl Noise {
    fn at(offset: u64) -> u8 {
        (offset.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8
    }
}

impl Application for Noise {
    fn input(&mut self, _: &Event<'_>) -> Result<Next, Unanswered> {
        unreachable!("the client has no input")
    }
}

impl Output for Noise {
    fn read(&mut self, _: &[u8], _: Range<u64>, offset: u64, buffer: &mut [u8]) -> Result<usize, Reset> {
        (offset..).zip(buffer.iter_mut()).for_each(|(at, byte)| *byte = Self::at(at));
        Ok(buffer.len())
    }
}

fn continuation(epoch: Epoch, first: u64, count: u8, issued: Timestamp) -> Continuation {
    Continuation {
        key: 1,
        birth_key: 1,
        issuer: 0,
        stream: STREAM,
        flow: 0xf10,
        tag: 0x7a6,
        epoch,
        first,
        count,
        earned: first - 1,
        issued,
        rooted: issued,
        port: PORT,
        bytes: 1_000_000,
    }
}

/// Any of `values`.
fn one_of<const N: usize, T: Copy>(choices: &mut Choices, values: [T; N]) -> T {
    *choices.pick(&values)
}

fn any_epoch(choices: &mut Choices) -> Epoch {
    let window0 = one_of(choices, [1, 2, 10, 1000, LARGEST - 1, LARGEST]);
    let growth = Growth {
        window0,
        ssthresh: one_of(choices, [0, window0, window0 + 5, LARGEST, u32::MAX]),
        w_max: one_of(choices, [0, window0, LARGEST, u32::MAX]),
        k: one_of(choices, [0, 1, 4217, 131_072, u32::MAX]),
        rtt: one_of(choices, [0, 1, 10, 500_000, 2_000_000, u32::MAX]),
    };
    let base = one_of(
        choices,
        [1, 1000, MAX_NUMBER / 2, MAX_NUMBER - (1 << 30), MAX_NUMBER - 1000, MAX_NUMBER - 2, MAX_NUMBER - 1],
    );
    let flight = one_of(choices, [0, 0, 1, window0, u32::MAX]);
    let flight = u64::from(flight).min(base - 1) as u32;
    let curve = one_of(choices, [CurveId::Cubic, CurveId::Reno]);
    let epoch = Epoch { curve, base, growth, flight, exit: None };
    let exit =
        SlowStartExit { position: one_of(choices, [0, 3, 1000]), rtt: one_of(choices, [10, 2_000_000]) };
    Epoch { exit: Some(exit).filter(|&exit| choices.below(3) == 0 && epoch.admits(exit)), ..epoch }
}

/// The numbers a server sends in answer, each once, and whether as Refresh.
fn answer(lab: &mut Lab, claim: &Claim<'_>) -> (BTreeSet<u64>, bool) {
    let mut datagram = Vec::new();
    Request::Claim(claim.clone()).emit(1200, &mut datagram);
    let (mut numbers, mut refresh) = (BTreeSet::new(), false);
    for train in lab.exchange_forged(&datagram, SocketAddr::from((CLIENT, PORT))).trains {
        refresh |= train.refresh;
        assert!(train.fields.epoch.base < MAX_NUMBER);
        for packet in &train.packets {
            let own = packet.numbers.clone();
            assert!(train.fields.first <= own.start && own.end <= train.fields.end());
            for number in own {
                assert!(numbers.insert(number), "{number} twice");
            }
        }
    }
    (numbers, refresh)
}

/// Servers neither panic nor wrap, and what they grant they grant once, where the numbers end too.
#[test]
fn claims_at_the_ends_of_every_range_are_answered_within_them() {
    let (forge, mut choices) = (Forge::new(&SECRET.1), Choices::seeded(1));
    let user = user_continuation(&forge, 1 << 40);
    let mut granted = [0; 5];
    for case in 0..10_000 {
        let now = one_of(&mut choices, [Timestamp::ZERO, EPOCH, Timestamp::NEVER - SECOND]);
        let age = one_of(&mut choices, [Duration::ZERO, SECOND, 10 * SECOND, 30 * SECOND]);
        let epoch = any_epoch(&mut choices);
        let start =
            one_of(&mut choices, [0, 0, 1, 10, 1 << 20, 1 << 40, MAX_POSITION - 200, MAX_POSITION - 1]);
        let (first, count) = (epoch.base + start, one_of(&mut choices, [1, 10, 64, 255]));
        let presented = continuation(epoch, first, count, now - age);
        let sealed = forge.seal(&presented, CLIENT.into());
        let position = first + choices.below(count.into());
        let run = Run { first: position, count: 1 + choices.below(u64::from(count).min(20)) as u8 };
        let kind = choices.below(4) as usize;
        let (kind_fields, run) = match kind {
            0 => {
                let proven = run.positions().end + choices.below(2);
                let proof = forge.proof(&presented.epoch, presented.tag, epoch.base..proven);
                (ClaimKind::Continue { proven, proof }, run)
            }
            1 => {
                let lost = position.saturating_sub(1).max(epoch.base);
                let proof = forge.proof(&presented.epoch, presented.tag, epoch.base..lost);
                (
                    ClaimKind::Recover {
                        lost,
                        carried: most_carried(&epoch, lost),
                        rtt: one_of(&mut choices, [10, 1_000_000, u32::MAX]),
                        proof,
                    },
                    run,
                )
            }
            2 => (
                ClaimKind::Restart { attempt: one_of(&mut choices, [0, 1, 255]), rtt: 0 },
                Run { first: 0, count: 10 },
            ),
            _ => (ClaimKind::Resume { rtt: one_of(&mut choices, [0, 10]) }, Run { first: 0, count: 10 }),
        };
        let mut runs = Runs::default();
        assert!(runs.push(run, std::slice::from_ref(&(0..100_000))));
        let claim = Claim {
            echo: case,
            continuation: &sealed,
            kind: kind_fields,
            exit: epoch.exit,
            packet_size: 1200,
            runs,
            user_continuation: &user,
            input: None,
            presumed: false,
        };
        let mut lab = Lab::new();
        lab.now = now;
        let (numbers, refresh) = answer(&mut lab, &claim);
        let (Some(&lowest), Some(&highest)) = (numbers.first(), numbers.last()) else { continue };
        let kind = if refresh { 4 } else { kind };
        granted[kind] += 1;
        let owned = match claim.kind {
            ClaimKind::Continue { .. } if !refresh => epoch.share(&run.positions()),
            ClaimKind::Recover { lost, rtt, .. } if !refresh => {
                after_loss(&epoch, lost, rtt).unwrap().share(&run.positions())
            }
            // Whatever was granted under the presented continuation lies before.
            _ => epoch.base + epoch.allowed(first - epoch.base + 64)..u64::MAX,
        };
        assert!(owned.contains(&lowest) && owned.contains(&highest), "{numbers:?}: {claim:?} {presented:?}");
        assert!(highest < MAX_NUMBER + MAX_POSITION + (1 << 21), "{highest}");
        let (again, _) = answer(&mut lab, &claim);
        assert!(again.is_empty(), "{again:?} again: {claim:?} {presented:?}");
    }
    println!("granted: {granted:?} of 10000 (Continue, Recover, Restart, Resume, Refresh)");
    assert!(granted.iter().all(|&granted| granted > 100), "{granted:?}");
}

/// A client and a server whose flow begins `left` numbers before no epoch can begin any more; what of `length` bytes
/// arrives, and how it ends.
fn transfer(left: u64, length: u64, losses: bool) -> (u64, Result<(), Failure>) {
    let forge = Forge::new(&SECRET.1);
    let mut server = Lab::new().server;
    let config = ClientConfig::default();
    let mut client = Client::new(config, [7; 16], Timestamp::ZERO);
    let rate = Some(20_000_000);
    let mut link = Path { rate, delay: Duration::from_millis(5), queue: 10_000_000, ..Path::default() };
    let (mut up, mut down) = (Link::new(link.clone(), 1), {
        link.loss = if losses { 0.01 } else { 0.0 };
        Link::new(link, 2)
    });
    let (mut datagram, mut outbox, mut bytes) = (Vec::new(), Outbox::default(), vec![0; 1 << 16]);
    let (mut now, mut received) = (Duration::ZERO, 0);
    let mut application = Noise;
    loop {
        let (client_now, server_now) = (Timestamp::ZERO + now, EPOCH + now);
        while let Some(delivery) = up.deliver(now) {
            outbox.clear();
            if let Some(Request::Hello(hello)) = Request::parse(&delivery.payload) {
                // One packet for the ten numbers of the first window.
                let base = MAX_NUMBER - left;
                let fields = continuation(Epoch::born(hello.curve, base, 10), base, 10, server_now);
                let mut opening =
                    [&[1, 16][..], &hello.echo.to_be_bytes(), &(base as u32).to_be_bytes(), &[72]].concat();
                opening.extend(forge.proof(&fields.epoch, fields.tag, base..base + 10).to_be_bytes());
                Frame::UserContinuation(&user_continuation(&forge, length)).emit(&mut opening);
                Frame::Continuation(&forge.seal(&fields, CLIENT.into())).emit(&mut opening);
                down.send(now, opening, false, ());
                continue;
            }
            let from = SocketAddr::from((CLIENT, PORT));
            server.handle(&delivery.payload, from, server_now, &mut application, &mut outbox).unwrap();
            outbox.packets().for_each(|packet| down.send(now, packet.to_vec(), false, ()));
        }
        while let Some(delivery) = down.deliver(now) {
            client.handle_datagram(&delivery.payload, client_now);
        }
        client.handle_timeout(client_now);
        loop {
            match client.read(&mut bytes) {
                Ok(Some(0)) => return (received, Ok(())),
                Ok(None) => break,
                Ok(Some(count)) => {
                    let right = (received..).zip(&bytes[..count]).all(|(at, &byte)| byte == Noise::at(at));
                    assert!(right, "after byte {received}");
                    received += count as u64;
                }
                Err(failure) => return (received, Err(failure)),
            }
        }
        while client.poll_transmit(client_now, &mut datagram) {
            up.send(now, datagram.clone(), false, ());
        }
        let timer = client.poll_timeout().map(|at| Duration::from_micros(at.as_micros()));
        let next = [timer, up.next_delivery(), down.next_delivery()].into_iter().flatten().min().unwrap();
        now = now.max(next);
    }
}

/// An epoch goes on beyond the last number at which one can begin; none follows it (docs/protocol.md section 5.19).
#[test]
fn a_flow_ends_where_no_epoch_can_begin_any_more() {
    for left in [1, 2, 1000] {
        assert_eq!(transfer(left, 3_000_000, false), (3_000_000, Ok(())), "{left}");
        let (received, outcome) = transfer(left, 3_000_000, true);
        assert_eq!(outcome, Err(Failure::TimedOut), "{left}, after {received} bytes");
    }
    assert_eq!(transfer(1 << 30, 3_000_000, true), (3_000_000, Ok(())));
}

/// The layout looks at a run's first position, also where that owns no number and the first one is earned by another
/// (docs/protocol.md 6.18).
#[test]
fn a_run_that_begins_with_a_flight_has_room_for_a_whole_continuation() {
    let forge = Forge::new(&SECRET.1);
    let growth = Growth { window0: 7, ssthresh: 7, w_max: 10, k: 0, rtt: 10_000 };
    let epoch = Epoch { curve: CurveId::Reno, base: 1000, growth, flight: 10, exit: None };
    assert!(epoch.share(&(999..1000)).is_empty());
    for (first, form) in [(999, Form::Whole), (1000, Form::Abbreviated)] {
        let mut lab = Lab::new();
        let presented = continuation(epoch, 1000, 7, lab.now - SECOND / 10);
        let presented = Continuation { earned: 990, ..presented };
        let mut runs = Runs::default();
        assert!(runs.push(Run { first, count: (1004 - first) as u8 }, std::slice::from_ref(&(0..100_000))));
        let claim = Claim {
            echo: 1,
            continuation: &forge.seal(&presented, CLIENT.into()),
            kind: ClaimKind::Continue { proven: 1007, proof: forge.proof(&epoch, presented.tag, 1000..1007) },
            exit: None,
            packet_size: 1200,
            runs,
            user_continuation: &user_continuation(&forge, 1 << 40),
            input: None,
            presumed: false,
        };
        let mut datagram = Vec::new();
        Request::Claim(claim).emit(1200, &mut datagram);
        let answer = lab.exchange_forged(&datagram, SocketAddr::from((CLIENT, PORT)));
        let lengths: Vec<usize> = answer.data.iter().map(|(_, bytes)| bytes.len()).collect();
        let rooms = [form, Form::Absent].map(|form| room(1200, form) - DATA_OVERHEAD);
        assert_eq!(lengths[..2], rooms, "from {first}");
    }
}
