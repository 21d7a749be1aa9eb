//! The client's stream.

mod borrowed;
mod owned;

use std::fmt;
use std::future::Future;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf, Ready};
use tokio::net::ToSocketAddrs;
use tokio::task::coop::poll_proceed;
use trickles::stats::Stats;
use trickles_driver::{ByteStream, Connect, Runtime, RuntimeStream, StreamBuilder};

pub use self::borrowed::{ReadHalf, WriteHalf};
pub use self::owned::{OwnedReadHalf, OwnedWriteHalf, ReuniteError};
use crate::runtime::TokioRuntime;

/// Most bytes a read moves: memory that a reader brings uninitialised is cleared first, all that it asks for.
const MAX_READ: usize = 64 << 10;

/// A stream of bytes between this program and a server that keeps no state about it.
///
/// It is used like a [`TcpStream`](tokio::net::TcpStream), and goes on when the server is restarted or
/// replaced by a replica. It differs in what closing means:
/// - [`shutdown`](AsyncWrite::poll_shutdown) resolves once the server has consumed all that was
///   written; what the server sends can be read before and after that.
/// - Dropping the stream ends what is written. As long as the runtime lives, and for a minute at the most, the
///   stream goes on in the background until the server has consumed all of it.
///
/// [`flush`](AsyncWrite::poll_flush) does nothing: what is written is on its way.
///
/// # Errors
/// The inner error of an [`io::Error`] is the [`Failure`](trickles::client::Failure) of the stream, if it
/// failed. An error is repeated by all later calls. Its kind is one of these:
///
/// | Kind | Reason |
/// |---|---|
/// | [`ConnectionRefused`](io::ErrorKind::ConnectionRefused) | Nobody listens at the address, or not with this service. |
/// | [`TimedOut`](io::ErrorKind::TimedOut) | Nobody answers, or the server's state of the stream has expired. |
/// | [`ConnectionReset`](io::ErrorKind::ConnectionReset) | The server's application ended the stream, has lost its key, or takes none of the input. |
/// | [`BrokenPipe`](io::ErrorKind::BrokenPipe) | Written after `shutdown`, or after the server's last word. |
/// | [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) | The stream ended within what `read_exact` asked for. |
/// | [`Unsupported`](io::ErrorKind::Unsupported) | The server speaks another version. |
///
/// # Cancel safety
/// A `read` or `write` that is dropped before it is ready has moved no byte. A cancelled `shutdown` has ended
/// what is written, and may be called again to wait for the server. The other methods say it themselves.
///
/// # Several tasks
/// One task may read while another one writes, through the halves of [`into_split`](Self::into_split). Any
/// number may wait in `async` methods that take `&self`. The methods named `poll_…` wake, of all tasks that poll
/// for reading, the one that did last, and likewise for writing.
///
/// # Many streams
/// Streams to one server may share a socket, which costs the system a fraction: an [`Endpoint`](crate::Endpoint) opens
/// them, each with options of its own.
///
/// ```no_run
/// use tokio::io::AsyncReadExt;
/// use trickles_tokio::TricklesStream;
///
/// # async fn example(names: Vec<String>) -> std::io::Result<()> {
/// let endpoint = TricklesStream::builder().endpoint("localhost:4433").await?;
/// for name in names {
///     let request = TricklesStream::builder().early_data(format!("GET {name}\r\n"));
///     let mut answer = Vec::new();
///     endpoint.connect_with(&request).await?.read_to_end(&mut answer).await?;
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Example
/// ```no_run
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
/// use trickles_tokio::TricklesStream;
///
/// # async fn example() -> std::io::Result<()> {
/// let mut stream = TricklesStream::connect("localhost:4433").await?;
/// stream.write_all(b"GET /\r\n").await?;
/// stream.shutdown().await?;
/// let mut answer = Vec::new();
/// stream.read_to_end(&mut answer).await?;
/// # Ok(())
/// # }
/// ```
pub struct TricklesStream {
    inner: ByteStream,
}

impl TricklesStream {
    /// Connects to the first of the addresses that answers, with the default options.
    ///
    /// Cancel safe: dropping the future closes what it had opened.
    ///
    /// # Errors
    /// Those of [`StreamBuilder::connect`].
    pub async fn connect<A: ToSocketAddrs>(address: A) -> io::Result<Self> {
        Self::builder().connect(address).await
    }

    /// Connects with other than the default options.
    ///
    /// ```no_run
    /// use std::time::Duration;
    ///
    /// use trickles_tokio::TricklesStream;
    ///
    /// # async fn example() -> std::io::Result<()> {
    /// let stream = TricklesStream::builder()
    ///     .early_data(*b"GET /\r\n")
    ///     .receive_buffer(256 << 10)
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
    /// None; the signature is that of [`TcpStream`](tokio::net::TcpStream::peer_addr).
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

    /// Borrows the stream as two halves, one to read and one to write at the same time.
    pub fn split(&mut self) -> (ReadHalf<'_>, WriteHalf<'_>) {
        (ReadHalf(self), WriteHalf(self))
    }

    /// Divides the stream into two halves, which two tasks may own. [`OwnedReadHalf::reunite`] puts them together
    /// again.
    ///
    /// ```no_run
    /// use tokio::io::{AsyncReadExt, AsyncWriteExt};
    /// use trickles_tokio::TricklesStream;
    ///
    /// # async fn example(stream: TricklesStream, upload: Vec<u8>) -> std::io::Result<Vec<u8>> {
    /// let (mut reader, mut writer) = stream.into_split();
    /// tokio::spawn(async move {
    ///     writer.write_all(&upload).await?;
    ///     writer.shutdown().await
    /// });
    /// let mut answer = Vec::new();
    /// reader.read_to_end(&mut answer).await?;
    /// # Ok(answer)
    /// # }
    /// ```
    pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        owned::split(self)
    }

    /// Waits until there is something to read or room to write, whichever is of `interest`, and says what
    /// there is. An end or an error counts as both.
    ///
    /// Cancel safe: it changes nothing.
    ///
    /// # Errors
    /// None; the signature is that of [`TcpStream`](tokio::net::TcpStream::ready).
    pub async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        let mut readable = pin!(self.inner.readable());
        let mut writable = pin!(self.inner.writable());
        let ready = std::future::poll_fn(|cx| {
            let mut ready = Ready::EMPTY;
            if interest.is_readable() && readable.as_mut().poll(cx).is_ready() {
                ready |= Ready::READABLE;
            }
            if interest.is_writable() && writable.as_mut().poll(cx).is_ready() {
                ready |= Ready::WRITABLE;
            }
            if ready.is_empty() { Poll::Pending } else { Poll::Ready(ready) }
        });
        Ok(ready.await)
    }

    /// Waits until there is something to read: bytes, the end, or an error. Unlike a socket's it never says so
    /// in vain, unless somebody else reads meanwhile.
    ///
    /// Cancel safe: it changes nothing.
    ///
    /// # Errors
    /// None; the signature is that of [`TcpStream`](tokio::net::TcpStream::readable).
    pub async fn readable(&self) -> io::Result<()> {
        self.inner.readable().await;
        Ok(())
    }

    /// Waits until there is room to write, or writing would fail.
    ///
    /// Cancel safe: it changes nothing.
    ///
    /// # Errors
    /// None; the signature is that of [`TcpStream`](tokio::net::TcpStream::writable).
    pub async fn writable(&self) -> io::Result<()> {
        self.inner.writable().await;
        Ok(())
    }

    /// Polls for what [`readable`](Self::readable) waits for.
    ///
    /// # Errors
    /// None; the signature is that of [`TcpStream`](tokio::net::TcpStream::poll_read_ready).
    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner.poll_read_ready(cx).map(Ok)
    }

    /// Polls for what [`writable`](Self::writable) waits for.
    ///
    /// # Errors
    /// None; the signature is that of [`TcpStream`](tokio::net::TcpStream::poll_write_ready).
    pub fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner.poll_write_ready(cx).map(Ok)
    }

    /// Reads what is there: how many bytes, 0 at the end or for an empty buffer.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is nothing; those of the stream.
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.try_read(buffer)
    }

    /// Reads what is there into one buffer after the other.
    ///
    /// # Errors
    /// Those of [`try_read`](Self::try_read).
    pub fn try_read_vectored(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.inner.try_read_vectored(buffers)
    }

    /// Writes as much as there is room for: how many bytes.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is no room; those of the stream.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.inner.try_write(bytes)
    }

    /// Writes one slice after the other, as much as there is room for.
    ///
    /// # Errors
    /// Those of [`try_write`](Self::try_write).
    pub fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.inner.try_write_vectored(slices)
    }

    /// Copies what the next read would read, and leaves it there: how many bytes, 0 at the end.
    ///
    /// Cancel safe: it changes nothing.
    ///
    /// # Errors
    /// Those of the stream.
    pub async fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.peek(buffer).await
    }

    /// Polls for what [`peek`](Self::peek) waits for.
    ///
    /// # Errors
    /// Those of the stream.
    pub fn poll_peek(&self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<usize>> {
        let length = buffer.remaining().min(MAX_READ);
        let count = ready!(self.inner.poll_peek(cx, buffer.initialize_unfilled_to(length)))?;
        buffer.advance(count);
        Poll::Ready(Ok(count))
    }

    /// Always `true`: what is written is sent at once, unless input that the server has yet to consume is
    /// under way.
    ///
    /// # Errors
    /// None; the signature is that of [`TcpStream`](tokio::net::TcpStream::nodelay).
    pub fn nodelay(&self) -> io::Result<bool> {
        Ok(true)
    }

    /// Has no effect, see [`nodelay`](Self::nodelay).
    ///
    /// # Errors
    /// None; the signature is that of [`TcpStream`](tokio::net::TcpStream::set_nodelay).
    pub fn set_nodelay(&self, _: bool) -> io::Result<()> {
        Ok(())
    }

    fn poll_read_into(&self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let turn = ready!(poll_proceed(cx));
        let length = buffer.remaining().min(MAX_READ);
        let count = ready!(self.inner.poll_read(cx, buffer.initialize_unfilled_to(length)))?;
        buffer.advance(count);
        turn.made_progress();
        Poll::Ready(Ok(()))
    }

    fn poll_write_slices(&self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let turn = ready!(poll_proceed(cx));
        let count = ready!(self.inner.poll_write_vectored(cx, slices));
        turn.made_progress();
        Poll::Ready(count)
    }
}

impl From<ByteStream> for TricklesStream {
    fn from(inner: ByteStream) -> Self {
        Self { inner }
    }
}

impl RuntimeStream for TricklesStream {
    const RUNTIME: &'static dyn Runtime = &TokioRuntime;
}

impl<A: ToSocketAddrs> Connect<A> for TricklesStream {
    async fn resolve(address: A) -> io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host(address).await?.collect())
    }
}

impl AsyncRead for TricklesStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll_read_into(cx, buffer)
    }
}

impl AsyncWrite for TricklesStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_slices(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_slices(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner.poll_shutdown(cx)
    }
}

impl fmt::Debug for TricklesStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TricklesStream").field(&self.inner).finish()
    }
}
