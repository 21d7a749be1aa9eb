//! The `trickles` program: its commands, and the file service behind `trickles serve`.

mod bench;
mod clock;
mod commands;
mod connect;
mod cores;
mod destination;
mod digest_field;
mod exit;
pub mod file_service;
mod http_client;
mod interrupt;
mod key_file;
mod progress;
mod proxy;
mod server_process;
pub mod site;
mod size;
mod url;

use std::io;
use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use commands::Arguments;
use exit::Exit;

/// Runs the program with the arguments of this process.
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
    let result = tokio::runtime::Runtime::new().map_err(anyhow::Error::from).and_then(|runtime| {
        let result = runtime.block_on(arguments.run());
        // A name that is still being looked up must not hold up the end.
        runtime.shutdown_background();
        result
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("trickles: {error:#}");
            Exit::of(&error).into()
        }
    }
}
