//! The SOCKS5 server, byte by byte (RFC 1928).

use std::io::{Read, Write};
use std::net::{Ipv6Addr, SocketAddr, TcpStream, UdpSocket};

use super::{Fixture, Service, skipped, socks_proxy, start_proxy};

const CONNECT: u8 = 1;
const BIND: u8 = 2;

fn ipv4(port: u16) -> Vec<u8> {
    [&[1, 127, 0, 0, 1][..], &port.to_be_bytes()].concat()
}

fn ipv6(port: u16) -> Vec<u8> {
    [&[4][..], &Ipv6Addr::LOCALHOST.octets(), &port.to_be_bytes()].concat()
}

fn domain(name: &str, port: u16) -> Vec<u8> {
    [&[3, name.len() as u8], name.as_bytes(), &port.to_be_bytes()].concat()
}

/// Asks for what `address` encodes; returns the connection behind the reply, and the code in that.
fn request(proxy: &Service, command: u8, address: &[u8]) -> (TcpStream, u8) {
    let mut connection = TcpStream::connect(proxy.address).unwrap();
    connection.write_all(&[5, 2, 2, 0]).unwrap();
    let mut method = [0; 2];
    connection.read_exact(&mut method).unwrap();
    assert_eq!(method, [5, 0]);
    // In two pieces, as a network might.
    connection.write_all(&[5, command]).unwrap();
    connection.write_all(&[&[0][..], address].concat()).unwrap();
    let mut reply = [0; 10];
    connection.read_exact(&mut reply).unwrap();
    assert_eq!((reply[0], reply[2]), (5, 0));
    if reply[3] == 4 {
        connection.read_exact(&mut [0; 12]).unwrap();
    }
    (connection, reply[1])
}

fn read_to_end(mut connection: &TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    connection.read_to_end(&mut bytes).unwrap();
    bytes
}

#[track_caller]
fn assert_reaches(proxy: &Service, address: &[u8], bytes: &[u8]) {
    let (mut connection, code) = request(proxy, CONNECT, address);
    assert_eq!(code, 0);
    connection.write_all(b"GET /data.bin HTTP/1.0\r\n\r\n").unwrap();
    assert!(read_to_end(&connection).ends_with(bytes));
}

#[test]
fn every_kind_of_address_leads_to_the_server() {
    let fixture = Fixture::new();
    let bytes = fixture.file("data.bin", 100_000);
    let server = fixture.serve();
    let proxy = socks_proxy();
    let port = server.address.port();
    assert_reaches(&proxy, &ipv4(port), &bytes);
    for name in ["127.0.0.1", "localhost"] {
        assert_reaches(&proxy, &domain(name, port), &bytes);
    }
    if UdpSocket::bind("[::1]:0").is_err() {
        skipped("this machine has no IPv6");
        return;
    }
    let server = fixture.serve_with("keys", "[::1]:0");
    assert_reaches(&proxy, &ipv6(server.address.port()), &bytes);
    assert_reaches(&proxy, &domain("::1", server.address.port()), &bytes);
}

#[track_caller]
fn assert_refused(proxy: &Service, command: u8, address: &[u8], code: u8) {
    let (connection, answer) = request(proxy, command, address);
    assert_eq!(answer, code);
    assert!(read_to_end(&connection).is_empty());
}

#[test]
fn refusals_give_their_reason() {
    let proxy = socks_proxy();
    let free = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_refused(&proxy, CONNECT, &ipv4(free.port()), 5);
    // No name has a zero byte in it.
    assert_refused(&proxy, CONNECT, &domain("\0", 80), 4);
    for command in [BIND, 3, 9] {
        assert_refused(&proxy, command, &ipv4(free.port()), 7);
    }
    assert_refused(&proxy, CONNECT, &[2, 0, 0], 8);
}

#[test]
fn a_server_that_does_not_answer_is_unreachable() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let SocketAddr::V4(address) = silent.local_addr().unwrap() else { panic!("an IPv4 address") };
    let proxy = start_proxy(&["--socks5", "--timeout", "1"]);
    assert_refused(&proxy, CONNECT, &ipv4(address.port()), 4);
}

#[test]
fn clients_of_another_protocol_are_turned_away() {
    let proxy = socks_proxy();
    let exchange = |bytes: &[u8]| {
        let mut connection = TcpStream::connect(proxy.address).unwrap();
        connection.write_all(bytes).unwrap();
        read_to_end(&connection)
    };
    // A client that insists on a password.
    assert_eq!(exchange(&[5, 1, 2]), [5, 0xff]);
    // SOCKS4, as far as the version goes.
    assert_eq!(exchange(&[4, 1]), []);
}
