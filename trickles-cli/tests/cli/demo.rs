//! The demonstration.

use std::io::{BufRead, BufReader};
use std::net::UdpSocket;
use std::process::Stdio;

use super::{Fixture, assert_failed, assert_is_empty, assert_ok, stderr, trickles};

#[test]
fn every_kill_is_survived() {
    let fixture = Fixture::new();
    for (size, kills) in [("4M", "3"), ("1310720", "4"), ("1M", "0")] {
        let mut command = trickles();
        command.args(["demo", "--size", size, "--kills", kills]).env("TMPDIR", fixture.fetched());
        let output = command.output().unwrap();
        assert_ok(&output);
        let report = str::from_utf8(&output.stdout).unwrap();
        for line in ["received ", "SHA-256         ok", &format!("{kills} survived"), "longest stall "] {
            assert!(report.contains(line), "{report}");
        }
        let killed = stderr(&output).matches("killed the server after ").count();
        assert_eq!(killed.to_string(), kills);
        assert_is_empty(&fixture.fetched());
    }
}

#[test]
fn kills_need_room() {
    let output = trickles().args(["demo", "--size", "1M", "--kills", "4"]).output().unwrap();
    assert_failed(&output, 2, "4 kills need a file of at least 1310720 bytes");
    let output = trickles().args(["demo", "--size", "1X"]).output().unwrap();
    assert_failed(&output, 2, "not a unit");
}

#[cfg(unix)]
#[test]
fn an_interrupted_demonstration_leaves_nothing_behind() {
    let fixture = Fixture::new();
    let mut command = trickles();
    command.args(["demo", "--size", "128M"]).env("TMPDIR", fixture.fetched());
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let line = lines.find(|line| line.starts_with("the server listens on ")).unwrap();
    super::signal(&child, "INT");
    // Whoever writes on is not to be held up.
    assert!(lines.any(|line| line.contains("interrupted")));
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_is_empty(&fixture.fetched());
    UdpSocket::bind(line.rsplit(' ').next().unwrap()).unwrap();
}
