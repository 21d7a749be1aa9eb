//! UDP sockets as this protocol wants them.

mod hello_filter;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

pub(crate) use self::hello_filter::let_hellos_through;
#[cfg(any(target_os = "android", target_os = "linux"))]
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// Holds what a 10 Gbit/s network delivers in 3 ms, during which the program may be kept from running.
const BUFFER: usize = 4 << 20;

/// A server's socket: bound to the first of `addresses` that can be had, with the largest buffers up to 4 MiB
/// that the system grants.
///
/// # Errors
/// The last address's; [`InvalidInput`](io::ErrorKind::InvalidInput) without any.
pub fn bind(addresses: impl IntoIterator<Item = SocketAddr>) -> io::Result<UdpSocket> {
    bind_first(addresses, |address| {
        let socket = UdpSocket::bind(address)?;
        enlarge_buffers(&socket);
        Ok(socket)
    })
}

/// The sockets of a server on several cores: `count` of them, all bound to the first of `addresses` that can be had,
/// as [`bind`] makes one. Port 0 is one port for all.
///
/// Each is for an event loop of its own, on a thread of its own. The system distributes clients among the sockets by
/// their addresses and ports. Any of the loops answers any request, if all have the same keys and service label and
/// share [one filter](crate::replay_filter); limits such as
/// [`hellos_per_second`](trickles::server::ServerConfig::hellos_per_second) hold for each. When a socket is closed, its
/// clients come to the others, and their streams go on.
///
/// An address that other sockets are bound to is refused, as by [`bind`], though the system would let processes of
/// one user share it: a server that is started twice should say so.
///
/// # Errors
/// The last address's; [`InvalidInput`](io::ErrorKind::InvalidInput) without any address or for no socket at all;
/// [`Unsupported`](io::ErrorKind::Unsupported) for several sockets on a system that does not distribute datagrams
/// among them, which Linux, Android and FreeBSD do.
pub fn bind_many(
    addresses: impl IntoIterator<Item = SocketAddr>,
    count: usize,
) -> io::Result<Vec<UdpSocket>> {
    if count == 0 {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "there is no socket to bind"));
    }
    if count == 1 {
        return Ok(vec![bind(addresses)?]);
    }
    bind_first(addresses, |address| bind_shared(address, count))
}

/// What `bind` makes of the first address it makes something of; or the last error.
fn bind_first<T>(
    addresses: impl IntoIterator<Item = SocketAddr>,
    bind: impl FnMut(SocketAddr) -> io::Result<T>,
) -> io::Result<T> {
    let mut last = io::Error::new(io::ErrorKind::InvalidInput, "there is no address to bind to");
    for result in addresses.into_iter().map(bind) {
        match result {
            Ok(bound) => return Ok(bound),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn bind_shared(mut address: SocketAddr, count: usize) -> io::Result<Vec<UdpSocket>> {
    if address.port() != 0 {
        // Whether somebody has the address already is told only to who would not share it.
        drop(UdpSocket::bind(address)?);
    }
    let mut sockets = Vec::new();
    for _ in 0..count {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        share_port(&socket)?;
        socket.bind(&address.into())?;
        let socket = UdpSocket::from(socket);
        enlarge_buffers(&socket);
        address = socket.local_addr()?;
        sockets.push(socket);
    }
    Ok(sockets)
}

/// Lets sockets of this user be bound to one address, and the system distribute what comes among them.
#[cfg(any(target_os = "android", target_os = "linux"))]
fn share_port(socket: &Socket) -> io::Result<()> {
    socket.set_reuse_port(true)
}

/// Here the option of the usual name gives all to one of the sockets.
#[cfg(target_os = "freebsd")]
fn share_port(socket: &Socket) -> io::Result<()> {
    socket.set_reuse_port_lb(true)
}

#[cfg(not(any(target_os = "android", target_os = "freebsd", target_os = "linux")))]
fn share_port(_: &Socket) -> io::Result<()> {
    let reason = "this system does not distribute datagrams among several sockets";
    Err(io::Error::new(io::ErrorKind::Unsupported, reason))
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

/// Datagrams come without what a server does not read and runtimes' sockets bring along, a control message each: the time
/// of their arrival, their ECN mark, and where they went to, unless the socket has several addresses.
///
/// For sockets that live long; the system has work with each socket that turns arrival times on or off.
pub(crate) fn without_unread_messages(socket: &UdpSocket) {
    #[cfg(any(target_os = "android", target_os = "linux"))]
    if let Err(error) = drop_unread_messages(socket) {
        tracing::debug!(%error, "datagrams bring more along than is read");
    }
    #[cfg(not(any(target_os = "android", target_os = "linux")))]
    let _ = socket;
}

#[cfg(any(target_os = "android", target_os = "linux"))]
fn drop_unread_messages(socket: &UdpSocket) -> io::Result<()> {
    let address = socket.local_addr()?;
    setsockopt(socket, sockopt::ReceiveTimestampns, &false)?;
    // IPv6 sockets have it for what comes over IPv4.
    SockRef::from(socket).set_recv_tos_v4(false)?;
    if address.is_ipv6() {
        SockRef::from(socket).set_recv_tclass_v6(false)?;
    }
    match address.ip() {
        ip if ip.is_unspecified() => {}
        IpAddr::V4(_) => setsockopt(socket, sockopt::Ipv4PacketInfo, &false)?,
        IpAddr::V6(_) => setsockopt(socket, sockopt::Ipv6RecvPacketInfo, &false)?,
    }
    Ok(())
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

#[cfg(test)]
mod tests;
