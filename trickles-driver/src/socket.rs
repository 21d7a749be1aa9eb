//! UDP sockets as this protocol wants them.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

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
    let mut last = io::Error::new(io::ErrorKind::InvalidInput, "there is no address to bind to");
    for address in addresses {
        match bind_shared(address, count) {
            Ok(sockets) => return Ok(sockets),
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
mod tests {
    use std::io::{ErrorKind, IoSliceMut};
    use std::net::IpAddr;

    use quinn_udp::{RecvMeta, Transmit, UdpSocketState};

    use super::*;

    /// Waits, with a blocking look, for what has been sent, then receives `length` bytes: how many at a time.
    #[cfg(any(target_os = "android", target_os = "linux"))]
    fn receive(socket: &UdpSocket, state: &UdpSocketState, length: usize) -> Vec<usize> {
        let (mut lengths, mut buffer) = (Vec::new(), vec![0; 1 << 16]);
        while lengths.iter().sum::<usize>() < length {
            socket.set_nonblocking(false).unwrap();
            socket.peek(&mut [0]).unwrap();
            socket.set_nonblocking(true).unwrap();
            let mut meta = [RecvMeta::default()];
            match state.recv(socket.into(), &mut [IoSliceMut::new(&mut buffer)], &mut meta) {
                Ok(filled) => lengths.extend(meta[..filled].iter().map(|meta| meta.len)),
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
        lengths
    }

    #[test]
    #[cfg(any(target_os = "android", target_os = "linux"))]
    fn datagrams_are_received_as_they_came_once_offload_is_off() {
        let receiver = bind([(Ipv4Addr::LOCALHOST, 0).into()]).unwrap();
        let receiving = UdpSocketState::new((&receiver).into()).unwrap();
        let sender = bind([(Ipv4Addr::LOCALHOST, 0).into()]).unwrap();
        let sending = UdpSocketState::new((&sender).into()).unwrap();
        if sending.max_gso_segments() < 3 || receiving.gro_segments() < 3 {
            eprintln!("this system has no offload to be turned off");
            return;
        }
        let send = || {
            let transmit = Transmit {
                destination: receiver.local_addr().unwrap(),
                ecn: None,
                contents: &[0; 3000],
                segment_size: Some(1000),
                src_ip: None,
            };
            sending.try_send((&sender).into(), &transmit).unwrap();
        };
        send();
        assert_eq!(receive(&receiver, &receiving, 3000), [3000]);
        set_receive_offload(&receiver, false);
        send();
        assert_eq!(receive(&receiver, &receiving, 3000), [1000; 3]);
        set_receive_offload(&receiver, true);
        send();
        assert_eq!(receive(&receiver, &receiving, 3000), [3000]);
    }

    const ANY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

    #[test]
    #[cfg(any(target_os = "android", target_os = "freebsd", target_os = "linux"))]
    fn several_sockets_have_one_address_and_nobody_else_gets_it() {
        let sockets = bind_many([ANY], 3).unwrap();
        let address = sockets[0].local_addr().unwrap();
        assert!(address.port() != 0 && sockets.iter().all(|socket| socket.local_addr().unwrap() == address));
        assert_eq!(bind_many([address], 2).unwrap_err().kind(), ErrorKind::AddrInUse);
        drop(sockets);
        assert_eq!(bind_many([address], 2).unwrap()[1].local_addr().unwrap(), address);
    }

    #[test]
    fn a_single_socket_needs_nothing_of_the_system() {
        let sockets = bind_many([ANY], 1).unwrap();
        assert_eq!(sockets.len(), 1);
        assert_eq!(bind_many(sockets[0].local_addr(), 1).unwrap_err().kind(), ErrorKind::AddrInUse);
        for error in [bind_many([ANY], 0).unwrap_err(), bind_many([], 2).unwrap_err()] {
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
        }
    }
}
