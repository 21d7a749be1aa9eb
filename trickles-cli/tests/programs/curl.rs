//! curl, by way of the proxy.

use std::fs;
use std::io::Read;
use std::process::{Command, Output, Stdio};

use super::{Fixture, LARGE, assert_ok, installed, proxy, sha256, socks_proxy, stdout};

/// curl without the user's own configuration.
fn curl() -> Option<Command> {
    installed("curl", &["-q", "--silent", "--show-error", "--fail-with-body", "--max-time", "60"])
}

fn run(arguments: &[&str]) -> Option<Output> {
    let output = curl()?.args(arguments).output().unwrap();
    assert_ok(&output);
    Some(output)
}

#[test]
fn curl_fetches_files_and_parts_of_them() {
    let fixture = Fixture::new();
    let bytes = fixture.file("data.bin", 1 << 20);
    let server = fixture.serve();
    let proxy = proxy(server.address);
    let url = format!("http://{}/data.bin", proxy.address);

    let Some(whole) = run(&[&url]) else { return };
    assert!(whole.stdout == bytes);
    assert!(run(&["--range", "1000-199999", &url]).unwrap().stdout == bytes[1000..200_000]);
    let head = run(&["--head", &url]).unwrap();
    assert!(stdout(&head).contains("Content-Length: 1048576\r\n"), "{}", stdout(&head));
    let missing = curl().unwrap().arg(format!("http://{}/none", proxy.address)).output().unwrap();
    assert_eq!((missing.status.code(), stdout(&missing)), (Some(22), "404 Not Found\n"));
}

#[test]
fn curl_fetches_many_files_over_one_connection() {
    let fixture = Fixture::new();
    let bytes = fixture.file("data.bin", 200_000);
    let server = fixture.serve();
    let proxy = proxy(server.address);
    let url = format!("http://{}/data.bin?[1-10]", proxy.address);
    let out = fixture.fetched().join("#1");
    let arguments = ["--write-out", "%{num_connects} ", "--output", out.to_str().unwrap(), &url];
    let Some(output) = run(&arguments) else { return };
    assert_eq!(stdout(&output), "1 0 0 0 0 0 0 0 0 0 ");
    for index in 1..=10 {
        assert!(fs::read(fixture.fetched().join(index.to_string())).unwrap() == bytes);
    }
}

#[test]
fn curl_resumes_what_was_interrupted() {
    let fixture = Fixture::new();
    let bytes = fixture.file("data.bin", 1 << 20);
    let server = fixture.serve();
    let proxy = proxy(server.address);
    let part = fixture.fetched().join("part");
    // A mark in what is there tells whether it is fetched again.
    let mut expected = bytes;
    expected[0] ^= 1;
    fs::write(&part, &expected[..400_000]).unwrap();
    let url = format!("http://{}/data.bin", proxy.address);
    let Some(_) = run(&["-C", "-", "--output", part.to_str().unwrap(), &url]) else { return };
    assert!(fs::read(&part).unwrap() == expected);
}

#[test]
fn curl_fetches_a_large_file() {
    let fixture = Fixture::new();
    let expected = sha256(&fixture.file("large.bin", LARGE));
    let server = fixture.serve();
    let proxy = proxy(server.address);
    let Some(output) = run(&[&format!("http://{}/large.bin", proxy.address)]) else { return };
    assert_eq!(sha256(&output.stdout), expected);
}

#[test]
fn curl_asks_the_socks_server_for_addresses_and_names() {
    let fixture = Fixture::new();
    let bytes = fixture.file("data.bin", 200_000);
    let server = fixture.serve();
    let proxy = socks_proxy();
    let (socks, port) = (proxy.address.to_string(), server.address.port());
    for (option, host) in
        [("--socks5", "127.0.0.1"), ("--socks5-hostname", "127.0.0.1"), ("--socks5-hostname", "localhost")]
    {
        let url = format!("http://{host}:{port}/data.bin");
        let Some(output) = run(&[option, &socks, &url]) else { return };
        assert!(output.stdout == bytes);
    }
}

#[test]
fn a_download_by_curl_survives_every_kill_of_the_server() {
    const KILLS: usize = 5;
    // Far more than TCP, a pipe and the buffers of three programs hold: each kill hits a server that still has
    // something to send, and bytes from each server come before the next kill.
    const SEGMENT: usize = 16 << 20;
    let fixture = Fixture::new();
    let bytes = fixture.file("large.bin", SEGMENT * (KILLS + 1));
    let mut server = fixture.serve();
    let proxy = proxy(server.address);
    let Some(mut curl) = curl() else { return };
    let url = format!("http://{}/large.bin", proxy.address);
    let mut curl = curl.arg(url).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdout = curl.stdout.take().unwrap();
    let mut received = Vec::with_capacity(bytes.len());
    for _ in 0..KILLS {
        stdout.by_ref().take(SEGMENT as u64).read_to_end(&mut received).unwrap();
        let address = server.kill();
        server = fixture.serve_with("keys", &address.to_string());
    }
    stdout.read_to_end(&mut received).unwrap();
    assert!(curl.wait().unwrap().success());
    assert!(received == bytes);
}
