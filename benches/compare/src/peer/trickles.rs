//! Trickles: a server that answers inline.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use anyhow::Result;
use trickles_tokio::trickles::key_ring::KeyRing;
use trickles_tokio::trickles::server::{Application, Event, Next, Output, Reset, ServerConfig, Unanswered};
use trickles_tokio::{Endpoint, Server, StreamBuilder, TricklesStream};

use super::{ANY, PACKET_SIZE, Stream};
use crate::service::{COMMAND, Command, Pattern};

/// As many new streams as come: the comparison measures how many that is.
const HELLOS_PER_SECOND: u32 = 1_000_000;

struct Service;

/// A state: how many bytes are yet to be taken of how many. Empty when a command comes next.
fn taking(left: u64, length: u64) -> Vec<u8> {
    if left == 0 { Vec::new() } else { [left.to_be_bytes(), length.to_be_bytes()].concat() }
}

fn taken(state: Option<&[u8]>) -> Option<(u64, u64)> {
    let (left, length) = state?.split_at_checked(8)?;
    Some((u64::from_be_bytes(left.try_into().ok()?), u64::from_be_bytes(length.try_into().ok()?)))
}

impl Application for Service {
    fn input(&mut self, event: &Event<'_>) -> Result<Next, Unanswered> {
        let bytes = event.input.map_or(&[][..], |input| input.bytes);
        let end = event.output.end;
        let next =
            |consumed, state, output| Next { consumed, state, output: end..end + output, ..Next::default() };
        if let Some((left, length)) = taken(event.state) {
            let bytes = &bytes[..bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX))];
            if !Pattern::shared().matches(length - left, bytes) {
                return Err(Reset(2).into());
            }
            let left = left - bytes.len() as u64;
            return Ok(next(bytes.len(), taking(left, length), u64::from(left == 0)));
        }
        let Some(command) = bytes.get(..COMMAND) else { return Ok(next(0, Vec::new(), 0)) };
        match Command::decode(command) {
            Ok(Command::Send(length)) => Ok(next(COMMAND, Vec::new(), length)),
            Ok(Command::Take(length)) => Ok(next(COMMAND, taking(length, length), 0)),
            Err(_) => Err(Reset(1).into()),
        }
    }
}

impl Output for Service {
    fn read(&mut self, _: &[u8], output: Range<u64>, offset: u64, buffer: &mut [u8]) -> Result<usize, Reset> {
        let piece = Pattern::shared().at(offset - output.start, buffer.len());
        buffer[..piece.len()].copy_from_slice(piece);
        Ok(piece.len())
    }
}

pub(super) async fn serve(announce: impl FnOnce(SocketAddr)) -> Result<()> {
    let config = ServerConfig {
        packet_size: PACKET_SIZE,
        hellos_per_second: HELLOS_PER_SECOND,
        ..ServerConfig::default()
    };
    let mut server = Server::bind(ANY, config, KeyRing::new(&[(1, [7; 32])])?).await?;
    announce(server.local_addr()?);
    Ok(server.run(&mut Service).await?)
}

fn builder() -> StreamBuilder<TricklesStream> {
    TricklesStream::builder().packet_size(PACKET_SIZE)
}

/// The sockets that streams have together, if any.
pub struct Endpoints {
    all: Vec<Endpoint<TricklesStream>>,
    next: AtomicUsize,
}

impl Endpoints {
    pub(super) async fn new(server: SocketAddr, count: usize) -> Result<Self> {
        let mut all = Vec::new();
        for _ in 0..count {
            all.push(builder().endpoint(server).await?);
        }
        Ok(Self { all, next: 0.into() })
    }

    pub(super) async fn connect(&self, server: SocketAddr, first: &[u8]) -> Result<Box<dyn Stream>> {
        let builder = builder().early_data(first);
        if self.all.is_empty() {
            return Ok(Box::new(builder.connect(server).await?));
        }
        let turn = self.next.fetch_add(1, Relaxed) % self.all.len();
        Ok(Box::new(self.all[turn].connect_with(&builder).await?))
    }
}
