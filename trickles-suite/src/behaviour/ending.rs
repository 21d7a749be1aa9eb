//! How streams end well.

use std::io::ErrorKind;

use futures::{AsyncReadExt, AsyncWriteExt};

use crate::platform::Transport;
use crate::{ask, expect_bytes, expect_rest, list};

list!(T: Transport;
    the_end_is_read_again_and_again,
    a_stream_can_be_closed_unused,
    the_server_still_sends_after_the_client_has_ended,
    the_server_may_end_first,
    closing_twice_is_closing_once,
    nothing_can_be_written_after_closing,
    an_exact_read_beyond_the_end_fails,
);

async fn the_end_is_read_again_and_again<T: Transport>() {
    let (address, _server) = T::serve().await;
    let mut stream = T::connect(address).await.unwrap();
    ask(&mut stream, 100, 1).await;
    expect_rest(&mut stream, 0, 100, 1).await;
    for _ in 0..3 {
        assert_eq!(stream.read(&mut [0; 10]).await.unwrap(), 0);
    }
}

async fn a_stream_can_be_closed_unused<T: Transport>() {
    let (address, _server) = T::serve().await;
    let mut stream = T::connect(address).await.unwrap();
    stream.close().await.unwrap();
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
}

async fn the_server_still_sends_after_the_client_has_ended<T: Transport>() {
    let (address, _server) = T::serve().await;
    let mut stream = T::connect(address).await.unwrap();
    stream.write_all(b"GET 9000000 2\n").await.unwrap();
    expect_bytes(&mut stream, 0, 1000, 2).await;
    stream.close().await.unwrap();
    expect_rest(&mut stream, 1000, 9_000_000, 2).await;
}

async fn the_server_may_end_first<T: Transport>() {
    let (address, _server) = T::serve().await;
    let mut stream = T::connect(address).await.unwrap();
    stream.write_all(b"GET 1000 3\nBYE\n").await.unwrap();
    expect_rest(&mut stream, 0, 1000, 3).await;
    stream.close().await.unwrap();
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
}

async fn closing_twice_is_closing_once<T: Transport>() {
    let (address, _server) = T::serve().await;
    let mut stream = T::connect(address).await.unwrap();
    stream.write_all(b"GET 9000000 4\n").await.unwrap();
    stream.close().await.unwrap();
    stream.close().await.unwrap();
    expect_rest(&mut stream, 0, 9_000_000, 4).await;
}

async fn nothing_can_be_written_after_closing<T: Transport>() {
    let (address, _server) = T::serve().await;
    let mut stream = T::connect(address).await.unwrap();
    stream.close().await.unwrap();
    for _ in 0..2 {
        let error = stream.write(b"GET 1 1\n").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    }
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
}

async fn an_exact_read_beyond_the_end_fails<T: Transport>() {
    let (address, _server) = T::serve().await;
    let mut stream = T::connect(address).await.unwrap();
    ask(&mut stream, 100, 5).await;
    let error = stream.read_exact(&mut [0; 101]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
}
