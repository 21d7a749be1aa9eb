//! Uploads whose servers are killed.

use std::io::Write;
use std::process::Stdio;

use super::relay::Relay;
use super::*;

const LENGTH: usize = 8 << 20;
/// How many datagrams of a client come between two kills; the upload has at least a thousand.
const INTERVAL: u64 = 100;

/// Stores a file while its server is killed again and again; `check` looks at what is there meanwhile.
fn survive(fixture: &Fixture, check: impl Fn(&Service)) {
    let bytes = random_bytes(LENGTH, 4);
    let mut server = Some(serve_writable(fixture, "127.0.0.1:0", &[]));
    let relay = Relay::new(server.as_ref().unwrap().address);
    let mut command = put(fixture, relay.address(), "data.bin", &bytes, "/data.bin");
    let mut client = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut kills = 0;
    relay.run(&mut client, |sent| {
        if sent % INTERVAL == 0 && kills < 7 {
            check(server.as_ref().unwrap());
            let address = server.take().unwrap().kill();
            kills += 1;
            server = Some(serve_writable(fixture, &address.to_string(), &[]));
        }
    });
    assert_ok(&client.wait_with_output().unwrap());
    assert!(kills >= 5, "{kills}");
    let stored = fs::read(fixture.files().join("data.bin")).unwrap();
    assert_eq!(crate::sha256(&stored), crate::sha256(&bytes));
    assert_eq!(served_names(fixture), ["data.bin"]);
}

#[test]
fn a_new_file_appears_when_it_is_whole() {
    let fixture = Fixture::new();
    survive(&fixture, |server| {
        let names = served_names(&fixture);
        assert_eq!(names.len(), 1);
        assert!(names[0].starts_with(".trickles-upload-"), "{names:?}");
        let output = fixture.get(server.address, "/data.bin", &["--quiet"]).output().unwrap();
        assert_failed(&output, 3, "404");
        let part = format!("/{}", names[0]);
        let output = fixture.get(server.address, &part, &["-o", "part"]).output().unwrap();
        assert_failed(&output, 3, "404");
    });
}

#[test]
fn an_old_file_stays_until_the_new_one_is_whole() {
    let fixture = Fixture::new();
    let old = fixture.file("data.bin", 10_000);
    survive(&fixture, |server| {
        let output = fixture.get(server.address, "/data.bin", &["-o", "-", "--quiet"]).output().unwrap();
        assert_ok(&output);
        assert!(output.stdout == old);
    });
}

#[test]
fn a_file_that_changes_meanwhile_is_not_stored() {
    let (fixture, server) = served();
    let relay = Relay::new(server.address);
    let bytes = random_bytes(LENGTH, 4);
    let mut command = put(&fixture, relay.address(), "data.bin", &bytes, "/data.bin");
    let mut client = command.stderr(Stdio::piped()).spawn().unwrap();
    relay.run(&mut client, |sent| {
        if sent == 30 {
            // In place, at the same length.
            let mut file = fs::File::options().write(true).open(fixture.path("data.bin")).unwrap();
            file.write_all(&random_bytes(LENGTH, 5)).unwrap();
        }
    });
    assert_failed(&client.wait_with_output().unwrap(), 3, "422 Unprocessable Content");
    assert_is_empty(&fixture.files());
}
