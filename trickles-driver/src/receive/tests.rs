use std::task::Waker;

use super::*;
use crate::fake::FakeSocket;

fn poll(batch: &mut ReceiveBatch, socket: &FakeSocket) -> Poll<Vec<Vec<u8>>> {
    let poll = batch.poll(socket, &mut Context::from_waker(Waker::noop()));
    poll.map(|result| result.unwrap())
        .map(|()| batch.datagrams().map(|(datagram, _)| datagram.to_vec()).collect())
}

/// One whose buffers are all offered from the beginning.
fn wide(buffers: usize) -> ReceiveBatch {
    let mut batch = ReceiveBatch::new(buffers);
    batch.offered = buffers;
    batch
}

#[test]
fn more_buffers_are_offered_while_all_of_them_are_filled_and_fewer_while_few_are() {
    let socket = FakeSocket::new(1, |_, _| Ok(()));
    let mut batch = ReceiveBatch::new(8);
    let mut received = |count: u8| {
        socket.arrived.lock().unwrap().clear();
        socket.arrived.lock().unwrap().extend((0..count).map(|datagram| (vec![datagram], 1)));
        let Poll::Ready(datagrams) = poll(&mut batch, &socket) else { panic!("there are {count}") };
        datagrams.len()
    };
    assert_eq!([20, 20, 20, 20].map(&mut received), [2, 4, 8, 8]);
    assert_eq!([1, 1, 1, 20].map(&mut received), [1, 1, 1, 4]);
}

#[test]
fn all_buffers_are_offered_in_a_flood() {
    let socket = FakeSocket::new(1, |_, _| Ok(()));
    let mut batch = ReceiveBatch::new(8);
    // The first batch shows that it is one.
    assert_eq!(looked_at(&mut batch, &socket, 4, 4).len(), 4);
    assert!(poll(&mut batch, &socket).is_pending());
    looked_at(&mut batch, &socket, 16, 0);
    assert_eq!(batch.filled, 8);
}

#[test]
fn coalesced_datagrams_come_apart_in_order() {
    let socket = FakeSocket::new(1, |_, _| Ok(()));
    socket.arrived.lock().unwrap().extend([(vec![1, 2, 3, 4, 5], 2), (vec![6], 1)]);
    let datagrams = poll(&mut ReceiveBatch::new(4), &socket);
    assert_eq!(datagrams, Poll::Ready(vec![vec![1, 2], vec![3, 4], vec![5], vec![6]]));
}

#[test]
fn an_empty_datagram_is_harmless() {
    let socket = FakeSocket::new(1, |_, _| Ok(()));
    socket.arrived.lock().unwrap().extend([(vec![], 0), (vec![7], 1)]);
    assert_eq!(poll(&mut ReceiveBatch::new(4), &socket), Poll::Ready(vec![vec![7]]));
}

#[test]
fn what_has_been_handled_does_not_come_again() {
    let socket = FakeSocket::new(1, |_, _| Ok(()));
    socket.arrived.lock().unwrap().extend([(vec![1], 1), (vec![2], 1), (vec![3], 1)]);
    let mut batch = ReceiveBatch::new(2);
    assert_eq!(poll(&mut batch, &socket), Poll::Ready(vec![vec![1], vec![2]]));
    assert_eq!(poll(&mut batch, &socket), Poll::Ready(vec![vec![3]]));
    assert_eq!(poll(&mut batch, &socket), Poll::Pending);
    assert_eq!(batch.datagrams().count(), 0);
}

#[test]
fn what_was_released_is_used_by_the_next_batch_and_holds_nothing() {
    let socket = FakeSocket::new(1, |_, _| Ok(()));
    let mut batches = [ReceiveBatch::new(4), ReceiveBatch::new(4)];
    for turn in 0..6 {
        socket.arrived.lock().unwrap().push_back((vec![turn], 1));
        let batch = &mut batches[usize::from(turn % 2)];
        assert_eq!(poll(batch, &socket), Poll::Ready(vec![vec![turn]]));
        // What nothing is received into shows whose memory it was.
        let last = batch.bytes.last_mut().expect("it holds a datagram");
        assert_eq!(std::mem::replace(last, turn + 1), turn);
        batch.release();
        assert!(batch.datagrams().next().is_none() && batch.bytes.is_empty());
    }
}

#[test]
fn datagrams_are_passed_one_by_one_in_order() {
    let socket = FakeSocket::new(1, |_, _| Ok(()));
    socket.arrived.lock().unwrap().extend([(vec![1, 2, 3], 2), (vec![], 0), (vec![4], 1)]);
    let mut batch = wide(4);
    assert!(batch.front().is_none());
    assert!(poll(&mut batch, &socket).is_ready());
    let mut passed = Vec::new();
    while let Some((datagram, _)) = batch.front() {
        passed.push(datagram.to_vec());
        batch.pass(true);
    }
    assert_eq!(passed, [vec![1, 2], vec![3], vec![], vec![4]]);
}

/// Which datagrams of a batch from one sender are looked at, those from `useful` on being of use.
fn looked_at(batch: &mut ReceiveBatch, socket: &FakeSocket, count: u8, useful: u8) -> Vec<u8> {
    // Coalesced by two.
    let pairs = (0..count).step_by(2).map(|number| (vec![number, number + 1], 1));
    socket.arrived.lock().unwrap().extend(pairs);
    assert!(poll(batch, socket).is_ready());
    let mut looked_at = Vec::new();
    while let Some((datagram, _)) = batch.front() {
        let number = datagram[0];
        looked_at.push(number);
        batch.pass(number >= useful);
    }
    looked_at
}

#[test]
fn after_a_few_useless_datagrams_the_others_from_there_are_passed() {
    let socket = FakeSocket::new(1, |_, _| Ok(()));
    let mut batch = wide(8);
    assert_eq!(looked_at(&mut batch, &socket, 8, 3), [0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(looked_at(&mut batch, &socket, 8, 4), [0, 1, 2, 3]);
    assert_eq!(batch.overlooked(), 4);
    // It was a flood, until something is of use again.
    assert_eq!(looked_at(&mut batch, &socket, 8, 8), [0]);
    assert_eq!(looked_at(&mut batch, &socket, 8, 0).len(), 8);
    assert_eq!(looked_at(&mut batch, &socket, 8, 8), [0, 1, 2, 3]);
}

#[test]
fn coalesced_datagrams_are_passed_with_the_others() {
    let socket = FakeSocket::new(1, |_, _| Ok(()));
    socket.arrived.lock().unwrap().extend([(vec![1; 7], 2), (vec![2; 3], 1)]);
    let mut batch = wide(8);
    assert!(poll(&mut batch, &socket).is_ready());
    let mut count = 0;
    while batch.front().is_some() {
        batch.pass(false);
        count += 1;
    }
    assert_eq!((count, batch.overlooked()), (4, 3));
}

#[test]
fn what_one_sender_sends_keeps_nobody_elses_from_being_looked_at() {
    let socket = FakeSocket::new(1, |_, _| Ok(()));
    let mut batch = wide(16);
    let senders = [1, 1, 1, 1, 1, 2, 1, 1, 1, 1, 1, 3, 3];
    socket.arrived.lock().unwrap().extend(senders.map(|sender| (vec![sender], 1)));
    assert!(poll(&mut batch, &socket).is_ready());
    for (meta, sender) in batch.meta.iter_mut().zip(senders) {
        meta.addr.set_port(sender.into());
    }
    let mut looked_at = Vec::new();
    while let Some((datagram, _)) = batch.front() {
        let sender = datagram[0];
        looked_at.push(sender);
        batch.pass(sender != 1);
    }
    assert_eq!(looked_at, [1, 1, 1, 1, 2, 1, 1, 1, 1, 3, 3]);
    assert_eq!(batch.overlooked(), 2);
}

/// How many datagrams of use arrive of `train`, together with a flood that the system has coalesced, per batch.
fn beside_a_flood(batch: &mut ReceiveBatch, socket: &FakeSocket, train: (Vec<u8>, usize)) -> usize {
    let flood = (0..8).map(|_| (vec![0; 60_000], 1000));
    socket.arrived.lock().unwrap().extend(flood.chain([train]));
    assert!(poll(batch, socket).is_ready());
    // The train's sender is another one.
    batch.meta[8].addr.set_port(1);
    let mut of_use = 0;
    while let Some((datagram, meta)) = batch.front() {
        let whole = meta.addr.port() == 1 && datagram.last() == Some(&1);
        batch.pass(whole);
        of_use += usize::from(whole);
    }
    of_use
}

#[test]
fn a_flood_is_not_copied_and_what_is_of_use_arrives_with_it() {
    let socket = FakeSocket::new(1, |_, _| Ok(()));
    let mut batch = wide(16);
    let mut whole = 0;
    // Each ends in a byte that only whole ones have.
    let train = || ([vec![2; 1199], vec![1]].concat().repeat(12), 1200);
    for _ in 0..101 {
        whole += beside_a_flood(&mut batch, &socket, train());
    }
    let copied: usize = batch.meta[..8].iter().map(|meta| meta.len).sum();
    assert!(copied < 8 * 20_000, "{copied} bytes of the flood");
    assert!(whole == 101 * 12, "{whole} of 1212");
}

#[test]
fn a_sender_of_use_comes_through_a_flood_however_large_its_datagrams_are() {
    let socket = FakeSocket::new(1, |_, _| Ok(()));
    let mut batch = wide(16);
    for _ in 0..100 {
        beside_a_flood(&mut batch, &socket, (vec![0], 1));
    }
    let large = || ([vec![2; 8999], vec![1]].concat(), 9000);
    let whole: Vec<_> = (0..40).map(|_| beside_a_flood(&mut batch, &socket, large())).collect();
    assert!(whole[..8].contains(&1), "{whole:?}");
    assert!(whole.iter().sum::<usize>() > 30, "{whole:?}");
}
