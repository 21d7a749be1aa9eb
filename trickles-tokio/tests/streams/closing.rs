//! How streams end.

use std::io::ErrorKind;

use tokio::io::AsyncReadExt;
use tokio::runtime::Handle;
use trickles_tokio::TricklesStream;

use crate::server::Running;
use crate::{ask, read_rest};

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
    check::<TricklesStream>();
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
