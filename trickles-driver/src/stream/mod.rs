//! A client's stream.
//!
//! What the protocol has to do it does in a background task, since acknowledgements and timers cannot wait
//! for an application to read or write; a kernel does that for TCP. The application's calls and the task
//! share the protocol's state behind a mutex. A call sends by itself what results from it, and wakes the task
//! only to wait for something new. One task drives all streams on a socket: mostly one, and any number of those to one
//! server that are opened by one [`Endpoint`].

mod endpoint;
mod options;
mod path;
mod shared;
mod task;
mod waiters;

use std::fmt;
use std::future::Future;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use trickles::client::Client;
use trickles::stats::Stats;

pub use self::endpoint::Endpoint;
pub use self::options::{Connect, RuntimeStream, StreamBuilder, StreamOptions};
use self::shared::Shared;
use self::waiters::{Interest, Waiter};
use crate::error::io_error;

/// A stream of bytes to and from a server, driven by a task of its own.
///
/// All methods take `&self`, and any number of tasks may use it at once; what they read and write is then
/// divided among them somehow. The methods that are named `poll_…` remember one task each for reading, for
/// writing and for shutting down, the one that polled last. The `async` ones remember every task that awaits
/// them. Polling again is never wrong, and a call that is not ready has had no effect.
///
/// Dropping it ends what is written. The background task goes on until the server has consumed that, for a
/// minute at the most. Wait for [`poll_shutdown`](Self::poll_shutdown) first to know that it has.
pub struct ByteStream {
    shared: Arc<Shared>,
}

impl ByteStream {
    /// The server's address.
    pub fn peer_addr(&self) -> SocketAddr {
        self.shared.path.server
    }

    /// The address the stream's socket is bound to.
    ///
    /// # Errors
    /// Those of the system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.shared.path.socket.local_addr()
    }

    /// What became of the datagrams received so far, as far as they answer requests of this stream.
    pub fn stats(&self) -> Stats {
        self.shared.lock().client.stats().clone()
    }

    /// The congestion window, in packets, and the smoothed round-trip time.
    pub fn congestion(&self) -> (u32, Duration) {
        self.shared.lock().client.congestion()
    }

    /// Waits until the server has answered.
    ///
    /// Cancel safe: it changes nothing.
    ///
    /// # Errors
    /// The stream's failure, as [`io_error`] names it.
    pub async fn connected(&self) -> io::Result<()> {
        self.wait(Interest::Connected).await;
        let state = self.shared.lock();
        match state.client.failure() {
            _ if state.client.is_connected() => Ok(()),
            Some(failure) => Err(io_error(failure)),
            None => Err(state.stopped().unwrap_or_else(|| ErrorKind::NotConnected.into())),
        }
    }

    /// Reads into `buffer`: how many bytes, 0 at the end of the stream or for an empty buffer.
    ///
    /// # Errors
    /// The stream's failure, as [`io_error`] names it, once all that arrived before it has been read.
    pub fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.poll(Interest::Readable, cx, |client| read(client, buffer))
    }

    /// Copies what the next [`poll_read`](Self::poll_read) would read, and leaves it there.
    ///
    /// # Errors
    /// Those of [`poll_read`](Self::poll_read).
    pub fn poll_peek(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.poll(Interest::Readable, cx, |client| client.peek(buffer).map_err(io_error))
    }

    /// Hands `bytes` to the protocol, which repeats them until the server has consumed them: how many it took.
    ///
    /// # Errors
    /// The stream's failure, as [`io_error`] names it; [`BrokenPipe`](ErrorKind::BrokenPipe) after
    /// [`poll_shutdown`](Self::poll_shutdown) and when the server takes no more.
    pub fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    /// [Writes](Self::poll_write) one slice after the other, as far as there is room.
    ///
    /// # Errors
    /// Those of [`poll_write`](Self::poll_write).
    pub fn poll_write_vectored(
        &self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll(Interest::Writable, cx, |client| write(client, slices))
    }

    /// Ends what is written, and waits until the server has consumed all of it. Reading goes on.
    ///
    /// # Errors
    /// The stream's failure, as [`io_error`] names it.
    pub fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.shared.lock();
        state.client.shutdown();
        let poll = match state.client.failure() {
            _ if state.client.is_flushed() => Poll::Ready(Ok(())),
            Some(failure) => Poll::Ready(Err(io_error(failure))),
            None => state.wait(Interest::Flushed, Waiter::Polled, cx),
        };
        self.shared.follow(state);
        poll
    }

    /// Ends what is written, and waits for nothing.
    pub fn finish(&self) {
        let mut state = self.shared.lock();
        state.client.shutdown();
        self.shared.follow(state);
    }

    /// Ready when reading would not wait: there are bytes, the end, or an error.
    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.shared.lock().poll_ready(Interest::Readable, Waiter::Polled, cx)
    }

    /// Ready when writing would not wait: there is room, or an error.
    pub fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.shared.lock().poll_ready(Interest::Writable, Waiter::Polled, cx)
    }

    /// [Reads](Self::poll_read) what is there.
    ///
    /// # Errors
    /// [`WouldBlock`](ErrorKind::WouldBlock) if there is nothing; those of [`poll_read`](Self::poll_read).
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.attempt(|client| read(client, buffer))
    }

    /// [Reads](Self::poll_read) what is there into one buffer after the other.
    ///
    /// # Errors
    /// Those of [`try_read`](Self::try_read).
    pub fn try_read_vectored(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.attempt(|client| read_vectored(client, buffers))
    }

    /// [Writes](Self::poll_write) as far as there is room.
    ///
    /// # Errors
    /// [`WouldBlock`](ErrorKind::WouldBlock) if there is none; those of [`poll_write`](Self::poll_write).
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.try_write_vectored(&[IoSlice::new(bytes)])
    }

    /// [Writes](Self::poll_write) one slice after the other, as far as there is room.
    ///
    /// # Errors
    /// Those of [`try_write`](Self::try_write).
    pub fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.attempt(|client| write(client, slices))
    }

    /// Waits until reading would not wait.
    ///
    /// Cancel safe: it changes nothing.
    pub async fn readable(&self) {
        self.wait(Interest::Readable).await;
    }

    /// Waits until writing would not wait.
    ///
    /// Cancel safe: it changes nothing.
    pub async fn writable(&self) {
        self.wait(Interest::Writable).await;
    }

    /// Copies what the next read would read, and leaves it there.
    ///
    /// Cancel safe: it changes nothing.
    ///
    /// # Errors
    /// Those of [`poll_read`](Self::poll_read).
    pub async fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.attempt(|client| client.peek(buffer).map_err(io_error)) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.readable().await,
                result => return result,
            }
        }
    }

    /// Where `act` returns `None` it must have changed nothing.
    fn poll<T>(
        &self,
        interest: Interest,
        cx: &mut Context<'_>,
        act: impl FnOnce(&mut Client) -> io::Result<Option<T>>,
    ) -> Poll<io::Result<T>> {
        let mut state = self.shared.lock();
        let Some(result) = act(&mut state.client).transpose() else {
            return state.wait(interest, Waiter::Polled, cx);
        };
        self.shared.follow(state);
        Poll::Ready(result)
    }

    /// As [`poll`](Self::poll), without waiting.
    fn attempt<T>(&self, act: impl FnOnce(&mut Client) -> io::Result<Option<T>>) -> io::Result<T> {
        let mut state = self.shared.lock();
        let Some(result) = act(&mut state.client).transpose() else {
            return Err(state.stopped().unwrap_or_else(|| ErrorKind::WouldBlock.into()));
        };
        self.shared.follow(state);
        result
    }

    fn wait(&self, interest: Interest) -> Wait<'_> {
        Wait { shared: &self.shared, interest, id: None }
    }
}

impl Drop for ByteStream {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl fmt::Debug for ByteStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut stream = f.debug_struct("ByteStream");
        if let Ok(local) = self.local_addr() {
            stream.field("local", &local);
        }
        stream.field("peer", &self.peer_addr()).finish_non_exhaustive()
    }
}

fn read(client: &mut Client, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    client.read(buffer).map_err(io_error)
}

fn read_vectored(client: &mut Client, buffers: &mut [IoSliceMut<'_>]) -> io::Result<Option<usize>> {
    let mut total = 0;
    for buffer in buffers.iter_mut().filter(|buffer| !buffer.is_empty()) {
        match read(client, buffer) {
            Ok(Some(count)) => {
                total += count;
                if count < buffer.len() {
                    break;
                }
            }
            _ if total > 0 => break,
            nothing => return nothing,
        }
    }
    Ok(Some(total))
}

fn write(client: &mut Client, slices: &[IoSlice<'_>]) -> io::Result<Option<usize>> {
    let mut total = 0;
    for slice in slices.iter().filter(|slice| !slice.is_empty()) {
        match client.write(slice).map_err(io_error)? {
            Some(count) => total += count,
            None if total > 0 => break,
            None => return Ok(None),
        }
    }
    Ok(Some(total))
}

/// Waits for an interest to be met.
#[derive(Debug)]
struct Wait<'a> {
    shared: &'a Shared,
    interest: Interest,
    id: Option<u64>,
}

impl Future for Wait<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let wait = self.get_mut();
        let mut state = wait.shared.lock();
        let id = *wait.id.get_or_insert_with(|| state.future_id());
        ready!(state.poll_ready(wait.interest, Waiter::Future(id), cx));
        drop(state);
        wait.id = None;
        Poll::Ready(())
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.shared.lock().deregister(self.interest, id);
        }
    }
}

#[cfg(test)]
mod tests;
