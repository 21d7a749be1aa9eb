//! The program as its users have it: processes, sockets and files.

#![expect(clippy::unwrap_used, reason = "it is the tests' way to fail, in what they share too")]

mod demo;
mod get;
mod help;
mod keys;
mod restart;
mod resume;

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

fn trickles() -> Command {
    Command::new(env!("CARGO_BIN_EXE_trickles"))
}

/// Bytes that are the same in every run.
fn random_bytes(length: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; length];
    ChaCha8Rng::seed_from_u64(seed).fill_bytes(&mut bytes);
    bytes
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn stderr(output: &Output) -> &str {
    str::from_utf8(&output.stderr).unwrap()
}

/// Asserts how a command ended, and that it told why in these words.
#[track_caller]
fn assert_failed(output: &Output, code: i32, words: &str) {
    let text = stderr(output);
    assert!(output.status.code() == Some(code) && text.contains(words), "{:?} {text}", output.status);
}

/// Asserts that a command succeeded.
#[track_caller]
fn assert_ok(output: &Output) {
    assert!(output.status.success(), "{:?} {}", output.status, stderr(output));
}

/// Sends a signal, as `kill` does.
#[cfg(unix)]
fn signal(child: &Child, name: &str) {
    let command = format!("kill -{name} {}", child.id());
    assert!(Command::new("sh").args(["-c", &command]).status().unwrap().success());
}

/// A directory to be served, a key ring, and a directory to fetch files to.
struct Fixture {
    root: TempDir,
}

impl Fixture {
    fn new() -> Self {
        let fixture = Self { root: tempfile::tempdir().unwrap() };
        fs::create_dir(fixture.files()).unwrap();
        fs::create_dir(fixture.fetched()).unwrap();
        fixture.make_keys("keys");
        fixture
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn files(&self) -> PathBuf {
        self.path("files")
    }

    fn fetched(&self) -> PathBuf {
        self.path("fetched")
    }

    fn make_keys(&self, name: &str) {
        assert_ok(&trickles().arg("keygen").arg(self.path(name)).output().unwrap());
    }

    /// Makes a file to be served, and returns what is in it.
    fn file(&self, name: &str, length: usize) -> Vec<u8> {
        let bytes = random_bytes(length, 1);
        fs::write(self.files().join(name), &bytes).unwrap();
        bytes
    }

    fn serve(&self) -> ServeProcess {
        self.serve_with("keys", "127.0.0.1:0")
    }

    fn serve_with(&self, keys: &str, listen: &str) -> ServeProcess {
        let mut command = trickles();
        command.arg("serve").arg(self.files()).args(["--listen", listen]);
        ServeProcess::start(command.arg("--key-file").arg(self.path(keys)))
    }

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

/// A running `trickles serve`.
struct ServeProcess {
    child: Child,
    address: SocketAddr,
}

impl ServeProcess {
    fn start(command: &mut Command) -> Self {
        let command = command.arg("--until-eof").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.strip_prefix("listening on ").unwrap_or_else(|| panic!("{line:?}"));
        Self { address: address.trim_end().parse().unwrap(), child }
    }

    /// Kills the process in a way that it cannot notice.
    fn kill(mut self) -> SocketAddr {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.address
    }

    #[cfg(unix)]
    fn stop(mut self, name: &str) -> std::process::ExitStatus {
        signal(&self.child, name);
        self.child.wait().unwrap()
    }
}

impl Drop for ServeProcess {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[track_caller]
fn assert_is_empty(directory: &Path) {
    let left: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.is_empty(), "{left:?}");
}
