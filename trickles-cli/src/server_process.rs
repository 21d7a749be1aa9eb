//! `trickles serve` as a process of its own, to be killed and started again.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// What the first line that a server prints begins with; its address follows.
pub(crate) const LISTENING_ON: &str = "listening on ";

/// A server that serves `directory` under the key ring in `key_file`, always at the same address.
#[derive(Debug)]
pub(crate) struct ServerProcess {
    directory: PathBuf,
    key_file: PathBuf,
    address: SocketAddr,
    child: Option<Child>,
    /// What a server that is starting prints.
    starting: Option<Lines<BufReader<ChildStdout>>>,
}

impl ServerProcess {
    /// A server that is yet to be started.
    pub(crate) fn new(directory: PathBuf, key_file: PathBuf) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        Self { directory, key_file, address, child: None, starting: None }
    }

    /// Starts the process; [`started`](Self::started) tells when it listens.
    pub(crate) fn start(&mut self) -> Result<()> {
        let program = std::env::current_exe().context("cannot find this program")?;
        let mut child = Command::new(program)
            .arg("serve")
            .arg(&self.directory)
            .args(["--listen", &self.address.to_string()])
            .arg("--key-file")
            .arg(&self.key_file)
            .arg("--until-eof")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("cannot start a server")?;
        self.starting = child.stdout.take().map(|stdout| BufReader::new(stdout).lines());
        self.child = Some(child);
        Ok(())
    }

    pub(crate) fn is_starting(&self) -> bool {
        self.starting.is_some()
    }

    /// Resolves when the server listens, with its address. Nothing is lost when this is dropped before.
    pub(crate) async fn started(&mut self) -> Result<SocketAddr> {
        if let Some(lines) = &mut self.starting {
            let Some(line) = lines.next_line().await? else { bail!("the server does not start") };
            let address = line.strip_prefix(LISTENING_ON).and_then(|address| address.parse().ok());
            self.address = address.with_context(|| format!("unexpected words from the server: {line}"))?;
            self.starting = None;
        }
        Ok(self.address)
    }

    /// Kills the process in a way that it cannot notice, and waits until it is gone.
    pub(crate) async fn kill(&mut self) -> Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        let ended = child.try_wait()?;
        ensure!(ended.is_none(), "the server has ended by itself");
        child.kill().await.context("cannot kill the server")
    }
}
