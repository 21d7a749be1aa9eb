//! How streams end.

use std::io::ErrorKind;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Handle;
use trickles_tokio::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, TricklesStream, WriteHalf};

use crate::server::Running;
use crate::{ask, read_rest};

#[tokio::test]
async fn nothing_can_be_written_once_the_server_has_said_its_last_word() {
    let server = Running::start().await;
    let mut stream = server.connect().await;
    // The checksum's answer comes with the end of the input, and is the last.
    stream.write_all(b"SUM\n").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    stream.writable().await.unwrap();
    for error in [stream.try_write(b"more").unwrap_err(), stream.write(b"more").await.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    }
}

#[tokio::test]
async fn an_end_within_what_is_asked_for_is_unexpected() {
    let server = Running::start().await;
    let mut stream = server.connect().await;
    ask(&mut stream, 999, 1).await;
    let error = stream.read_exact(&mut [0; 1000]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn nothing_is_left_of_a_stream_dropped_amid_its_transfer() {
    let server = Running::start().await;
    let mut other = server.connect().await;
    let tasks = || Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let mut stream = server.connect().await;
    assert_eq!(tasks(), before + 1);
    ask(&mut stream, 100_000_000, 1).await;
    stream.read_exact(&mut [0; 10_000]).await.unwrap();
    drop(stream);
    while tasks() > before {
        tokio::task::yield_now().await;
    }
    ask(&mut other, 100_000, 2).await;
    read_rest(&mut other, 0, 100_000, 2).await;
}

#[test]
fn streams_can_move_between_threads() {
    fn check<T: Send + Sync + Unpin + std::fmt::Debug>() {}
    fn check_future<T: Send>(_: T) {}
    check::<TricklesStream>();
    check::<OwnedReadHalf>();
    check::<OwnedWriteHalf>();
    check::<ReadHalf<'_>>();
    check::<WriteHalf<'_>>();
    check_future(TricklesStream::connect("localhost:1"));
    check_future(async { TricklesStream::builder().connect(("localhost", 1)).await });
}

#[tokio::test]
async fn a_stream_names_both_its_ends() {
    let server = Running::start().await;
    let stream = server.connect().await;
    let text = format!("{stream:?}");
    for address in [stream.local_addr().unwrap(), stream.peer_addr().unwrap()] {
        assert!(text.contains(&address.to_string()), "{text} lacks {address}");
    }
}

#[test]
fn a_stream_whose_runtime_has_ended_fails() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let first = runtime();
    let mut stream = first.block_on(async { Running::start().await.connect().await });
    drop(first);
    let error = runtime().block_on(stream.read(&mut [0])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
}
