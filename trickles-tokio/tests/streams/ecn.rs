//! Whether queues may mark what servers send.
#![cfg(target_os = "linux")]

use std::io::IoSliceMut;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use quinn_udp::{EcnCodepoint, RecvMeta, UdpSocketState};
use trickles_tokio::trickles::epoch::CurveId;
use trickles_tokio::trickles::wire::{BASE_PACKET_SIZE, Hello, Input, Request};
use trickles_tokio::{Server, TricklesStream};

use super::{ask, read_rest};
use crate::application::Lines;
use crate::server::{any, ring};

const LENGTH: usize = 1_000_000;

/// What the first packet of an answer says of marks.
async fn codepoint(server: SocketAddr) -> Option<EcnCodepoint> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let state = UdpSocketState::new((&socket).into()).unwrap();
    let input = Input { offset: 0, bytes: b"GET 10 1\n", fin: true };
    let (curve, packet_size) = (CurveId::Cubic, BASE_PACKET_SIZE);
    let hello = Hello { echo: 1, curve, packet_size, stream_id: 2, service: b"", input };
    let mut datagram = Vec::new();
    Request::Hello(hello).emit(packet_size.into(), &mut datagram);
    socket.send_to(&datagram, server).unwrap();
    let (mut buffer, mut meta) = (vec![0; 1 << 16], [RecvMeta::default()]);
    while state.recv((&socket).into(), &mut [IoSliceMut::new(&mut buffer)], &mut meta).is_err() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    meta[0].ecn
}

#[tokio::test]
async fn queues_may_mark_what_a_server_sends_if_it_says_so() {
    for enabled in [false, true] {
        let mut server = Server::bind(any(), Default::default(), ring()).await.unwrap();
        server.set_ecn(enabled);
        let address = server.local_addr().unwrap();
        let mut found = None;
        let transfer = async {
            let mut stream = TricklesStream::connect(address).await.unwrap();
            ask(&mut stream, LENGTH, 3).await;
            read_rest(&mut stream, 0, LENGTH, 3).await;
            found = codepoint(address).await;
        };
        server.run_until(&mut Lines, transfer).await.unwrap();
        assert_eq!(found == Some(EcnCodepoint::Ect0), enabled, "{found:?}");
    }
}
