//! `trickles put`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Error, Result, ensure};
use clap::Args;
use sha2::{Digest as _, Sha256};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use trickles::client::Failure;

use crate::clock;
use crate::connect::StreamArguments;
use crate::digest_field::Digest;
use crate::exit::{self, UsageError, failure};
use crate::file_service::WRITE;
use crate::http_client::{self, Content};
use crate::progress::{self, Transfer};
use crate::url::Url;

const EXAMPLES: &str = "\
Examples:
  trickles put notes.txt trickles://10.0.0.1/notes.txt     a new file, or in the place of the old one
  trickles put movie.mkv trickles://[::1]:4433/films/      under its name, in a directory that is there
  trickles put --quiet b.iso trickles://host/b.iso         without progress and summary

The server must be one that allows it, as `trickles serve --writable` does. It compares what it has stored
with the SHA-256 digest of FILE; only then does the file appear under its name.";

/// Store a file on a server.
#[derive(Debug, Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", exit::HELP))]
pub(crate) struct Put {
    /// The file; standard input has no length to be announced and cannot be stored.
    file: PathBuf,

    /// Where to store it, as trickles://HOST:PORT/PATH; behind a slash at the end it has the name of FILE.
    url: Url,

    /// Show neither progress nor a summary.
    #[arg(short, long)]
    quiet: bool,

    #[command(flatten)]
    stream: StreamArguments,
}

impl Put {
    pub(crate) async fn run(self) -> Result<()> {
        if self.file == Path::new("-") {
            let message =
                "standard input has no length to be announced: name a file (./- if it is called so)";
            return Err(UsageError(message.to_owned()).into());
        }
        let url = match self.file.file_name() {
            Some(name) => self.url.or_in_directory(&name.to_string_lossy()),
            None => self.url,
        };
        let name = self.file.display();
        let (mut file, length) = open(&self.file).await.with_context(|| format!("cannot read {name}"))?;
        let bar = progress::bar(Some(length), 0, self.quiet);
        let digest = hash(&mut file, length, |count| bar.inc(count)).await;
        bar.finish_and_clear();
        let digest = digest.with_context(|| format!("cannot read {name}"))?;

        let started = clock::now();
        let bar = progress::bar(Some(length), 0, self.quiet);
        let content = Content { reader: file, length, digest };
        let stored = http_client::put(&url, content, self.stream.builder(), |count| bar.inc(count)).await;
        bar.finish_and_clear();
        let created = stored.map_err(explain).with_context(|| format!("cannot store {name} at {url}"))?;
        if !self.quiet {
            let transfer = Transfer { bytes: length, time: started.elapsed() };
            eprintln!("{name}: {transfer}{}", if created { "" } else { ", in the place of another file" });
        }
        Ok(())
    }
}

/// Opens a file that can be read twice, and finds its length.
async fn open(path: &Path) -> Result<(File, u64)> {
    // To open a pipe would wait for somebody to write to it.
    ensure!(tokio::fs::metadata(path).await?.is_file(), "it is not a regular file");
    let file = File::open(path).await?;
    let length = file.metadata().await?.len();
    Ok((file, length))
}

/// The digest of the first `length` bytes; `file` is at its beginning before and after that.
async fn hash(file: &mut File, length: u64, progress: impl Fn(u64)) -> Result<Digest> {
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 256 << 10];
    let mut reader = (&mut *file).take(length);
    loop {
        match reader.read(&mut buffer).await? {
            0 => break,
            count => {
                digest.update(&buffer[..count]);
                progress(count as u64);
            }
        }
    }
    file.rewind().await?;
    Ok(digest.finalize().into())
}

/// Says what the failure of a stream means for an upload.
fn explain(error: Error) -> Error {
    match error.chain().find_map(|cause| failure(cause.downcast_ref()?)) {
        Some(Failure::Reset(WRITE)) => error.context("the server cannot store the file"),
        Some(Failure::UnknownKey) => error.context("the server has lost or changed its key ring"),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_is_hashed_before_it_is_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, "0123456789").unwrap();
        let (mut file, length) = open(&path).await.unwrap();
        let digest = hash(&mut file, length, |_| {}).await.unwrap();
        assert_eq!(digest[..], Sha256::digest("0123456789")[..]);
        let mut again = String::new();
        file.read_to_string(&mut again).await.unwrap();
        assert_eq!(again, "0123456789");
        assert!(open(directory.path()).await.is_err());
    }
}
