//! The client's side: what is measured, over either transport.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use serde::Serialize;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use trickles_tokio::{Endpoint, TricklesStream};

use super::{RESPONSE, Request};
use crate::clock;
use crate::connect::Builder;

const PIECE: usize = 64 << 10;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Row {
    /// Goodput from the server
    Download,
    /// Goodput to the server
    Upload,
    /// Requests of 64 bytes with responses of 1 KiB, over streams that stay open
    Requests,
    /// Streams that are opened for one request and its response
    Connections,
}

/// Over what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Transport {
    Trickles,
    Tcp,
}

/// How much is measured.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    pub(crate) server: SocketAddr,
    pub(crate) builder: Builder,
    /// What opens the streams to it: on one socket, as a program that opens many would.
    pub(crate) endpoint: Arc<Endpoint<TricklesStream>>,
    /// Bytes of a download or an upload.
    pub(crate) size: u64,
    /// For how long requests are made, and connections.
    pub(crate) time: Duration,
    /// How many streams make them at a time.
    pub(crate) streams: usize,
}

/// What one run has shown.
#[derive(Debug)]
pub(crate) struct Sample {
    /// Bits or requests a second.
    pub(crate) rate: f64,
    /// How long each request took, if it was about requests.
    pub(crate) latencies: Vec<Duration>,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl Load {
    pub(crate) async fn measure(&self, row: Row, transport: Transport) -> Result<Sample> {
        match row {
            Row::Download => self.transfer(transport, Request::Download(self.size)).await,
            Row::Upload => self.transfer(transport, Request::Upload(self.size)).await,
            Row::Requests | Row::Connections => self.ask(transport, row == Row::Connections).await,
        }
    }

    /// Opens a stream that begins with `request`.
    async fn open(&self, transport: Transport, request: Request) -> io::Result<Box<dyn Stream>> {
        let request = request.encode();
        Ok(match transport {
            Transport::Trickles => {
                Box::new(self.endpoint.connect_with(&self.builder.clone().early_data(request)).await?)
            }
            Transport::Tcp => {
                let mut connection = TcpStream::connect(self.server).await?;
                connection.set_nodelay(true)?;
                // Many short connections would else use up the ports.
                connection.set_zero_linger()?;
                connection.write_all(&request).await?;
                Box::new(connection)
            }
        })
    }

    async fn transfer(&self, transport: Transport, request: Request) -> Result<Sample> {
        let mut buffer = vec![0; PIECE];
        let started = clock::now();
        let mut stream = self.open(transport, request).await?;
        if let Request::Upload(mut left) = request {
            while left > 0 {
                let piece = left.min(PIECE as u64) as usize;
                left -= stream.write(&buffer[..piece]).await? as u64;
            }
            stream.shutdown().await?;
            stream.read_exact(&mut [0]).await?;
        } else {
            let mut left = self.size;
            while left > 0 {
                match stream.read(&mut buffer).await? {
                    0 => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                    count => left = left.saturating_sub(count as u64),
                }
            }
        }
        let rate = self.size as f64 * 8.0 / started.elapsed().as_secs_f64();
        Ok(Sample { rate, latencies: Vec::new() })
    }

    /// Makes requests, each over a stream of its own if `anew`.
    async fn ask(&self, transport: Transport, anew: bool) -> Result<Sample> {
        let started = clock::now();
        let mut streams = JoinSet::new();
        for _ in 0..self.streams {
            let load = self.clone();
            streams.spawn(async move { load.ask_over_one(transport, anew).await });
        }
        let mut latencies = Vec::new();
        while let Some(result) = streams.join_next().await {
            latencies.append(&mut result??);
        }
        let rate = latencies.len() as f64 / started.elapsed().as_secs_f64();
        Ok(Sample { rate, latencies })
    }

    async fn ask_over_one(&self, transport: Transport, anew: bool) -> Result<Vec<Duration>> {
        let end = clock::now() + self.time;
        let (mut latencies, mut open, mut response) = (Vec::new(), None, [0; RESPONSE]);
        loop {
            let started = clock::now();
            let mut stream: Box<dyn Stream> = match open.take() {
                None => self.open(transport, Request::Respond).await?,
                Some(mut stream) => {
                    let request = Request::Respond.encode();
                    AsyncWriteExt::write_all(&mut stream, &request).await?;
                    stream
                }
            };
            stream.read_exact(&mut response).await?;
            latencies.push(started.elapsed());
            if clock::now() >= end {
                return Ok(latencies);
            }
            open = (!anew).then_some(stream);
        }
    }
}
