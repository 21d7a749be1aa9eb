//! What tests of the program share.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

pub(crate) fn trickles() -> Command {
    Command::new(env!("CARGO_BIN_EXE_trickles"))
}

/// Bytes that are the same in every run.
pub(crate) fn random_bytes(length: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; length];
    ChaCha8Rng::seed_from_u64(seed).fill_bytes(&mut bytes);
    bytes
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn stderr(output: &Output) -> &str {
    str::from_utf8(&output.stderr).unwrap()
}

/// Asserts that a command succeeded.
#[track_caller]
pub(crate) fn assert_ok(output: &Output) {
    assert!(output.status.success(), "{:?} {}", output.status, stderr(output));
}

/// Sends a signal, as `kill` does.
#[cfg(unix)]
pub(crate) fn signal(child: &Child, name: &str) {
    let command = format!("kill -{name} {}", child.id());
    assert!(Command::new("sh").args(["-c", &command]).status().unwrap().success());
}

/// A directory to be served, a key ring, and a directory to fetch files to.
pub(crate) struct Fixture {
    pub(crate) root: TempDir,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let fixture = Self { root: tempfile::tempdir().unwrap() };
        fs::create_dir(fixture.files()).unwrap();
        fs::create_dir(fixture.fetched()).unwrap();
        fixture.make_keys("keys");
        fixture
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub(crate) fn files(&self) -> PathBuf {
        self.path("files")
    }

    pub(crate) fn fetched(&self) -> PathBuf {
        self.path("fetched")
    }

    pub(crate) fn make_keys(&self, name: &str) {
        assert_ok(&trickles().arg("keygen").arg(self.path(name)).output().unwrap());
    }

    /// Makes a file to be served, and returns what is in it.
    pub(crate) fn file(&self, name: &str, length: usize) -> Vec<u8> {
        let bytes = random_bytes(length, 1);
        fs::write(self.files().join(name), &bytes).unwrap();
        bytes
    }

    pub(crate) fn serve(&self) -> Service {
        self.serve_with("keys", "127.0.0.1:0")
    }

    pub(crate) fn serve_with(&self, keys: &str, listen: &str) -> Service {
        self.serve_with_options(keys, listen, &[])
    }

    pub(crate) fn serve_with_options(&self, keys: &str, listen: &str, options: &[&str]) -> Service {
        let mut command = trickles();
        command.arg("serve").arg(self.files()).args(["--listen", listen]).args(options);
        Service::start(command.arg("--key-file").arg(self.path(keys)))
    }
}

/// A running `trickles serve` or `trickles proxy`.
pub(crate) struct Service {
    pub(crate) child: Child,
    pub(crate) address: SocketAddr,
}

impl Service {
    pub(crate) fn start(command: &mut Command) -> Self {
        let command = command.arg("--until-eof").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.strip_prefix("listening on ").unwrap_or_else(|| panic!("{line:?}"));
        Self { address: address.trim_end().parse().unwrap(), child }
    }

    /// Kills the process in a way that it cannot notice.
    pub(crate) fn kill(mut self) -> SocketAddr {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.address
    }

    #[cfg(unix)]
    pub(crate) fn stop(mut self, name: &str) -> std::process::ExitStatus {
        signal(&self.child, name);
        self.child.wait().unwrap()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
