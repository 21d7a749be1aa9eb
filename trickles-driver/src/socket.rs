//! UDP sockets as this protocol wants them.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

#[cfg(any(target_os = "android", target_os = "linux"))]
use nix::sys::socket::{setsockopt, sockopt};
use socket2::SockRef;

/// Holds what a 10 Gbit/s network delivers in 3 ms, during which the program may be kept from running.
const BUFFER: usize = 4 << 20;

/// A server's socket: bound to the first of `addresses` that can be had, with the largest buffers up to 4 MiB
/// that the system grants.
///
/// # Errors
/// The last address's; [`InvalidInput`](io::ErrorKind::InvalidInput) without any.
pub fn bind(addresses: impl IntoIterator<Item = SocketAddr>) -> io::Result<UdpSocket> {
    let mut last = io::Error::new(io::ErrorKind::InvalidInput, "there is no address to bind to");
    for address in addresses {
        match UdpSocket::bind(address) {
            Ok(socket) => {
                enlarge_buffers(&socket);
                return Ok(socket);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// A client's socket: bound to `local` or else to an address of the system's choice, and connected, so that the
/// network's errors reach it and nobody else's datagrams do.
pub(crate) fn connect(server: SocketAddr, local: Option<SocketAddr>) -> io::Result<UdpSocket> {
    let any = || match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(local.unwrap_or_else(any))?;
    socket.connect(server)?;
    enlarge_buffers(&socket);
    Ok(socket)
}

/// Whether the system may hand over received datagrams together, where it can. Runtimes ask for that when they
/// register a socket.
///
/// Best effort: where it cannot be set there is mostly nothing to be set. On Windows it stays as it is.
pub(crate) fn set_receive_offload(socket: &UdpSocket, enabled: bool) {
    #[cfg(any(target_os = "android", target_os = "linux"))]
    if let Err(error) = setsockopt(socket, sockopt::UdpGroSegment, &enabled) {
        tracing::debug!(%error, enabled, "receive offload stays as it is");
    }
    #[cfg(not(any(target_os = "android", target_os = "linux")))]
    let _ = (socket, enabled);
}

/// Best effort: small buffers lose packets in bursts, and nothing else.
fn enlarge_buffers(socket: &UdpSocket) {
    let socket = SockRef::from(socket);
    for result in [socket.set_recv_buffer_size(BUFFER), socket.set_send_buffer_size(BUFFER)] {
        if let Err(error) = result {
            tracing::debug!(%error, "socket buffers stay as they are");
        }
    }
}
