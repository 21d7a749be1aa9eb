//! The program as its users have it: processes, sockets and files.

#![expect(clippy::unwrap_used, reason = "it is the tests' way to fail, in what they share too")]

mod bench;
#[path = "../common/mod.rs"]
mod common;
mod demo;
mod get;
mod help;
mod keys;
mod put;
mod restart;
mod resume;

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output};

use common::{Fixture, Service, assert_ok, random_bytes, sha256, signal, stderr, trickles};

/// Asserts how a command ended, and that it told why in these words.
#[track_caller]
fn assert_failed(output: &Output, code: i32, words: &str) {
    let text = stderr(output);
    assert!(output.status.code() == Some(code) && text.contains(words), "{:?} {text}", output.status);
}

impl Fixture {
    /// `trickles get` in the directory for fetched files.
    fn get(&self, server: SocketAddr, path: &str, options: &[&str]) -> Command {
        let mut command = trickles();
        command.arg("get").arg(format!("trickles://{server}{path}")).args(options);
        command.current_dir(self.fetched());
        command
    }

    fn fetched_names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.fetched()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.fetched().join(name)).unwrap()
    }
}

#[track_caller]
fn assert_is_empty(directory: &Path) {
    let left: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.is_empty(), "{left:?}");
}
