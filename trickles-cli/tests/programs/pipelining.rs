//! Requests that do not wait for the response before them.

use std::fmt::Write;

use tokio::io::{AsyncReadExt, AsyncWriteExt, split};
use trickles_tokio::TricklesStream;

use super::Fixture;

/// Takes the response at the beginning of `bytes` off them; returns its status and body.
fn take_response<'a>(bytes: &mut &'a [u8], head_only: bool) -> (u16, &'a [u8]) {
    let mut headers = [httparse::EMPTY_HEADER; 16];
    let mut response = httparse::Response::new(&mut headers);
    let head = response.parse(bytes).unwrap().unwrap();
    let status = response.code.unwrap();
    let length = response.headers.iter().find(|header| header.name == "Content-Length").unwrap().value;
    let length: usize = str::from_utf8(length).unwrap().parse().unwrap();
    let (body, rest) = bytes[head..].split_at(if head_only { 0 } else { length });
    *bytes = rest;
    (status, body)
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let fixture = Fixture::new();
    let small = fixture.file("small", 10);
    let big = fixture.file("big", 100_000);
    let server = fixture.serve();

    // More answers than a client can know of before it reads.
    const ROUNDS: usize = 40;
    let mut requests = String::new();
    for _ in 0..ROUNDS {
        let lines = ["GET /small", "HEAD /big", "GET /none", "GET /big"];
        for line in lines {
            write!(requests, "{line} HTTP/1.1\r\nHost: localhost\r\nX-Padding: {}\r\n\r\n", "x".repeat(100))
                .unwrap();
        }
    }
    let (mut reader, mut writer) = split(TricklesStream::connect(server.address).await.unwrap());
    let mut bytes = Vec::new();
    let write = async {
        writer.write_all(requests.as_bytes()).await?;
        // Nothing follows, which ends the connection behind the last response.
        writer.shutdown().await
    };
    tokio::try_join!(write, reader.read_to_end(&mut bytes)).unwrap();

    let mut rest = &bytes[..];
    for _ in 0..ROUNDS {
        assert!(take_response(&mut rest, false) == (200, &small));
        assert!(take_response(&mut rest, true) == (200, b""));
        assert!(take_response(&mut rest, false) == (404, b"404 Not Found\n"));
        assert!(take_response(&mut rest, false) == (200, &big));
    }
    assert!(rest.is_empty());
}
