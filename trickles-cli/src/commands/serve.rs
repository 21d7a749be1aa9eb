//! `trickles serve`.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use trickles_tokio::bind_many;

use crate::clock;
use crate::cores::{self, ServerArguments};
use crate::file_service::FileService;
use crate::interrupt::Interrupt;
use crate::key_file;
use crate::server_process::LISTENING_ON;
use crate::site::Site;
use crate::size::parse_size;

/// No file can be longer.
const MAX_FILE: u64 = i64::MAX.cast_unsigned();

const EXAMPLES: &str = "\
Examples:
  trickles serve .                               serve the current directory to everybody
  trickles serve ~/files --listen 127.0.0.1:0    to this machine only, on any free port
  trickles serve /srv --listen '[::]:4433'       over IPv6 and, where the system allows it, IPv4
  trickles serve /srv --cores all                on every core
  trickles serve ~/inbox --writable --max-upload 1G
                                                 and let everybody store files there
  trickles serve /srv --key-file /etc/trickles/keys
                                                 as one of several servers of this directory

The first line on standard output is `listening on ADDRESS`.

Exit codes: 0 ended by SIGINT, SIGTERM or SIGHUP, 1 error, 2 wrong usage";

/// Serve the files in a directory.
///
/// The server keeps nothing about its clients: kill it and start it again, and running transfers go on.
/// Nothing outside of the directory can be reached. As with plain HTTP, whoever is on the way can read and
/// change what is sent.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Serve {
    /// The directory.
    dir: PathBuf,

    /// Where to listen; port 0 takes any that is free.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:4433")]
    listen: SocketAddr,

    /// Let everybody store files (HTTP PUT), and replace files by them; directories are not made.
    ///
    /// A file appears when it is complete. Until then it is hidden beside its name; what is abandoned is
    /// removed after a day.
    #[arg(long)]
    writable: bool,

    /// The largest file that is stored, in bytes, or with K, M or G behind it in KiB, MiB or GiB; without it,
    /// whatever there is room for.
    #[arg(long, value_name = "SIZE", requires = "writable", value_parser = parse_size)]
    max_upload: Option<u64>,

    /// The key ring, made by `trickles keygen`; without it, one of this user's that is made once.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,

    #[command(flatten)]
    server: ServerArguments,
}

impl Serve {
    pub(crate) async fn run(self) -> Result<()> {
        let services = (0..self.server.cores.get()).map(|_| self.service()).collect::<Result<Vec<_>>>()?;
        let keys = match &self.key_file {
            Some(path) => key_file::load(path)?,
            None => key_file::load_or_create()?,
        };
        let mut interrupt = Interrupt::new()?;
        let sockets = bind_many([self.listen], self.server.cores.get())
            .with_context(|| format!("cannot listen on {}", self.listen))?;
        announce(sockets[0].local_addr()?).context("cannot write to standard output")?;
        let stop = interrupt.received_or_end_of_input(self.server.until_eof);
        let replicas = sockets.into_iter().zip(services).collect();
        cores::serve(replicas, keys, self.server.packets(), stop).await.map(drop)
    }

    /// What one core serves. They find each other's uploads as replicas on several machines do.
    fn service(&self) -> Result<FileService> {
        let dir = self.dir.display();
        let mut site = Site::open(&self.dir).with_context(|| format!("cannot serve {dir}"))?;
        if self.writable {
            let limit = self.max_upload.unwrap_or(MAX_FILE);
            site.allow_uploads(limit, clock::wall()).with_context(|| format!("cannot write to {dir}"))?;
        }
        Ok(FileService(site))
    }
}

fn announce(address: SocketAddr) -> io::Result<()> {
    let mut reachable = address;
    if address.ip().is_unspecified() {
        reachable.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    // In one piece: a program that reads the first line only may close the pipe then.
    let text = format!("{LISTENING_ON}{address}\nfetch with `trickles get trickles://{reachable}/FILE`\n");
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}
