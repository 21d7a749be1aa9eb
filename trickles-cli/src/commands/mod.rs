//! The commands.

mod bench;
mod demo;
mod get;
mod keygen;
mod proxy;
mod put;
mod serve;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::exit;

const EXAMPLES: &str = "\
Examples:
  trickles demo                            see a download survive a server that is killed three times
  trickles serve ~/files                   serve a directory
  trickles get trickles://HOST/movie.mkv   fetch a file, or continue to
  trickles proxy --to trickles://HOST      let curl or a browser fetch from http://127.0.0.1:8080/
  trickles put notes.txt trickles://HOST/  store a file on a server that allows it
  trickles keygen keys                     make a key ring for several servers
  trickles bench --help                    measure it beside TCP, between two hosts";

/// Files over Trickles, a transport like TCP whose servers keep no state per connection.
///
/// Clients carry what a server needs to know, sealed by the server. A server that was killed and started
/// again, or another one with the same key ring and directory, goes on with running downloads.
#[derive(Debug, Parser)]
#[command(
    name = "trickles",
    version,
    after_help = EXAMPLES,
    after_long_help = format!("{EXAMPLES}\n\n{}\n\nEnvironment:\n  RUST_LOG  what to log, such as `debug`; the default is `warn`", exit::HELP),
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Serve),
    Get(get::Get),
    Proxy(proxy::Proxy),
    Put(put::Put),
    Demo(demo::Demo),
    Keygen(keygen::Keygen),
    Bench(bench::Bench),
}

impl Arguments {
    pub(crate) async fn run(self) -> Result<()> {
        match self.command {
            Command::Serve(serve) => serve.run().await,
            Command::Get(get) => get.run().await,
            Command::Proxy(proxy) => proxy.run().await,
            Command::Put(put) => put.run().await,
            Command::Demo(demo) => demo.run().await,
            Command::Keygen(keygen) => keygen.run(),
            Command::Bench(bench) => bench.run().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
