//! Local TCP connections, each joined with a stream.

mod join;
mod socks;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use trickles_tokio::TricklesStream;

use crate::connect::{Builder, MAX_EARLY_INPUT, connect};
use crate::exit::failure;

/// How long a client may take to say its first words, so that they travel in the first packet.
const EARLY: Duration = Duration::from_millis(10);
/// How long to wait when the system has no resources for another connection.
const PAUSE: Duration = Duration::from_millis(100);

/// Where connections lead.
#[derive(Debug)]
pub(crate) enum Target {
    /// All of them to the same server.
    Server { host: String, port: u16 },
    /// Each to the server that its client asks for.
    Socks5,
}

/// Joins TCP connections with streams.
#[derive(Debug)]
pub(crate) struct Proxy {
    target: Target,
    builder: Builder,
}

impl Proxy {
    pub(crate) fn new(target: Target, builder: Builder) -> Self {
        Self { target, builder }
    }

    /// Serves all who connect; dropping the future ends their connections.
    pub(crate) async fn run(self, listener: TcpListener) -> Infallible {
        let proxy = Arc::new(self);
        let mut connections = JoinSet::new();
        loop {
            match listener.accept().await {
                Ok((connection, client)) => {
                    let proxy = proxy.clone();
                    connections.spawn(async move { proxy.serve(connection, client).await });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    sleep(PAUSE).await;
                }
            }
            while connections.try_join_next().is_some() {}
        }
    }

    async fn serve(&self, mut connection: TcpStream, client: SocketAddr) {
        let stream = match self.open(&mut connection).await {
            Ok(stream) => stream,
            Err(error) => {
                tracing::warn!(%client, "{error:#}");
                return match self.target {
                    Target::Server { .. } => reset(&connection),
                    // It has been told why.
                    Target::Socks5 => join::close(&mut connection).await,
                };
            }
        };
        let Err(error) = join::join(&mut connection, stream).await else { return };
        // What ended early must not look as if it were complete.
        reset(&connection);
        if failure(&error).is_some() {
            tracing::warn!(%client, %error, "the stream failed");
        } else {
            tracing::debug!(%client, %error, "the client is gone");
        }
    }

    /// The stream to join with a connection.
    async fn open(&self, connection: &mut TcpStream) -> Result<TricklesStream> {
        // What a program writes is not to wait for more.
        connection.set_nodelay(true)?;
        match &self.target {
            Target::Server { host, port } => {
                let builder = self.builder.clone().early_data(first_words(connection).await?);
                connect(host, *port, &builder)
                    .await
                    .with_context(|| format!("cannot connect to {host}:{port}"))
            }
            Target::Socks5 => socks::open(connection, &self.builder).await,
        }
    }
}

/// Lets the end of `connection` be a reset, unless the system refuses.
fn reset(connection: &TcpStream) {
    if let Err(error) = connection.set_zero_linger() {
        tracing::debug!(%error, "cannot reset");
    }
}

/// What a client says right away; nothing, if it waits for the server to begin.
async fn first_words(connection: &mut TcpStream) -> Result<Vec<u8>> {
    let mut words = Vec::with_capacity(MAX_EARLY_INPUT);
    if let Ok(read) = timeout(EARLY, connection.take(MAX_EARLY_INPUT as u64).read_buf(&mut words)).await {
        read?;
    }
    Ok(words)
}
