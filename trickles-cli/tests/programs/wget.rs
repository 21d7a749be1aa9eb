//! GNU Wget, by way of the proxy.

use std::fs;
use std::process::{Command, Output};

use super::{Fixture, assert_ok, installed, proxy, stderr};

/// wget without the user's own configuration.
fn wget() -> Option<Command> {
    installed("wget", &["--no-config", "--no-proxy", "--no-verbose", "--tries=1", "--timeout=30"])
}

fn run(fixture: &Fixture, arguments: &[&str]) -> Option<Output> {
    let output = wget()?.args(arguments).current_dir(fixture.fetched()).output().unwrap();
    assert_ok(&output);
    Some(output)
}

#[test]
fn wget_fetches_files_and_what_is_missing_of_them() {
    let fixture = Fixture::new();
    let bytes = fixture.file("data.bin", 3 << 20);
    let server = fixture.serve();
    let proxy = proxy(server.address);
    let url = format!("http://{}/data.bin", proxy.address);
    let path = fixture.fetched().join("data.bin");

    let Some(_) = run(&fixture, &[&url]) else { return };
    assert!(fs::read(&path).unwrap() == bytes);
    let mut expected = bytes;
    expected[0] ^= 1;
    fs::write(&path, &expected[..1_000_000]).unwrap();
    run(&fixture, &["--continue", &url]).unwrap();
    assert!(fs::read(&path).unwrap() == expected);
    // What is there is as new as on the server.
    let output = run(&fixture, &["--timestamping", "--debug", &url]).unwrap();
    assert!(stderr(&output).contains("HTTP/1.1 "), "{}", stderr(&output));
    let head = run(&fixture, &["--spider", "--server-response", &url]).unwrap();
    assert!(stderr(&head).contains("Content-Length: 3145728"), "{}", stderr(&head));
}

#[test]
fn wget_follows_the_links_of_a_page() {
    let fixture = Fixture::new();
    fs::create_dir(fixture.files().join("pages")).unwrap();
    let first = fixture.file("pages/first.bin", 100_000);
    let second = fixture.file("second.bin", 200_000);
    let page = r#"<p><a href="first.bin">first</a> <a href="../second.bin">second</a>"#;
    fs::write(fixture.files().join("pages/index.html"), page).unwrap();
    let server = fixture.serve();
    let proxy = proxy(server.address);
    // Without its slash, the directory is found by way of a redirection.
    let url = format!("http://{}/pages", proxy.address);
    let Some(_) = run(&fixture, &["--recursive", "--no-host-directories", "-e", "robots=off", &url]) else {
        return;
    };
    assert!(fs::read(fixture.fetched().join("pages/first.bin")).unwrap() == first);
    assert!(fs::read(fixture.fetched().join("second.bin")).unwrap() == second);
}
