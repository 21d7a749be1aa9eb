//! The same application over TCP.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use socket2::SockRef;
use trickles::server::{Application, Event, Output};
use trickles::time::Timestamp;
use trickles::wire::Input;

use crate::application::Lines;
use crate::running::any;

/// Serves [`Lines`] over TCP, a thread to each client, until the process ends. The address where.
pub fn serve() -> SocketAddr {
    let listener = TcpListener::bind(any()).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            // A client that goes away amid its transfer is the client's affair.
            thread::spawn(move || drop(converse(stream.unwrap())));
        }
    });
    address
}

/// Does for one client what a Trickles server does without remembering it.
fn converse(mut stream: TcpStream) -> io::Result<()> {
    let client = stream.peer_addr()?;
    let mut state = None;
    let mut output = 0..0;
    let mut pending = Vec::new();
    let (mut offset, mut fin, mut finished) = (0, false, false);
    loop {
        let next = Lines.input(&Event {
            stream: 0,
            client,
            now: Timestamp::ZERO,
            state: state.as_deref(),
            output: output.clone(),
            input: state.is_some().then_some(Input { offset, bytes: &pending, fin }),
        });
        let Ok(next) = next else {
            // Closed like this it sends a reset.
            return SockRef::from(&stream).set_linger(Some(Duration::ZERO));
        };
        offset += next.consumed as u64;
        pending.drain(..next.consumed);
        send(&mut stream, &next.state, next.output.clone())?;
        if next.finished && !finished {
            stream.shutdown(Shutdown::Write)?;
        }
        finished |= next.finished;
        (state, output) = (Some(next.state), next.output);
        if fin && finished {
            return Ok(());
        }
        if pending.is_empty() || next.consumed == 0 {
            fin = receive(&mut stream, &mut pending)?;
        }
    }
}

fn send(stream: &mut TcpStream, state: &[u8], output: std::ops::Range<u64>) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    let mut offset = output.start;
    while offset < output.end {
        let count = Lines.read(state, output.clone(), offset, &mut buffer).unwrap();
        stream.write_all(&buffer[..count])?;
        offset += count as u64;
    }
    Ok(())
}

/// Adds what comes next; whether it is the end.
fn receive(stream: &mut TcpStream, pending: &mut Vec<u8>) -> io::Result<bool> {
    let mut buffer = vec![0; 64 << 10];
    let count = stream.read(&mut buffer)?;
    pending.extend_from_slice(&buffer[..count]);
    Ok(count == 0)
}
