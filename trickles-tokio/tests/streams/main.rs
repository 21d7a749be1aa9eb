//! What is particular to tokio; the rest is in the suite of all runtimes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod application;
mod cancelling;
mod closing;
mod connecting;
mod ecn;
mod halves;
mod offload;
mod pressure;
mod readiness;
mod server;
mod transfer;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use trickles_tokio::TricklesStream;

use crate::application::bytes;

/// Asks for `length` bytes, and for nothing after that.
async fn ask(stream: &mut TricklesStream, length: usize, seed: u64) {
    stream.write_all(format!("GET {length} {seed}\n").as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
}

/// Reads the bytes from `offset` to the end of the stream and compares them with what was asked for.
async fn read_rest(stream: &mut TricklesStream, offset: usize, length: usize, seed: u64) {
    let mut received = Vec::new();
    stream.read_to_end(&mut received).await.unwrap();
    assert_eq!(received.len(), length - offset);
    assert!(received == bytes(seed, offset, length));
}
