//! One server on several cores.

use std::io;
use std::net::UdpSocket;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread::available_parallelism;

use anyhow::{Context, Result};
use clap::Args;
use tokio::sync::watch;
use tokio::task::JoinSet;
use trickles::key_ring::KeyRing;
use trickles::replay::{FilterConfig, ReplayFilter};
use trickles::server::{Application, ServerConfig};
use trickles::stats::Stats;
use trickles_tokio::{Server, replay_filter};

/// Reads how many cores are to be used: a number, or `all` that this process may use.
fn parse_cores(text: &str) -> Result<NonZeroUsize, String> {
    if text == "all" {
        return available_parallelism().map_err(|error| format!("cannot tell how many there are: {error}"));
    }
    text.parse().map_err(|_| "expected a number from 1 on, or `all`".to_owned())
}

/// What can be chosen wherever streams are served.
#[derive(Debug, Args)]
pub(crate) struct ServerArguments {
    /// On how many cores to serve: a number, or `all` that this process may use. Each has a socket and a thread;
    /// any of them goes on with any transfer. More than one needs Linux, Android or FreeBSD.
    #[arg(long, value_name = "N", default_value = "1", value_parser = parse_cores)]
    pub(crate) cores: NonZeroUsize,

    /// Send and receive packets one by one, without the system's segmentation (GSO) and coalescing (GRO).
    #[arg(long)]
    pub(crate) no_offload: bool,

    /// Let queues on the way mark packets instead of dropping them (ECN). For networks where they do, and where nothing
    /// drops such packets.
    #[arg(long)]
    pub(crate) ecn: bool,

    /// End when standard input does, so as not to outlive the program that has started the server.
    #[arg(long)]
    pub(crate) until_eof: bool,
}

/// How packets leave.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PacketOptions {
    offload: bool,
    ecn: bool,
}

impl ServerArguments {
    /// How packets leave.
    pub(crate) fn packets(&self) -> PacketOptions {
        PacketOptions { offload: !self.no_offload, ecn: self.ecn }
    }
}

/// Serves until `stop` is ready: each of the sockets, which [`bind_many`](trickles_tokio::bind_many) makes, with an
/// application of its own, the first in this task and each other in a thread of its own. They share the keys and the
/// replay filter. Returns what became of all datagrams received.
///
/// # Errors
/// The first of a socket, which ends all; the system's.
pub(crate) async fn serve<A: Application + Send + 'static>(
    replicas: Vec<(UdpSocket, A)>,
    ring: KeyRing,
    packets: PacketOptions,
    stop: impl Future<Output = ()>,
) -> Result<Stats> {
    let filter = replay_filter(FilterConfig::default())?;
    let (running, stopped) = watch::channel(());
    let mut replicas = replicas.into_iter();
    let first = replicas.next().context("there is no socket to serve on")?;
    let mut others = JoinSet::new();
    for replica in replicas {
        let (ring, filter, mut stopped) = (ring.clone(), filter.clone(), stopped.clone());
        others.spawn_blocking(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            // It changes only by its end.
            let stop = async { drop(stopped.changed().await) };
            runtime.block_on(run(replica, ring, filter, packets, stop))
        });
    }
    let mut ended = Vec::new();
    let stop = async {
        tokio::select! {
            () = stop => {}
            Some(result) = others.join_next() => ended.push(result),
        }
    };
    let result = run(first, ring, filter, packets, stop).await;
    drop(running);
    while let Some(result) = others.join_next().await {
        ended.push(result);
    }
    let mut stats = vec![result.context("cannot serve any longer")?];
    for result in ended {
        stats.push(result.context("a thread has failed")?.context("cannot serve any longer")?);
    }
    Ok(stats.into_iter().sum())
}

async fn run<A: Application>(
    (socket, mut application): (UdpSocket, A),
    ring: KeyRing,
    filter: Arc<dyn ReplayFilter>,
    packets: PacketOptions,
    stop: impl Future<Output = ()>,
) -> io::Result<Stats> {
    let mut server = Server::from_socket(socket, ServerConfig::default(), ring, filter)?;
    server.set_offload(packets.offload);
    server.set_ecn(packets.ecn);
    server.run_until(&mut application, stop).await?;
    Ok(server.stats())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_a_number_or_all() {
        assert_eq!(parse_cores("3").map(NonZeroUsize::get), Ok(3));
        assert_eq!(parse_cores("all").ok(), available_parallelism().ok());
        for bad in ["0", "-1", "", "some", "1.5"] {
            assert!(parse_cores(bad).is_err(), "{bad}");
        }
    }
}
