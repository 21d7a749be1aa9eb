//! `trickles bench`.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressDrawTarget};
use tokio::net::TcpListener;
use trickles::key_ring::KeyRing;
use trickles_tokio::bind_many;

use crate::bench::client::{Load, Row, Transport};
use crate::bench::report::{Figure, Table};
use crate::bench::service::BenchService;
use crate::bench::{MAX_TRANSFER, tcp};
use crate::clock;
use crate::connect::{HostError, StreamArguments};
use crate::cores::{self, ServerArguments};
use crate::exit;
use crate::interrupt::Interrupt;
use crate::key_file;
use crate::server_process::LISTENING_ON;
use crate::size::parse_size;

const PORT: u16 = 4434;

const EXAMPLES: &str = "\
Examples:
  trickles bench serve --listen 0.0.0.0:4434     on one host
  trickles bench run 10.0.0.1                    on the other
  trickles bench run 10.0.0.1 --rows requests,connections --streams 100 --seconds 10
  trickles bench run 10.0.0.1 --json             for a program";

/// Measure Trickles beside TCP, between two hosts.
///
/// The server answers over both, on the same port. The runs over one and the other take turns, so that whatever
/// else goes on disturbs both.
#[derive(Debug, Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", exit::HELP))]
pub(crate) struct Bench {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(Serve),
    Run(Run),
}

/// Answer what `trickles bench run` asks for.
///
/// Whoever reaches the address can have 16 GiB of zeros at a time, over at most 1024 TCP connections, and over
/// Trickles at the pace of a client that answers. Let only those reach it who are to measure.
/// Of new streams it takes no more a second than any server; TCP is served on all cores. At its end it tells the CPU time it has used.
#[derive(Debug, Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", exit::HELP))]
struct Serve {
    /// Where to listen, with UDP and TCP; port 0 takes any that is free.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4434")]
    listen: SocketAddr,

    #[command(flatten)]
    server: ServerArguments,
}

/// Measure, and print the medians.
#[derive(Debug, Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", exit::HELP))]
struct Run {
    /// The host that runs `trickles bench serve`, as HOST or HOST:PORT; the port can be left out if it is 4434.
    host: String,

    /// What to measure.
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["download", "upload", "requests", "connections"])]
    rows: Vec<Row>,

    /// Measure over Trickles only, as to find what a server can do.
    #[arg(long)]
    no_tcp: bool,

    /// How much to transfer each time, in bytes, or with K, M or G behind it in KiB, MiB or GiB.
    #[arg(long, default_value = "256M", value_parser = parse_transfer)]
    size: u64,

    /// For how long to make requests each time.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,

    /// How many streams make requests at the same time.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1000))]
    streams: u16,

    /// How often to measure each.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1000))]
    rounds: u16,

    /// Print JSON: a list with the figures of each row and transport.
    #[arg(long)]
    json: bool,

    /// Show no progress.
    #[arg(short, long)]
    quiet: bool,

    #[command(flatten)]
    stream: StreamArguments,
}

impl Bench {
    pub(crate) async fn run(self) -> Result<()> {
        match self.command {
            Command::Serve(serve) => serve.run().await,
            Command::Run(run) => run.run().await,
        }
    }
}

impl Serve {
    async fn run(self) -> Result<()> {
        let ring = KeyRing::parse(&key_file::generate(1)?)?;
        let mut interrupt = Interrupt::new()?;
        let cannot_listen = || format!("cannot listen on {}", self.listen);
        let listener = TcpListener::bind(self.listen).await.with_context(cannot_listen)?;
        let address = listener.local_addr()?;
        let sockets = bind_many([address], self.server.cores.get()).with_context(cannot_listen)?;
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "{LISTENING_ON}{address}").context("cannot write to standard output")?;
        drop(stdout);
        let replicas = sockets.into_iter().map(|socket| (socket, BenchService)).collect();
        let stop = async {
            tokio::select! {
                () = tcp::serve(listener) => {}
                () = interrupt.received_or_end_of_input(self.server.until_eof) => {}
            }
        };
        let stats = cores::serve(replicas, ring, self.server.packets(), stop).await?;
        let requests = stats.events;
        match clock::cpu().map(|time| time.as_secs_f64()) {
            Some(cpu) => {
                let rate = requests as f64 / cpu;
                eprintln!(
                    "{requests} requests over Trickles, {cpu:.2} s of CPU time, {rate:.0} requests per CPU second"
                );
            }
            None => eprintln!("{requests} requests over Trickles"),
        }
        Ok(())
    }
}

impl Run {
    async fn run(self) -> Result<()> {
        let server = self.server().await?;
        let builder = self.stream.builder();
        let load = Load {
            server,
            endpoint: Arc::new(builder.endpoint(server).await?),
            builder,
            size: self.size,
            time: Duration::from_secs(self.seconds),
            streams: self.streams.into(),
        };
        let transports =
            if self.no_tcp { &[Transport::Trickles][..] } else { &[Transport::Trickles, Transport::Tcp] };
        let cases: Vec<_> =
            self.rows.iter().flat_map(|&row| transports.iter().map(move |&over| (row, over))).collect();
        let mut samples: Vec<_> = cases.iter().map(|_| Vec::new()).collect();
        let target = if self.quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let total = cases.len() as u64 * u64::from(self.rounds);
        let bar = ProgressBar::with_draw_target(Some(total), target);
        for _ in 0..self.rounds {
            for (&(row, transport), samples) in cases.iter().zip(&mut samples) {
                let sample = load.measure(row, transport).await;
                samples.push(sample.with_context(|| format!("{row:?} over {transport:?} at {server}"))?);
                bar.inc(1);
            }
        }
        bar.finish_and_clear();
        let figures: Vec<_> = cases
            .into_iter()
            .zip(samples)
            .map(|((row, transport), samples)| Figure::new(row, transport, samples))
            .collect();
        let text = if self.json {
            format!("{}\n", serde_json::to_string_pretty(&figures)?)
        } else {
            Table(&figures).to_string()
        };
        io::stdout().write_all(text.as_bytes()).context("cannot write to standard output")
    }

    async fn server(&self) -> Result<SocketAddr> {
        let bare = self.host.parse().map(|ip| SocketAddr::new(ip, PORT));
        if let Ok(address) = bare.or_else(|_| self.host.parse()) {
            return Ok(address);
        }
        let host = if self.host.contains(':') { self.host.clone() } else { format!("{}:{PORT}", self.host) };
        let addresses = tokio::net::lookup_host(host).await;
        let first = addresses.and_then(|mut all| all.next().ok_or_else(|| io::ErrorKind::NotFound.into()));
        Ok(first.map_err(HostError)?)
    }
}

fn parse_transfer(text: &str) -> Result<u64, String> {
    match parse_size(text)? {
        size @ 1..=MAX_TRANSFER => Ok(size),
        _ => Err("expected from 1 byte to 16G".to_owned()),
    }
}
