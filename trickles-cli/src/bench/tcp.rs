//! The server's side over TCP.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::{REQUEST, RESPONSE, Request};

/// Most connections at a time; others wait in the system's queue.
const MAX_CONNECTIONS: usize = 1024;
/// How long a connection may have nothing to do, and a client may take nothing.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long to wait when the system has no resources for another connection.
const PAUSE: Duration = Duration::from_millis(100);
const PIECE: usize = 64 << 10;

/// Serves all who connect, for ever.
pub(crate) async fn serve(listener: TcpListener) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    while let Ok(permit) = room.clone().acquire_owned().await {
        match listener.accept().await {
            Ok((connection, _)) => drop(tokio::spawn(async move {
                let result = answer(connection).await;
                tracing::debug!(?result, "a connection has ended");
                drop(permit);
            })),
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(PAUSE).await;
            }
        }
    }
}

async fn answer(mut connection: TcpStream) -> io::Result<()> {
    connection.set_nodelay(true)?;
    let mut buffer = vec![0; PIECE];
    let mut request = [0; REQUEST];
    loop {
        timeout(PATIENCE, connection.read_exact(&mut request)).await??;
        match Request::decode(&request).ok_or(io::ErrorKind::InvalidData)? {
            Request::Respond => connection.write_all(&[0; RESPONSE]).await?,
            Request::Download(mut left) => {
                buffer.fill(0);
                while left > 0 {
                    let piece = left.min(PIECE as u64) as usize;
                    left -= timeout(PATIENCE, connection.write(&buffer[..piece])).await?? as u64;
                }
            }
            Request::Upload(mut left) => {
                while left > 0 {
                    let piece = left.min(PIECE as u64) as usize;
                    match timeout(PATIENCE, connection.read(&mut buffer[..piece])).await?? {
                        0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                        count => left -= count as u64,
                    }
                }
                connection.write_all(&[0]).await?;
            }
        }
    }
}
