use std::net::Ipv4Addr;
use std::sync::atomic::Ordering::Relaxed;

use super::*;
use crate::fake::{FakeRuntime, FakeSocket, run};
use crate::runtime::Runtime;

static PACKETS: [u8; 80_000] = [0; 80_000];

fn route() -> Route {
    Route { to: (Ipv4Addr::LOCALHOST, 2).into(), from: None }
}

fn batch(packets: usize, segment_size: usize) -> Batch<'static> {
    Batch { contents: &PACKETS[..packets * segment_size], segment_size }
}

fn send(sender: &Sender, packets: usize, segment_size: usize) {
    let mut timer = FakeRuntime.new_timer(Clock::after(PATIENCE));
    run(sender.send(batch(packets, segment_size), route(), &mut timer));
}

fn sender(socket: &Arc<FakeSocket>) -> Sender {
    Sender::new(socket.clone())
}

#[test]
fn a_train_leaves_in_one_call() {
    let socket = FakeSocket::new(64, |_, _| Ok(()));
    send(&sender(&socket), 40, 1200);
    assert_eq!(socket.take_sent(), [(48_000, Some(1200))]);
}

#[test]
fn a_single_packet_is_not_segmented() {
    let socket = FakeSocket::new(64, |_, _| Ok(()));
    send(&sender(&socket), 1, 1200);
    assert_eq!(socket.take_sent(), [(1200, None)]);
}

#[test]
fn a_call_holds_no_more_than_an_ip_packet() {
    let socket = FakeSocket::new(64, |_, _| Ok(()));
    send(&sender(&socket), 64, 1200);
    assert_eq!(socket.take_sent(), [(54 * 1200, Some(1200)), (10 * 1200, Some(1200))]);
}

#[test]
fn a_call_holds_no_more_packets_than_the_system_segments() {
    let socket = FakeSocket::new(3, |_, _| Ok(()));
    send(&sender(&socket), 7, 1000);
    assert_eq!(socket.take_sent(), [(3000, Some(1000)), (3000, Some(1000)), (1000, None)]);
}

#[test]
fn packets_leave_one_by_one_where_the_system_does_not_segment() {
    let refuse: fn(usize, Option<usize>) -> io::Result<()> = |_, segment_size| match segment_size {
        Some(_) => Err(io::Error::other("no offload")),
        None => Ok(()),
    };
    let socket = FakeSocket::new(64, refuse);
    let sender = sender(&socket);
    socket.segments.store(1, Relaxed);
    send(&sender, 3, 1200);
    assert_eq!(socket.take_sent(), [(1200, None); 3]);
    assert_eq!((sender.segments.load(Relaxed), sender.dropped()), (1, 0));
    send(&sender, 2, 1200);
    assert_eq!(socket.take_sent(), [(1200, None); 2]);
}

#[test]
fn packets_leave_one_by_one_while_offload_is_off() {
    let socket = FakeSocket::new(64, |_, _| Ok(()));
    let sender = sender(&socket);
    sender.set_offload(false);
    send(&sender, 2, 1200);
    assert_eq!(socket.take_sent(), [(1200, None); 2]);
    sender.set_offload(true);
    send(&sender, 2, 1200);
    assert_eq!(socket.take_sent(), [(2400, Some(1200))]);
}

#[test]
fn packets_too_large_for_the_path_do_not_end_segmentation() {
    let path: fn(usize, Option<usize>) -> io::Result<()> = |length, segment_size| {
        if segment_size.unwrap_or(length) > 1400 { Err(ErrorKind::InvalidInput.into()) } else { Ok(()) }
    };
    let socket = FakeSocket::new(64, path);
    let sender = sender(&socket);
    socket.segments.store(1, Relaxed);
    send(&sender, 3, 9000);
    assert_eq!((sender.segments.load(Relaxed), sender.dropped()), (64, 3));
    send(&sender, 3, 1200);
    assert_eq!(socket.take_sent(), [(3600, Some(1200))]);
}

#[test]
fn a_temporary_failure_does_not_end_segmentation() {
    let busy: fn(usize, Option<usize>) -> io::Result<()> = |length, _| {
        if length > 1200 { Err(io::Error::other("no buffer space")) } else { Ok(()) }
    };
    let socket = FakeSocket::new(64, busy);
    let sender = sender(&socket);
    send(&sender, 3, 1200);
    assert_eq!(socket.take_sent(), [(1200, None); 3]);
    assert_eq!((sender.segments.load(Relaxed), sender.dropped()), (64, 0));
}

#[test]
fn a_full_socket_is_waited_for() {
    let socket = FakeSocket::new(64, |_, _| Ok(()));
    let sender = sender(&socket);
    socket.full.store(1, Relaxed);
    send(&sender, 3, 1200);
    assert_eq!((socket.take_sent(), sender.dropped()), (vec![(3600, Some(1200))], 0));
}

#[test]
fn a_socket_that_stays_full_costs_the_packets() {
    let socket = FakeSocket::new(64, |_, _| Ok(()));
    let sender = sender(&socket);
    socket.full.store(1000, Relaxed);
    send(&sender, 3, 1200);
    assert_eq!((socket.take_sent(), sender.dropped()), (vec![], 3));
}

#[test]
fn what_is_sent_at_once_does_not_wait_for_a_full_socket() {
    let socket = FakeSocket::new(64, |_, _| Ok(()));
    let sender = sender(&socket);
    socket.full.store(1, Relaxed);
    sender.send_now(batch(3, 1200), route());
    assert_eq!((socket.take_sent(), sender.dropped()), (vec![], 3));
}
