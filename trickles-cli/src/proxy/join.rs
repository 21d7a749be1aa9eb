//! A TCP connection and a stream as one.

use std::io;
use std::pin::pin;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, copy, copy_buf, sink, split};
use tokio::net::TcpStream;
use tokio::time::timeout;
use trickles_tokio::TricklesStream;

const BUFFER: usize = 64 << 10;
/// How long a client may go on sending what nobody takes.
const LINGER: Duration = Duration::from_secs(5);

/// Moves what comes from either side to the other, until the server has ended the stream or one of them has
/// failed. The end of what one side sends ends what the other one receives, and nothing else.
pub(super) async fn join(connection: &mut TcpStream, stream: TricklesStream) -> io::Result<()> {
    let (mut from_client, to_client) = connection.split();
    let (from_server, to_server) = split(stream);
    {
        let mut up = pin!(up(&mut from_client, to_server));
        let mut down = pin!(down(from_server, to_client));
        tokio::select! {
            result = &mut down => result?,
            result = &mut up => {
                result?;
                down.await?;
            }
        }
    }
    // The server takes nothing more.
    discard(&mut from_client).await;
    Ok(())
}

/// Ends a connection such that what was sent arrives.
pub(super) async fn close(connection: &mut TcpStream) {
    if connection.shutdown().await.is_ok() {
        discard(connection).await;
    }
}

/// Reads on for a while: to close a connection with something unread resets it, and may take from the client what
/// it has not read yet.
async fn discard(client: &mut (impl AsyncRead + Unpin)) {
    let _ = timeout(LINGER, copy(client, &mut sink())).await;
}

/// Fails only when the client does: the other direction shows what becomes of the stream, once all that came
/// before has been delivered.
async fn up(mut client: impl AsyncRead + Unpin, mut server: impl AsyncWrite + Unpin) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let count = client.read(&mut buffer).await?;
        if count == 0 {
            let _ = server.shutdown().await;
            return Ok(());
        }
        if server.write_all(&buffer[..count]).await.is_err() {
            return copy(&mut client, &mut sink()).await.map(drop);
        }
    }
}

async fn down(server: impl AsyncRead + Unpin, mut client: impl AsyncWrite + Unpin) -> io::Result<()> {
    copy_buf(&mut BufReader::with_capacity(BUFFER, server), &mut client).await?;
    client.shutdown().await
}
