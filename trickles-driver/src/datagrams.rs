//! Receiving and sending, as every runtime's socket does it.

use std::io::{self, IoSliceMut};
use std::net::UdpSocket;

use quinn_udp::{RecvMeta, Transmit, UdpSocketState};

/// What the socket of a runtime does between its waits: [`AsyncUdpSocket`](crate::AsyncUdpSocket) without the
/// asynchronous part.
#[derive(Debug)]
pub struct Datagrams {
    state: UdpSocketState,
    connected: bool,
}

impl Datagrams {
    /// Prepares `socket`, which becomes non-blocking; the other methods are to be called with it, or with a clone.
    ///
    /// # Errors
    /// Those of the system.
    pub fn new(socket: &UdpSocket) -> io::Result<Self> {
        let state = UdpSocketState::new(socket.into())?;
        Ok(Self { state, connected: socket.peer_addr().is_ok() })
    }

    /// Receives what is there, into as many of `buffers` as needed, and describes each in `meta`: how many were
    /// filled.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if nothing is there; those of the system.
    pub fn receive(
        &self,
        socket: &UdpSocket,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> io::Result<usize> {
        self.state.recv(socket.into(), buffers, meta)
    }

    /// Sends, if the system takes it at once. On a connected socket all goes to its peer.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if the system's buffer is full; those of the system.
    pub fn send(&self, socket: &UdpSocket, transmit: &Transmit<'_>) -> io::Result<()> {
        if transmit.segment_size.is_some() {
            self.state.try_send(socket.into(), transmit)
        } else if self.connected {
            // Some systems refuse a destination on a connected socket; others look up the route each time.
            socket.send(transmit.contents).map(drop)
        } else if transmit.src_ip.is_none() && transmit.ecn.is_none() {
            // A packet about which there is nothing to say costs less without control messages.
            socket.send_to(transmit.contents, transmit.destination).map(drop)
        } else {
            self.state.try_send(socket.into(), transmit)
        }
    }

    /// Most packets one [`Transmit`] may hold. It drops to 1 when the system turns out not to segment.
    pub fn max_gso_segments(&self) -> usize {
        self.state.max_gso_segments()
    }
}
