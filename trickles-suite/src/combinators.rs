//! What others offer for any stream of bytes.

use futures::io::{BufReader, BufWriter, Cursor, copy, copy_buf};
use futures::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, StreamExt, TryStreamExt};

use crate::application::{Checksum, bytes};
use crate::platform::Transport;
use crate::{Trial, ask, expect_all, list};

/// That combinators of futures work. `name` stands before the names of the tests.
pub fn combinators<T: Transport>(name: &str) -> Vec<Trial> {
    tests::<T>(name)
}

list!(T: Transport;
    copying_from_a_stream_and_into_one,
    a_stream_can_be_copied_into_another,
    lines_can_be_read,
    writes_can_be_buffered,
    a_stream_can_be_taken_and_chained,
);

async fn copying_from_a_stream_and_into_one<T: Transport>() {
    let (address, _server) = T::serve().await;
    let mut stream = T::connect(address).await.unwrap();
    let content = bytes(1, 0, 500_000);
    stream.write_all(b"SUM\n").await.unwrap();
    assert_eq!(copy(Cursor::new(&content), &mut stream).await.unwrap(), 500_000);
    stream.close().await.unwrap();
    let mut received = Vec::new();
    assert_eq!(copy(&mut stream, &mut received).await.unwrap(), Checksum::LENGTH as u64);
    assert_eq!(received, Checksum::of(&content));
}

async fn a_stream_can_be_copied_into_another<T: Transport>() {
    let (address, _server) = T::serve().await;
    let mut from = T::connect(address).await.unwrap();
    let mut to = T::connect(address).await.unwrap();
    ask(&mut from, 500_000, 2).await;
    to.write_all(b"SUM\n").await.unwrap();
    assert_eq!(copy_buf(BufReader::new(from), &mut to).await.unwrap(), 500_000);
    to.close().await.unwrap();
    expect_all(&mut to, &Checksum::of(&bytes(2, 0, 500_000))).await;
}

async fn lines_can_be_read<T: Transport>() {
    let (address, _server) = T::serve().await;
    let (reader, mut writer) = T::connect(address).await.unwrap().split();
    writer.write_all(b"ECHO\n").await.unwrap();
    let mut lines = BufReader::new(reader).lines();
    for line in ["one", "", &"two".repeat(1000)] {
        writer.write_all(format!("{line}\n").as_bytes()).await.unwrap();
        assert_eq!(lines.next().await.unwrap().unwrap(), line);
    }
    writer.write_all(b"three\r\nno end").await.unwrap();
    writer.close().await.unwrap();
    assert_eq!(lines.try_collect::<Vec<_>>().await.unwrap(), ["three", "no end"]);
}

async fn writes_can_be_buffered<T: Transport>() {
    let (address, _server) = T::serve().await;
    let mut stream = BufWriter::new(T::connect(address).await.unwrap());
    stream.write_all(b"SUM\n").await.unwrap();
    let content = bytes(3, 0, 100_000);
    for piece in content.chunks(7) {
        stream.write_all(piece).await.unwrap();
    }
    stream.close().await.unwrap();
    expect_all(stream.get_mut(), &Checksum::of(&content)).await;
}

async fn a_stream_can_be_taken_and_chained<T: Transport>() {
    let (address, _server) = T::serve().await;
    let mut first = T::connect(address).await.unwrap();
    let mut second = T::connect(address).await.unwrap();
    ask(&mut first, 20_000, 4).await;
    ask(&mut second, 20_000, 5).await;
    let mut both = first.take(10_000).chain(second.take(5_000));
    expect_all(&mut both, &[bytes(4, 0, 10_000), bytes(5, 0, 5_000)].concat()).await;
}
