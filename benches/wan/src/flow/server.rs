//! Both servers in one process.

use std::net::Ipv4Addr;
use std::ops::Range;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use trickles_tokio::Server;
use trickles_tokio::trickles::key_ring::KeyRing;
use trickles_tokio::trickles::server::{Application, Event, Next, Output, Reset, ServerConfig, Unanswered};
use trickles_tokio::trickles::wire::MAX_PACKET_SIZE;

use super::{Contender, Direction, PIECE, PORT, REQUEST, Request};

/// A stream is reset with this code when it asks for what there is not.
const INVALID: u32 = 1;
/// Bytes of the word that an upload has arrived: how many there were.
pub(crate) const RECEIPT: usize = 8;

/// Serves both transports until it is killed.
///
/// # Errors
/// When the ports cannot be had, and those of the Trickles server.
pub(crate) async fn serve() -> Result<()> {
    let any = (Ipv4Addr::UNSPECIFIED, PORT);
    let listener = TcpListener::bind(any).await.context("no TCP port")?;
    tokio::task::spawn_local(async move {
        while let Ok((connection, _)) = listener.accept().await {
            tokio::task::spawn_local(answer(connection));
        }
    });
    let config = ServerConfig { packet_size: MAX_PACKET_SIZE, ..ServerConfig::default() };
    let mut server = Server::bind(any, config, KeyRing::new(&[(1, [7; 32])])?).await?;
    // The kernel's TCP has it too in scenarios with queues that mark; in others it changes nothing.
    server.set_ecn(true);
    Ok(server.run(&mut Service).await?)
}

/// Gives a connection the congestion control of a contender.
///
/// # Errors
/// When the kernel has none of this name.
pub(crate) fn choose(connection: &TcpStream, contender: Contender) -> Result<()> {
    let name = contender.name();
    let socket = socket2::SockRef::from(connection);
    socket.set_tcp_congestion(name.as_bytes()).with_context(|| format!("the kernel lacks {name}"))?;
    Ok(connection.set_nodelay(true)?)
}

async fn answer(mut connection: TcpStream) -> Result<()> {
    let mut request = [0; REQUEST];
    connection.read_exact(&mut request).await?;
    let request = Request::decode(&request).context("no request")?;
    choose(&connection, request.contender)?;
    let mut buffer = vec![0; PIECE];
    let mut moved = 0;
    match request.direction {
        Direction::Download => {
            while moved < request.length {
                let piece = (request.length - moved).min(PIECE as u64) as usize;
                moved += connection.write(&buffer[..piece]).await? as u64;
            }
        }
        Direction::Upload => {
            while moved < request.length {
                match connection.read(&mut buffer).await? {
                    0 => break,
                    count => moved += count as u64,
                }
            }
            connection.write_all(&moved.to_be_bytes()).await?;
        }
    }
    // What is on its way is not to be cut off.
    connection.shutdown().await?;
    while connection.read(&mut buffer).await? > 0 {}
    Ok(())
}

/// Sends zeros, and counts what it is sent.
struct Service;

const TAKING: &[u8] = b"taking";

impl Application for Service {
    fn input(&mut self, event: &Event<'_>) -> Result<Next, Unanswered> {
        let bytes = event.input.map_or(&[][..], |input| input.bytes);
        if event.state == Some(TAKING) {
            // All of the upload is stored, up to where this is: its length is the output.
            let end = event.input.map_or(0, |input| input.offset);
            let state = (end - REQUEST as u64).to_be_bytes().to_vec();
            return Ok(Next { state, output: 0..RECEIPT as u64, finished: true, ..Next::default() });
        }
        let Some(request) = bytes.first_chunk::<REQUEST>() else { return Ok(Next::default()) };
        let Request { direction, length, .. } = Request::decode(request).ok_or(Reset(INVALID))?;
        let next = Next { consumed: REQUEST, ..Next::default() };
        Ok(match direction {
            Direction::Download => Next { output: 0..length, finished: true, ..next },
            Direction::Upload => Next { state: TAKING.to_vec(), any_order: length, ..next },
        })
    }

    fn store(&mut self, event: &Event<'_>) -> Result<usize, Unanswered> {
        Ok(event.input.map_or(0, |input| input.bytes.len()))
    }
}

impl Output for Service {
    fn read(&mut self, state: &[u8], _: Range<u64>, offset: u64, buffer: &mut [u8]) -> Result<usize, Reset> {
        if state.len() == RECEIPT {
            let rest = &state[offset as usize..];
            let count = rest.len().min(buffer.len());
            buffer[..count].copy_from_slice(&rest[..count]);
            return Ok(count);
        }
        buffer.fill(0);
        Ok(buffer.len())
    }
}
