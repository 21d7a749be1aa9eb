//! A client: short transfers one after the other, or one that is ended by time.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use trickles_tokio::TricklesStream;

use super::record::{Line, Recorder, now};
use super::server::{RECEIPT, choose};
use super::{Contender, Direction, ENDLESS, PIECE, PORT, Request, SERVER};

/// How often progress is written down.
const TICK: Duration = Duration::from_millis(100);
/// A silence of this length is written down.
const GAP: Duration = Duration::from_millis(20);
/// Bytes that either end of a Trickles stream may hold, where the path needs no more.
const LEAST_BUFFER: usize = 2 << 20;

/// What a client is to do.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Load {
    /// What moves the bytes.
    pub(crate) contender: Contender,
    /// Where they go.
    pub(crate) direction: Direction,
    /// Where the record goes.
    #[arg(long)]
    pub(crate) record: PathBuf,
    /// Bytes of each transfer; without it, one transfer that is ended by time.
    #[arg(long)]
    pub(crate) bytes: Option<u64>,
    /// How many transfers there are at most.
    #[arg(long, default_value_t = 1)]
    pub(crate) count: usize,
    /// After how many seconds no other transfer is begun, and one without a length ends.
    #[arg(long, default_value_t = 10.0)]
    pub(crate) seconds: f64,
    /// When to begin, in seconds.
    #[arg(long, default_value_t = 0.0)]
    pub(crate) after: f64,
    /// Bytes the path holds: buffers are twice that. The kernel finds out by itself.
    #[arg(long, default_value_t = 0)]
    pub(crate) path_bytes: usize,
}

/// A connection of either kind.
enum Stream {
    Trickles(TricklesStream),
    Tcp(TcpStream),
}

impl Stream {
    async fn open(load: &Load, request: Request) -> Result<Self> {
        let server = SocketAddr::from((SERVER, PORT));
        let request = request.encode();
        if load.contender == Contender::Trickles {
            let buffer = LEAST_BUFFER.max(2 * load.path_bytes);
            let builder = TricklesStream::builder().receive_buffer(buffer).send_buffer(buffer);
            return Ok(Self::Trickles(builder.early_data(request).connect(server).await?));
        }
        let mut connection = TcpStream::connect(server).await?;
        choose(&connection, load.contender)?;
        connection.write_all(&request).await?;
        Ok(Self::Tcp(connection))
    }

    fn reader(&mut self) -> &mut (dyn AsyncRead + Unpin) {
        match self {
            Self::Trickles(stream) => stream,
            Self::Tcp(stream) => stream,
        }
    }

    fn writer(&mut self) -> &mut (dyn AsyncWrite + Unpin) {
        match self {
            Self::Trickles(stream) => stream,
            Self::Tcp(stream) => stream,
        }
    }

    /// The window in packets and the round-trip time in microseconds. The kernel is asked at the sender's side.
    fn congestion(&self) -> (Option<u32>, Option<u32>) {
        match self {
            Self::Trickles(stream) => {
                let (window, rtt) = stream.congestion();
                (Some(window), u32::try_from(rtt.as_micros()).ok())
            }
            Self::Tcp(_) => (None, None),
        }
    }
}

/// Does all that `load` says.
///
/// # Errors
/// When a transfer fails; it is written down too.
pub(crate) async fn run(load: &Load) -> Result<()> {
    let mut recorder = Recorder::new(&load.record)?;
    tokio::time::sleep(Duration::from_secs_f64(load.after)).await;
    let end = Instant::now() + Duration::from_secs_f64(load.seconds);
    for _ in 0..load.count {
        let result = match load.direction {
            Direction::Download => download(load, end, &mut recorder).await,
            Direction::Upload => upload(load, end, &mut recorder).await,
        };
        if let Err(error) = result {
            recorder.write(&Line::Failed { at: now(), error: format!("{error:#}") })?;
            return Err(error);
        }
        if Instant::now() >= end {
            break;
        }
    }
    Ok(())
}

/// Opens the stream of a transfer: when that began, and what is asked for.
async fn begin(load: &Load, recorder: &mut Recorder) -> Result<(Instant, Request, Stream)> {
    let length = load.bytes.unwrap_or(ENDLESS);
    let request = Request { direction: load.direction, length, contender: load.contender };
    let started = Instant::now();
    recorder.write(&Line::Start { at: now() })?;
    Ok((started, request, Stream::open(load, request).await?))
}

async fn download(load: &Load, end: Instant, recorder: &mut Recorder) -> Result<()> {
    let (started, request, mut stream) = begin(load, recorder).await?;
    let mut buffer = vec![0; PIECE];
    let (mut bytes, mut heard, mut tick) = (0, None, started + TICK);
    while bytes < request.length && (load.bytes.is_some() || Instant::now() < end) {
        if let Ok(read) = timeout_at(tick, stream.reader().read(&mut buffer)).await {
            let count = read?;
            ensure!(count > 0, "the stream ended after {bytes} bytes");
            bytes += count as u64;
            let silence = heard.replace(Instant::now()).map_or(Duration::ZERO, |heard| heard.elapsed());
            if silence >= GAP {
                recorder.write(&Line::Gap { at: now(), micros: silence.as_micros() as u64 })?;
            }
        }
        if Instant::now() >= tick {
            let (window, rtt) = stream.congestion();
            recorder.write(&Line::Progress { at: now(), bytes, window, rtt })?;
            tick = Instant::now() + TICK;
        }
    }
    let micros = started.elapsed().as_micros() as u64;
    recorder.write(&Line::Done { at: now(), bytes, micros })
}

async fn upload(load: &Load, end: Instant, recorder: &mut Recorder) -> Result<()> {
    let (started, request, mut stream) = begin(load, recorder).await?;
    let piece = vec![0; PIECE];
    let (mut bytes, mut tick) = (0, started + TICK);
    while bytes < request.length && (load.bytes.is_some() || Instant::now() < end) {
        let count = (request.length - bytes).min(PIECE as u64) as usize;
        if let Ok(written) = timeout_at(tick, stream.writer().write(&piece[..count])).await {
            bytes += written? as u64;
        }
        if Instant::now() >= tick {
            let (window, rtt) = stream.congestion();
            recorder.write(&Line::Progress { at: now(), bytes: 0, window, rtt })?;
            tick = Instant::now() + TICK;
        }
    }
    stream.writer().shutdown().await?;
    let mut receipt = [0; RECEIPT];
    stream.reader().read_exact(&mut receipt).await.context("no receipt")?;
    if u64::from_be_bytes(receipt) != bytes {
        bail!("{} of {bytes} bytes have arrived", u64::from_be_bytes(receipt));
    }
    let micros = started.elapsed().as_micros() as u64;
    recorder.write(&Line::Done { at: now(), bytes, micros })
}
