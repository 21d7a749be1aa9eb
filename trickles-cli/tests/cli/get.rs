//! Fetching files, and the ways in which that fails.

use std::fs;
use std::net::UdpSocket;

use super::{Fixture, assert_failed, assert_is_empty, assert_ok, sha256, stderr, trickles};

#[test]
fn a_file_arrives_whole() {
    let fixture = Fixture::new();
    let bytes = fixture.file("data.bin", 3 << 20);
    let server = fixture.serve();
    let output = fixture.get(server.address, "/data.bin", &["--sha256"]).output().unwrap();
    assert_ok(&output);
    assert!(fixture.read("data.bin") == bytes);
    assert_eq!(fixture.fetched_names(), ["data.bin"]);
    assert_eq!(str::from_utf8(&output.stdout).unwrap(), format!("{}  data.bin\n", sha256(&bytes)));
    assert!(stderr(&output).contains("data.bin: 3145728 bytes in "), "{}", stderr(&output));
}

#[test]
fn a_file_goes_where_it_is_wanted() {
    let fixture = Fixture::new();
    let bytes = fixture.file("a b.bin", 100_000);
    let server = fixture.serve();

    assert_ok(&fixture.get(server.address, "/a b.bin", &[]).output().unwrap());
    assert!(fixture.read("a b.bin") == bytes);
    assert_ok(&fixture.get(server.address, "/a%20b.bin", &["-o", "other"]).output().unwrap());
    assert!(fixture.read("other") == bytes);

    let output = fixture.get(server.address, "/a%20b.bin", &["-o", "-", "--sha256"]).output().unwrap();
    assert_ok(&output);
    assert!(output.stdout == bytes);
    assert!(stderr(&output).contains(&format!("{}  -\n", sha256(&bytes))), "{}", stderr(&output));
    assert_eq!(fixture.fetched_names(), ["a b.bin", "other"]);
}

#[test]
fn either_side_can_do_without_offload() {
    let fixture = Fixture::new();
    let bytes = fixture.file("data.bin", 1 << 20);
    for (at_server, at_client) in [(&["--no-offload"][..], &[][..]), (&[], &["--no-offload"])] {
        let server = fixture.serve_with_options("keys", "127.0.0.1:0", at_server);
        assert_ok(&fixture.get(server.address, "/data.bin", at_client).output().unwrap());
        assert!(fixture.read("data.bin") == bytes);
    }
}

#[test]
#[cfg(any(target_os = "android", target_os = "freebsd", target_os = "linux"))]
fn a_server_on_several_cores_serves_all_and_ends_when_told_to() {
    let fixture = Fixture::new();
    let bytes = fixture.file("data.bin", 1 << 20);
    let server = fixture.serve_with_options("keys", "127.0.0.1:0", &["--cores", "3"]);
    for number in 0..6 {
        let name = format!("{number}.bin");
        assert_ok(&fixture.get(server.address, "/data.bin", &["-o", &name]).output().unwrap());
        assert!(fixture.read(&name) == bytes);
    }
    let listen = server.address.to_string();
    let again =
        trickles().arg("serve").arg(fixture.files()).args(["--listen", &listen, "--cores", "2"]).output();
    assert_failed(&again.unwrap(), 1, "cannot listen on");
    assert!(server.stop("TERM").success());
}

#[test]
fn an_empty_file_arrives() {
    let fixture = Fixture::new();
    fixture.file("empty", 0);
    let server = fixture.serve();
    let output = fixture.get(server.address, "/empty", &["--quiet"]).output().unwrap();
    assert_ok(&output);
    assert!(!stderr(&output).contains("bytes in"));
    assert_eq!(fixture.fetched_names(), ["empty"]);
    assert!(fixture.read("empty").is_empty());
}

#[test]
fn a_request_may_be_longer_than_the_first_packet() {
    let fixture = Fixture::new();
    let bytes = fixture.file("data.bin", 5000);
    let server = fixture.serve();
    let path = format!("/data.bin?{}", "x".repeat(940));
    assert_ok(&fixture.get(server.address, &path, &[]).output().unwrap());
    assert!(fixture.read("data.bin") == bytes);
    let path = format!("/data.bin?{}", "x".repeat(2000));
    assert_failed(&fixture.get(server.address, &path, &[]).output().unwrap(), 3, "414");
}

#[test]
fn an_http_error_leaves_nothing_behind() {
    let fixture = Fixture::new();
    fs::create_dir(fixture.files().join("directory")).unwrap();
    let server = fixture.serve();
    let output = fixture.get(server.address, "/none", &[]).output().unwrap();
    assert_failed(&output, 3, "404 Not Found");
    let output = fixture.get(server.address, "/directory", &[]).output().unwrap();
    assert_failed(&output, 3, "it points to /directory/");
    assert_is_empty(&fixture.fetched());
}

#[test]
fn nothing_outside_of_the_directory_is_served() {
    let fixture = Fixture::new();
    fs::write(fixture.path("secret"), "secret").unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink(fixture.path("secret"), fixture.files().join("link")).unwrap();
    let server = fixture.serve();
    let absolute = format!("/{}", fixture.path("secret").display());
    for path in ["/../secret", "/%2e%2e/secret", "/x/../../secret", "/..%2fsecret", "/link", &absolute] {
        let output = fixture.get(server.address, path, &["-o", "stolen"]).output().unwrap();
        assert_failed(&output, 3, "404 Not Found");
    }
    assert_is_empty(&fixture.fetched());
}

#[test]
fn nobody_listens() {
    let fixture = Fixture::new();
    let free = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let output = fixture.get(free, "/data.bin", &[]).output().unwrap();
    assert_failed(&output, 4, "refused");
    assert!(stderr(&output).contains(&format!("cannot fetch trickles://{free}/data.bin")));
}

#[test]
fn nobody_answers() {
    let fixture = Fixture::new();
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let output = fixture.get(address, "/data.bin", &["--timeout", "1"]).output().unwrap();
    assert_failed(&output, 5, "timed out");
}

#[test]
fn wrong_usage_is_told_apart() {
    let fixture = Fixture::new();
    let free = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for path in ["/", "/directory/", "/.profile", "/a%2fb"] {
        assert_failed(&fixture.get(free, path, &[]).output().unwrap(), 2, "choose one with -o");
    }
    let output = trickles().args(["get", "http://localhost/x"]).output().unwrap();
    assert_failed(&output, 2, "expected trickles://HOST[:PORT]/PATH");
    let output = fixture.get(free, "/x", &["-o", fixture.files().to_str().unwrap()]).output().unwrap();
    assert_failed(&output, 1, "is a directory");
}
