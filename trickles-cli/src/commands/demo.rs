//! `trickles demo`.

use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use indicatif::{HumanBytes, ProgressBar};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use sha2::{Digest, Sha256};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use trickles::client::ClientConfig;
use trickles_tokio::TricklesStream;

use crate::clock;
use crate::exit::{Interrupted, UsageError};
use crate::http_client::{self, Answer};
use crate::interrupt::Interrupt;
use crate::key_file;
use crate::progress::{self, Transfer, hex};
use crate::server_process::ServerProcess;
use crate::size::parse_size;
use crate::url::Url;

const EXAMPLES: &str = "\
Examples:
  trickles demo                       256 MiB, and three kills
  trickles demo --size 1G --kills 20  more of both

It needs nothing but this program, uses only this machine, and leaves nothing behind.

Exit codes: 0 every byte is right and every kill came before the end of the transfer, 1 otherwise,
2 wrong usage, 130 interrupted";

const FILE_NAME: &str = "random.bin";
const MIB: u64 = 1 << 20;
/// The least that is received from one kill to the next.
const MIN_SEGMENT: u64 = 256 << 10;

/// See one stream survive a server that is killed with SIGKILL and started again.
///
/// Makes a file of random bytes, starts a server, and fetches the file while it kills the server again and
/// again. What a new server needs to know to go on, the client tells it: this process opens one stream, and
/// the servers share nothing but a key ring and the file.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Demo {
    /// The size of the file in bytes, or with K, M or G behind it in KiB, MiB or GiB.
    #[arg(long, value_name = "BYTES", default_value = "256M", value_parser = parse_size)]
    size: u64,

    /// How often the server is killed, evenly spread over the transfer.
    #[arg(long, value_name = "N", default_value_t = 3)]
    kills: u32,
}

/// What came of a transfer.
struct Outcome {
    transfer: Transfer,
    digest: String,
    kills: u32,
    /// The longest time without a byte.
    stall: Duration,
}

impl Demo {
    pub(crate) async fn run(self) -> Result<()> {
        let least = MIN_SEGMENT * (u64::from(self.kills) + 1);
        if self.size < least {
            let message = format!("{} kills need a file of at least {least} bytes", self.kills);
            return Err(UsageError(message).into());
        }
        let mut interrupt = Interrupt::new()?;
        let directory = tempfile::Builder::new().prefix("trickles-demo-").tempdir()?;
        let served = directory.path().join("files");
        tokio::fs::create_dir(&served).await?;
        let keys = directory.path().join("keys");
        key_file::create(&keys, &key_file::generate(1)?)?;

        let mut server = ServerProcess::new(served.clone(), keys);
        let result = tokio::select! {
            result = self.demonstrate(&served, &mut server) => result,
            () = interrupt.received() => Err(Interrupted.into()),
        };
        let killed = server.kill().await;
        directory.close().context("cannot remove the temporary directory")?;
        report(&result?).context("cannot write to standard output")?;
        killed
    }

    async fn demonstrate(&self, served: &Path, server: &mut ServerProcess) -> Result<Outcome> {
        eprintln!("making a file of {} random bytes", self.size);
        let expected = make_file(&served.join(FILE_NAME), self.size).await.context("cannot make the file")?;
        server.start()?;
        let address = server.started().await?;
        eprintln!("the server listens on {address}");
        let url = format!("trickles://{address}/{FILE_NAME}").parse()?;
        let bar = progress::bar(Some(self.size), 0, false);
        let outcome = self.fetch(&url, server, &bar).await;
        bar.finish_and_clear();
        let outcome = outcome?;
        ensure!(outcome.transfer.bytes == self.size, "received {} bytes", outcome.transfer.bytes);
        ensure!(outcome.digest == expected, "the bytes received are not those of the file");
        ensure!(outcome.kills == self.kills, "the transfer ended after {} kills", outcome.kills);
        Ok(outcome)
    }

    /// Fetches the file over one stream, and kills the server on the way.
    async fn fetch(&self, url: &Url, server: &mut ServerProcess, bar: &ProgressBar) -> Result<Outcome> {
        let segment = self.size / (u64::from(self.kills) + 1);
        // What the client may hold for its reader is less than what lies between two kills. So each of them
        // comes before the end of the transfer, and after bytes from the server that it hits.
        let receive_buffer = ClientConfig::default().receive_buffer.min((segment / 4) as usize);
        let builder = TricklesStream::builder().receive_buffer(receive_buffer);
        let started = clock::now();
        let Answer::Whole(_, mut body) = http_client::get(url, None, builder).await? else {
            bail!("the server does not send the whole file");
        };
        let (mut received, mut kills, mut stall) = (0, 0, Duration::ZERO);
        let mut digest = Sha256::new();
        let mut buffer = vec![0; (receive_buffer / 4).min(256 << 10)];
        let mut last = clock::now();
        loop {
            let count = tokio::select! {
                count = body.read(&mut buffer) => count?,
                result = server.started(), if server.is_starting() => {
                    result?;
                    bar.suspend(|| eprintln!("started it again after {} ms", last.elapsed().as_millis()));
                    continue;
                }
            };
            let now = clock::now();
            stall = stall.max(now.saturating_duration_since(last));
            last = now;
            if count == 0 {
                break;
            }
            digest.update(&buffer[..count]);
            received += count as u64;
            bar.set_position(received);
            if kills < self.kills && received >= segment * (u64::from(kills) + 1) {
                server.kill().await?;
                kills += 1;
                bar.suspend(|| eprintln!("killed the server after {}", HumanBytes(received)));
                server.start()?;
            }
        }
        let transfer = Transfer { bytes: received, time: started.elapsed() };
        Ok(Outcome { transfer, digest: hex(&digest.finalize()), kills, stall })
    }
}

fn report(outcome: &Outcome) -> io::Result<()> {
    let Outcome { transfer, digest, kills, stall } = outcome;
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "received        {transfer}, over one stream")?;
    writeln!(stdout, "SHA-256         ok ({digest})")?;
    writeln!(stdout, "restarts        {kills} survived")?;
    writeln!(stdout, "longest stall   {} ms", stall.as_millis())
}

/// Fills a new file with random bytes; returns their digest.
async fn make_file(path: &Path, size: u64) -> Result<String> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)?;
    let mut random = ChaCha8Rng::from_seed(seed);
    let mut file = File::create_new(path).await?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; MIB as usize];
    let mut left = size;
    while left > 0 {
        let chunk = &mut buffer[..left.min(MIB) as usize];
        random.fill_bytes(chunk);
        digest.update(&*chunk);
        file.write_all(chunk).await?;
        left -= chunk.len() as u64;
    }
    file.flush().await?;
    Ok(hex(&digest.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_digest_is_that_of_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let digest = make_file(&path, MIB + 3).await.unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes.len() as u64, MIB + 3);
        assert_eq!(digest, hex(&Sha256::digest(&bytes)));
    }
}
