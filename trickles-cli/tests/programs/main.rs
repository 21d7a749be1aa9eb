//! HTTP clients and a browser, as others have made them, against `trickles serve`.
//!
//! A program that is not installed is skipped, with a line that says so.

#![expect(clippy::unwrap_used, reason = "it is the tests' way to fail, in what they share too")]

mod chromium;
#[path = "../common/mod.rs"]
mod common;
mod curl;
mod hyper;
mod migration;
mod pipelining;
mod proxy;
mod reqwest;
mod socks;
mod wget;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::{Command, Output, Stdio};
use std::thread;

use common::{Fixture, Service, assert_ok, sha256, stderr, trickles};

/// The size of a large body.
const LARGE: usize = 100 << 20;

/// A proxy to the server at `to`.
fn proxy(to: SocketAddr) -> Service {
    start_proxy(&["--to", &format!("trickles://{to}")])
}

fn socks_proxy() -> Service {
    start_proxy(&["--socks5"])
}

fn start_proxy(options: &[&str]) -> Service {
    let mut command = trickles();
    // What it warns of is what the tests provoke.
    command.env("RUST_LOG", "error");
    Service::start(command.args(["proxy", "--listen", "127.0.0.1:0"]).args(options))
}

/// A program with the options that all its runs share; `None`, and a word about it, when it is not installed.
fn installed(program: &str, options: &[&str]) -> Option<Command> {
    let version = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !version.is_ok_and(|status| status.success()) {
        skipped(&format!("{program} is not installed"));
        return None;
    }
    let mut command = Command::new(program);
    // Whatever proxies the machine is set up with, these tests bring their own.
    for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
        command.env_remove(name).env_remove(name.to_uppercase());
    }
    command.args(options);
    Some(command)
}

/// Says that something is not tested. The harness swallows what successful tests print by macros.
fn skipped(reason: &str) {
    let name = thread::current().name().unwrap_or_default().to_owned();
    let mut stderr = io::stderr();
    writeln!(stderr, "SKIPPED {name}: {reason}").unwrap();
}

fn stdout(output: &Output) -> &str {
    str::from_utf8(&output.stdout).unwrap()
}
