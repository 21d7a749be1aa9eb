//! Looking before reading, and writing no more than there is room for.

use std::future::{Future, poll_fn};
use std::io::{ErrorKind, IoSlice, IoSliceMut};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, Interest, ReadBuf, Ready};
use tokio::task::JoinSet;

use crate::application::{Checksum, bytes};
use crate::server::Running;

/// Whether a future is pending when it is polled once.
async fn is_pending(future: impl Future) -> bool {
    let mut future = pin!(future);
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_pending())).await
}

#[tokio::test]
async fn peeking_consumes_nothing() {
    let server = Running::start().await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET 5000 1\n").await.unwrap();
    let mut peeked = [0; 100];
    for _ in 0..2 {
        let count = stream.peek(&mut peeked).await.unwrap();
        assert!(count > 0 && peeked[..count] == bytes(1, 0, count));
    }
    let mut memory = [0; 100];
    let mut buffer = ReadBuf::new(&mut memory);
    let count = poll_fn(|cx| stream.poll_peek(cx, &mut buffer)).await.unwrap();
    assert!(buffer.filled() == bytes(1, 0, count));
    let mut received = vec![0; 5000];
    stream.read_exact(&mut received).await.unwrap();
    assert!(received == bytes(1, 0, 5000));
    assert!(is_pending(stream.peek(&mut peeked)).await);
    stream.shutdown().await.unwrap();
    assert_eq!(stream.peek(&mut peeked).await.unwrap(), 0);
}

#[tokio::test]
async fn readiness_comes_before_the_bytes() {
    let server = Running::start().await;
    let stream = server.connect().await;
    assert_eq!(stream.try_read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert!(is_pending(stream.readable()).await);
    assert!(is_pending(poll_fn(|cx| stream.poll_read_ready(cx))).await);
    assert_eq!(stream.ready(Interest::READABLE | Interest::WRITABLE).await.unwrap(), Ready::WRITABLE);
    stream.writable().await.unwrap();
    assert_eq!(stream.try_write(b"GET 5000 2\n").unwrap(), 11);
    assert_eq!(stream.ready(Interest::READABLE).await.unwrap(), Ready::READABLE);
    let mut received = Vec::new();
    while received.len() < 5000 {
        stream.readable().await.unwrap();
        let (mut first, mut second) = ([0; 7], [0; 300]);
        let mut buffers = [&mut first[..], &mut [], &mut second].map(IoSliceMut::new);
        let count = stream.try_read_vectored(&mut buffers).unwrap();
        received.extend([&first[..], &second].concat().into_iter().take(count));
    }
    assert!(received == bytes(2, 0, 5000));
}

#[tokio::test]
async fn everybody_who_waits_is_woken() {
    let server = Running::start().await;
    let stream = Arc::new(server.connect().await);
    let mut waiting = JoinSet::new();
    for _ in 0..2 {
        let (readable, ready, peeking) = (stream.clone(), stream.clone(), stream.clone());
        waiting.spawn(async move { readable.readable().await });
        waiting.spawn(async move { ready.ready(Interest::READABLE).await.map(drop) });
        waiting.spawn(async move { peeking.peek(&mut [0]).await.map(drop) });
    }
    let polling = stream.clone();
    waiting.spawn(async move { poll_fn(|cx| polling.poll_read_ready(cx)).await });
    tokio::task::yield_now().await;
    assert_eq!(stream.try_write(b"GET 10 3\n").unwrap(), 9);
    while let Some(woken) = waiting.join_next().await {
        woken.unwrap().unwrap();
    }
    let mut received = [0; 10];
    assert_eq!(stream.try_read(&mut received).unwrap(), 10);
    assert!(received[..] == bytes(3, 0, 10));
}

#[tokio::test]
async fn slices_are_written_in_one_go() {
    let server = Running::start().await;
    let mut stream = server.connect().await;
    assert!(stream.is_write_vectored());
    let content = bytes(4, 0, 3000);
    let slices = [&b"SU"[..], b"", b"M\n", &content[..1], &content[1..2000], &content[2000..]];
    let count = stream.write_vectored(&slices.map(IoSlice::new)).await.unwrap();
    assert_eq!(count, 3004);
    stream.shutdown().await.unwrap();
    let mut expected = Checksum::new();
    expected.update(&content);
    let mut received = Vec::new();
    stream.read_to_end(&mut received).await.unwrap();
    assert_eq!(received, expected.encode());
}

#[tokio::test]
async fn nothing_is_ever_delayed_for_more() {
    let stream = Running::start().await.connect().await;
    stream.set_nodelay(false).unwrap();
    assert!(stream.nodelay().unwrap());
}
