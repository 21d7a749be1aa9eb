//! What tokio and tokio-util offer for any stream of bytes works on a `TricklesStream`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use futures::{SinkExt, StreamExt};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, copy, copy_bidirectional};
use tokio_util::bytes::Bytes;
use tokio_util::codec::{Framed, LengthDelimitedCodec, LinesCodec};
use trickles_suite::application::{Checksum, Lines, bytes};
use trickles_suite::{any, ring};
use trickles_tokio::trickles::server::ServerConfig;
use trickles_tokio::{Server, TricklesStream};

/// A stream to a server of its own, whose application follows the command.
async fn connect(command: &str) -> TricklesStream {
    let mut server = Server::bind(any(), ServerConfig::default(), ring()).await.unwrap();
    let address = server.local_addr().unwrap();
    tokio::spawn(async move { server.run(&mut Lines).await });
    let mut stream = TricklesStream::connect(address).await.unwrap();
    stream.write_all(command.as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn framed_with_lines() {
    let mut framed = Framed::new(connect("ECHO\n").await, LinesCodec::new());
    for line in ["one", "", &"two".repeat(1000)] {
        framed.send(line).await.unwrap();
        assert_eq!(framed.next().await.unwrap().unwrap(), line);
    }
    for line in ["three", "four"] {
        framed.feed(line).await.unwrap();
    }
    SinkExt::<&str>::close(&mut framed).await.unwrap();
    let rest = framed.map(Result::unwrap).collect::<Vec<_>>().await;
    assert_eq!(rest, ["three", "four"]);
}

#[tokio::test]
async fn framed_by_length() {
    let framed = Framed::new(connect("ECHO\n").await, LengthDelimitedCodec::new());
    let (mut sink, mut frames) = framed.split::<Bytes>();
    let lengths = [0, 1, 511, 512, 513, 100_000, 3];
    let sending = tokio::spawn(async move {
        for length in lengths {
            sink.send(bytes(length as u64, 0, length).into()).await.unwrap();
        }
        sink.close().await.unwrap();
    });
    for length in lengths {
        assert!(frames.next().await.unwrap().unwrap() == bytes(length as u64, 0, length));
    }
    assert!(frames.next().await.is_none());
    sending.await.unwrap();
}

#[tokio::test]
async fn copied_in_both_directions() {
    let mut remote = connect("ECHO\n").await;
    let (local, mut near) = tokio::io::duplex(1000);
    let relay = tokio::spawn(async move { copy_bidirectional(&mut near, &mut remote).await.unwrap() });
    let (mut reader, mut writer) = tokio::io::split(local);
    let writing = tokio::spawn(async move {
        writer.write_all(&bytes(1, 0, 200_000)).await.unwrap();
        writer.shutdown().await.unwrap();
    });
    let mut received = Vec::new();
    reader.read_to_end(&mut received).await.unwrap();
    assert!(received == bytes(1, 0, 200_000));
    assert_eq!(relay.await.unwrap(), (200_000, 200_000));
    writing.await.unwrap();
}

#[tokio::test]
async fn copied_from_and_into() {
    let mut from = connect("GET 500000 2\n").await;
    from.shutdown().await.unwrap();
    let mut to = connect("SUM\n").await;
    assert_eq!(copy(&mut from, &mut to).await.unwrap(), 500_000);
    to.shutdown().await.unwrap();
    let mut received = Vec::new();
    assert_eq!(copy(&mut to, &mut received).await.unwrap(), Checksum::LENGTH as u64);
    assert_eq!(received, Checksum::of(&bytes(2, 0, 500_000)));
}

#[tokio::test]
async fn read_line_by_line() {
    let mut stream = BufReader::new(connect("ECHO\n").await);
    stream.write_all(b"one\n\r\ntwo").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut lines = stream.lines();
    for line in ["one", "", "two"] {
        assert_eq!(lines.next_line().await.unwrap().unwrap(), line);
    }
    assert_eq!(lines.next_line().await.unwrap(), None);
}
