//! The client's stream.

use std::fmt;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_net::AsyncToSocketAddrs;
use futures_io::{AsyncRead, AsyncWrite};
use trickles::stats::Stats;
use trickles_driver::{ByteStream, Connect, Runtime, RuntimeStream, StreamBuilder};

use crate::runtime::GlobalRuntime;

/// A stream of bytes between this program and a server that keeps no state about it.
///
/// It is used like the `TcpStream` of async-std or smol, and goes on when the server is restarted or replaced
/// by a replica. It differs in what closing means:
/// - [`close`](AsyncWrite::poll_close) ends what is written, as `shutdown` with `Shutdown::Write` does for TCP,
///   and resolves once the server has consumed all of it; what the server sends can be read before and after
///   that.
/// - Dropping the stream, and all its clones, ends what is written. For a minute at the most the stream goes on in
///   the background until the server has consumed all of it.
///
/// [`flush`](AsyncWrite::poll_flush) does nothing: what is written is on its way.
///
/// # Errors
/// The inner error of an [`io::Error`] is the [`Failure`](trickles::client::Failure) of the stream, if it
/// failed. An error is repeated by all later calls.
///
/// # Cancel safety
/// A `read` or `write` that is dropped before it is ready has moved no byte. A cancelled `close` has ended what
/// is written, and may be called again to wait for the server.
///
/// # Several tasks
/// One task may read while another one writes: give each a clone, or a reference, which can be read and written
/// too. Of several tasks that read, or write, at the same time, the one that did last is woken.
///
/// # Many streams
/// Streams to one server may share a socket, which costs the system a fraction: an [`Endpoint`](crate::Endpoint) opens
/// them, each with options of its own.
///
/// # Example
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
#[derive(Clone)]
pub struct TricklesStream {
    inner: Arc<ByteStream>,
}

impl TricklesStream {
    /// Connects to the first of the addresses that answers, with the default options.
    ///
    /// Cancel safe: dropping the future closes what it had opened.
    ///
    /// # Errors
    /// Those of [`StreamBuilder::connect`].
    pub async fn connect<A: AsyncToSocketAddrs>(address: A) -> io::Result<Self> {
        Self::builder().connect(address).await
    }

    /// Connects with other than the default options.
    ///
    /// ```no_run
    /// use std::time::Duration;
    ///
    /// use trickles_async_std::TricklesStream;
    ///
    /// # async fn example() -> std::io::Result<()> {
    /// let stream = TricklesStream::builder()
    ///     .early_data(*b"GET /\r\n")
    ///     .connect_timeout(Duration::from_secs(3))
    ///     .connect("localhost:4433")
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder() -> StreamBuilder<Self> {
        StreamBuilder::new()
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

    /// What became of the datagrams received so far, as far as they answer requests of this stream.
    pub fn stats(&self) -> Stats {
        self.inner.stats()
    }

    /// The congestion window, in packets, and the smoothed round-trip time.
    pub fn congestion(&self) -> (u32, Duration) {
        self.inner.congestion()
    }

    /// Copies what the next read would give into `buffer`: how many bytes, 0 at the end of the stream.
    ///
    /// Cancel safe: it moves nothing.
    ///
    /// # Errors
    /// The stream's failure, once all that arrived before it has been read.
    pub async fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        poll_fn(|cx| self.inner.poll_peek(cx, buffer)).await
    }

    /// Ends what is written, without waiting for the server as [`close`](AsyncWrite::poll_close) does. Reading
    /// is ended by reading no more.
    ///
    /// # Errors
    /// [`Unsupported`](io::ErrorKind::Unsupported) for the reading side.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        if how == Shutdown::Write {
            self.inner.finish();
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::Unsupported, "only the writing side can be shut down"))
    }

    /// Always true: what is written leaves at once.
    ///
    /// # Errors
    /// None; the signature is that of `TcpStream`.
    pub fn nodelay(&self) -> io::Result<bool> {
        Ok(true)
    }

    /// Does nothing; here so that code written for `TcpStream` compiles.
    ///
    /// # Errors
    /// None; the signature is that of `TcpStream`.
    pub fn set_nodelay(&self, _: bool) -> io::Result<()> {
        Ok(())
    }
}

impl From<ByteStream> for TricklesStream {
    fn from(inner: ByteStream) -> Self {
        Self { inner: inner.into() }
    }
}

impl RuntimeStream for TricklesStream {
    const RUNTIME: &'static dyn Runtime = &GlobalRuntime;
}

impl<A: AsyncToSocketAddrs> Connect<A> for TricklesStream {
    async fn resolve(address: A) -> io::Result<Vec<SocketAddr>> {
        async_net::resolve(address).await
    }
}

impl AsyncRead for TricklesStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.inner.poll_read(cx, buffer)
    }
}

impl AsyncRead for &TricklesStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.inner.poll_read(cx, buffer)
    }
}

impl AsyncWrite for TricklesStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.inner.poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.inner.poll_write_vectored(cx, slices)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner.poll_shutdown(cx)
    }
}

impl AsyncWrite for &TricklesStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.inner.poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.inner.poll_write_vectored(cx, slices)
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
