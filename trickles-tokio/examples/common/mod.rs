//! How the examples begin: `cargo run --example NAME [ADDRESS [KEY_FILE]]`.

use std::env;
use std::error::Error;
use std::fs;

use trickles_tokio::trickles::key_ring::KeyRing;
use trickles_tokio::trickles::server::ServerConfig;
use trickles_tokio::{Handler, Server, serve};

/// Serves until Ctrl-C. With a key file, streams survive a restart, and other processes can serve them too.
pub(crate) async fn run(handler: impl Handler) -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:0".into());
    let ring = match arguments.next() {
        Some(path) => KeyRing::parse(&fs::read_to_string(path)?)?,
        None => random_ring()?,
    };
    let server = Server::bind(address, ServerConfig::default(), ring).await?;
    println!("listening on {}", server.local_addr()?);
    let interrupt = async { drop(tokio::signal::ctrl_c().await) };
    Ok(serve(server, handler).with_graceful_shutdown(interrupt).await?)
}

fn random_ring() -> Result<KeyRing, Box<dyn Error>> {
    let mut key = [0; 32];
    getrandom::fill(&mut key)?;
    Ok(KeyRing::new(&[(1, key)])?)
}
