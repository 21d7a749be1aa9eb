//! A client's stream.
//!
//! What the protocol has to do it does in a background task, since acknowledgements and timers cannot wait
//! for an application to read or write; a kernel does that for TCP. The application's calls and the task
//! share the protocol's state behind a mutex. A call sends by itself what results from it, and wakes the task
//! only to wait for something new.

mod shared;
mod task;

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use trickles::client::{Client, ClientConfig};
use trickles::stats::Stats;

use self::shared::Shared;
use self::task::Task;
use crate::error::io_error;
use crate::runtime::Runtime;
use crate::{seed, socket};

/// A stream of bytes to and from a server, driven by a task of its own.
///
/// One task may wait to read and one to write; a second one that waits for the same takes the first one's
/// place. Polling again is never wrong, and a call that is not ready has had no effect.
///
/// Dropping it closes the stream the way this protocol does, by forgetting it: what was written and not yet
/// consumed by the server may be lost. Wait for [`poll_shutdown`](Self::poll_shutdown) first.
#[derive(Debug)]
pub struct ByteStream {
    shared: Arc<Shared>,
}

impl ByteStream {
    /// Opens a stream to the first of `servers` that answers.
    ///
    /// Cancel safe: dropping the future closes what it had opened.
    ///
    /// # Errors
    /// The last server's, as [`io_error`] names them, or the system's;
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) without any server.
    pub async fn connect(
        runtime: &dyn Runtime,
        servers: impl IntoIterator<Item = SocketAddr>,
        config: ClientConfig,
    ) -> io::Result<Self> {
        let mut last = io::Error::new(io::ErrorKind::InvalidInput, "there is no address to connect to");
        for server in servers {
            match Self::open(runtime, server, config.clone()) {
                Ok(stream) => match poll_fn(|cx| stream.poll_connected(cx)).await {
                    Ok(()) => return Ok(stream),
                    Err(error) => last = error,
                },
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Opens a stream without waiting for the server.
    ///
    /// # Errors
    /// Those of the system.
    pub fn open(runtime: &dyn Runtime, server: SocketAddr, config: ClientConfig) -> io::Result<Self> {
        let socket = runtime.wrap_udp_socket(socket::connect(server)?)?;
        let seed = seed()?;
        let shared = Arc::new(Shared::new(socket, server, |now| Client::new(config, seed, now)));
        runtime.spawn(Box::pin(Task::new(runtime, shared.clone())));
        Ok(Self { shared })
    }

    /// The server's address.
    pub fn peer_addr(&self) -> SocketAddr {
        self.shared.server()
    }

    /// The address the stream's socket is bound to.
    ///
    /// # Errors
    /// Those of the system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.shared.local_addr()
    }

    /// What became of the datagrams received so far.
    pub fn stats(&self) -> Stats {
        self.shared.lock().client.stats().clone()
    }

    /// Waits, in the place of a writer, until the server has answered.
    ///
    /// # Errors
    /// The stream's failure, as [`io_error`] names it.
    pub fn poll_connected(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shared.call(|state| match state.client.failure() {
            _ if state.client.is_connected() => Poll::Ready(Ok(())),
            Some(failure) => Poll::Ready(Err(io_error(failure))),
            None => state.wait_to_write(cx),
        })
    }

    /// Reads into `buffer`: how many bytes, 0 at the end of the stream or for an empty buffer.
    ///
    /// # Errors
    /// The stream's failure, as [`io_error`] names it, once all that arrived before it has been read.
    pub fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.shared.call(|state| match state.client.read(buffer) {
            Ok(Some(count)) => Poll::Ready(Ok(count)),
            Ok(None) => state.wait_to_read(cx),
            Err(failure) => Poll::Ready(Err(io_error(failure))),
        })
    }

    /// Hands `bytes` to the protocol, which repeats them until the server has consumed them: how many it took.
    ///
    /// # Errors
    /// The stream's failure, as [`io_error`] names it; [`BrokenPipe`](io::ErrorKind::BrokenPipe) after
    /// [`poll_shutdown`](Self::poll_shutdown) and when the server takes no more.
    pub fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.shared.call(|state| match state.client.write(bytes) {
            Ok(Some(count)) => Poll::Ready(Ok(count)),
            Ok(None) => state.wait_to_write(cx),
            Err(error) => Poll::Ready(Err(io_error(error))),
        })
    }

    /// Ends what is written, and waits until the server has consumed all of it. Reading goes on.
    ///
    /// # Errors
    /// The stream's failure, as [`io_error`] names it.
    pub fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shared.call(|state| {
            state.client.shutdown();
            match state.client.failure() {
                _ if state.client.is_flushed() => Poll::Ready(Ok(())),
                Some(failure) => Poll::Ready(Err(io_error(failure))),
                None => state.wait_to_write(cx),
            }
        })
    }
}

impl Drop for ByteStream {
    fn drop(&mut self) {
        self.shared.close();
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::net::Ipv4Addr;
    use std::task::Waker;

    use super::*;
    use crate::fake::FakeRuntime;

    #[test]
    fn nobody_waits_for_a_task_that_is_gone() {
        let server = (Ipv4Addr::LOCALHOST, 9).into();
        let stream = ByteStream::open(&FakeRuntime, server, ClientConfig::default()).unwrap();
        let mut cx = Context::from_waker(Waker::noop());
        let Poll::Ready(Err(error)) = stream.poll_read(&mut cx, &mut [0]) else { panic!("it waits") };
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    }
}
