//! A stream as hyper sees it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use trickles_tokio::TricklesStream;

/// A [`TricklesStream`] with hyper's traits.
///
/// It also serves hyper's own connections, without a pool: `hyper::client::conn::http1::handshake` takes one.
#[derive(Debug)]
pub struct TricklesIo(TokioIo<TricklesStream>);

impl TricklesIo {
    /// Gives `stream` hyper's traits.
    pub fn new(stream: TricklesStream) -> Self {
        Self(TokioIo::new(stream))
    }

    /// The stream.
    pub fn inner(&self) -> &TricklesStream {
        self.0.inner()
    }

    /// The stream, with tokio's traits again.
    pub fn into_inner(self) -> TricklesStream {
        self.0.into_inner()
    }
}

impl Connection for TricklesIo {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for TricklesIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl Write for TricklesIo {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, buffers)
    }
}
