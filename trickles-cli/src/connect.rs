//! Opening streams to hosts.

use std::io;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use trickles_tokio::{StreamBuilder, TricklesStream};

/// How much travels in the first packet, with room to spare for what else is in that.
pub(crate) const MAX_EARLY_INPUT: usize = 1000;

/// Opens streams as a command's options say.
pub(crate) type Builder = StreamBuilder<TricklesStream>;

/// What can be chosen wherever streams are opened.
#[derive(Debug, Args)]
pub(crate) struct StreamArguments {
    /// How many seconds to wait for a server that does not answer.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=86400))]
    timeout: u64,

    /// Send and receive packets one by one, without the system's segmentation (GSO) and coalescing (GRO).
    #[arg(long)]
    no_offload: bool,
}

impl StreamArguments {
    pub(crate) fn builder(&self) -> Builder {
        let timeout = Duration::from_secs(self.timeout);
        TricklesStream::builder().connect_timeout(timeout).timeout(timeout).offload(!self.no_offload)
    }
}

/// The name of the host leads to no address.
#[derive(Debug, thiserror::Error)]
#[error("cannot find the host")]
pub(crate) struct HostError(#[source] pub(crate) io::Error);

/// Opens a stream to the first address of `host` that answers.
pub(crate) async fn connect(host: &str, port: u16, builder: &Builder) -> Result<TricklesStream> {
    let addresses = tokio::net::lookup_host((host, port)).await.map_err(HostError)?;
    let addresses: Vec<_> = addresses.collect();
    Ok(builder.connect(&*addresses).await?)
}
