use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::task::Waker;
use std::time::Duration;

use futures::{FutureExt, StreamExt};
use trickles::client::{Client, ClientConfig};
use trickles::server::{Next, Output, Reset, Unanswered};
use trickles::time::Timestamp;

use super::*;
use crate::fake::{FakeRuntime, FakeSocket, run};

/// Length of what says that an answer takes time.
const NOTICE: usize = 15;
const DELAY: Duration = Duration::from_secs(5);

fn server(slots: usize) -> (EventServer, Arc<FakeSocket>) {
    let socket = FakeSocket::new(64, |_, _| Ok(()));
    let config = ServerConfig {
        notices_per_second: u32::MAX,
        refusals_per_second: u32::MAX,
        hellos_per_second: u32::MAX,
        ..ServerConfig::default()
    };
    let filter = FilterConfig { cells_per_generation: 1 << 10, ..FilterConfig::default() };
    let (ring, filter) = (KeyRing::new(&[(1, [7; 32])]).unwrap(), replay_filter(filter).unwrap());
    let mut server = EventServer::new(
        &FakeRuntime,
        UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap(),
        config.clone(),
        ring.clone(),
        filter.clone(),
    )
    .unwrap();
    let core = Server::new(config, ring, filter, [1; 16]);
    server.shared = Arc::new(Shared::new(core, Sender::new(socket.clone()), DELAY, slots));
    server.socket = socket.clone();
    (server, socket)
}

fn address(number: u32) -> SocketAddr {
    (Ipv4Addr::from_bits(0x0a00_0000 + number), 5000).into()
}

/// What opens a stream.
fn hello(number: u32, input: &[u8]) -> Vec<u8> {
    let mut seed = [0; 16];
    seed[..4].copy_from_slice(&number.to_be_bytes());
    let config = ClientConfig { early_input: input.into(), ..ClientConfig::default() };
    let mut datagram = Vec::new();
    assert!(Client::new(config, seed, Timestamp::ZERO).poll_transmit(Timestamp::ZERO, &mut datagram));
    datagram
}

fn admit(server: &EventServer, number: u32) -> Option<Minisocket> {
    let route = Route { to: address(number), from: None };
    match server.shared.admit(&hello(number, b"ask"), route).0? {
        Event::Opened(minisocket) => Some(minisocket),
        event => panic!("{event:?}"),
    }
}

fn next() -> Next {
    Next { state: vec![1], output: 0..5, finished: true, consumed: 3, ..Next::default() }
}

/// Says hello.
struct Hello;

impl Output for Hello {
    fn read(&mut self, _: &[u8], _: Range<u64>, offset: u64, buffer: &mut [u8]) -> Result<usize, Reset> {
        buffer.copy_from_slice(&b"hello"[offset as usize..offset as usize + buffer.len()]);
        Ok(buffer.len())
    }
}

impl Application for Hello {
    fn input(&mut self, _: &trickles::server::Event<'_>) -> Result<Next, Unanswered> {
        Ok(next())
    }
}

/// Has more to say than anybody wants.
struct Endless;

impl Output for Endless {
    fn read(&mut self, _: &[u8], _: Range<u64>, _: u64, buffer: &mut [u8]) -> Result<usize, Reset> {
        Ok(buffer.len())
    }
}

impl Application for Endless {
    fn input(&mut self, _: &trickles::server::Event<'_>) -> Result<Next, Unanswered> {
        Ok(Next { output: 0..1 << 40, ..next() })
    }
}

#[test]
fn answers_to_one_client_fill_their_system_calls() {
    let (mut server, socket) = server(4);
    // Coalesced by the system. Each is answered with three packets of 1200 bytes, of which 54 are a call.
    let hellos: Vec<u8> = (0..40).flat_map(|number| hello(number, b"ask")).collect();
    socket.arrived.lock().unwrap().push_back((hellos, 1200));
    assert!(server.poll_batch(&mut Context::from_waker(Waker::noop())).is_ready());
    run(server.answer_batch(&mut Endless));
    // What is left of 111 packets waits no longer for others: there would be no more memory for them.
    let calls = [54, 54, 3, 9].map(|packets| (packets * 1200, Some(1200)));
    assert_eq!(socket.take_sent(), calls);
}

#[test]
fn a_request_that_is_repeated_while_it_waits_is_one_event() {
    let (server, socket) = server(4);
    let minisocket = admit(&server, 1).unwrap();
    assert!(admit(&server, 1).is_none());
    assert!(admit(&server, 2).is_some());
    assert_eq!((server.event_stats().repeated, socket.take_sent()), (1, vec![]));
    let stream = minisocket.stream();
    minisocket.answer(next(), &mut Hello).unwrap();
    assert_eq!(socket.take_sent().len(), 1);
    // It has been answered: to ask again is another event.
    assert_ne!(admit(&server, 1).unwrap().stream(), stream);
}

#[test]
fn a_client_that_asks_for_something_else_awaits_no_answer_to_what_it_asked_before() {
    let (server, _) = server(4);
    let route = Route { to: address(1), from: None };
    let [first, more, other] =
        [&b"a"[..], b"ab", b"b"].map(|input| server.shared.admit(&hello(1, input), route).0);
    let (Some(Event::Opened(first)), Some(Event::Opened(other))) = (first, other) else {
        panic!("streams open")
    };
    assert!(more.is_none());
    assert_eq!(first.input().unwrap().bytes, b"a");
    assert_eq!(other.input().unwrap().bytes, b"b");
    assert_eq!((first.is_void(), other.is_void()), (true, false));
    let expected = EventStats { repeated: 1, superseded: 1, ..EventStats::default() };
    assert_eq!((server.event_stats(), server.events_waiting()), (expected, 1));
}

#[test]
fn a_parked_client_is_told_to_wait_as_often_as_it_asks() {
    let (server, socket) = server(4);
    let mut minisocket = admit(&server, 1).unwrap();
    minisocket.park(DELAY);
    assert!(admit(&server, 1).is_none());
    assert_eq!(socket.take_sent(), [(NOTICE, None); 2]);
    minisocket.answer(next(), &mut Hello).unwrap();
    assert_eq!((server.events_waiting(), socket.take_sent().len()), (0, 1));
}

#[test]
fn what_is_not_parked_is_not_evicted() {
    let (server, socket) = server(2);
    let handles = [1, 2].map(|number| admit(&server, number).unwrap());
    assert!(admit(&server, 3).is_none());
    assert_eq!(socket.take_sent(), [(NOTICE, None)]);
    assert_eq!(server.event_stats(), EventStats { turned_away: 1, ..EventStats::default() });
    assert!(handles.iter().all(|minisocket| !minisocket.is_void()));
    drop(handles);
    assert!(admit(&server, 3).is_some());
}

#[test]
fn a_hundred_thousand_parked_clients_take_no_more_than_the_slots() {
    const CLIENTS: usize = 100_000;
    const SLOTS: usize = 64;
    let (server, socket) = server(SLOTS);
    let mut handles: Vec<_> = (0..CLIENTS as u32)
        .map(|number| {
            let mut minisocket = admit(&server, number).unwrap();
            minisocket.park(DELAY);
            assert!(server.events_waiting() <= SLOTS);
            minisocket
        })
        .collect();
    let evicted = CLIENTS - SLOTS;
    // Each was told to wait when it was parked, and again when it had to go.
    assert_eq!(socket.take_sent(), vec![(NOTICE, None); CLIENTS + evicted]);
    assert!(handles.iter().enumerate().all(|(index, handle)| handle.is_void() == (index < evicted)));
    assert_eq!(handles.swap_remove(0).answer(next(), &mut Hello), Ok(()));
    assert_eq!(socket.take_sent(), []);
    let expected = EventStats { evicted: evicted as u64, void: 1, ..EventStats::default() };
    assert_eq!(server.event_stats(), expected);
}

#[test]
fn the_client_that_asked_longest_ago_is_evicted_first() {
    let (server, _) = server(2);
    let mut handles = [1, 2].map(|number| admit(&server, number).unwrap());
    handles.iter_mut().for_each(|minisocket| minisocket.park(DELAY));
    // The first one asks again.
    assert!(admit(&server, 1).is_none());
    assert!(handles.iter().all(|minisocket| minisocket.voided().now_or_never().is_none()));
    assert!(admit(&server, 3).is_some());
    let [first, second] = handles.map(|minisocket| minisocket.voided().now_or_never());
    assert_eq!((first, second), (None, Some(())));
}

#[test]
fn an_answer_that_breaks_the_contract_frees_the_slot() {
    let (server, socket) = server(1);
    let next = Next { consumed: 4, ..next() };
    assert!(admit(&server, 1).unwrap().answer(next, &mut Hello).is_err());
    assert!(admit(&server, 1).unwrap().store(1, &mut Hello).is_err());
    assert_eq!((server.events_waiting(), socket.take_sent()), (0, vec![]));
}

#[test]
fn a_closed_server_hands_out_what_has_arrived_and_is_drained_when_that_is_answered() {
    let (mut server, socket) = server(8);
    let datagrams = [1, 2].map(|number| hello(number, b"ask"));
    socket.arrived.lock().unwrap().extend(datagrams.map(|datagram| (datagram.clone(), datagram.len())));
    server.close();
    let mut events = Vec::new();
    while let Some(event) = run(server.next()) {
        let Event::Opened(minisocket) = event.unwrap() else { panic!("streams open") };
        events.push(minisocket);
    }
    assert_eq!(events.len(), 2);
    assert!(server.drain().now_or_never().is_none());
    events.pop().unwrap().ignore();
    assert!(server.drain().now_or_never().is_none());
    events[0].park(DELAY);
    assert!(server.drain().now_or_never().is_some());
}

#[test]
fn answers_to_one_client_leave_together() {
    let (mut server, socket) = server(1);
    let coalesced: Vec<u8> = (1..=3).flat_map(|number| hello(number, b"ask")).collect();
    let stride = coalesced.len() / 3;
    socket.arrived.lock().unwrap().push_back((coalesced, stride));
    run(server.run_until(&mut Hello, async {})).unwrap();
    let [(length, Some(segment_size))] = socket.take_sent()[..] else { panic!("they did not") };
    assert_eq!(length, 3 * segment_size);
}

#[test]
fn of_what_one_sender_sent_at_once_no_more_than_a_few_useless_datagrams_are_looked_at() {
    let (mut server, socket) = server(1);
    let size = hello(1, b"ask").len();
    let useless = vec![1; size];
    let flood = [&useless[..], &hello(1, b"ask")].concat();
    let whole = [flood.repeat(5), useless.repeat(7), hello(1, b"ask")].concat();
    socket.arrived.lock().unwrap().extend([(whole, size), (hello(2, b"ask"), size)]);
    run(server.run_until(&mut Hello, async {})).unwrap();
    let Stats { received, events, .. } = server.stats();
    assert_eq!((received, events, server.overlooked()), (5 + 5 + 4, 5, 4 + 1));
}
