//! The examples do what they say.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::duplicate_mod, reason = "what the examples have in common is part of each of them")]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;
use trickles_tokio::trickles::client::Failure;
use trickles_tokio::trickles::key_ring::KeyRing;
use trickles_tokio::trickles::replay::FilterConfig;
use trickles_tokio::trickles::server::ServerConfig;
use trickles_tokio::{Handler, Server, TricklesStream, replay_filter, serve};

#[path = "../examples/echo.rs"]
#[expect(dead_code, reason = "an example has a main function")]
mod echo;
#[path = "../examples/events.rs"]
#[expect(dead_code, reason = "an example has a main function")]
mod events;
#[path = "../examples/files.rs"]
#[expect(dead_code, reason = "an example has a main function")]
mod files;
#[path = "../examples/lookup.rs"]
#[expect(dead_code, reason = "an example has a main function")]
mod lookup;
#[path = "../examples/time.rs"]
#[expect(dead_code, reason = "an example has a main function")]
mod time;

/// An address nobody has.
fn any() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

/// Serves in a task of its own.
async fn start(address: SocketAddr, handler: impl Handler) -> (SocketAddr, JoinHandle<()>) {
    let config = ServerConfig { pending: Duration::from_millis(100), ..ServerConfig::default() };
    let filter = FilterConfig { cells_per_generation: 1 << 16, ..FilterConfig::default() };
    let ring = KeyRing::new(&[(1, [7; 32])]).unwrap();
    let server = Server::bind_with(address, config, ring, replay_filter(filter).unwrap()).await.unwrap();
    let address = server.local_addr().unwrap();
    (address, tokio::spawn(async { serve(server, handler).await.unwrap() }))
}

/// All that follows from `input`.
async fn exchange(address: SocketAddr, input: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TricklesStream::connect(address).await?;
    stream.write_all(input).await?;
    let mut output = Vec::new();
    let (mut reader, mut writer) = tokio::io::split(stream);
    let (read, _) = tokio::join!(reader.read_to_end(&mut output), writer.shutdown());
    read.map(|_| output)
}

fn failure(result: std::io::Result<Vec<u8>>) -> Failure {
    let error = result.unwrap_err();
    *error.get_ref().and_then(|inner| inner.downcast_ref()).unwrap()
}

#[tokio::test]
async fn echo_sends_back_what_it_receives() {
    let (address, _server) = start(any(), echo::Echo).await;
    let bytes: Vec<u8> = (0..20_000u32).map(|index| (index % 251) as u8).collect();
    assert!(exchange(address, &bytes).await.unwrap() == bytes);
}

#[tokio::test]
async fn time_tells_the_seconds_since_1970() {
    let (address, _server) = start(any(), time::Time).await;
    let text = String::from_utf8(exchange(address, b"").await.unwrap()).unwrap();
    let seconds: u64 = text.trim_end().parse().unwrap();
    let start_of_2024 = 1_704_067_200;
    assert!(seconds > start_of_2024);
}

#[tokio::test]
async fn lookup_answers_every_line() {
    let table = BTreeMap::from([("paper".into(), "A4".into()), ("stone".into(), "granite".into())]);
    let (address, _server) = start(any(), lookup::Lookup(table)).await;
    let output = exchange(address, b"stone\nwater\npaper\n").await.unwrap();
    assert_eq!(output, b"granite\n\nA4\n");
    let endless = exchange(address, &[b'x'; 2000]).await;
    assert_eq!(failure(endless), Failure::Reset(lookup::TOO_LONG));
}

#[tokio::test]
async fn files_sends_files_of_its_directory_only() {
    let directory = tempfile::tempdir().unwrap();
    let (served, secret) = (directory.path().join("served"), directory.path().join("secret"));
    std::fs::create_dir(&served).unwrap();
    std::fs::write(&secret, "secret").unwrap();
    let bytes: Vec<u8> = (0..500_000u32).map(|index| (index % 251) as u8).collect();
    std::fs::write(served.join("file"), &bytes).unwrap();
    let (address, _server) = start(any(), files::Files(served)).await;
    assert!(exchange(address, b"file\n").await.unwrap() == bytes);
    let forbidden = format!("{}\n", secret.display());
    for name in ["../secret\n", &forbidden, "nothing\n", "file"] {
        let result = exchange(address, name.as_bytes()).await;
        assert_eq!(failure(result), Failure::Reset(files::NOT_FOUND.0), "{name}");
    }
}

fn append(log: &mut File, ids: Range<u64>) {
    ids.for_each(|id| writeln!(log, "number {id}").unwrap());
}

async fn read_events(stream: &mut TricklesStream, ids: Range<u64>) {
    let expected: String = ids.map(|id| format!("id: {id}\ndata: number {id}\n\n")).collect();
    let mut received = vec![0; expected.len()];
    stream.read_exact(&mut received).await.unwrap();
    assert_eq!(String::from_utf8(received).unwrap(), expected);
}

#[tokio::test]
async fn events_come_once_and_in_order_when_the_server_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("events.log");
    let mut log = File::create(&path).unwrap();
    let serve = |address, path: &Path| start(address, events::Events(path.into()));
    let (address, mut server) = serve(any(), &path).await;
    append(&mut log, 0..5);
    let mut stream = TricklesStream::connect(address).await.unwrap();
    stream.write_all(b"2\n").await.unwrap();
    read_events(&mut stream, 2..5).await;
    for restarts in 1..4 {
        let next = 5 * restarts;
        // Wherever it is: the client has asked for what comes next, or is about to.
        server.abort();
        assert!(server.await.unwrap_err().is_cancelled());
        append(&mut log, next..next + 2);
        (_, server) = serve(address, &path).await;
        read_events(&mut stream, next..next + 2).await;
        // These appear while the client waits.
        append(&mut log, next + 2..next + 5);
        read_events(&mut stream, next + 2..next + 5).await;
    }
}
