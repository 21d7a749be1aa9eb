//! Streams divided into halves.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use trickles_tokio::ReuniteError;

use crate::application::bytes;
use crate::server::Running;
use crate::{ask, read_rest};

#[tokio::test(flavor = "multi_thread")]
async fn two_tasks_own_the_halves() {
    let server = Running::start().await;
    let (mut reader, mut writer) = server.connect().await.into_split();
    let writing = tokio::spawn(async move {
        for seed in 0..20 {
            writer.write_all(format!("GET 50000 {seed}\n").as_bytes()).await.unwrap();
        }
        writer.shutdown().await.unwrap();
        writer
    });
    for seed in 0..20 {
        let mut received = vec![0; 50_000];
        reader.read_exact(&mut received).await.unwrap();
        assert!(received == bytes(seed, 0, 50_000));
    }
    assert_eq!(reader.read(&mut [0]).await.unwrap(), 0);
    let stream = reader.reunite(writing.await.unwrap()).unwrap();
    assert_eq!(stream.peer_addr().unwrap(), server.address);
}

#[tokio::test]
async fn borrowed_halves_are_used_at_the_same_time() {
    let server = Running::start().await;
    let mut stream = server.connect().await;
    let (mut reader, mut writer) = stream.split();
    assert_eq!(reader.local_addr().unwrap(), writer.local_addr().unwrap());
    let mut received = vec![0; 300_000];
    let (read, written) = tokio::join!(reader.read_exact(&mut received), writer.write_all(b"GET 300000 3\n"));
    assert_eq!((read.unwrap(), written.unwrap()), (300_000, ()));
    assert!(received == bytes(3, 0, 300_000));
    ask(&mut stream, 1000, 4).await;
    read_rest(&mut stream, 0, 1000, 4).await;
}

#[tokio::test]
async fn dropping_the_writing_half_ends_what_is_written() {
    let server = Running::start().await;
    let (mut reader, mut writer) = server.connect().await.into_split();
    writer.write_all(b"GET 200000 5\n").await.unwrap();
    drop(writer);
    let mut received = Vec::new();
    reader.read_to_end(&mut received).await.unwrap();
    assert!(received == bytes(5, 0, 200_000));
}

#[tokio::test]
async fn forgetting_the_writing_half_ends_nothing() {
    let server = Running::start().await;
    let (mut reader, writer) = server.connect().await.into_split();
    writer.forget();
    assert_eq!(reader.as_ref().try_write(b"GET 100 6\n").unwrap(), 10);
    let mut received = [0; 100];
    reader.read_exact(&mut received).await.unwrap();
    assert!(received[..] == bytes(6, 0, 100));
}

#[tokio::test]
async fn writing_goes_on_without_the_reading_half() {
    let server = Running::start().await;
    let (reader, mut writer) = server.connect().await.into_split();
    drop(reader);
    writer.write_all(b"SUM\n").await.unwrap();
    writer.write_all(&bytes(7, 0, 500_000)).await.unwrap();
    writer.shutdown().await.unwrap();
}

#[tokio::test]
async fn halves_of_two_streams_do_not_fit() {
    let server = Running::start().await;
    let (first, second) = (server.connect().await, server.connect().await);
    let (first_address, second_address) = (first.local_addr().unwrap(), second.local_addr().unwrap());
    let (first_reader, first_writer) = first.into_split();
    let (second_reader, second_writer) = second.into_split();
    let error = first_reader.reunite(second_writer).unwrap_err();
    assert_eq!(error.to_string(), "the halves are not of the same stream");
    let ReuniteError(first_reader, second_writer) = error;
    let mut first = first_reader.reunite(first_writer).unwrap();
    let second = second_writer.reunite(second_reader).unwrap();
    assert_eq!(first.local_addr().unwrap(), first_address);
    assert_eq!(second.local_addr().unwrap(), second_address);
    // What was reunited has not been shut down.
    ask(&mut first, 1000, 8).await;
    read_rest(&mut first, 0, 1000, 8).await;
}

#[tokio::test]
async fn reads_after_the_end_of_a_dropped_writing_half_stay_at_the_end() {
    let server = Running::start().await;
    let (mut reader, writer) = server.connect().await.into_split();
    drop(writer);
    for _ in 0..2 {
        assert_eq!(reader.read(&mut [0]).await.unwrap(), 0);
    }
}
