//! Downloads that an earlier run has begun.

use std::fs;
use std::ops::Range;

use trickles::key_ring::KeyRing;
use trickles::server::{Application, Event, Next, Output, Reset, ServerConfig, Unanswered};
use trickles_cli::file_service::FileService;
use trickles_cli::site::Site;
use trickles_tokio::Server;

use super::{Fixture, assert_failed, assert_ok, sha256, stderr};

const LENGTH: usize = 1 << 20;
/// Where a stream ends that ends early.
const CUT: u64 = 300_000;

/// A service whose streams end early.
struct Cut(FileService);

impl Application for Cut {
    fn input(&mut self, event: &Event<'_>) -> Result<Next, Unanswered> {
        let mut next = self.0.input(event)?;
        next.output.end = next.output.end.min(CUT);
        Ok(next)
    }
}

impl Output for Cut {
    fn read(
        &mut self,
        state: &[u8],
        output: Range<u64>,
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<usize, Reset> {
        let length = buffer.len().min((CUT - offset) as usize);
        self.0.read(state, output, offset, &mut buffer[..length])
    }
}

/// A file, and a download of it that has ended early.
fn interrupted() -> (Fixture, Vec<u8>) {
    let fixture = Fixture::new();
    let bytes = fixture.file("data.bin", LENGTH);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let address = runtime.block_on(async {
        let ring = KeyRing::new(&[(1, [7; 32])]).unwrap();
        let mut server = Server::bind("127.0.0.1:0", ServerConfig::default(), ring).await.unwrap();
        let address = server.local_addr().unwrap();
        let mut service = Cut(FileService(Site::open(&fixture.files()).unwrap()));
        tokio::spawn(async move { server.run(&mut service).await });
        address
    });
    let output = fixture.get(address, "/data.bin", &[]).output().unwrap();
    assert_failed(&output, 1, "ended early");
    assert!(stderr(&output).contains("data.bin is incomplete, run the command again"));
    assert_eq!(fixture.fetched_names(), ["data.bin.part", "data.bin.part.etag"]);
    let part = fixture.read("data.bin.part");
    assert!(!part.is_empty() && bytes.starts_with(&part));
    (fixture, bytes)
}

#[test]
fn the_next_run_fetches_the_rest_only() {
    let (fixture, mut expected) = interrupted();
    // A mark in what is there tells whether it is fetched again.
    let mut part = fixture.read("data.bin.part");
    part[0] ^= 1;
    expected[0] ^= 1;
    fs::write(fixture.fetched().join("data.bin.part"), &part).unwrap();

    let server = fixture.serve();
    let output = fixture.get(server.address, "/data.bin", &["--sha256"]).output().unwrap();
    assert_ok(&output);
    assert!(fixture.read("data.bin") == expected);
    assert_eq!(fixture.fetched_names(), ["data.bin"]);
    assert_eq!(str::from_utf8(&output.stdout).unwrap(), format!("{}  data.bin\n", sha256(&expected)));
    let summary = format!("data.bin: {} bytes in ", LENGTH - part.len());
    let text = stderr(&output);
    assert!(text.contains(&summary), "{text}");
    assert!(text.contains(&format!("continued at byte {}", part.len())), "{text}");
}

#[test]
fn a_file_that_has_changed_is_fetched_anew() {
    let (fixture, _) = interrupted();
    let bytes = super::random_bytes(LENGTH + 1, 2);
    fs::write(fixture.files().join("data.bin"), &bytes).unwrap();
    let server = fixture.serve();
    assert_ok(&fixture.get(server.address, "/data.bin", &[]).output().unwrap());
    assert!(fixture.read("data.bin") == bytes);
    assert_eq!(fixture.fetched_names(), ["data.bin"]);
}

#[test]
fn more_than_the_file_has_is_fetched_anew() {
    let (fixture, bytes) = interrupted();
    fs::write(fixture.fetched().join("data.bin.part"), [&bytes[..], b"more"].concat()).unwrap();
    let server = fixture.serve();
    assert_ok(&fixture.get(server.address, "/data.bin", &[]).output().unwrap());
    assert!(fixture.read("data.bin") == bytes);
}

#[test]
fn bytes_of_unknown_origin_are_not_used() {
    let (fixture, bytes) = interrupted();
    fs::remove_file(fixture.fetched().join("data.bin.part.etag")).unwrap();
    fs::write(fixture.fetched().join("data.bin.part"), "whatever").unwrap();
    let server = fixture.serve();
    let output = fixture.get(server.address, "/data.bin", &[]).output().unwrap();
    assert_ok(&output);
    assert!(!stderr(&output).contains("continued"));
    assert!(fixture.read("data.bin") == bytes);
}
