//! How bytes are read and written.

use std::io::{IoSlice, IoSliceMut};

use futures::future::{join, join_all};
use futures::{AsyncReadExt, AsyncWriteExt};

use crate::application::{Checksum, bytes};
use crate::platform::{Executor, Transport};
use crate::{ask, expect_all, expect_bytes, expect_rest, list};

const MIB: usize = 1 << 20;

list!(T: Transport;
    a_read_returns_what_is_there,
    a_read_into_nothing_takes_nothing,
    a_write_of_nothing_sends_nothing,
    bytes_can_be_read_one_by_one,
    bytes_can_be_written_one_by_one,
    big_buffers_can_be_read_into,
    big_buffers_can_be_written,
    several_buffers_can_be_read_into_at_once,
    several_buffers_can_be_written_at_once,
    requests_and_responses_can_take_turns,
    requests_can_be_sent_before_responses_are_read,
    many_small_responses_wait_for_their_reader,
    one_task_can_read_while_another_writes,
    a_stream_carries_bytes_both_ways_at_once,
    a_slow_reader_gets_everything,
    many_streams_do_not_mix,
);

async fn a_read_returns_what_is_there<T: Transport>() {
    let (address, _server) = T::serve().await;
    let mut stream = T::connect(address).await.unwrap();
    stream.write_all(b"GET 10 1\n").await.unwrap();
    let mut received = Vec::new();
    while received.len() < 10 {
        let mut buffer = [0; 1000];
        let count = stream.read(&mut buffer).await.unwrap();
        assert!(count > 0);
        received.extend_from_slice(&buffer[..count]);
    }
    assert_eq!(received, bytes(1, 0, 10));
}

async fn a_read_into_nothing_takes_nothing<T: Transport>() {
    let (address, _server) = T::serve().await;
    let mut stream = T::connect(address).await.unwrap();
    ask(&mut stream, 10, 2).await;
    expect_bytes(&mut stream, 0, 1, 2).await;
    assert_eq!(stream.read(&mut []).await.unwrap(), 0);
    expect_rest(&mut stream, 1, 10, 2).await;
    assert_eq!(stream.read(&mut []).await.unwrap(), 0);
}

async fn a_write_of_nothing_sends_nothing<T: Transport>() {
    let (address, _server) = T::serve().await;
    let mut stream = T::connect(address).await.unwrap();
    assert_eq!(stream.write(&[]).await.unwrap(), 0);
    stream.write_all(b"GET 10").await.unwrap();
    assert_eq!(stream.write(&[]).await.unwrap(), 0);
    stream.flush().await.unwrap();
    stream.write_all(b"00 3\n").await.unwrap();
    expect_bytes(&mut stream, 0, 1000, 3).await;
}

async fn bytes_can_be_read_one_by_one<T: Transport>() {
    let (address, _server) = T::serve().await;
    let mut stream = T::connect(address).await.unwrap();
    ask(&mut stream, 20_000, 4).await;
    let mut received = Vec::new();
    let mut byte = [0];
    while stream.read(&mut byte).await.unwrap() > 0 {
        received.extend(byte);
    }
    assert!(received == bytes(4, 0, 20_000));
}

async fn bytes_can_be_written_one_by_one<T: Transport>() {
    let (address, _server) = T::serve().await;
    let mut stream = T::connect(address).await.unwrap();
    let content = bytes(5, 0, 5000);
    for byte in b"SUM\n".iter().chain(&content) {
        assert_eq!(stream.write(&[*byte]).await.unwrap(), 1);
    }
    stream.close().await.unwrap();
    expect_all(&mut stream, &Checksum::of(&content)).await;
}

async fn big_buffers_can_be_read_into<T: Transport>() {
    let (address, _server) = T::serve().await;
    let mut stream = T::connect(address).await.unwrap();
    stream.write_all(b"GET 6000000 6\n").await.unwrap();
    expect_bytes(&mut stream, 0, 6_000_000, 6).await;
}

async fn big_buffers_can_be_written<T: Transport>() {
    let (address, _server) = T::serve().await;
    let mut stream = T::connect(address).await.unwrap();
    let content = bytes(7, 0, 3 * MIB);
    stream.write_all(b"SUM\n").await.unwrap();
    let count = stream.write(&content).await.unwrap();
    assert!((1..=content.len()).contains(&count));
    stream.write_all(&content[count..]).await.unwrap();
    stream.close().await.unwrap();
    expect_all(&mut stream, &Checksum::of(&content)).await;
}

async fn several_buffers_can_be_read_into_at_once<T: Transport>() {
    let (address, _server) = T::serve().await;
    let mut stream = T::connect(address).await.unwrap();
    ask(&mut stream, 10_000, 8).await;
    let mut received = Vec::<u8>::new();
    loop {
        let (mut first, mut second) = ([0; 3], [0; 500]);
        let mut buffers = [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
        match stream.read_vectored(&mut buffers).await.unwrap() {
            0 => break,
            count => received.extend(first.iter().chain(&second).take(count)),
        }
    }
    assert!(received == bytes(8, 0, 10_000));
}

async fn several_buffers_can_be_written_at_once<T: Transport>() {
    let (address, _server) = T::serve().await;
    let mut stream = T::connect(address).await.unwrap();
    let parts = ["", "GET ", "1000", " 9\n"].map(|part| IoSlice::new(part.as_bytes()));
    let count = stream.write_vectored(&parts).await.unwrap();
    assert!(count > 0);
    stream.write_all(&b"GET 1000 9\n"[count..]).await.unwrap();
    expect_bytes(&mut stream, 0, 1000, 9).await;
}

async fn requests_and_responses_can_take_turns<T: Transport>() {
    let (address, _server) = T::serve().await;
    let mut stream = T::connect(address).await.unwrap();
    for seed in 0..50 {
        let length = 1 + 331 * seed;
        stream.write_all(format!("GET {length} {seed}\n").as_bytes()).await.unwrap();
        expect_bytes(&mut stream, 0, length, seed as u64).await;
    }
    stream.close().await.unwrap();
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
}

async fn requests_can_be_sent_before_responses_are_read<T: Transport>() {
    let (address, _server) = T::serve().await;
    let mut stream = T::connect(address).await.unwrap();
    let requests = (0..30).map(|seed| format!("GET {} {seed}\n", 1 + 1000 * seed)).collect::<String>();
    stream.write_all(requests.as_bytes()).await.unwrap();
    stream.close().await.unwrap();
    for seed in 0..30 {
        expect_bytes(&mut stream, 0, 1 + 1000 * seed, seed as u64).await;
    }
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
}

async fn many_small_responses_wait_for_their_reader<T: Transport>() {
    let (address, _server) = T::serve().await;
    let mut stream = T::connect(address).await.unwrap();
    let mut other = T::connect(address).await.unwrap();
    stream.write_all("GET 10 1\n".repeat(300).as_bytes()).await.unwrap();
    // Long enough for all of them to be there.
    ask(&mut other, MIB, 2).await;
    expect_rest(&mut other, 0, MIB, 2).await;
    for _ in 0..300 {
        expect_bytes(&mut stream, 0, 10, 1).await;
    }
    stream.close().await.unwrap();
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
}

async fn one_task_can_read_while_another_writes<T: Transport>() {
    let (address, _server) = T::serve().await;
    let (mut reader, mut writer) = T::connect(address).await.unwrap().split();
    let reading = T::Executor::run(async move {
        for seed in 0..20 {
            expect_bytes(&mut reader, 0, 50_000, seed).await;
        }
        assert_eq!(reader.read(&mut [0]).await.unwrap(), 0);
    });
    for seed in 0..20 {
        writer.write_all(format!("GET 50000 {seed}\n").as_bytes()).await.unwrap();
    }
    writer.close().await.unwrap();
    reading.await;
}

async fn a_stream_carries_bytes_both_ways_at_once<T: Transport>() {
    let (address, _server) = T::serve().await;
    let (mut reader, mut writer) = T::connect(address).await.unwrap().split();
    let content = bytes(10, 0, MIB);
    let writing = async {
        writer.write_all(b"ECHO\n").await.unwrap();
        writer.write_all(&content).await.unwrap();
        writer.close().await.unwrap();
    };
    join(writing, expect_rest(&mut reader, 0, MIB, 10)).await;
}

async fn a_slow_reader_gets_everything<T: Transport>() {
    let (address, _server) = T::serve().await;
    let mut stream = T::connect(address).await.unwrap();
    let mut other = T::connect(address).await.unwrap();
    ask(&mut stream, 3 * MIB, 11).await;
    // Long enough for the first stream's buffers to be full.
    ask(&mut other, 10 * MIB, 12).await;
    expect_rest(&mut other, 0, 10 * MIB, 12).await;
    expect_rest(&mut stream, 0, 3 * MIB, 11).await;
}

async fn many_streams_do_not_mix<T: Transport>() {
    let (address, _server) = T::serve().await;
    let downloads = (0..20).map(|seed| {
        T::Executor::run(async move {
            let mut stream = T::connect(address).await.unwrap();
            ask(&mut stream, 100_000, seed).await;
            expect_rest(&mut stream, 0, 100_000, seed).await;
        })
    });
    join_all(downloads).await;
}
