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

#[test]
#[cfg(any(target_os = "android", target_os = "linux"))]
fn a_server_is_told_where_a_datagram_went_to_only_if_it_has_several_addresses() {
    let receive = |bound: SocketAddr, here: IpAddr| {
        let receiver = bind([bound]).unwrap();
        let receiving = UdpSocketState::new((&receiver).into()).unwrap();
        without_unread_messages(&receiver);
        let port = receiver.local_addr().unwrap().port();
        UdpSocket::bind((here, 0)).unwrap().send_to(&[7], (here, port)).unwrap();
        receiver.set_nonblocking(false).unwrap();
        receiver.peek(&mut [0]).unwrap();
        let (mut meta, mut buffer) = ([RecvMeta::default()], [0; 100]);
        receiving.recv((&receiver).into(), &mut [IoSliceMut::new(&mut buffer)], &mut meta).unwrap();
        assert_eq!((meta[0].len, buffer[0]), (1, 7));
        meta[0].dst_ip
    };
    let families: [[IpAddr; 2]; 2] = [
        [Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::LOCALHOST.into()],
        [Ipv6Addr::UNSPECIFIED.into(), Ipv6Addr::LOCALHOST.into()],
    ];
    for [any, here] in families {
        if UdpSocket::bind((here, 0)).is_err() {
            eprintln!("this system has no address {here}");
            continue;
        }
        assert_eq!(receive((any, 0).into(), here), Some(here));
        assert_eq!(receive((here, 0).into(), here), None);
    }
}
