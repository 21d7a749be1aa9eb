//! s2n-quic with its defaults, which are fast ones: segmentation offload, s2n-tls. Packets are as large as the
//! others', and so are windows.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use s2n_quic::provider::{io, limits};
use s2n_quic::{Client, Server, client::Connect};

use super::keep::Keep;
use super::{ANY, BUFFER, PACKET_SIZE, Stream, spawn, tls};

/// It counts the headers of IP and UDP in.
const MTU: u16 = PACKET_SIZE + 28;

fn limits() -> Result<limits::Limits> {
    Ok(limits::Limits::default()
        .with_data_window(2 * BUFFER as u64)?
        .with_bidirectional_local_data_window(BUFFER as u64)?
        .with_bidirectional_remote_data_window(BUFFER as u64)?
        .with_max_send_buffer_size(BUFFER as u32)?
        .with_max_idle_timeout(Duration::from_secs(300))?)
}

fn io() -> Result<io::tokio::Provider> {
    let builder = io::tokio::Builder::default()
        .with_receive_address(ANY)?
        .with_send_buffer_size(BUFFER)?
        .with_recv_buffer_size(BUFFER)?
        .with_max_mtu(MTU)?
        .with_initial_mtu(MTU)?;
    Ok(builder.build()?)
}

pub(super) async fn serve(announce: impl FnOnce(SocketAddr)) -> Result<()> {
    let (certificate, key) = tls::pem()?;
    let mut server = Server::builder()
        .with_tls((certificate.as_str(), key.as_str()))?
        .with_io(io()?)?
        .with_limits(limits()?)?
        .start()?;
    announce(server.local_addr()?);
    while let Some(mut connection) = server.accept().await {
        tokio::spawn(async move {
            while let Ok(Some(stream)) = connection.accept_bidirectional_stream().await {
                spawn(stream);
            }
        });
    }
    Ok(())
}

pub(super) fn client() -> Result<Client> {
    let (certificate, _) = tls::pem()?;
    Ok(Client::builder().with_tls(certificate.as_str())?.with_io(io()?)?.with_limits(limits()?)?.start()?)
}

pub(super) async fn connect(client: &Client, server: SocketAddr) -> Result<Box<dyn Stream>> {
    let mut connection = client.connect(Connect::new(server).with_server_name(tls::NAME)).await?;
    let stream = connection.open_bidirectional_stream().await?;
    Ok(Box::new(Keep { stream, _kept: connection }))
}
