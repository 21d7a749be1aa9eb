//! quinn: its own socket buffers, windows and packet sizes are made as large as the others'.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{ClientConfig, Endpoint, EndpointConfig, ServerConfig, TokioRuntime, TransportConfig, VarInt};

use super::keep::Keep;
use super::{BUFFER, PACKET_SIZE, Stream, socket, spawn, tls};

fn transport() -> Result<Arc<TransportConfig>> {
    let mut config = TransportConfig::default();
    config
        .initial_mtu(PACKET_SIZE)
        .min_mtu(PACKET_SIZE)
        .mtu_discovery_config(None)
        .stream_receive_window(VarInt::try_from(BUFFER as u64)?)
        .receive_window(VarInt::try_from(2 * BUFFER as u64)?)
        .send_window(2 * BUFFER as u64)
        .max_idle_timeout(Some(Duration::from_secs(300).try_into()?));
    Ok(Arc::new(config))
}

pub(super) async fn serve(announce: impl FnOnce(SocketAddr)) -> Result<()> {
    let mut crypto = tls::server_config()?;
    crypto.max_early_data_size = u32::MAX;
    let mut config = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(crypto)?));
    config.transport_config(transport()?);
    let runtime = Arc::new(TokioRuntime);
    let endpoint = Endpoint::new(EndpointConfig::default(), Some(config), socket()?, runtime)?;
    announce(endpoint.local_addr()?);
    while let Some(incoming) = endpoint.accept().await {
        tokio::spawn(async move {
            let connecting = match incoming.accept() {
                Ok(connecting) => connecting,
                Err(error) => return eprintln!("server: {error}"),
            };
            let connection = match connecting.into_0rtt() {
                Ok((connection, _)) => connection,
                Err(connecting) => match connecting.await {
                    Ok(connection) => connection,
                    Err(error) => return eprintln!("server: {error}"),
                },
            };
            while let Ok((send, receive)) = connection.accept_bi().await {
                spawn(tokio::io::join(receive, send));
            }
        });
    }
    Ok(())
}

pub(super) fn endpoint() -> Result<Endpoint> {
    let mut endpoint = Endpoint::new(EndpointConfig::default(), None, socket()?, Arc::new(TokioRuntime))?;
    let mut crypto = tls::client_config()?;
    crypto.enable_early_data = true;
    let mut config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(crypto)?));
    config.transport_config(transport()?);
    endpoint.set_default_client_config(config);
    Ok(endpoint)
}

pub(super) async fn connect(endpoint: &Endpoint, server: SocketAddr) -> Result<Box<dyn Stream>> {
    // From the second connection on what is written first travels with the handshake.
    let connection = match endpoint.connect(server, tls::NAME)?.into_0rtt() {
        Ok((connection, _)) => connection,
        Err(connecting) => connecting.await.context("cannot connect")?,
    };
    let (send, receive) = connection.open_bi().await?;
    Ok(Box::new(Keep { stream: tokio::io::join(receive, send), _kept: connection }))
}
