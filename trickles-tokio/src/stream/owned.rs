//! The halves of a stream that two tasks may own.

use std::error::Error;
use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf, Ready};

use super::TricklesStream;

/// The reading half of a stream, see [`TricklesStream::into_split`].
///
/// Dropping it ends nothing: what comes is kept for [`reunite`](Self::reunite) as far as the receive buffer goes.
/// The stream is forgotten once both halves are dropped.
#[derive(Debug)]
pub struct OwnedReadHalf {
    stream: Arc<TricklesStream>,
}

/// The writing half of a stream, see [`TricklesStream::into_split`].
///
/// Dropping it ends what is written without waiting for the server, unless it is [forgotten](Self::forget). Since
/// the stream goes on only as long as one half is there, `shutdown` is to be preferred where nobody reads.
#[derive(Debug)]
pub struct OwnedWriteHalf {
    stream: Arc<TricklesStream>,
    finish_on_drop: bool,
}

/// The halves are not of the same stream: here they are.
#[derive(Debug)]
pub struct ReuniteError(
    /// The reading half.
    pub OwnedReadHalf,
    /// The writing half.
    pub OwnedWriteHalf,
);

pub(super) fn split(stream: TricklesStream) -> (OwnedReadHalf, OwnedWriteHalf) {
    let stream = Arc::new(stream);
    (OwnedReadHalf { stream: stream.clone() }, OwnedWriteHalf { stream, finish_on_drop: true })
}

fn reunite(read: OwnedReadHalf, write: OwnedWriteHalf) -> Result<TricklesStream, ReuniteError> {
    if !Arc::ptr_eq(&read.stream, &write.stream) {
        return Err(ReuniteError(read, write));
    }
    write.forget();
    Ok(Arc::into_inner(read.stream).expect("a stream has two halves, and the other one is gone"))
}

impl OwnedReadHalf {
    /// Puts the halves together again.
    ///
    /// # Errors
    /// [`ReuniteError`], with both halves, if they are not of the same stream.
    pub fn reunite(self, other: OwnedWriteHalf) -> Result<TricklesStream, ReuniteError> {
        reunite(self, other)
    }

    /// See [`TricklesStream::peer_addr`].
    ///
    /// # Errors
    /// None; the signature is that of tokio.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream.peer_addr()
    }

    /// See [`TricklesStream::local_addr`].
    ///
    /// # Errors
    /// Those of the system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.stream.local_addr()
    }

    /// See [`TricklesStream::ready`]. Cancel safe.
    ///
    /// # Errors
    /// None; the signature is that of tokio.
    pub async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        self.stream.ready(interest).await
    }

    /// See [`TricklesStream::peek`]. Cancel safe.
    ///
    /// # Errors
    /// Those of the stream.
    pub async fn peek(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.peek(buffer).await
    }

    /// See [`TricklesStream::poll_peek`].
    ///
    /// # Errors
    /// Those of the stream.
    pub fn poll_peek(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<usize>> {
        self.stream.poll_peek(cx, buffer)
    }

    /// See [`TricklesStream::readable`]. Cancel safe.
    ///
    /// # Errors
    /// None; the signature is that of tokio.
    pub async fn readable(&self) -> io::Result<()> {
        self.stream.readable().await
    }

    /// See [`TricklesStream::try_read`].
    ///
    /// # Errors
    /// Those of [`TricklesStream::try_read`].
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.try_read(buffer)
    }

    /// See [`TricklesStream::try_read_vectored`].
    ///
    /// # Errors
    /// Those of [`TricklesStream::try_read`].
    pub fn try_read_vectored(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.stream.try_read_vectored(buffers)
    }
}

impl OwnedWriteHalf {
    /// Puts the halves together again.
    ///
    /// # Errors
    /// [`ReuniteError`], with both halves, if they are not of the same stream.
    pub fn reunite(self, other: OwnedReadHalf) -> Result<TricklesStream, ReuniteError> {
        reunite(other, self)
    }

    /// Drops the half without ending what is written.
    pub fn forget(mut self) {
        self.finish_on_drop = false;
    }

    /// See [`TricklesStream::peer_addr`].
    ///
    /// # Errors
    /// None; the signature is that of tokio.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream.peer_addr()
    }

    /// See [`TricklesStream::local_addr`].
    ///
    /// # Errors
    /// Those of the system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.stream.local_addr()
    }

    /// See [`TricklesStream::ready`]. Cancel safe.
    ///
    /// # Errors
    /// None; the signature is that of tokio.
    pub async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        self.stream.ready(interest).await
    }

    /// See [`TricklesStream::writable`]. Cancel safe.
    ///
    /// # Errors
    /// None; the signature is that of tokio.
    pub async fn writable(&self) -> io::Result<()> {
        self.stream.writable().await
    }

    /// See [`TricklesStream::try_write`].
    ///
    /// # Errors
    /// Those of [`TricklesStream::try_write`].
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.try_write(bytes)
    }

    /// See [`TricklesStream::try_write_vectored`].
    ///
    /// # Errors
    /// Those of [`TricklesStream::try_write`].
    pub fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.stream.try_write_vectored(slices)
    }
}

impl Drop for OwnedWriteHalf {
    fn drop(&mut self) {
        if self.finish_on_drop {
            self.stream.inner.finish();
        }
    }
}

impl AsyncRead for OwnedReadHalf {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream.poll_read_into(cx, buffer)
    }
}

impl AsyncWrite for OwnedWriteHalf {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.stream.poll_write_slices(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream.poll_write_slices(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.inner.poll_shutdown(cx)
    }
}

impl AsRef<TricklesStream> for OwnedReadHalf {
    fn as_ref(&self) -> &TricklesStream {
        &self.stream
    }
}

impl AsRef<TricklesStream> for OwnedWriteHalf {
    fn as_ref(&self) -> &TricklesStream {
        &self.stream
    }
}

impl fmt::Display for ReuniteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the halves are not of the same stream")
    }
}

impl Error for ReuniteError {}
