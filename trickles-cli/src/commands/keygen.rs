//! `trickles keygen`.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::key_file;

const EXAMPLES: &str = "\
Examples:
  trickles keygen keys          write a new key ring to the file `keys`
  trickles keygen --id 2        print a second key
  trickles keygen | ssh host 'umask 077; cat > keys'

A key ring has one key a line, an id and 64 hexadecimal digits; the first one signs and all verify. To replace
a key, add a new one behind it on every server, then move that to the front, and remove the old one a week later.

Exit codes: 0 success, 1 error, 2 wrong usage";

/// Make a key ring for `trickles serve --key-file`.
///
/// Servers with the same key ring and the same directory are one service: any of them can go on with what
/// another one began. The directory must be shared, since a copy of a file counts as another version of it.
/// Whoever has the key ring can pretend to be such a server.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Keygen {
    /// The file to write, readable for its owner only; it must not exist. `-` or none: standard output.
    file: Option<PathBuf>,

    /// The id of the key, unlike those of the other keys in the same ring.
    #[arg(long, default_value_t = 1)]
    id: u16,
}

impl Keygen {
    pub(crate) fn run(self) -> Result<()> {
        let line = key_file::generate(self.id)?;
        match self.file.as_deref().filter(|path| *path != Path::new("-")) {
            Some(path) => {
                let name = path.display();
                ensure!(path.symlink_metadata().is_err(), "{name} exists: it is not overwritten");
                key_file::create(path, &line).with_context(|| format!("cannot create {name}"))
            }
            None => io::stdout().write_all(line.as_bytes()).context("cannot write to standard output"),
        }
    }
}
