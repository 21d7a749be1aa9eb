//! Opening streams to hosts.

use std::io;

use anyhow::Result;
use trickles::client::ClientConfig;
use trickles_tokio::TricklesStream;

/// How much travels in the first packet, with room to spare for what else is in that.
pub(crate) const MAX_EARLY_INPUT: usize = 1000;

/// The name of the host leads to no address.
#[derive(Debug, thiserror::Error)]
#[error("cannot find the host")]
pub(crate) struct HostError(#[source] io::Error);

/// Opens a stream to the first address of `host` that answers.
pub(crate) async fn connect(host: &str, port: u16, config: ClientConfig) -> Result<TricklesStream> {
    let addresses = tokio::net::lookup_host((host, port)).await.map_err(HostError)?;
    let addresses: Vec<_> = addresses.collect();
    Ok(TricklesStream::builder().client_config(config).connect(&*addresses).await?)
}
