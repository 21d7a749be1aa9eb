//! tokio_kcp in its fast mode: no delay, no congestion control, a large window.

use std::net::SocketAddr;

use anyhow::Result;
use tokio_kcp::{KcpConfig, KcpListener, KcpNoDelayConfig, KcpStream};

use super::{PACKET_SIZE, Stream, spawn};

fn config() -> KcpConfig {
    KcpConfig {
        mtu: PACKET_SIZE.into(),
        nodelay: KcpNoDelayConfig::fastest(),
        wnd_size: (1024, 1024),
        flush_write: true,
        flush_acks_input: true,
        stream: true,
        ..KcpConfig::default()
    }
}

fn socket() -> Result<tokio::net::UdpSocket> {
    let socket = super::socket()?;
    socket.set_nonblocking(true)?;
    Ok(tokio::net::UdpSocket::from_std(socket)?)
}

pub(super) async fn serve(announce: impl FnOnce(SocketAddr)) -> Result<()> {
    let mut listener = KcpListener::from_socket(config(), socket()?).await?;
    announce(listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        spawn(stream);
    }
}

pub(super) async fn connect(server: SocketAddr) -> Result<Box<dyn Stream>> {
    Ok(Box::new(KcpStream::connect_with_socket(&config(), socket()?, server).await?))
}
