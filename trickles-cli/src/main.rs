//! The `trickles` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    trickles_cli::run()
}
