//! The client's stream.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use async_net::AsyncToSocketAddrs;
use futures_io::{AsyncRead, AsyncWrite};
use trickles::client::ClientConfig;
use trickles::stats::Stats;
use trickles_driver::ByteStream;

use crate::runtime::GlobalRuntime;

/// A stream of bytes between this program and a server that keeps no state about it.
///
/// It is used like the `TcpStream` of async-std or smol, and goes on when the server is restarted or replaced
/// by a replica. It differs in what closing means:
/// - [`close`](AsyncWrite::poll_close) ends what is written, as `shutdown` with `Shutdown::Write` does for TCP,
///   and resolves once the server has consumed all of it; what the server sends can be read before and after
///   that.
/// - Dropping the stream forgets it. What was written and not consumed by then may be lost.
///
/// [`flush`](AsyncWrite::poll_flush) does nothing: what is written is on its way.
///
/// # Errors
/// The inner error of an [`io::Error`] is the [`Failure`](trickles::client::Failure) of the stream, if it
/// failed. An error is repeated by all later calls.
///
/// # Cancel safety
/// `read` and `write` are cancel safe. A cancelled `close` has ended what is written, and may be called
/// again to wait for the server. One task may read while another one writes, see `split` of futures or
/// futures-lite.
///
/// ```no_run
/// use futures_lite::{AsyncReadExt, AsyncWriteExt};
/// use trickles_async_std::TricklesStream;
///
/// # async fn example() -> std::io::Result<()> {
/// let mut stream = TricklesStream::connect("localhost:4433").await?;
/// stream.write_all(b"GET /\r\n").await?;
/// stream.close().await?;
/// let mut answer = Vec::new();
/// stream.read_to_end(&mut answer).await?;
/// # Ok(())
/// # }
/// ```
pub struct TricklesStream {
    inner: ByteStream,
}

impl TricklesStream {
    /// Connects to the first of the addresses that answers, with the default [`ClientConfig`].
    ///
    /// Cancel safe: dropping the future closes what it had opened.
    ///
    /// # Errors
    /// The last address's error; that of looking up a name; [`InvalidInput`](io::ErrorKind::InvalidInput)
    /// when the name has no address.
    pub async fn connect<A: AsyncToSocketAddrs>(address: A) -> io::Result<Self> {
        Self::connect_with(address, ClientConfig::default()).await
    }

    /// Connects to the first of the addresses that answers.
    ///
    /// Cancel safe like [`connect`](Self::connect).
    ///
    /// # Errors
    /// Those of [`connect`](Self::connect).
    pub async fn connect_with<A: AsyncToSocketAddrs>(address: A, config: ClientConfig) -> io::Result<Self> {
        let addresses = async_net::resolve(address).await?;
        Ok(Self { inner: ByteStream::connect(&GlobalRuntime, addresses, config).await? })
    }

    /// The server's address.
    ///
    /// # Errors
    /// None; the signature is that of `TcpStream`.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.inner.peer_addr())
    }

    /// The address of this end.
    ///
    /// # Errors
    /// Those of the system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    /// What became of the datagrams received so far.
    pub fn stats(&self) -> Stats {
        self.inner.stats()
    }
}

impl AsyncRead for TricklesStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.inner.poll_read(cx, buffer)
    }
}

impl AsyncWrite for TricklesStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.inner.poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner.poll_shutdown(cx)
    }
}

impl fmt::Debug for TricklesStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TricklesStream").field("peer", &self.inner.peer_addr()).finish_non_exhaustive()
    }
}
