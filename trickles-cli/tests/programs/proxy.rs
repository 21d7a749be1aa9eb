//! The proxy itself: how connections begin and end, and who may connect.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::ops::Range;
use std::process::Stdio;

use trickles::key_ring::KeyRing;
use trickles::server::{Application, Event, Next, Output, Reset, ServerConfig, Unanswered};
use trickles_tokio::Server;

use super::{Fixture, Service, proxy, socks_proxy, stderr, trickles};

fn connect(proxy: &Service) -> TcpStream {
    TcpStream::connect(proxy.address).unwrap()
}

/// Sends `head`, which ends with an empty line to come.
fn send(connection: &mut TcpStream, head: &str) {
    connection.write_all(format!("{head}\r\nHost: localhost\r\n\r\n").as_bytes()).unwrap();
}

fn read_to_end(mut connection: &TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    connection.read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn a_client_that_has_sent_everything_still_receives_everything() {
    let fixture = Fixture::new();
    let bytes = fixture.file("data.bin", 5_000_000);
    let server = fixture.serve();
    let proxy = proxy(server.address);
    let mut connection = connect(&proxy);
    send(&mut connection, "GET /data.bin HTTP/1.1");
    connection.shutdown(Shutdown::Write).unwrap();
    let response = read_to_end(&connection);
    assert!(response.starts_with(b"HTTP/1.1 200 OK\r\n") && response.ends_with(&bytes));
}

#[test]
fn a_server_that_has_sent_everything_ends_what_the_client_reads() {
    let fixture = Fixture::new();
    let bytes = fixture.file("data.bin", 5_000_000);
    let server = fixture.serve();
    let proxy = proxy(server.address);
    let mut connection = connect(&proxy);
    send(&mut connection, "GET /data.bin HTTP/1.1\r\nConnection: close");
    assert!(read_to_end(&connection).ends_with(&bytes));
}

#[test]
fn an_answer_arrives_although_the_server_does_not_read_on() {
    let fixture = Fixture::new();
    let server = fixture.serve();
    let proxy = proxy(server.address);
    let mut connection = connect(&proxy);
    const LENGTH: usize = 20_000_000;
    send(&mut connection, &format!("POST / HTTP/1.1\r\nContent-Length: {LENGTH}"));
    connection.write_all(&vec![0; LENGTH]).unwrap();
    let response = read_to_end(&connection);
    assert!(response.starts_with(b"HTTP/1.1 405 "), "{}", String::from_utf8_lossy(&response));
}

#[test]
fn a_response_that_breaks_off_does_not_look_complete() {
    let fixture = Fixture::new();
    let mut bytes = fixture.file("data.bin", 64 << 20);
    let server = fixture.serve();
    let proxy = proxy(server.address);
    let mut connection = connect(&proxy);
    send(&mut connection, "GET /data.bin HTTP/1.1\r\nConnection: close");
    let mut response = vec![0; 100_000];
    connection.read_exact(&mut response).unwrap();
    fs::write(fixture.files().join("data.bin"), "another one").unwrap();
    let error = connection.read_to_end(&mut response).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    let head = response.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
    bytes.truncate(response.len() - head);
    assert!(response[head..] == bytes);
}

/// Greets, without waiting for a word.
struct Greeter;

const GREETING: &[u8] = b"hello";

impl Application for Greeter {
    fn input(&mut self, event: &Event<'_>) -> Result<Next, Unanswered> {
        let consumed = event.input.map_or(0, |input| input.bytes.len());
        Ok(Next {
            state: Vec::new(),
            output: 0..GREETING.len() as u64,
            finished: true,
            consumed,
            ..Next::default()
        })
    }
}

impl Output for Greeter {
    fn read(&mut self, _: &[u8], _: Range<u64>, offset: u64, buffer: &mut [u8]) -> Result<usize, Reset> {
        let rest = &GREETING[offset as usize..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }
}

#[test]
fn a_server_may_speak_first() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let address = runtime.block_on(async {
        let ring = KeyRing::new(&[(1, [7; 32])]).unwrap();
        let mut server = Server::bind("127.0.0.1:0", ServerConfig::default(), ring).await.unwrap();
        let address = server.local_addr().unwrap();
        tokio::spawn(async move { server.run(&mut Greeter).await });
        address
    });
    let proxy = proxy(address);
    assert_eq!(read_to_end(&connect(&proxy)), GREETING);
}

#[test]
fn a_client_learns_that_nobody_listens() {
    let free = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut command = trickles();
    command.args(["proxy", "--listen", "127.0.0.1:0", "--to", &format!("trickles://{free}")]);
    let mut proxy = Service::start(command.stderr(Stdio::piped()));
    let mut connection = connect(&proxy);
    let error = connection.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    drop(proxy.child.stdin.take());
    let mut log = String::new();
    proxy.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    assert!(log.contains(&format!("cannot connect to {free}")) && log.contains("refused"), "{log}");
}

#[test]
fn other_machines_connect_only_when_they_may() {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let output = trickles().args(["proxy", "--socks5", "--listen", address]).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains("that needs --allow-remote"), "{}", stderr(&output));
    }
    let proxy =
        Service::start(trickles().args(["proxy", "--socks5", "--listen", "0.0.0.0:0", "--allow-remote"]));
    TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], proxy.address.port()))).unwrap();
}

#[test]
fn connections_lead_to_one_server_or_to_any() {
    for wrong in
        [&[][..], &["--socks5", "--to", "trickles://h"], &["--to", "h:4433"], &["--to", "trickles://h/file"]]
    {
        let output = trickles().arg("proxy").args(wrong).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
    }
}

#[test]
fn an_address_in_use_is_an_error() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let other = TcpListener::bind(taken);
    let output = trickles().args(["proxy", "--socks5", "--listen", &taken.to_string()]).output().unwrap();
    drop(other);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains(&format!("cannot listen on {taken}")));
}

#[cfg(unix)]
#[test]
fn a_proxy_ends_when_it_is_asked_to() {
    for name in ["INT", "TERM", "HUP"] {
        let proxy = socks_proxy();
        // Whoever is connected does not hold it up.
        let _connection = connect(&proxy);
        assert!(proxy.stop(name).success());
    }
    let mut proxy = socks_proxy();
    drop(proxy.child.stdin.take());
    assert!(proxy.child.wait().unwrap().success());
}
