//! How streams end otherwise.

use std::io::ErrorKind;

use futures::{AsyncReadExt, AsyncWriteExt};

use crate::platform::Transport;
use crate::running::Deserted;
use crate::{ask, expect_bytes, expect_rest, list};

list!(T: Transport;
    a_connection_nobody_takes_is_refused,
    a_reset_is_read,
    nothing_can_be_written_after_a_reset,
    bytes_before_a_reset_can_be_read,
    a_stream_can_be_dropped_amid_its_transfer,
);

async fn a_connection_nobody_takes_is_refused<T: Transport>() {
    let deserted = Deserted::new();
    let error = T::connect(deserted.address).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}

/// Linux reports the reset of a TCP connection once and the end from then on. Trickles repeats the reset.
async fn a_reset_is_read<T: Transport>() {
    let (address, _server) = T::serve().await;
    let mut stream = T::connect(address).await.unwrap();
    stream.write_all(b"PUT\n").await.unwrap();
    let error = stream.read(&mut [0]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    for _ in 0..2 {
        match stream.read(&mut [0]).await {
            Ok(count) => assert_eq!(count, 0),
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
    }
}

async fn nothing_can_be_written_after_a_reset<T: Transport>() {
    let (address, _server) = T::serve().await;
    let mut stream = T::connect(address).await.unwrap();
    stream.write_all(b"PUT\n").await.unwrap();
    stream.read(&mut [0]).await.unwrap_err();
    for _ in 0..2 {
        let error = stream.write(b"GET 1 1\n").await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{error}");
    }
}

async fn bytes_before_a_reset_can_be_read<T: Transport>() {
    let (address, _server) = T::serve().await;
    let mut stream = T::connect(address).await.unwrap();
    stream.write_all(b"GET 1000 1\n").await.unwrap();
    expect_bytes(&mut stream, 0, 1, 1).await;
    stream.write_all(b"PUT\n").await.unwrap();
    expect_bytes(&mut stream, 1, 1000, 1).await;
    let error = stream.read(&mut [0]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

async fn a_stream_can_be_dropped_amid_its_transfer<T: Transport>() {
    let (address, _server) = T::serve().await;
    let mut other = T::connect(address).await.unwrap();
    let mut stream = T::connect(address).await.unwrap();
    stream.write_all(b"GET 100000000 1\n").await.unwrap();
    expect_bytes(&mut stream, 0, 10_000, 1).await;
    drop(stream);
    ask(&mut other, 100_000, 2).await;
    expect_rest(&mut other, 0, 100_000, 2).await;
}
