//! SOCKS5 (RFC 1928): the client names the server.

use std::io::{self, ErrorKind};
use std::time::Duration;

use anyhow::{Context, Error, Result, bail};
use fast_socks5::server::Socks5ServerProtocol;
use fast_socks5::{ReplyError, Socks5Command};
use tokio::net::TcpStream;
use tokio::time::timeout;
use trickles_tokio::TricklesStream;

use crate::connect::{Builder, HostError, connect};

/// How long a client may take to say where it wants to go.
const PATIENCE: Duration = Duration::from_secs(10);

/// Reads where the client wants to go, opens a stream to there, and tells the client what came of it.
pub(super) async fn open(client: &mut TcpStream, builder: &Builder) -> Result<TricklesStream> {
    let request = async { Socks5ServerProtocol::accept_no_auth(client).await?.read_command().await };
    let (protocol, command, target) =
        timeout(PATIENCE, request).await.context("no SOCKS5 request came")??;
    if command != Socks5Command::TCPConnect {
        protocol.reply_error(&ReplyError::CommandNotSupported).await?;
        bail!("{command:?} is not supported");
    }
    let (host, port) = target.into_string_and_port();
    match connect(&host, port, builder).await {
        Ok(stream) => {
            protocol.reply_success(stream.local_addr()?).await?;
            Ok(stream)
        }
        Err(error) => {
            protocol.reply_error(&reply(&error)).await?;
            Err(error.context(format!("cannot connect to {}:{port}", host.escape_debug())))
        }
    }
}

/// What SOCKS5 calls the reason why there is no stream.
fn reply(error: &Error) -> ReplyError {
    if error.is::<HostError>() {
        return ReplyError::HostUnreachable;
    }
    match error.downcast_ref().map(io::Error::kind) {
        Some(ErrorKind::ConnectionRefused) => ReplyError::ConnectionRefused,
        Some(ErrorKind::NetworkUnreachable) => ReplyError::NetworkUnreachable,
        Some(ErrorKind::HostUnreachable | ErrorKind::TimedOut) => ReplyError::HostUnreachable,
        _ => ReplyError::GeneralFailure,
    }
}
