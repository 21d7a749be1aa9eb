//! UDP sockets on tokio.

#[cfg(not(unix))]
mod portable;
#[cfg(unix)]
mod unix;

#[cfg(not(unix))]
pub(crate) use portable::Socket;
#[cfg(unix)]
pub(crate) use unix::Socket;
