//! The kernel's TCP, as tokio has it, without Nagle's algorithm.

use std::net::SocketAddr;

use anyhow::Result;
use tokio::net::{TcpListener, TcpStream};

use super::{ANY, spawn};

pub(super) async fn serve(announce: impl FnOnce(SocketAddr)) -> Result<()> {
    let listener = listen().await?;
    announce(listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        spawn(stream);
    }
}

pub(super) async fn listen() -> Result<TcpListener> {
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.bind(ANY)?;
    Ok(socket.listen(4096)?)
}

pub(super) async fn connect(server: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(server).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
