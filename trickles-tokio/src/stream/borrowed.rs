//! The halves of a borrowed stream.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf, Ready};

use super::TricklesStream;

/// The reading half of a borrowed stream, see [`TricklesStream::split`].
#[derive(Debug)]
pub struct ReadHalf<'a>(pub(super) &'a TricklesStream);

/// The writing half of a borrowed stream, see [`TricklesStream::split`].
#[derive(Debug)]
pub struct WriteHalf<'a>(pub(super) &'a TricklesStream);

impl ReadHalf<'_> {
    /// See [`TricklesStream::peer_addr`].
    ///
    /// # Errors
    /// None; the signature is that of tokio.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.peer_addr()
    }

    /// See [`TricklesStream::local_addr`].
    ///
    /// # Errors
    /// Those of the system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// See [`TricklesStream::ready`]. Cancel safe.
    ///
    /// # Errors
    /// None; the signature is that of tokio.
    pub async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        self.0.ready(interest).await
    }

    /// See [`TricklesStream::peek`]. Cancel safe.
    ///
    /// # Errors
    /// Those of the stream.
    pub async fn peek(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.peek(buffer).await
    }

    /// See [`TricklesStream::poll_peek`].
    ///
    /// # Errors
    /// Those of the stream.
    pub fn poll_peek(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<usize>> {
        self.0.poll_peek(cx, buffer)
    }

    /// See [`TricklesStream::readable`]. Cancel safe.
    ///
    /// # Errors
    /// None; the signature is that of tokio.
    pub async fn readable(&self) -> io::Result<()> {
        self.0.readable().await
    }

    /// See [`TricklesStream::try_read`].
    ///
    /// # Errors
    /// Those of [`TricklesStream::try_read`].
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }

    /// See [`TricklesStream::try_read_vectored`].
    ///
    /// # Errors
    /// Those of [`TricklesStream::try_read`].
    pub fn try_read_vectored(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.0.try_read_vectored(buffers)
    }
}

impl WriteHalf<'_> {
    /// See [`TricklesStream::peer_addr`].
    ///
    /// # Errors
    /// None; the signature is that of tokio.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.peer_addr()
    }

    /// See [`TricklesStream::local_addr`].
    ///
    /// # Errors
    /// Those of the system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// See [`TricklesStream::ready`]. Cancel safe.
    ///
    /// # Errors
    /// None; the signature is that of tokio.
    pub async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        self.0.ready(interest).await
    }

    /// See [`TricklesStream::writable`]. Cancel safe.
    ///
    /// # Errors
    /// None; the signature is that of tokio.
    pub async fn writable(&self) -> io::Result<()> {
        self.0.writable().await
    }

    /// See [`TricklesStream::try_write`].
    ///
    /// # Errors
    /// Those of [`TricklesStream::try_write`].
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    /// See [`TricklesStream::try_write_vectored`].
    ///
    /// # Errors
    /// Those of [`TricklesStream::try_write`].
    pub fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(slices)
    }
}

impl AsyncRead for ReadHalf<'_> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.0.poll_read_into(cx, buffer)
    }
}

impl AsyncWrite for WriteHalf<'_> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.poll_write_slices(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_write_slices(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.inner.poll_shutdown(cx)
    }
}

impl AsRef<TricklesStream> for ReadHalf<'_> {
    fn as_ref(&self) -> &TricklesStream {
        self.0
    }
}

impl AsRef<TricklesStream> for WriteHalf<'_> {
    fn as_ref(&self) -> &TricklesStream {
        self.0
    }
}
