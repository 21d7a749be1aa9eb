//! What becomes of a running download when something happens to its server.

use std::fs;
use std::io::Read;
use std::process::{Child, ChildStdout, Output, Stdio};

use super::{Fixture, Service, assert_failed, assert_ok};

/// Far more than the client, its stream and a pipe hold together.
const LENGTH: usize = 16 << 20;

/// A download into a pipe that nobody reads from, so that it goes on only when the test wants.
struct Paused {
    child: Child,
    stdout: ChildStdout,
    received: Vec<u8>,
}

impl Paused {
    /// Fetches the beginning of the file.
    fn start(fixture: &Fixture, server: &Service) -> Self {
        let mut command = fixture.get(server.address, "/data.bin", &["-o", "-", "--quiet"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdout = child.stdout.take().unwrap();
        let mut received = vec![0; 100_000];
        stdout.read_exact(&mut received).unwrap();
        Self { child, stdout, received }
    }

    /// Fetches the rest; returns it all, and how the program ended.
    fn finish(mut self) -> (Vec<u8>, Output) {
        self.stdout.read_to_end(&mut self.received).unwrap();
        (self.received, self.child.wait_with_output().unwrap())
    }
}

fn fixture() -> (Fixture, Vec<u8>) {
    let fixture = Fixture::new();
    let bytes = fixture.file("data.bin", LENGTH);
    (fixture, bytes)
}

#[test]
fn a_killed_server_goes_on_once_it_is_started_again() {
    let (fixture, bytes) = fixture();
    let mut server = fixture.serve();
    let download = Paused::start(&fixture, &server);
    for _ in 0..2 {
        let address = server.kill();
        server = fixture.serve_with("keys", &address.to_string());
    }
    let (received, output) = download.finish();
    assert_ok(&output);
    assert!(received == bytes);
}

#[test]
fn a_server_with_other_keys_does_not_know_the_stream() {
    let (fixture, bytes) = fixture();
    let server = fixture.serve();
    let download = Paused::start(&fixture, &server);
    let address = server.kill();
    fs::write(fixture.path("other"), format!("2 {}\n", "5a".repeat(32))).unwrap();
    super::keys::make_private(&fixture.path("other"));
    let _server = fixture.serve_with("other", &address.to_string());
    let (received, output) = download.finish();
    assert_failed(&output, 6, "the server has lost or changed its key ring");
    assert!(bytes.starts_with(&received));
}

#[test]
fn a_file_that_changes_ends_the_download() {
    let (fixture, bytes) = fixture();
    let server = fixture.serve();
    let download = Paused::start(&fixture, &server);
    fs::write(fixture.files().join("data.bin"), &bytes[1..]).unwrap();
    let (received, output) = download.finish();
    assert_failed(&output, 7, "the file changed while it was being downloaded");
    assert!(bytes.starts_with(&received));
}

#[cfg(unix)]
#[test]
fn a_server_ends_when_it_is_asked_to() {
    let fixture = Fixture::new();
    for name in ["INT", "TERM", "HUP"] {
        assert!(fixture.serve().stop(name).success());
    }
    let mut server = fixture.serve();
    drop(server.child.stdin.take());
    assert!(server.child.wait().unwrap().success());
}
