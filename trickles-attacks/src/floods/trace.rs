//! The requests of a transfer that has taken place.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::bail;
use trickles::client::{Client, ClientConfig};
use trickles::time::Timestamp;
use trickles::wire::{ClaimKind, MAX_PACKET_SIZE, Request};

use super::flooder::TRAIN;
use super::pattern;
use super::server::ServerProcess;

/// How long the server may stay silent.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often everything is asked for again, at most.
const MAX_ATTEMPTS: usize = 10;
/// How long after its last packet nothing more is on its way.
const QUIET: Duration = Duration::from_millis(100);

/// Downloads `length` bytes at `address`: the socket, and every request in the order it was sent but for
/// [openings](opens).
pub(super) fn record(
    server: &mut ServerProcess,
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
            socket.send_to(&request, server.address)?;
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
    requests.retain(|request| !opens(request));
    // What was lost, or cut short, is granted when it is asked for again: until nothing is left.
    socket.set_read_timeout(Some(QUIET))?;
    while socket.recv(&mut buffer).is_ok() {}
    server.counters()?;
    for _ in 0..MAX_ATTEMPTS {
        for request in &requests {
            // Several at once could be overlooked behind each other.
            server.ask(|to| Ok(socket.send_to(request, to).map(drop)?))?;
        }
        let mut packets = 0;
        while let Ok(length) = socket.recv(&mut buffer) {
            packets += usize::from(buffer[..length].get(1) == Some(&TRAIN));
        }
        if packets == 0 {
            return Ok((socket, requests));
        }
    }
    bail!("a transfer that is asked for again goes on bringing output")
}

/// Whether this is a Hello, which opens another stream each time, or what a transfer that was held up sends: Restart or
/// Resume, which open another epoch in each slot of 200 ms. What these bring is what `lying::openings` is about.
fn opens(request: &[u8]) -> bool {
    match Request::parse(request) {
        Some(Request::Claim(claim)) => {
            matches!(claim.kind, ClaimKind::Restart { .. } | ClaimKind::Resume { .. })
        }
        other => matches!(other, Some(Request::Hello(_))),
    }
}

#[expect(clippy::disallowed_methods, reason = "it drives the protocol, so it is what reads the clock")]
fn now() -> Instant {
    Instant::now()
}
