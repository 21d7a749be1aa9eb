//! What is measured, as its client does it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::ValueEnum;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;

use crate::peer::{Connector, Peer, Stream, udp};
use crate::service::{ANSWER, Command, PIECE, Pattern, take};
use crate::system;

/// Connections that are opened at the same time.
const OPENING: usize = 32;
/// Share of the requests that is not measured, at the beginning.
const WARM_UP: u64 = 10;

/// A row of the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Row {
    /// A bulk transfer from server to client.
    Download,
    /// A bulk transfer from client to server.
    Upload,
    /// A request of 64 bytes and its answer of 1 KiB after another, server and client on a core each.
    Requests,
    /// The same with both on one core: without the time it takes to wake another one.
    OneCore,
    /// New connections with one request each, 32 at a time.
    Connections,
    /// Requests of 1 client without a pause, as in the others of this kind.
    Busy1,
    /// Of 100 clients.
    Busy100,
    /// Of 10,000 clients.
    Busy10000,
    /// Of 10,000 that have no more sockets than 100 have.
    Shared10000,
    /// Memory of the server for each of 1,000 idle connections.
    Idle1000,
    /// For each of 10,000.
    Idle10000,
}

/// How much is done.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// Bytes of a bulk transfer.
    pub bytes: u64,
    /// Requests of a row.
    pub requests: u64,
    /// New connections of a row.
    pub connections: u64,
}

/// What a client has done and seen.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Bytes, requests or connections, as the row has them.
    pub units: f64,
    /// From the first to the last.
    pub seconds: f64,
    /// Processor seconds of the client.
    pub processor: f64,
    /// Median, 99th and 99.9th percentile of the latency, in microseconds.
    pub latency: [f64; 3],
}

impl Row {
    /// Its name on the command line.
    pub fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// Whether a peer has it.
    pub fn concerns(self, peer: Peer) -> bool {
        if self == Self::Shared10000 {
            return peer == Peer::Trickles;
        }
        match peer {
            Peer::UdpBatches => self == Self::Busy100,
            Peer::Udp => {
                [Self::Download, Self::Upload, Self::Requests, Self::OneCore, Self::Busy100, Self::Busy10000]
                    .contains(&self)
            }
            _ => true,
        }
    }

    /// The cores of server and client.
    pub fn cores(self) -> (usize, usize) {
        if self == Self::OneCore { (0, 0) } else { (0, 1) }
    }

    /// How many clients there are.
    fn clients(self) -> u64 {
        match self {
            Self::Busy100 => 100,
            Self::Idle1000 => 1000,
            Self::Busy10000 | Self::Shared10000 | Self::Idle10000 => 10_000,
            _ => 1,
        }
    }

    /// How many sockets they have together, where that can be chosen; none for one each.
    fn sockets(self) -> usize {
        match self {
            Self::Connections => 1,
            Self::Shared10000 => 100,
            _ => 0,
        }
    }

    /// Whether it is about memory.
    pub fn is_idle(self) -> bool {
        matches!(self, Self::Idle1000 | Self::Idle10000)
    }

    /// Does a client's part. `ready` is called before what is measured; it returns when that may begin.
    ///
    /// # Errors
    /// Those of the transport.
    pub async fn run(
        self,
        peer: Peer,
        server: SocketAddr,
        scale: Scale,
        mut ready: impl FnMut() -> Result<()>,
    ) -> Result<Outcome> {
        if peer.is_udp() {
            return self.run_udp(peer, server, scale, ready);
        }
        let connector = Arc::new(peer.connector(server, self.sockets()).await?);
        let pattern = Pattern::shared();
        let mut buffer = vec![0; PIECE];
        match self {
            Self::Download | Self::Upload => {
                let mut stream = connector.connect(server, &Command::Send(1).encode()).await?;
                take(&mut stream, 0..1, pattern, &mut buffer).await?;
                // Some megabytes first: connections start slowly, and this is not about that.
                transfer(&mut stream, self, 16 << 20, pattern, &mut buffer).await?;
                ready()?;
                let clock = Clock::start()?;
                transfer(&mut stream, self, scale.bytes, pattern, &mut buffer).await?;
                clock.stop(scale.bytes)
            }
            Self::Requests | Self::OneCore => {
                let mut stream = connector.connect(server, &Command::Send(ANSWER).encode()).await?;
                take(&mut stream, 0..ANSWER, pattern, &mut buffer).await?;
                for _ in 0..scale.requests / WARM_UP {
                    request(&mut stream, pattern, &mut buffer).await?;
                }
                ready()?;
                let mut latencies = Vec::with_capacity(scale.requests as usize);
                let clock = Clock::start()?;
                for _ in 0..scale.requests {
                    let begin = Instant::now();
                    request(&mut stream, pattern, &mut buffer).await?;
                    latencies.push(begin.elapsed());
                }
                let outcome = clock.stop(scale.requests)?;
                Ok(Outcome { latency: percentiles(&mut latencies), ..outcome })
            }
            Self::Connections => {
                open(&connector, server, scale.connections / WARM_UP, false).await?;
                ready()?;
                let clock = Clock::start()?;
                open(&connector, server, scale.connections, false).await?;
                clock.stop(scale.connections)
            }
            Self::Busy1 | Self::Busy100 | Self::Busy10000 | Self::Shared10000 => {
                let clients = self.clients();
                let streams = open(&connector, server, clients, true).await?;
                let streams = keep_busy(streams, (scale.requests / WARM_UP).max(clients)).await?;
                ready()?;
                let clock = Clock::start()?;
                let requests = scale.requests.max(2 * clients);
                let _streams = keep_busy(streams, requests).await?;
                clock.stop(requests)
            }
            Self::Idle1000 | Self::Idle10000 => {
                let clients = self.clients();
                let _some = open(&connector, server, clients / WARM_UP, true).await?;
                ready()?;
                let clock = Clock::start()?;
                let _others = open(&connector, server, clients - clients / WARM_UP, true).await?;
                let outcome = clock.stop(clients - clients / WARM_UP)?;
                // Its server is looked at while they are there.
                ready()?;
                Ok(outcome)
            }
        }
    }

    fn run_udp(
        self,
        peer: Peer,
        server: SocketAddr,
        scale: Scale,
        mut ready: impl FnMut() -> Result<()>,
    ) -> Result<Outcome> {
        if peer == Peer::Udp && self.clients() > 1 {
            let crowd = udp::Crowd::new(server, self.clients() as usize)?;
            crowd.busy((scale.requests / WARM_UP).max(self.clients()))?;
            ready()?;
            let clock = Clock::start()?;
            let requests = scale.requests.max(2 * self.clients());
            crowd.busy(requests)?;
            return clock.stop(requests);
        }
        let mut client = udp::Client::new(server)?;
        for _ in 0..scale.requests / WARM_UP {
            client.request()?;
        }
        ready()?;
        let clock = Clock::start()?;
        match self {
            Self::Download | Self::Upload => {
                let download = self == Self::Download;
                let (units, time) =
                    if download { client.download(scale.bytes) } else { client.upload(scale.bytes) }?;
                Ok(Outcome { seconds: time.as_secs_f64(), ..clock.stop(units)? })
            }
            Self::Busy100 => {
                let requests = client.busy(scale.requests)?;
                clock.stop(requests)
            }
            _ => {
                let mut latencies = Vec::with_capacity(scale.requests as usize);
                for _ in 0..scale.requests {
                    let begin = Instant::now();
                    client.request()?;
                    latencies.push(begin.elapsed());
                }
                let outcome = clock.stop(scale.requests)?;
                Ok(Outcome { latency: percentiles(&mut latencies), ..outcome })
            }
        }
    }
}

/// Time and processor time of what is measured.
struct Clock {
    begin: Instant,
    processor: Duration,
}

impl Clock {
    fn start() -> Result<Self> {
        Ok(Self { begin: Instant::now(), processor: system::processor_time()? })
    }

    fn stop(self, units: u64) -> Result<Outcome> {
        let processor = system::processor_time()? - self.processor;
        Ok(Outcome {
            units: units as f64,
            seconds: self.begin.elapsed().as_secs_f64(),
            processor: processor.as_secs_f64(),
            latency: [0.0; 3],
        })
    }
}

async fn transfer(
    stream: &mut dyn Stream,
    row: Row,
    length: u64,
    pattern: &Pattern,
    buffer: &mut [u8],
) -> Result<()> {
    if row == Row::Download {
        stream.write_all(&Command::Send(length).encode()).await?;
        stream.flush().await?;
        return take(stream, 0..length, pattern, buffer).await;
    }
    stream.write_all(&Command::Take(length).encode()).await?;
    let mut offset = 0;
    while offset < length {
        let piece = pattern.at(offset, (length - offset).min(PIECE as u64) as usize);
        stream.write_all(piece).await?;
        offset += piece.len() as u64;
    }
    stream.flush().await?;
    stream.read_exact(&mut buffer[..1]).await?;
    Ok(())
}

async fn request(stream: &mut dyn Stream, pattern: &Pattern, buffer: &mut [u8]) -> Result<()> {
    stream.write_all(&Command::Send(ANSWER).encode()).await?;
    stream.flush().await?;
    take(stream, 0..ANSWER, pattern, buffer).await
}

/// Opens `count` connections with a request each; returns those that are to be kept.
async fn open(
    connector: &Arc<Connector>,
    server: SocketAddr,
    count: u64,
    keep: bool,
) -> Result<Vec<Box<dyn Stream>>> {
    let left = Arc::new(AtomicU64::new(count));
    let mut tasks = JoinSet::new();
    for _ in 0..OPENING {
        let (connector, left) = (connector.clone(), left.clone());
        tasks.spawn(async move {
            let (pattern, mut buffer, mut kept) = (Pattern::shared(), vec![0; ANSWER as usize], Vec::new());
            while left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok() {
                let mut stream = connector.connect(server, &Command::Send(ANSWER).encode()).await?;
                take(&mut stream, 0..ANSWER, pattern, &mut buffer).await?;
                if keep {
                    kept.push(stream);
                }
            }
            anyhow::Ok(kept)
        });
    }
    let mut kept = Vec::new();
    while let Some(opened) = tasks.join_next().await {
        kept.append(&mut opened?.context("cannot connect")?);
    }
    Ok(kept)
}

/// Sends requests on all of `streams`, one at a time on each, until there have been `count`.
async fn keep_busy(streams: Vec<Box<dyn Stream>>, count: u64) -> Result<Vec<Box<dyn Stream>>> {
    let left = Arc::new(AtomicU64::new(count));
    let pattern = Pattern::shared();
    let mut tasks = JoinSet::new();
    for mut stream in streams {
        let left = left.clone();
        tasks.spawn(async move {
            let mut buffer = vec![0; ANSWER as usize];
            while left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok() {
                request(&mut stream, pattern, &mut buffer).await?;
            }
            anyhow::Ok(stream)
        });
    }
    let mut streams = Vec::new();
    while let Some(stream) = tasks.join_next().await {
        streams.push(stream?.context("a request failed")?);
    }
    Ok(streams)
}

/// Median, 99th and 99.9th percentile, in microseconds.
fn percentiles(latencies: &mut [Duration]) -> [f64; 3] {
    latencies.sort_unstable();
    [500, 990, 999].map(|permille| {
        let at = (latencies.len() * permille / 1000).min(latencies.len().saturating_sub(1));
        latencies.get(at).map_or(0.0, |latency| latency.as_secs_f64() * 1e6)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_sorted_values() {
        let mut latencies: Vec<_> = (0..1000).rev().map(Duration::from_micros).collect();
        assert_eq!(percentiles(&mut latencies).map(f64::round), [500.0, 990.0, 999.0]);
        assert_eq!(percentiles(&mut []), [0.0; 3]);
    }
}
