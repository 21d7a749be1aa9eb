//! `trickles get`.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Error, Result, bail};
use clap::Args;
use sha2::{Digest, Sha256};
use tokio::io::AsyncReadExt;
use trickles::client::Failure;

use crate::clock;
use crate::connect::StreamArguments;
use crate::destination::{Destination, Sink};
use crate::exit::{self, UsageError, failure};
use crate::file_service::{CHANGED, READ};
use crate::http_client::{self, Answer, Body};
use crate::progress::{self, Transfer, hex};
use crate::url::Url;

const EXAMPLES: &str = "\
Examples:
  trickles get trickles://10.0.0.1/movie.mkv               to ./movie.mkv
  trickles get trickles://[::1]:4433/a/b.iso -o /tmp/b     to /tmp/b
  trickles get trickles://host/list.txt -o - --quiet       to standard output
  trickles get trickles://host/b.iso --sha256              and print its digest

An incomplete download is kept as FILE.part, with FILE.part.etag; the same command continues it, unless
the file has changed on the server. FILE is replaced when the download is complete, and not before.";

/// Fetch a file, or the rest of it.
#[derive(Debug, Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", exit::HELP))]
pub(crate) struct Get {
    /// The file, as trickles://HOST:PORT/PATH; the port can be left out if it is 4433.
    url: Url,

    /// Where to store it; `-` is standard output. The default is the last part of the path, in this directory.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Print the SHA-256 digest as `sha256sum` does; to standard error if standard output takes the file.
    #[arg(long)]
    sha256: bool,

    /// Show neither progress nor a summary.
    #[arg(short, long)]
    quiet: bool,

    #[command(flatten)]
    stream: StreamArguments,
}

/// A download that is under way.
struct Download {
    /// The length of the body, if the server tells.
    length: Option<u64>,
    body: Body,
    /// How much of the file was there before.
    offset: u64,
    sink: Sink,
}

impl Get {
    pub(crate) async fn run(self) -> Result<()> {
        let path = self.path()?;
        let mut destination = match &path {
            Some(path) => Destination::new(path).await?,
            None => Destination::Stdout,
        };
        let name = path.as_deref().unwrap_or(Path::new("-")).display();
        let mut digest = self.sha256.then(Sha256::new);
        let started = clock::now();
        let mut download = self
            .start(&mut destination, digest.as_mut())
            .await
            .map_err(explain)
            .with_context(|| format!("cannot fetch {}", self.url))?;

        let (length, offset) = (download.length, download.offset);
        let bar = progress::bar(length.map(|length| length.saturating_add(offset)), offset, self.quiet);
        let received = download.receive(digest.as_mut(), |count| bar.inc(count)).await;
        bar.finish_and_clear();
        // Whatever has arrived is worth keeping.
        download.sink.flush().await?;
        let bytes = received.map_err(explain).with_context(|| match destination {
            Destination::File(_) => format!("{name} is incomplete, run the command again"),
            _ => format!("{name} is incomplete"),
        })?;
        download.sink.finish().await?;

        if !self.quiet {
            let from = if offset > 0 { format!(", continued at byte {offset}") } else { String::new() };
            eprintln!("{name}: {}{from}", Transfer { bytes, time: started.elapsed() });
        }
        if let Some(digest) = digest {
            let line = format!("{}  {name}\n", hex(&digest.finalize()));
            let written = match path {
                Some(_) => io::stdout().write_all(line.as_bytes()),
                None => io::stderr().write_all(line.as_bytes()),
            };
            written.context("cannot write the digest")?;
        }
        Ok(())
    }

    /// The file to write, `None` for standard output.
    fn path(&self) -> Result<Option<PathBuf>> {
        match &self.output {
            Some(path) if path == Path::new("-") => Ok(None),
            Some(path) => Ok(Some(path.clone())),
            None => match self.url.file_name() {
                Some(name) => Ok(Some(name.into())),
                None => {
                    let message =
                        format!("{} does not end in a usable file name: choose one with -o", self.url);
                    Err(UsageError(message).into())
                }
            },
        }
    }

    /// Asks for what is missing; what is there of the file is added to `digest`.
    async fn start(&self, destination: &mut Destination, digest: Option<&mut Sha256>) -> Result<Download> {
        loop {
            let resume = destination.resume();
            match http_client::get(&self.url, resume, self.stream.builder()).await? {
                Answer::Whole(head, body) => {
                    let sink = destination.whole(head.tag.as_deref()).await?;
                    return Ok(Download { length: head.length, body, offset: 0, sink });
                }
                Answer::Rest(head, body) => {
                    let offset = resume.map_or(0, |resume| resume.offset);
                    let sink = destination.rest(digest).await?;
                    return Ok(Download { length: head.length, body, offset, sink });
                }
                Answer::NoRange => destination.forget(),
            }
        }
    }
}

impl Download {
    /// Moves the body to the sink; returns how many bytes that are.
    async fn receive(&mut self, mut digest: Option<&mut Sha256>, progress: impl Fn(u64)) -> Result<u64> {
        let mut body = (&mut self.body).take(self.length.unwrap_or(u64::MAX));
        let mut buffer = vec![0; 256 << 10];
        let mut received = 0;
        loop {
            let count = body.read(&mut buffer).await?;
            if count == 0 {
                break;
            }
            if let Some(digest) = &mut digest {
                digest.update(&buffer[..count]);
            }
            self.sink.write(&buffer[..count]).await?;
            received += count as u64;
            progress(count as u64);
        }
        match self.length {
            Some(length) if received < length => {
                bail!("the stream ended early, {} bytes before the end of the file", length - received)
            }
            _ => Ok(received),
        }
    }
}

/// Says what the failure of a stream means for a download.
fn explain(error: Error) -> Error {
    let failure = error.chain().find_map(|cause| failure(cause.downcast_ref()?));
    match failure {
        Some(Failure::Reset(CHANGED)) => error.context("the file changed while it was being downloaded"),
        Some(Failure::Reset(READ)) => error.context("the server cannot read the file"),
        Some(Failure::UnknownKey) => error.context("the server has lost or changed its key ring"),
        _ => error,
    }
}
