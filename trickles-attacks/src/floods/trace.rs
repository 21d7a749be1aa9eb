//! The requests of a transfer that has taken place.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::bail;
use trickles::client::{Client, ClientConfig};
use trickles::time::Timestamp;
use trickles::wire::MAX_PACKET_SIZE;

use super::pattern;

/// How long the server may stay silent.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often everything is asked for again, so many requests at a time.
const ATTEMPTS: usize = 3;
const REQUESTS_AT_ONCE: usize = 8;
const PAUSE: Duration = Duration::from_millis(1);
/// How long after its last packet nothing more is on its way.
const QUIET: Duration = Duration::from_millis(100);
/// The type of a Hello, docs/protocol.md section 2.3.
const HELLO: u8 = 1;

/// Downloads `length` bytes at `address`: the socket, and every request in the order it was sent but for the
/// Hello, which opens another stream each time.
pub(super) fn record(
    server: SocketAddr,
    address: Ipv4Addr,
    length: u64,
) -> anyhow::Result<(UdpSocket, Vec<Vec<u8>>)> {
    let socket = UdpSocket::bind((address, 0))?;
    let config = ClientConfig { packet_size: Some(MAX_PACKET_SIZE), ..ClientConfig::default() };
    let begun = now();
    let time = || Timestamp::ZERO + begun.elapsed();
    let mut client = Client::new(config, [5; 16], time());
    let (mut requests, mut received) = (Vec::new(), 0);
    let mut buffer = vec![0; pattern::LONGEST];
    while received < length {
        while let Some(count @ 1..) = client.read(&mut buffer)? {
            if buffer[..count] != *pattern::at(received, count) {
                bail!("wrong bytes at {received}");
            }
            received += count as u64;
        }
        let mut request = Vec::new();
        while client.poll_transmit(time(), &mut request) {
            socket.send_to(&request, server)?;
            requests.push(std::mem::take(&mut request));
        }
        let wait = client.poll_timeout().map_or(PATIENCE, |at| at.since(time()));
        socket.set_read_timeout(Some(wait.clamp(Duration::from_micros(100), PATIENCE)))?;
        match socket.recv(&mut buffer) {
            Ok(length) => client.handle_datagram(&buffer[..length], time()),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                client.handle_timeout(time());
            }
            Err(error) => return Err(error.into()),
        }
    }
    requests.retain(|request| request[1] != HELLO);
    // What was lost, or cut short, is granted at the next attempt: from then on nothing is left.
    for _ in 0..ATTEMPTS {
        for some in requests.chunks(REQUESTS_AT_ONCE) {
            some.iter().try_for_each(|request| socket.send_to(request, server).map(drop))?;
            socket.set_read_timeout(Some(PAUSE))?;
            while socket.recv(&mut buffer).is_ok() {}
        }
    }
    socket.set_read_timeout(Some(QUIET))?;
    while socket.recv(&mut buffer).is_ok() {}
    Ok((socket, requests))
}

#[expect(clippy::disallowed_methods, reason = "it drives the protocol, so it is what reads the clock")]
fn now() -> Instant {
    Instant::now()
}
