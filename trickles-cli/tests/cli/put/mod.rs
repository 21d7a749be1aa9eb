//! Storing files, and the ways in which that fails.

mod relay;
mod restarts;
mod streams;

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use super::{Fixture, Service, assert_failed, assert_is_empty, assert_ok, random_bytes, stderr, trickles};

fn serve_writable(fixture: &Fixture, listen: &str, options: &[&str]) -> Service {
    let mut command = trickles();
    command.arg("serve").arg(fixture.files()).args(["--writable", "--listen", listen]).args(options);
    Service::start(command.arg("--key-file").arg(fixture.path("keys")))
}

/// A server into an empty directory.
fn served() -> (Fixture, Service) {
    let fixture = Fixture::new();
    let server = serve_writable(&fixture, "127.0.0.1:0", &[]);
    (fixture, server)
}

/// Makes a file to be stored, and the command that stores it at `path`.
fn put(fixture: &Fixture, server: SocketAddr, name: &str, content: &[u8], path: &str) -> Command {
    fs::write(fixture.path(name), content).unwrap();
    let mut command = trickles();
    command.arg("put").arg(name).arg(format!("trickles://{server}{path}"));
    command.current_dir(fixture.root.path());
    command
}

fn served_names(fixture: &Fixture) -> Vec<String> {
    let entries = fs::read_dir(fixture.files()).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_file_is_stored_whole() {
    let (fixture, server) = served();
    for length in [0, 1, 1000, 100_000, 6 << 20] {
        let bytes = random_bytes(length, 2);
        let path = format!("/{length}.bin");
        let output = put(&fixture, server.address, "data.bin", &bytes, &path).output().unwrap();
        assert_ok(&output);
        assert!(fs::read(fixture.files().join(&path[1..])).unwrap() == bytes, "{length}");
        let text = stderr(&output);
        assert!(text.contains(&format!("data.bin: {length} bytes in ")), "{text}");
        assert_ok(&fixture.get(server.address, &path, &["--quiet"]).output().unwrap());
        assert!(fixture.read(&path[1..]) == bytes, "{length}");
    }
    assert_eq!(served_names(&fixture).len(), 5);
}

#[test]
fn a_file_is_stored_where_it_is_wanted() {
    let (fixture, server) = served();
    fs::create_dir(fixture.files().join("sub dir")).unwrap();
    assert_ok(&put(&fixture, server.address, "a b%", b"one", "/sub dir/").output().unwrap());
    assert_eq!(fs::read(fixture.files().join("sub dir/a b%")).unwrap(), b"one");
    assert_ok(&put(&fixture, server.address, "a b%", b"two", "").output().unwrap());
    assert_eq!(fs::read(fixture.files().join("a b%")).unwrap(), b"two");
    let output = put(&fixture, server.address, "other", b"three", "/a%20b%25").output().unwrap();
    assert_ok(&output);
    assert!(stderr(&output).contains("in the place of another file"), "{}", stderr(&output));
    assert_eq!(fs::read(fixture.files().join("a b%")).unwrap(), b"three");
    let output = put(&fixture, server.address, "other", b"", "/a%20b%25").arg("--quiet").output().unwrap();
    assert_ok(&output);
    assert_eq!(stderr(&output), "");
    assert_eq!(served_names(&fixture), ["a b%", "sub dir"]);
}

#[test]
fn a_server_that_is_not_writable_stores_nothing() {
    let fixture = Fixture::new();
    let server = fixture.serve();
    for length in [0, 5, 2 << 20] {
        let bytes = random_bytes(length, 2);
        let output = put(&fixture, server.address, "data.bin", &bytes, "/data.bin").output().unwrap();
        assert_failed(&output, 3, "405 Method Not Allowed");
        let text = stderr(&output);
        assert!(text.contains(&format!("cannot store data.bin at trickles://{}", server.address)), "{text}");
    }
    assert_is_empty(&fixture.files());
}

#[test]
fn what_cannot_be_stored_is_refused() {
    let fixture = Fixture::new();
    fs::create_dir(fixture.files().join("sub")).unwrap();
    let server = serve_writable(&fixture, "127.0.0.1:0", &["--max-upload", "1M"]);
    let long = random_bytes((1 << 20) + 1, 2);
    let cases = [
        ("/long", &long[..], "413 Content Too Large"),
        ("/sub", b"x", "409 Conflict"),
        ("/none/file", b"x", "409 Conflict"),
        ("/../file", b"x", "403 Forbidden"),
        ("/.trickles-upload-1", b"x", "403 Forbidden"),
    ];
    for (path, content, words) in cases {
        let output = put(&fixture, server.address, "data.bin", content, path).output().unwrap();
        assert_failed(&output, 3, words);
    }
    assert_eq!(served_names(&fixture), ["sub"]);
    assert_is_empty(&fixture.files().join("sub"));
    let output = put(&fixture, server.address, "data.bin", &long[1..], "/short").output().unwrap();
    assert_ok(&output);
}

#[test]
fn what_is_no_file_is_not_sent() {
    let (fixture, server) = served();
    let url = format!("trickles://{}/x", server.address);
    let output = trickles().args(["put", "-", &url]).output().unwrap();
    assert_failed(&output, 2, "standard input has no length");
    let directory = fixture.fetched();
    let output = trickles().arg("put").arg(&directory).arg(&url).output().unwrap();
    assert_failed(&output, 1, "not a regular file");
    let output = trickles().arg("put").arg(directory.join("none")).arg(&url).output().unwrap();
    assert_failed(&output, 1, "cannot read");
    let output = trickles().args(["serve", ".", "--max-upload", "1M"]).output().unwrap();
    assert_failed(&output, 2, "--writable");
    assert_is_empty(&fixture.files());
}

#[test]
fn nobody_takes_it() {
    let fixture = Fixture::new();
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let output = put(&fixture, address, "data.bin", b"x", "/x").args(["--timeout", "1"]).output().unwrap();
    assert_failed(&output, 5, "timed out");
    drop(silent);
    let output = put(&fixture, address, "data.bin", b"x", "/x").output().unwrap();
    assert_failed(&output, 4, "refused");
}

#[test]
fn of_two_files_with_one_name_one_is_there_whole() {
    let (fixture, server) = served();
    let contents = [random_bytes(2 << 20, 2), random_bytes(2 << 20, 3)];
    let running = contents.each_ref().map(|content| {
        let name = format!("{}.bin", content[0]);
        put(&fixture, server.address, &name, content, "/data.bin").spawn().unwrap()
    });
    for child in running {
        assert_ok(&child.wait_with_output().unwrap());
    }
    let stored = fs::read(fixture.files().join("data.bin")).unwrap();
    assert!(contents.contains(&stored));
    assert_eq!(served_names(&fixture), ["data.bin"]);
}
