//! The transports that are compared, each in its fast configuration.

mod kcp;
mod keep;
mod quinn;
mod s2n;
mod tcp;
pub mod tls;
pub mod trickles;
pub mod udp;
mod udp_batches;

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Result;
use clap::ValueEnum;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use crate::service;

/// UDP payload of every packet, in bytes.
pub const PACKET_SIZE: u16 = 1400;
/// Any free port of this machine.
pub const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// What sockets and windows hold, in bytes.
pub const BUFFER: usize = 4 << 20;

/// A transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Peer {
    /// Trickles.
    Trickles,
    /// The kernel's TCP.
    Tcp,
    /// TCP with TLS 1.3 (rustls).
    Tls,
    /// QUIC: quinn.
    Quinn,
    /// QUIC: s2n-quic.
    S2n,
    /// KCP: tokio_kcp.
    Kcp,
    /// UDP and nothing else: the floor.
    Udp,
    /// The same with a system call for as many datagrams as have come: what a server of short answers could do at most.
    UdpBatches,
}

/// A reliable stream, whichever transport it is of.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Opens streams.
pub enum Connector {
    /// Of this kind.
    Trickles(trickles::Endpoints),
    /// Of this kind.
    Tcp,
    /// Of this kind; sessions are resumed.
    Tls(tokio_rustls::TlsConnector),
    /// Of this kind; sessions are resumed, with early data.
    Quinn(::quinn::Endpoint),
    /// Of this kind.
    S2n(Box<s2n_quic::Client>),
    /// Of this kind.
    Kcp,
}

impl Peer {
    /// Whether it has no streams.
    pub fn is_udp(self) -> bool {
        matches!(self, Self::Udp | Self::UdpBatches)
    }

    /// What it is called in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Trickles => "Trickles",
            Self::Tcp => "kernel TCP",
            Self::Tls => "TCP + TLS 1.3",
            Self::Quinn => "quinn",
            Self::S2n => "s2n-quic",
            Self::Kcp => "tokio_kcp",
            Self::Udp => "raw UDP",
            Self::UdpBatches => "raw UDP in batches",
        }
    }

    /// The package that it is, as far as it is one.
    pub fn package(self) -> Option<&'static str> {
        match self {
            Self::Trickles => Some("trickles"),
            Self::Tcp | Self::Udp | Self::UdpBatches => None,
            Self::Tls => Some("rustls"),
            Self::Quinn => Some("quinn"),
            Self::S2n => Some("s2n-quic"),
            Self::Kcp => Some("tokio_kcp"),
        }
    }

    /// Serves for ever; `announce` is told the address.
    ///
    /// # Errors
    /// Those of the system and of the transport.
    pub async fn serve(self, announce: impl FnOnce(SocketAddr)) -> Result<()> {
        match self {
            Self::Trickles => trickles::serve(announce).await,
            Self::Tcp => tcp::serve(announce).await,
            Self::Tls => tls::serve(announce).await,
            Self::Quinn => quinn::serve(announce).await,
            Self::S2n => s2n::serve(announce).await,
            Self::Kcp => kcp::serve(announce).await,
            Self::Udp => udp::serve(announce),
            Self::UdpBatches => udp_batches::serve(announce),
        }
    }

    /// What opens its streams to `server`. `sockets`: how many they have together, where that can be chosen; none for one
    /// each.
    ///
    /// # Errors
    /// Those of the system; for UDP, which has none.
    pub async fn connector(self, server: SocketAddr, sockets: usize) -> Result<Connector> {
        Ok(match self {
            Self::Trickles => Connector::Trickles(trickles::Endpoints::new(server, sockets).await?),
            Self::Tcp => Connector::Tcp,
            Self::Tls => Connector::Tls(tls::connector()?),
            Self::Quinn => Connector::Quinn(quinn::endpoint()?),
            Self::S2n => Connector::S2n(Box::new(s2n::client()?)),
            Self::Kcp => Connector::Kcp,
            Self::Udp | Self::UdpBatches => anyhow::bail!("UDP has no streams"),
        })
    }
}

impl Connector {
    /// Opens a stream and sends `first` on it as early as the transport can.
    ///
    /// # Errors
    /// Those of the transport.
    pub async fn connect(&self, server: SocketAddr, first: &[u8]) -> Result<Box<dyn Stream>> {
        let mut stream: Box<dyn Stream> = match self {
            Self::Trickles(endpoints) => return endpoints.connect(server, first).await,
            Self::Tcp => Box::new(tcp::connect(server).await?),
            Self::Tls(connector) => Box::new(tls::connect(connector, server).await?),
            Self::Quinn(endpoint) => quinn::connect(endpoint, server).await?,
            Self::S2n(client) => s2n::connect(client, server).await?,
            Self::Kcp => kcp::connect(server).await?,
        };
        stream.write_all(first).await?;
        stream.flush().await?;
        Ok(stream)
    }
}

/// A UDP socket of this machine with large buffers.
fn socket() -> Result<std::net::UdpSocket> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None)?;
    socket.set_recv_buffer_size(BUFFER)?;
    socket.set_send_buffer_size(BUFFER)?;
    socket.bind(&ANY.into())?;
    Ok(socket.into())
}

/// Serves `stream` in the background.
fn spawn(stream: impl Stream + 'static) {
    tokio::spawn(async move {
        if let Err(error) = service::serve(stream).await {
            // Clients go away; what they miss, they tell.
            eprintln!("server: {error}");
        }
    });
}
