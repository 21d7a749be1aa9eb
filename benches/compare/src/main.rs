//! Trickles beside what would be used instead: one command runs all of them, interleaved and as processes of
//! their own, and writes tables and a picture.

mod peer;
mod plot;
mod process;
mod report;
mod row;
mod samples;
mod service;
mod system;

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};

use crate::peer::{Peer, tls};
use crate::row::{Row, Scale};
use crate::samples::Samples;

const EXAMPLES: &str = "\
Examples:
  compare                                        everything, 5 repetitions: about 12 minutes
  compare --rows download,upload --runs 9        bulk transfers only
  compare --peers trickles,tcp,udp --rows one-core --runs 3 --out /tmp/compared

Servers run on core 0 and clients on core 1: leave the machine alone meanwhile. COMPARE_VERBOSE shows what servers and
clients write to their standard error.

Exit codes: 0 measured (also if a promise does not hold), 1 error, 2 wrong usage";

/// Compare Trickles with kernel TCP, TLS, quinn, s2n-quic, tokio_kcp and bare UDP on this machine.
#[derive(Debug, Parser)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    part: Option<Part>,

    /// Repetitions; each has every row of every peer once.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,

    /// The rows; all if there are none.
    #[arg(long, value_delimiter = ',')]
    rows: Vec<Row>,

    /// The peers; all if there are none.
    #[arg(long, value_delimiter = ',')]
    peers: Vec<Peer>,

    /// Size of a bulk transfer.
    #[arg(long, default_value_t = 1024)]
    mebibytes: u64,

    /// Requests of each row about them.
    #[arg(long, default_value_t = 50_000)]
    requests: u64,

    /// Connections of the row about them.
    #[arg(long, default_value_t = 5000)]
    connections: u64,

    /// The directory for `comparison.md`, `comparison.svg` and `samples.csv`.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/results"))]
    out: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Part {
    /// What a server's process does.
    #[command(hide = true)]
    Serve { peer: Peer, core: usize },
    /// What a client's process does.
    #[command(hide = true)]
    Client {
        peer: Peer,
        row: Row,
        server: SocketAddr,
        core: usize,
        bytes: u64,
        requests: u64,
        connections: u64,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match arguments.part {
        Some(Part::Serve { peer, core }) => process::serve(peer, core),
        Some(Part::Client { peer, row, server, core, bytes, requests, connections }) => {
            process::client(peer, row, server, core, Scale { bytes, requests, connections })
        }
        None => compare(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("compare: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn compare(arguments: &Arguments) -> Result<()> {
    if std::thread::available_parallelism()?.get() < 2 {
        bail!("two cores are needed, one for servers and one for clients");
    }
    let rows = if arguments.rows.is_empty() { Row::value_variants() } else { &arguments.rows };
    let peers = if arguments.peers.is_empty() { Peer::value_variants() } else { &arguments.peers };
    let scale = Scale {
        bytes: arguments.mebibytes << 20,
        requests: arguments.requests,
        connections: arguments.connections,
    };
    let directory = std::env::temp_dir().join(format!("compare-{}", std::process::id()));
    fs::create_dir_all(&directory).context("no directory for a certificate")?;
    tls::make(&directory)?;
    let pairs = |row: Row| peers.iter().copied().filter(move |&peer| row.concerns(peer));
    let all: usize = rows.iter().map(|&row| pairs(row).count()).sum();
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg} (about {eta} left)")?;
    let bar = ProgressBar::new(all as u64 * u64::from(arguments.runs)).with_style(style);
    let mut samples = Samples::default();
    for run in 0..arguments.runs {
        for &row in rows {
            // Nobody always comes first.
            let mut order: Vec<Peer> = pairs(row).collect();
            let first = run as usize % order.len().max(1);
            order.rotate_left(first);
            for peer in order {
                bar.set_message(format!("{}: {}", row.name(), peer.name()));
                let measured = process::measure(peer, row, scale, &directory);
                if let Err(error) = &measured {
                    bar.suspend(|| eprintln!("{} of {} failed: {error:#}", row.name(), peer.name()));
                }
                samples.add(row, peer, measured.ok());
                bar.inc(1);
            }
        }
    }
    bar.finish_and_clear();
    fs::remove_dir_all(&directory).context("the certificate is left")?;

    let text = report::markdown(&samples, &head(arguments, peers)?);
    fs::create_dir_all(&arguments.out)?;
    fs::write(arguments.out.join("comparison.md"), &text)?;
    fs::write(arguments.out.join("comparison.svg"), plot::svg(&samples)?)?;
    fs::write(arguments.out.join("samples.csv"), samples.csv())?;
    println!("{text}\nwritten to {}", arguments.out.display());
    Ok(())
}

/// When, where and with what.
fn head(arguments: &Arguments, peers: &[Peer]) -> Result<String> {
    let lock = include_str!("../Cargo.lock");
    let version = |package: &str| {
        let mut lines = lock.lines().skip_while(|line| *line != format!("name = \"{package}\""));
        lines.nth(1).and_then(|line| line.split('"').nth(1)).map(|version| format!("{package} {version}"))
    };
    let packages = peers.iter().filter_map(|peer| peer.package()).chain(["quinn-udp", "tokio"]);
    let versions: Vec<String> = packages.filter_map(version).collect();
    let now = humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string();
    let options: Vec<String> = std::env::args().skip(1).collect();
    Ok(format!(
        "{}, {}. {}. Loopback, UDP payloads of {} bytes, server on one core and client on another; medians of {} \
         interleaved runs (smallest to largest). TCP has the 64 KiB packets of the loopback interface; TLS resumes \
         sessions, quinn sends early data, s2n-quic has neither. Connections of quinn and s2n-quic share a socket, and \
         so do those of Trickles where they are counted; in other rows each of these has its own. Memory is resident memory of the server's process, \
         without the kernel's. In the rows of many clients the one core of these may be the limit: compare the \
         server's CPU. Raw UDP spends a system call on each request and one on each answer.\n\n\
         `cargo run --release --manifest-path benches/compare/Cargo.toml -- {}`",
        &now[..10],
        system::machine(),
        versions.join(", "),
        peer::PACKET_SIZE,
        arguments.runs,
        options.join(" "),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
